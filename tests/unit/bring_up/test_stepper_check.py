"""`check-rig` on virtual carts with a stepper, right ones and ones with planted mistakes, in lockstep."""

from __future__ import annotations

import dataclasses
import functools
import math
from datetime import date
from pathlib import Path

import pytest

from cartpole_robot.bring_up.acceleration import pushes
from cartpole_robot.bring_up.bench import Bench
from cartpole_robot.bring_up.check import STEPPER_STEPS, RigCheck, chosen_steps, verdict_text
from cartpole_robot.bring_up.findings import StepResult, Verdict
from cartpole_robot.bring_up.measured_cart import measured_cart
from cartpole_robot.bring_up.operator import SimulatedOperator
from cartpole_robot.bring_up.rehearsal import rehearse
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.rigs.virtual import LockstepTransport
from cartpole_robot.signals import State
from cartpole_robot.simulation.hand import BuildersHand
from cartpole_robot.simulation.imperfections.imperfect import spoil
from cartpole_robot.simulation.imperfections.profile import fitting, load_profile
from cartpole_robot.simulation.mistake import Mistake, mistakes_of
from cartpole_robot.simulation.planted_mistakes import built_board, built_cart
from cartpole_robot.simulation.virtual_cart import VirtualCart, built_firmware
from cartpole_robot.simulation.wired_board import WiredBoard

CART = load_cart("diy_stepper")
FAST_STEPS_PER_MS = 8.0  # 0.4 m/s, faster than it homes
NAMES = [step.name for step in STEPPER_STEPS]


@functools.cache
def found(mistake: Mistake | None) -> dict[str, StepResult]:
    return {result.name: result for result in rehearse(CART, mistake)}


def check_of(mistake: Mistake | None = None, **changes: object) -> tuple[RigCheck, VirtualCart]:
    """A check without an operator unless `changes` has one, and the cart that it is about."""
    virtual = VirtualCart(built_cart(CART, mistake), board=built_board(built_firmware(CART), CART, mistake))
    check = RigCheck(
        cart=CART,
        open_line=lambda: LockstepTransport(virtual),
        port="virtual",
        operator=None,
        may_move=True,
        on_result=lambda _: None,
    )
    return dataclasses.replace(check, **changes), virtual  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("file", "fact"),
    [
        ("diy_stepper", "the cart's firmware drives a DC motor, the cart file has a stepper"),
        ("diy_arduino", "the cart's firmware drives a stepper, the cart file has a DC motor"),
    ],
)
def test_firmware_of_the_other_drive_is_the_first_that_is_wrong(file: str, fact: str) -> None:
    other = load_cart("diy_arduino" if file == "diy_stepper" else "diy_stepper")
    virtual = VirtualCart(other, board=built_firmware(other))
    check, _ = check_of(cart=load_cart(file), open_line=lambda: LockstepTransport(virtual), may_move=False)
    check.run()
    results = {result.name: result for result in check.results}
    assert (results["firmware"].verdict, results["firmware"].message) == (Verdict.WRONG, fact)
    assert "firmware build --drive" in results["firmware"].remedy
    assert results["chip"].verdict == Verdict.FINE


def test_right_cart_is_fine_in_every_step() -> None:
    results = found(None)
    assert {name: result.verdict for name, result in results.items()} == dict.fromkeys(NAMES, Verdict.FINE)
    assert verdict_text(list(results.values()), CART) == "the rig is fit to be driven"
    assert results["acceleration"].measured == {"stepper.maximum_acceleration_m_s2": 15.0}
    assert "up to 1 % is no other number of steps" in results["track"].message
    assert not results["track"].measured, "800 pulses a turn of 40 mm are exact"


def test_right_cart_on_a_workbench_is_fine_in_every_step() -> None:
    profile, _ = fitting(load_profile("workbench"), CART.motor)
    results = rehearse(CART, None, spoil=lambda virtual: spoil(virtual, CART, profile))
    assert verdict_text(results, CART) == "the rig is fit to be driven", results


NAMED = {
    Mistake.DIRECTION_REVERSED: {"motor": "direction-reversed"},
    Mistake.ENABLE_INVERTED: {"driver": "enable-inverted"},
    Mistake.DRIVER_OFF: {"motor": "driver-off"},
    Mistake.MOTOR_STALLED: {"motor": "motor-stalled"},
    Mistake.MICROSTEPS: {"track": "microsteps"},
    Mistake.COUNTS_PER_M_95: {"track": "counts-per-metre"},
    Mistake.BELT_SLIPS: {"track": "belt-slips"},
    Mistake.SET_SCREW_LOOSE: {"track": "set-screw-loose"},
    Mistake.ACCELERATION_LOST: {"acceleration": "acceleration-loses-steps"},
    Mistake.SWITCHES_SWAPPED: {"switches": "switches-swapped"},
    Mistake.POLE_ENCODER_SWAPPED: {"pole-encoder": "pole-encoder-swapped"},
    Mistake.RELAY_WELDED: {"e-stop": "relay-welded"},
}


@pytest.mark.parametrize("mistake", NAMED)
def test_planted_mistake_is_the_only_one_named_and_has_a_remedy(mistake: Mistake) -> None:
    results = found(mistake)
    assert {n: r.mistake for n, r in results.items() if r.verdict is Verdict.WRONG} == NAMED[mistake]
    assert all(results[name].remedy for name in NAMED[mistake])


@pytest.mark.parametrize("mistake", [Mistake.DRIVER_OFF, Mistake.MOTOR_STALLED, Mistake.DIRECTION_REVERSED])
def test_without_an_operator_nothing_more_is_claimed_and_the_motor_rests(mistake: Mistake) -> None:
    check, virtual = check_of(mistake, steps=chosen_steps(["motor"], CART))
    assert not check.run()
    result = check.results[-1]
    expected = {Mistake.DIRECTION_REVERSED: "direction-or-switches-swapped"}
    assert result.mistake == expected.get(mistake, "motor-still")
    before = virtual.drive
    for _ in range(500):
        virtual.pass_ms()
    assert virtual.drive == before, "no pulse comes any more"
    assert virtual.true_state().cart_speed_m_s == pytest.approx(0.0, abs=1e-6)


def test_cart_at_a_switch_with_a_motor_that_turns_the_wrong_way_is_not_driven_on() -> None:
    check, virtual = check_of(Mistake.DIRECTION_REVERSED, steps=chosen_steps(["motor"], CART))
    assert CART.firmware is not None
    hand = BuildersHand(virtual)
    virtual.carry(virtual.true_state()._replace(cart_position_m=-CART.firmware.switch_m - 0.001), 0.2)
    while not virtual.has_hand_arrived():
        virtual.pass_ms()
    virtual.let_go()
    check = dataclasses.replace(check, operator=None)
    assert not check.run()
    assert check.results[-1].mistake == "motor-still-or-reversed"
    assert "push the cart to the middle" in check.results[-1].remedy
    assert hand.is_done


def test_driver_that_still_holds_from_a_session_before_is_no_mistake() -> None:
    check, virtual = check_of()
    moved = dataclasses.replace(check, steps=chosen_steps(["motor"], CART), results=[])
    assert moved.run()
    assert virtual.drive is not None, "it holds the cart where it came to rest"
    operator = SimulatedOperator(BuildersHand(virtual))
    again = dataclasses.replace(check, operator=operator, steps=chosen_steps(["driver"], CART), results=[])
    assert again.run()
    assert again.results[-1].verdict is Verdict.FINE


@pytest.mark.parametrize("mistake", [None, Mistake.ENABLE_INVERTED])
def test_driver_is_checked_from_the_left_switch_too(mistake: Mistake | None) -> None:
    start = State(-0.4705, 0.0, math.pi, 0.0)
    virtual = VirtualCart(CART, start=start, board=built_board(built_firmware(CART), CART, mistake))
    check, _ = check_of(
        open_line=lambda: LockstepTransport(virtual),
        operator=SimulatedOperator(BuildersHand(virtual)),
        steps=chosen_steps(["driver"], CART),
    )
    check.run()
    assert check.results[-1].mistake == ("" if mistake is None else "enable-inverted")
    assert abs(virtual.true_state().cart_position_m - (0.0 if mistake is None else -0.4705)) < 1e-3


def test_driver_without_supply_is_not_called_free() -> None:
    check, virtual = check_of(Mistake.ENABLE_INVERTED, steps=chosen_steps(["driver"], CART))
    virtual.supply_mv = 8_000
    check = dataclasses.replace(check, operator=SimulatedOperator(BuildersHand(virtual)))
    check.run()
    assert check.results[-1].verdict is Verdict.SKIPPED
    assert "the supply is 8.0 V, expected at least 20" in check.results[-1].message


class StopsOnceFast(WiredBoard):
    """From its first fast pulses on the motor stands, its driver on."""

    before = 0.0
    held: float | None = None

    def pulses(self, pulses: float | None) -> float | None:
        if pulses is None:
            return None
        if self.held is None and abs(pulses - self.before) > FAST_STEPS_PER_MS:
            self.held = pulses
        self.before = pulses
        return pulses if self.held is None else self.held


def test_motor_that_stops_in_the_middle_of_a_trial_is_named_and_the_cart_stays_between_its_switches() -> None:
    virtual = VirtualCart(CART, board=StopsOnceFast(built_firmware(CART), CART))
    check, _ = check_of(
        open_line=lambda: LockstepTransport(virtual), steps=chosen_steps(["homing", "acceleration"], CART)
    )
    assert not check.run()
    result = check.results[-1]
    assert (result.name, result.mistake) == ("acceleration", "acceleration-loses-steps")
    assert result.message.endswith("the smallest that was tried")
    assert CART.firmware is not None
    assert abs(virtual.true_state().cart_position_m) < CART.firmware.switch_m
    assert virtual.drive is None, "nothing drives it with zeros that are wrong"


def test_estop_in_a_trial_ends_the_step_by_name() -> None:
    check, virtual = check_of()

    def press(result: StepResult) -> None:
        if result.name == "homing":
            virtual.is_estop_pressed = True

    check = dataclasses.replace(check, steps=chosen_steps(["homing", "acceleration"], CART), on_result=press)
    assert not check.run()
    assert check.results[-1].name == "acceleration"
    assert "ESTOP" in check.results[-1].message
    assert virtual.drive is None


def test_ctrl_c_in_a_trial_stops_the_check_and_the_cart_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    def say(bench: Bench, text: str) -> None:
        if "m/s²" in text:
            raise KeyboardInterrupt

    monkeypatch.setattr(Bench, "say", say)
    check, virtual = check_of(steps=chosen_steps(["homing", "acceleration"], CART))
    with pytest.raises(KeyboardInterrupt):
        check.run()
    assert check.results[-1].name == "acceleration"
    assert "it was stopped" in check.results[-1].message
    before = virtual.drive
    for _ in range(500):
        virtual.pass_ms()
    assert virtual.drive == before, "no pulse comes any more"


def test_larger_acceleration_than_the_file_has_is_tried_where_the_motor_bears_it() -> None:
    check, _ = check_of(steps=chosen_steps(["homing", "acceleration"], CART), most_m_s2=18.0)
    assert check.run()
    assert "no step lost at up to 18 m/s²" in check.results[-1].message
    check, _ = check_of(most_m_s2=40.0)
    with pytest.raises(
        UsageError, match=r"accelerations up to 40 m/s² cannot be tried with .* whose file has 15: .* N"
    ):
        check.run()


def test_steps_and_mistakes_of_the_other_drive_are_refused_with_both_names() -> None:
    with pytest.raises(UsageError, match="step brake of check-rig is for a DC motor, and the cart 'diy_stepper' has"):
        chosen_steps(["brake"], CART)
    arduino = load_cart("diy_arduino")
    with pytest.raises(UsageError, match="step acceleration of check-rig is for a stepper, and the cart 'diy_arduino"):
        chosen_steps(["acceleration"], arduino)
    with pytest.raises(UsageError, match="mistake brake-weak is one of a DC motor, and the cart 'diy_stepper' has"):
        built_cart(CART, Mistake.BRAKE_WEAK)
    with pytest.raises(UsageError, match="mistake driver-off is one of a stepper, and the cart 'diy_arduino' has"):
        built_cart(arduino, Mistake.DRIVER_OFF)
    both = {*mistakes_of(has_stepper=True), *mistakes_of(has_stepper=False)}
    assert both == set(Mistake)


def test_firmware_for_the_other_drive_is_refused_with_both_names() -> None:
    check, _ = check_of(cart=load_cart("diy_arduino"), steps=None)
    assert not check.run()
    assert "the cart's firmware drives a stepper, the cart file has a DC motor" in check.results[-1].message


@pytest.mark.parametrize("mistake", [Mistake.COUNTS_PER_M_115, Mistake.ACCELERATION_LOST])
def test_measured_numbers_make_a_cart_file(mistake: Mistake, tmp_path: Path) -> None:
    path = tmp_path / "measured.toml"
    write_cart(path, measured_cart(CART, list(found(mistake).values()), date(2027, 2, 3)))
    stepper = load_cart(str(path)).stepper
    assert stepper is not None
    if mistake is Mistake.ACCELERATION_LOST:
        shares = [stepper.maximum_acceleration_m_s2 / (0.8 * 15.0 * share) for share in (0.6, 0.7, 0.8)]
        assert any(share == pytest.approx(1.0, rel=5e-3) for share in shares), "less than the largest without a loss"
        return
    assert stepper.steps_per_m == pytest.approx(23_000, rel=2e-3)
    assert stepper.maximum_speed_m_s == pytest.approx(20_000 / 23_000, rel=2e-3)


def test_trials_end_at_rest_before_the_travel_limit_and_within_the_largest_speed() -> None:
    assert CART.firmware is not None
    assert CART.stepper is not None
    period_s, full = CART.timing.control_period_s, CART.stepper.maximum_acceleration_m_s2
    for tenths in range(2, 151):
        for side in (-1, 1):
            duties, fastest = pushes(CART, 0.1 * tenths, side)
            speed = place = 0.0
            for duty in duties:
                assert abs(duty) <= 0.1 * tenths / full + 1e-12
                place += (speed + 0.5 * duty * full * period_s) * period_s
                speed += duty * full * period_s
                assert abs(speed) <= min(fastest, 1.0) + 1e-9
            assert speed == pytest.approx(0.0, abs=1e-9)
            assert 0.02 < side * place < 0.85 * 0.43
