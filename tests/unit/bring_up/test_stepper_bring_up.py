"""`bring-up` of virtual carts with a stepper: wires that are reversed, a weak motor, and what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.bring_up_hidden import STEPPER_CART, Signs, hidden_stepper
from cartpole_robot.bring_up.cart_line import CartLine
from cartpole_robot.bring_up.run import BringUp, BringUpRequest, bring_up, check_request
from cartpole_robot.bring_up.stage import StageName
from cartpole_robot.bring_up.summary import summary_text
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.simulation.mistake import Mistake
from cartpole_robot.simulation.planted_mistakes import built_board, built_cart
from cartpole_robot.simulation.virtual_cart import Board
from cartpole_robot.simulation.wired_board import EquippedBoard
from cartpole_robot.simulation.wired_stepper import DriverUnpowered, MotorStalled

CART = load_cart(STEPPER_CART)
TUNED_SEED = 7
AS_IN_THE_FILE = Signs()


def request(out: Path, until: StageName | None = None, cart: CartParams = CART) -> BringUpRequest:
    return BringUpRequest(rig="virtual", cart=cart, out=out, may_move=True, is_checked=True, until=until)


def run(
    out: Path,
    until: StageName | None,
    plant: CartParams = CART,
    wires: Callable[[EquippedBoard, CartParams], Board] = AS_IN_THE_FILE.wired,
) -> BringUp:
    return bring_up(request(out, until), line=CartLine("virtual", CART, plant=plant, wires=wires))


@pytest.mark.parametrize(
    "signs",
    [
        *(pytest.param(each, marks=pytest.mark.long) for each in (Signs(motor=True, pole=True), Signs(pole=True))),
        Signs(motor=True),
    ],
)
def test_reversed_wires_are_found_at_homing_and_written_into_the_cart_file(signs: Signs, tmp_path: Path) -> None:
    done = run(tmp_path / "out", StageName.IDENTIFY, wires=signs.wired)
    assert done.failure is None
    cart = load_cart(str(tmp_path / "out" / "identified.toml"))
    assert cart.firmware is not None
    assert (cart.firmware.is_motor_reversed, cart.firmware.is_pole_reversed) == (signs.motor, signs.pole)
    notes = " ".join(done.folder.results[StageName.HOME].notes)
    assert ("firmware.is_motor_reversed is true" in notes) == signs.motor
    assert ("firmware.is_pole_reversed is true" in notes) == signs.pole
    for key in ("is_motor_reversed", "is_pole_reversed"):
        if getattr(cart.firmware, key):
            assert cart.sources[f"firmware.{key}"] == "measured: bring-up, at home"


@pytest.mark.long
def test_hidden_cart_comes_to_a_balanced_minute_by_the_file_alone(tmp_path: Path) -> None:
    plant, changes, signs = hidden_stepper(TUNED_SEED, 2)
    assert changes["settling_s"] > 1.8, "motor and belt settle nearly twice as slowly as in the file"
    done = run(tmp_path / "out", None, plant, signs.wired)
    assert done.failure is None
    assert [result.name for result in done.results] == [
        *("check", "home", "acceleration", "excite", "identify", "train", "swing-up", "balance", "compare")
    ]
    assert done.folder.results[StageName.BALANCE].figures["balanced_s"] == pytest.approx(60.0)
    identified, true = load_cart(str(tmp_path / "out" / "identified.toml")), plant
    assert identified.pole_cart.pole_half_length_m == pytest.approx(true.pole_cart.pole_half_length_m, rel=0.02)
    assert identified.stepper is not None
    assert true.stepper is not None
    assert identified.stepper.maximum_acceleration_m_s2 == true.stepper.maximum_acceleration_m_s2
    assert "acceleration" in summary_text(done)


def test_motor_that_loses_steps_is_driven_more_gently_from_then_on(tmp_path: Path) -> None:
    weak = built_cart(CART, Mistake.ACCELERATION_LOST)
    done = run(tmp_path / "out", StageName.IDENTIFY, weak)
    assert done.failure is None
    found = done.folder.results[StageName.ACCELERATION]
    assert found.figures["maximum_acceleration_m_s2"] == pytest.approx(0.8 * found.figures["largest_m_s2"], rel=0.01)
    assert 0.0 < found.figures["largest_m_s2"] < 15.0
    assert "STEPS_LOST" in found.notes[0]
    cart = load_cart(str(tmp_path / "out" / "identified.toml"))
    assert cart.stepper is not None
    assert cart.stepper.maximum_acceleration_m_s2 == found.figures["maximum_acceleration_m_s2"]
    assert "without a lost step" in cart.sources["stepper.maximum_acceleration_m_s2"]


@pytest.mark.parametrize(
    ("wires", "fault", "remedy"),
    [
        (DriverUnpowered, "HOMING_TRAVEL", "the motor does not move the cart"),
        (MotorStalled, "HOMING_TRAVEL", "the motor does not move the cart"),
        (lambda board, cart: built_board(board, cart, Mistake.SWITCH_STUCK), "HOMING_SWITCH", "press both switches"),
        (lambda board, cart: built_board(board, cart, Mistake.BELT_SLIPS), "STEPS_LOST", "free carriage and belt"),
    ],
)
def test_cart_that_does_not_home_is_named_with_what_to_do_and_rests(
    wires: Callable[[EquippedBoard, CartParams], Board], fault: str, remedy: str, tmp_path: Path
) -> None:
    done = run(tmp_path / "out", StageName.HOME, wires=wires)
    assert done.failure is not None
    assert done.failure.stage is StageName.HOME
    assert fault in done.failure.message
    assert remedy in done.failure.remedy
    virtual = done.work.line.virtual
    assert virtual is not None
    for _ in range(600):
        virtual.pass_ms()
    assert virtual.true_state().cart_speed_m_s == pytest.approx(0.0, abs=1e-6)


def test_track_of_other_length_in_steps_is_named_with_both_lengths(tmp_path: Path) -> None:
    done = run(tmp_path / "out", StageName.HOME, built_cart(CART, Mistake.COUNTS_PER_M_95))
    assert done.failure is not None
    assert "mm long by the cart's steps, and 940 mm in the cart file" in done.failure.message
    assert "stepper.steps_per_m" in done.failure.remedy


def test_stage_of_the_other_drive_and_rig_without_firmware_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--until brake: the cart 'diy_stepper' has a stepper, whose .* acceleration"):
        check_request(request(tmp_path / "new", StageName.BRAKE))
    with pytest.raises(
        UsageError, match=r"--until acceleration: the cart 'diy_arduino' has a DC motor, whose .* brake"
    ):
        check_request(request(tmp_path / "new", StageName.ACCELERATION, load_cart("diy_arduino")))
    with pytest.raises(UsageError, match="bring-up needs a cart with a firmware"):
        bring_up(dataclasses.replace(request(tmp_path / "new"), rig="sim"))
    assert not (tmp_path / "new" / "identified.toml").exists()
