"""Identification of carts with a stepper: what it finds of hidden ones, what it names as missing, what it refuses."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.stepper_identification import hidden_cart, truths
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.commands.cli import main
from cartpole_robot.errors import UsageError
from cartpole_robot.identify.cart_file import identified_cart, write_cart
from cartpole_robot.identify.identification import Identification, IdentifyRequest, identify
from cartpole_robot.open_loop.lost_steps import lost_steps
from cartpole_robot.open_loop.model import TERMS, freed, model_of
from cartpole_robot.open_loop.series import Series, driven_part, series_of
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.hanging import HangingRequest, excite_hanging
from cartpole_robot.simulation.engine import Engine

CART = "diy_stepper"


def recorded(hidden: CartParams, out: Path, seed: int = 0, motion_s: float = 12.0) -> Series:
    with contextlib.closing(VirtualRig(load_cart(CART), plant=hidden)) as rig:
        request = HangingRequest(out=out, rig="virtual", seed=seed, motion_s=motion_s)
        return series_of(excite_hanging(rig, request).recording)


def slipping(pull_out_force_n: float) -> CartParams:
    """A cart whose motor is too weak for the accelerations that its board makes."""
    cart = load_cart(CART)
    assert cart.stepper is not None
    weak = dataclasses.replace(
        cart.stepper,
        pull_out_force_n=pull_out_force_n,
        corner_speed_m_s=1.0,
        maximum_acceleration_m_s2=2.0,  # of its file; the board has its own
    )
    return dataclasses.replace(cart, action_duties=(-1.0, 1.0), precise_duties=None, stepper=weak)


@functools.cache
def found_of(number: int, steps_off: float, folder: Path) -> tuple[CartParams, Identification]:
    hidden = hidden_cart(5, number, steps_off)
    series = recorded(hidden, folder / f"{number}.parquet", seed=number)
    return hidden, identify([series], load_cart(CART), IdentifyRequest())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stepper")


@pytest.mark.parametrize(("number", "steps_off"), [(0, 0.0), (1, 0.05)])
def test_intervals_hold_the_truth_of_a_hidden_cart(number: int, steps_off: float, folder: Path) -> None:
    hidden, found = found_of(number, steps_off, folder)
    true = truths(hidden, "virtual")
    estimates = {e.term.name: e for e in found.estimates}
    assert set(estimates) == set(true)
    # One in twenty may miss; these carts' do not, within half an interval more.
    for name, e in estimates.items():
        reach = 0.25 * (e.high - e.low)
        assert e.low - reach <= true[name] <= e.high + reach, name
    assert estimates["delay"].value == pytest.approx(true["delay"], abs=2e-4)
    assert estimates["pole_length"].value == pytest.approx(true["pole_length"], rel=5e-4)
    assert estimates["settling"].value == pytest.approx(true["settling"], abs=2e-4)
    assert estimates["steps_per_m"].value == pytest.approx(true["steps_per_m"], rel=2e-3)
    if steps_off:
        assert not estimates["steps_per_m"].low <= 20_000.0 <= estimates["steps_per_m"].high
    assert 1e3 * found.noise[0] < 0.2  # four steps


def test_parameters_of_a_motor_are_named_as_none_of_a_stepper_cart(folder: Path) -> None:
    _, found = found_of(0, 0.0, folder)
    reasons = {key: one["reason"] for one in found.as_dict()["not_shown"] for key in one["keys"]}
    for key in ("motor force", "back-EMF", "dead zone", "friction.cart_coulomb_n", "pole_cart.cart_mass_kg"):
        assert reasons[key].startswith("not a parameter of a stepper cart"), key
    assert "the pole against gravity" in reasons["stepper.steps_per_m"]
    assert "only where steps are lost" in reasons["stepper.pull_out_force_n"]
    assert not any(e.term.name in ("motor_gain", "coulomb", "cart_mass") for e in found.estimates)


def test_identified_file_keeps_the_boards_limits_and_its_old_recording_still_fits(folder: Path) -> None:
    hidden, found = found_of(1, 0.05, folder)
    nominal = load_cart(CART)
    path = folder / "identified.toml"
    write_cart(path, identified_cart(found, nominal))
    cart = load_cart(path)
    assert cart.stepper is not None
    assert nominal.stepper is not None
    assert hidden.stepper is not None
    assert cart.stepper.steps_per_m == pytest.approx(hidden.stepper.steps_per_m, rel=2e-3)
    assert cart.stepper.pull_out_force_n == nominal.stepper.pull_out_force_n
    assert cart.stepper.maximum_acceleration_m_s2 == nominal.stepper.maximum_acceleration_m_s2
    assert cart.stepper.maximum_speed_m_s * cart.stepper.steps_per_m <= 20_000.0
    assert cart.limits.end_stop_m == nominal.limits.end_stop_m
    assert cart.action_duties == nominal.action_duties
    assert cart.sources["stepper.steps_per_m"].startswith("identified from 1.parquet: 95 % within")
    again = model_of(cart, nominal)  # the board made the steps of the file that it had
    assert again.position_scale == pytest.approx(cart.stepper.steps_per_m / 20_000.0)
    assert again.cart.stepper is not None
    assert again.cart.stepper.maximum_acceleration_m_s2 == pytest.approx(15.0 * 20_000.0 / cart.stepper.steps_per_m)
    refound = identify([series_of(read_recording(folder / "1.parquet"))], cart, IdentifyRequest())
    assert {e.term.name: e.value for e in refound.estimates}["steps_per_m"] == pytest.approx(
        cart.stepper.steps_per_m, rel=1e-3
    )


def test_lost_steps_are_found_where_they_are_lost_and_nowhere_else(tmp_path: Path, folder: Path) -> None:
    series = recorded(slipping(5.0), tmp_path / "slips.parquet", seed=1)
    jumps = lost_steps(driven_part(series), model_of(load_cart(CART)), Engine.NATIVE)
    assert [round(jump.time_s, 1) for jump in jumps] == [5.4, 10.3]
    assert jumps[0].distance_m == pytest.approx(0.024, abs=0.006)
    hidden, _ = found_of(0, 0.0, folder)
    sound = series_of(read_recording(folder / "0.parquet"))
    assert lost_steps(driven_part(sound), model_of(hidden), Engine.NATIVE) == []
    found = identify([series], load_cart(CART), IdentifyRequest())
    assert sum("were steps lost there?" in note for note in found.notes) == 1


@pytest.mark.long
def test_without_a_hanging_pole_the_steps_per_metre_cannot_be_told(tmp_path: Path) -> None:
    assert main(["excite", "--cart", CART, "--upright", "--duration-s", "20", "--out", str(tmp_path / "up")]) == 0
    found = identify([series_of(read_recording(tmp_path / "up"))], load_cart(CART), IdentifyRequest())
    reasons = {key: one["reason"] for one in found.as_dict()["not_shown"] for key in one["keys"]}
    assert "the length of the track in steps" in reasons["stepper.steps_per_m"]
    assert "steps_per_m" not in {e.term.name for e in found.estimates}


# ---- what is refused ----


def standing(name: str, cart: CartParams, entries: int = 400) -> Series:
    zeros = np.zeros(entries)
    return Series(
        name=name,
        cart=cart,
        period_s=0.02,
        time_us=20_000 * np.arange(entries),
        position_m=zeros,
        angle_rad=zeros + np.pi,
        duty=zeros,
        begins=(0,),
    )


def test_recordings_and_terms_of_the_other_drive_are_refused_with_both() -> None:
    stepper, motor = load_cart(CART), load_cart("diy_arduino")
    with pytest.raises(UsageError, match=r"'diy_stepper' with a stepper.*'diy_arduino' has a DC motor"):
        identify([standing("a", stepper)], motor, IdentifyRequest())
    with pytest.raises(UsageError, match=r"'diy_arduino' with a DC motor.*'diy_stepper' has a stepper"):
        identify([standing("a", motor)], stepper, IdentifyRequest())
    with pytest.raises(UsageError, match="'coulomb' is not a parameter of a stepper cart, as 'diy_stepper'"):
        identify([standing("a", stepper)], stepper, IdentifyRequest(terms=("coulomb",)))
    with pytest.raises(UsageError, match="'settling' is not a parameter of a cart with a DC motor"):
        identify([standing("a", motor)], motor, IdentifyRequest(terms=("settling",)))


def test_recordings_without_motion_too_short_or_of_other_boards_are_refused(folder: Path) -> None:
    cart = load_cart(CART)
    assert cart.stepper is not None
    with pytest.raises(UsageError, match="neither cart nor pole ever moved"):
        identify([standing("a", cart)], cart, IdentifyRequest())
    found_of(0, 0.0, folder)
    series = series_of(read_recording(folder / "0.parquet"))
    short = dataclasses.replace(driven_part(series), **{n: getattr(series, n)[:40] for n in ("time_us", "position_m")})
    short = dataclasses.replace(short, angle_rad=series.angle_rad[:40], duty=series.duty[:40], begins=(0,))
    with pytest.raises(UsageError, match="expected at least 3; record for longer"):
        identify([short], cart, IdentifyRequest())
    slower = dataclasses.replace(cart.stepper, maximum_acceleration_m_s2=12.0)
    other = dataclasses.replace(series, name="b", cart=dataclasses.replace(cart, stepper=slower))
    with pytest.raises(UsageError, match=r"1 m/s and 15 m/s².* 1 m/s and 12 m/s²"):
        identify([series, other], cart, IdentifyRequest())


def test_recording_that_ended_with_lost_steps_is_refused(folder: Path) -> None:
    found_of(0, 0.0, folder)
    series = series_of(read_recording(folder / "0.parquet"))
    assert series.fault is None
    lost = dataclasses.replace(series, fault="STEPS_LOST at 12 mm: the count is off")
    with pytest.raises(UsageError, match=r"ended with STEPS_LOST at 12 mm.*smaller accelerations"):
        identify([lost], load_cart(CART), IdentifyRequest())


def test_command_names_what_a_stepper_has_and_lacks(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found_of(0, 0.0, folder)
    recording, out = str(folder / "0.parquet"), tmp_path / "cart.toml"
    assert main(["identify", recording, "--cart", "diy_arduino", "--out", str(out)]) == 2
    assert "'diy_stepper' with a stepper" in capsys.readouterr().err
    assert not out.exists()
    assert main(["identify", recording, "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {one["term"] for one in report["estimates"]} == {
        *("delay", "settling", "pole_viscous", "pole_coulomb", "pole_length", "angle_zero", "steps_per_m")
    }
    assert {one["ratio"] for one in report["ratios"]} == {"equal_pendulum", "pole_period"}
    assert load_cart(out).stepper is not None


def test_steps_of_another_length_show_in_the_position_alone() -> None:
    """The board makes the same steps; the cart goes farther, and the count does not say so."""
    model = freed(model_of(load_cart(CART)))
    longer = TERMS["steps_per_m"].write(model, 16_000.0)
    assert longer.cart.stepper is not None
    assert longer.cart.stepper.maximum_acceleration_m_s2 == pytest.approx(15.0 * 1.25)
    assert longer.shown(np.array([[1.25, 0.0]])).tolist() == [[1.0, 0.0]]
    assert longer.true(np.array([[1.0, 0.0]])).tolist() == [[1.25, 0.0]]
