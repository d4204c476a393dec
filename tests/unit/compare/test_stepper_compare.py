"""Comparison of carts with a stepper: their own terms, lost steps, and what is refused."""

from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.commands.cli import main
from cartpole_robot.compare.attribution import BLAMED_OF_A_STEPPER, LOST_STEPS
from cartpole_robot.compare.comparison import CompareRequest, Comparison, compare
from cartpole_robot.compare.words import loop_rows, report_text, summary
from cartpole_robot.errors import UsageError
from cartpole_robot.open_loop.lost_steps import lost_steps
from cartpole_robot.open_loop.model import TERMS, freed, model_of
from cartpole_robot.open_loop.series import driven_part, part_of, series_of
from cartpole_robot.recording.format import ROW_DTYPE, Recording
from cartpole_robot.recording.metadata import ControllerRecord, RecordingMetadata
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.summary import recording_summary, recording_text
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.hanging import HangingRequest, excite_hanging
from cartpole_robot.simulation.engine import Engine
from tests.unit.identify.test_stepper_identification import slipping

CART = "diy_stepper"


def driven(plant: CartParams, out: Path, seed: int = 1) -> Path:
    """A recording of `plant` behind a board that has the file of `diy_stepper`."""
    rig = VirtualRig(load_cart(CART), plant=plant)
    try:
        return excite_hanging(rig, HangingRequest(out=out, rig="virtual", seed=seed)).recording.path
    finally:
        rig.close()


def with_term(name: str, factor: float) -> CartParams:
    cart = load_cart(CART)
    model = freed(model_of(cart))
    changed = TERMS[name].write(model, factor * TERMS[name].read(model)).cart
    assert changed.stepper is not None
    assert cart.stepper is not None
    strong = dataclasses.replace(changed.stepper, pull_out_force_n=cart.stepper.pull_out_force_n)
    return dataclasses.replace(changed, limits=cart.limits, stepper=strong)


def compared(simulated: str, recorded: Path, **changes: object) -> Comparison:
    return compare(CompareRequest(simulated=simulated, recorded=recorded, workers=0, **changes))  # type: ignore[arg-type]


@pytest.mark.long
@pytest.mark.parametrize(("name", "factor"), [("pole_length", 1.15), ("settling", 3.0), ("steps_per_m", 0.95)])
def test_term_that_is_wrong_is_blamed(name: str, factor: float, tmp_path: Path) -> None:
    found = compared(CART, driven(with_term(name, factor), tmp_path / "cart"))
    assert found.attribution is not None
    assert {blame.term for blame in found.attribution.blames} == set(BLAMED_OF_A_STEPPER)
    first = found.attribution.blames[0]
    assert first.term == name
    assert first.explained > 0.8
    assert first.best == pytest.approx(factor * TERMS[name].read(model_of(load_cart(CART))), rel=0.05)


@pytest.mark.long
def test_late_commands_are_blamed_on_the_delay(tmp_path: Path) -> None:
    cart = load_cart(CART)
    late = dataclasses.replace(cart, delay=dataclasses.replace(cart.delay, latency_s=0.025))
    found = compared(CART, driven(late, tmp_path / "cart"))
    assert found.attribution is not None
    assert found.attribution.blames[0].term == "delay"
    assert found.attribution.blames[0].best == pytest.approx(0.04, abs=5e-4)
    assert "delay.latency_s in the cart file" in " ".join(summary(found))
    assert found.open_loop.later_s is not None
    assert found.open_loop.later_s.value == pytest.approx(0.02, abs=0.002)


def test_lost_steps_are_blamed_and_noted_with_time_and_distance(tmp_path: Path) -> None:
    found = compared(CART, driven(slipping(5.5), tmp_path / "cart"))
    assert found.attribution is not None
    first = found.attribution.blames[0]
    assert first.term == LOST_STEPS
    assert first.explained > 0.5
    assert any(jump.time_s == pytest.approx(10.3, abs=0.2) for jump in found.jumps)
    note = next(note for note in found.notes if "lost steps" in note)
    assert "at 10.28 s" in note
    assert found.as_dict()["jumps"][0].keys() == {"time_s", "distance_m"}
    assert "lost steps" in report_text(found)


@pytest.mark.long
def test_simulation_and_virtual_cart_of_one_file_leave_no_gap(tmp_path: Path) -> None:
    for rig in ("sim", "virtual"):
        arguments = ["record", "lqr", "--cart", CART, "--rig", rig, "--duration-s", "10", "--out", str(tmp_path / rig)]
        assert main(arguments) == 0
    found = compared(str(tmp_path / "sim"), tmp_path / "virtual")
    assert "there is no gap to explain" in " ".join(summary(found))
    assert found.jumps == ()
    half = next(h for h in found.open_loop.horizons if h.horizon_s == 0.5)
    assert half.rmse[0].value < 2e-4  # four steps
    labels = {label for label, *_ in found.parameters()}
    assert {"steps per metre", "settling of motor and belt"} <= labels
    assert "motor gain (stall force)" not in labels
    assert ("motor power", "of a stepper: unknown", "of a stepper: unknown") in loop_rows(found)


def test_recording_of_a_stepper_names_the_power_as_unknown(tmp_path: Path) -> None:
    for name in (CART, "diy_arduino"):
        arguments = ["record", "lqr", "--cart", name, "--rig", "virtual", "--duration-s", "2"]
        assert main([*arguments, "--out", str(tmp_path / name)]) == 0
    stepper, motor = (recording_summary(read_recording(tmp_path / name)) for name in (CART, "diy_arduino"))
    assert stepper["drive"] == "stepper"
    assert stepper["mean_power_w"] is None
    assert "unknown of a stepper" in recording_text(stepper)
    assert motor["drive"] == "dc"
    assert motor["mean_power_w"] > 0.0
    assert "unknown of a stepper" not in recording_text(motor)


def test_other_drives_boards_and_equal_readings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = driven(load_cart(CART), tmp_path / "cart")
    for simulated, cart in (("diy_arduino", None), (CART, "diy_arduino")):
        with pytest.raises(UsageError, match=r"'diy_stepper' with a stepper.*'diy_arduino' has a DC motor"):
            compared(simulated, recorded, cart=cart)
    assert main(["excite", "--cart", "diy_arduino", "--out", str(tmp_path / "dc"), "--duration-s", "4"]) == 0
    with pytest.raises(UsageError, match=r"'diy_arduino' with a DC motor.*'diy_stepper' has a stepper"):
        compared(CART, tmp_path / "dc")
    capsys.readouterr()
    slower = tmp_path / "slower.toml"
    known = resources.files("cartpole_robot.cart.known").joinpath(f"{CART}.toml").read_text(encoding="utf-8")
    key = "maximum_acceleration_m_s2 = { value = "
    slower.write_text(known.replace(f"{key}15.0", f"{key}12.0"), encoding="utf-8")
    found = compared(str(slower), recorded, attributes=False)
    note = next(note for note in found.notes if "steps per metre" in note)
    assert "1 m/s and 15 m/s²" in note
    assert "1 m/s and 12 m/s²" in note
    half = next(h for h in found.open_loop.horizons if h.horizon_s == 0.5)
    assert half.rmse[0].value < 2e-4  # the recording's board made the steps


def test_recording_whose_motor_is_off_throughout_has_no_lost_steps(tmp_path: Path) -> None:
    series = series_of(read_recording(driven(load_cart(CART), tmp_path / "cart")))
    assert series.is_coasting is not None
    swings = part_of(series, int(series.is_coasting.argmax()), len(series))
    assert len(swings) > 100
    assert len(driven_part(swings)) == 0
    assert driven_part(swings).stretches() == []
    model = freed(model_of(load_cart(CART)))
    assert lost_steps(driven_part(swings), model, Engine.NATIVE) == []


@pytest.mark.parametrize("duty", [3.0, -1.01])
@pytest.mark.parametrize("cart", ["diy_stepper", "diy_arduino", "gym"])
def test_duty_beyond_full_drive_is_refused_with_its_row(cart: str, duty: float, tmp_path: Path) -> None:
    rows = np.zeros(20, ROW_DTYPE)
    rows["tick"] = np.arange(20)
    rows["mcu_time_us"] = 20_000 * rows["tick"]
    rows["requested_duty"][19] = np.nan
    metadata = RecordingMetadata(cart=load_cart(cart), rig="sim", controller=ControllerRecord(policy="lqr"))
    recording = Recording(path=tmp_path / "r.parquet", metadata=metadata, rows=rows, outcome=None)
    assert len(series_of(recording)) == 20
    rows["requested_duty"][7] = duty
    expected = rf"r.parquet: row 7: requested_duty = {duty:g}, expected -1 to 1 \(1 of 20 rows are beyond\)"
    with pytest.raises(UsageError, match=expected):
        series_of(recording)
