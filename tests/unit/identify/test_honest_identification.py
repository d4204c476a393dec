"""What `identify` reports beyond values: disagreement, bounds, a wrong angle zero, sources."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Readings
from cartpole_robot.commands.cli import main
from cartpole_robot.compare.comparison import CompareRequest, compare
from cartpole_robot.identify import fit as fit_module
from cartpole_robot.identify.cart_file import identified_cart, write_cart
from cartpole_robot.identify.fit import Estimate, Fit
from cartpole_robot.identify.identification import Identification, IdentifyRequest, identify
from cartpole_robot.open_loop.model import TERMS, Model, freed, model_of
from cartpole_robot.open_loop.native_runs import NativePredictor
from cartpole_robot.open_loop.series import Series
from cartpole_robot.open_loop.windows import Window, windows_of
from cartpole_robot.recording.format import ROW_DTYPE, Recording
from cartpole_robot.recording.metadata import ControllerRecord, RecordingMetadata
from cartpole_robot.recording.parquet import write_parquet
from cartpole_robot.simulation.engine import Engine

PERIOD_S = 0.02
WINDOW_S = 0.5


@pytest.fixture(scope="module")
def cart() -> CartParams:
    return load_cart("diy_arduino")


def swung(model: Model, seed: int, seconds: float = 6.0, name: str | None = None) -> Series:
    """A hanging pole on a cart that is pushed about, read in whole counts."""
    encoders = model.cart.encoders or load_cart("diy_arduino").encoders
    assert encoders is not None
    rng = np.random.default_rng(seed)
    count = round(seconds / PERIOD_S)
    time_s = PERIOD_S * np.arange(count)
    phases = rng.uniform(0.0, 6.0, 3)
    sines = [a * np.sin(w * time_s + p) for a, w, p in zip((0.3, 0.2, 0.1), (4.4, 12.0, 29.0), phases, strict=True)]
    series = Series(
        name=name or f"run{seed}.parquet",
        cart=model.cart,
        period_s=PERIOD_S,
        time_us=20_000 * np.arange(count),
        position_m=np.zeros(count),
        angle_rad=np.zeros(count),
        duty=np.sum(sines, axis=0),
        begins=(0,),
    )
    start = np.array([[0.0, 0.0, math.pi - 0.4, 0.0]])
    (runs,) = NativePredictor([series], [Window(series=0, first=0, end=count)]).run([(freed(model), start)])
    per_m, per_rad = encoders.cart_counts_per_m, encoders.pole_counts_per_rad
    position_m, angle_rad = runs.readings.T
    return dataclasses.replace(
        series, position_m=np.round(per_m * position_m) / per_m, angle_rad=np.round(per_rad * angle_rad) / per_rad
    )


def found_in(cart: CartParams, series: list[Series], *terms: str) -> tuple[Identification, dict[str, Estimate]]:
    found = identify(series, cart, IdentifyRequest(terms=terms, window_s=WINDOW_S, held_out=0.2))
    return found, {e.term.name: e for e in (*found.estimates, *found.ratios)}


# ---- several recordings ----


def test_recordings_with_other_friction_are_reported_and_widen_its_interval_alone(cart: CartParams) -> None:
    frictions_n = (0.8, 1.0, 1.3)
    series = [swung(TERMS["coulomb"].write(model_of(cart), n), seed) for seed, n in enumerate(frictions_n)]
    found, by_name = found_in(cart, series, "motor_gain", "coulomb", "pole_length")
    friction = by_name["coulomb"]
    assert friction.is_disputed
    assert friction.low < 0.8
    assert friction.high > 1.3
    assert [one.value for one in friction.by_recording] == pytest.approx(frictions_n, rel=0.05)
    (note,) = (note for note in found.notes if "disagree" in note)
    assert note.startswith("Coulomb friction of the cart: the recordings, or sections of one, disagree: 0.7")
    assert "run0.parquet" in note
    assert "run2.parquet" in note
    assert not by_name["pole_length"].is_disputed
    assert by_name["pole_length"].high - by_name["pole_length"].low < 0.01 * 0.25
    assert (
        identified_cart(found, cart).sources["friction.cart_coulomb_n"].endswith(", recordings disagree, engine native")
    )
    (plain,) = (e for e in found.as_dict()["estimates"] if e["term"] == "coulomb")
    assert plain["recordings_disagree"] is True
    assert len(plain["by_recording"]) == 3


def test_recordings_of_one_cart_agree_and_force_per_kg_is_known_better_than_force(cart: CartParams) -> None:
    series = [swung(model_of(cart), seed) for seed in (3, 4, 5)]
    found, by_name = found_in(cart, series, "motor_gain", "damping", "cart_mass", "coulomb")
    assert not [note for note in found.notes if "disagree" in note or "one recording" in note]
    for name, true in (("motor_gain", 25.7), ("cart_mass", 0.65), ("force_per_kg", 25.7 / 0.75), ("coulomb", 1.0)):
        assert by_name[name].low <= true <= by_name[name].high, name
    width = {name: (by_name[name].high - by_name[name].low) / by_name[name].value for name in by_name}
    assert width["force_per_kg"] < width["motor_gain"]
    gain, mass = by_name["motor_gain"], by_name["cart_mass"]
    assert gain.low <= by_name["force_per_kg"].value * (mass.low + cart.pole_cart.pole_mass_kg) + 1e-9
    assert gain.high >= by_name["force_per_kg"].value * (mass.high + cart.pole_cart.pole_mass_kg) - 1e-9


def test_minimum_that_is_as_good_widens_the_interval(cart: CartParams, monkeypatch: pytest.MonkeyPatch) -> None:
    series = swung(model_of(cart), 18)
    windows = windows_of([series], WINDOW_S)
    gain = TERMS["motor_gain"]
    stuck = gain.write(model_of(cart), 30.0)
    with Fit([series], windows, model_of(cart), [gain], Engine.NATIVE) as fit:
        alone = fit.refine((1e-4, 1e-3))
        with_other = fit.refine((1e-4, 1e-3), [stuck])
        monkeypatch.setattr(fit_module, "_AS_GOOD", math.inf)
        both = fit.refine((1e-4, 1e-3), [stuck], most_iterations=0)
    assert with_other.covariance == pytest.approx(alone.covariance, rel=0.1)  # it ends in the same place
    assert both.covariance[0, 0] > 100.0 * alone.covariance[0, 0]
    assert gain.read(both.model) == pytest.approx(25.7, rel=0.01)


def test_one_recording_tells_what_its_intervals_do_not_hold(cart: CartParams) -> None:
    found, by_name = found_in(cart, [swung(model_of(cart), 6)], "motor_gain")
    assert any(note.startswith("one recording: the intervals contain only its noise") for note in found.notes)
    assert by_name["motor_gain"].by_recording == ()


# ---- bounds ----


def test_value_at_a_bound_of_the_search_is_reported_as_such(cart: CartParams) -> None:
    smooth = TERMS["pole_viscous"].write(TERMS["pole_coulomb"].write(model_of(cart), 0.0), 0.0)
    found, by_name = found_in(cart, [swung(smooth, 7)], "motor_gain", "pole_viscous")  # dry friction stays: too much
    assert by_name["pole_viscous"].bound == 0.0
    label = by_name["pole_viscous"].term.label
    assert f"{label}: at 0, the bound of the search: these recordings show none" in found.notes
    assert not any(note.startswith(f"{label}: hardly shows") for note in found.notes)
    assert ", at the bound 0 of the search, " in identified_cart(found, cart).sources["friction.pole_viscous_n_m_s"]
    late = dataclasses.replace(model_of(cart), angle_zero_rad=0.7)
    found, by_name = found_in(cart, [swung(late, 8)], "angle_zero")
    assert by_name["angle_zero"].bound == 0.5
    assert any("at 0.5 rad, the bound of the search: the recordings ask for more" in note for note in found.notes)


# ---- the angle's zero ----


@pytest.mark.long
def test_large_angle_zero_is_reported_and_stored_for_compare(cart: CartParams, tmp_path: Path) -> None:
    zero_rad = 0.227
    series = swung(dataclasses.replace(model_of(cart), angle_zero_rad=zero_rad), 9)
    found, by_name = found_in(cart, [series], "motor_gain", "angle_zero")
    assert by_name["angle_zero"].value == pytest.approx(zero_rad, abs=0.002)
    assert any(note.startswith("angle zero: the recordings show 0.227 rad (13.0 degrees)") for note in found.notes)
    file = tmp_path / "found.toml"
    write_cart(file, identified_cart(found, cart))
    loaded = load_cart(file)
    assert loaded.sources["readings.pole_angle_zero_rad"].startswith("identified from run9.parquet: 95 % within 0.22")
    assert model_of(loaded).angle_zero_rad == pytest.approx(zero_rad, abs=0.002)
    assert loaded.fingerprint() == dataclasses.replace(loaded, readings=None).fingerprint()
    recording = recorded(series, tmp_path / "run.parquet")
    kept = compare(CompareRequest(simulated=str(file), recorded=recording, attributes=False))
    before = compare(CompareRequest(simulated="diy_arduino", recorded=recording))
    assert kept.open_loop.horizons[2].rmse[2].value < 0.2 * before.open_loop.horizons[2].rmse[2].value
    assert any("may show the pole's angle with a wrong zero: 13 degrees" in note for note in before.notes)


def test_bad_fit_does_not_silence_the_angle_zero(cart: CartParams) -> None:
    model = TERMS["cart_mass"].write(model_of(cart), 1.3)
    series = swung(dataclasses.replace(model, angle_zero_rad=0.2), 10)
    rng = np.random.default_rng(0)
    noisy = dataclasses.replace(series, position_m=series.position_m + 0.005 * rng.standard_normal(len(series)))
    found, _ = found_in(cart, [noisy], "damping", "angle_zero")
    assert found.noise[0] > 0.004
    assert any(note.startswith("angle zero: the recordings show 0.") for note in found.notes)


def test_small_angle_zero_is_no_warning(cart: CartParams) -> None:
    found, _ = found_in(cart, [swung(dataclasses.replace(model_of(cart), angle_zero_rad=0.01), 11)], "angle_zero")
    assert not any(note.startswith("angle zero") for note in found.notes)
    assert identified_cart(found, cart).readings == Readings(pole_angle_zero_rad=found.estimates[0].value)


# ---- sources ----


def recorded(series: Series, path: Path) -> Path:
    rows = np.zeros(len(series), ROW_DTYPE)
    rows["tick"], rows["mcu_time_us"] = np.arange(len(series)), series.time_us
    rows["cart_position_m"], rows["pole_angle_rad"] = series.position_m, series.angle_rad
    rows["requested_duty"] = series.duty
    metadata = RecordingMetadata(cart=load_cart("diy_arduino"), rig="sim", controller=ControllerRecord(policy="lqr"))
    write_parquet(Recording(path=path, metadata=metadata, rows=rows, outcome=None), path)
    return path


def ends_of(source: str) -> tuple[float, float]:
    low, high = source.split("95 % within ")[1].split(" to ")
    return float(low), float(high.split()[0])


def test_each_number_has_the_interval_of_itself(cart: CartParams) -> None:
    """Not that of a sum it is a part of, nor of what it is in proportion to."""
    hidden = model_of(cart)
    for name in ("damping", "coulomb", "pole_length"):
        hidden = TERMS[name].write(hidden, 1.1 * TERMS[name].read(hidden))
    found, _ = found_in(cart, [swung(hidden, 12)], "motor_gain", "damping", "coulomb", "pole_length")
    made = identified_cart(found, cart)
    for key in (
        "motor.back_emf_n_s_m",
        "friction.cart_coulomb_n",
        "friction.cart_static_n",
        "pole_cart.pole_half_length_m",
        "pole_cart.pole_inertia_kg_m2",
    ):
        section, name = key.split(".")
        low, high = ends_of(made.sources[key])
        assert low <= getattr(getattr(made, section), name) <= high, key
    assert made.friction.cart_viscous_n_s_m == cart.friction.cart_viscous_n_s_m
    assert made.sources["friction.cart_viscous_n_s_m"] == cart.sources["friction.cart_viscous_n_s_m"]
    assert "the rest of its sum with friction.cart_viscous_n_s_m" in made.sources["motor.back_emf_n_s_m"]
    assert " kg m²" in made.sources["pole_cart.pole_inertia_kg_m2"]


def test_sources_survive_without_a_cart(cart: CartParams, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stuck = TERMS["coulomb"].write(model_of(cart), 1.4)
    recording = recorded(swung(stuck, 13), tmp_path / "run.parquet")
    out = tmp_path / "found.toml"
    assert (
        main(["identify", str(recording), "--out", str(out), "--terms", "coulomb", "--window-s", "0.5", "--json"]) == 0
    )
    json.loads(capsys.readouterr().out)
    found, tables = load_cart(out), ("actions.duty", "actions.swing_up_duty", "actions.precise_duty")
    for key, source in cart.sources.items():
        if key not in ("friction.cart_coulomb_n", "friction.cart_static_n", *tables, "actions.force_n"):
            assert found.sources[key] == source, key
    for table in tables:
        assert found.sources[table].startswith("chosen: they push the identified cart as hard per kg")


def test_clock_of_an_import_does_not_keep_the_new_cart_from_being_simulated(cart: CartParams) -> None:
    timing = dataclasses.replace(cart.timing, control_period_s=0.020277, physics_step_s=0.020277 / 20)
    imported = dataclasses.replace(cart, timing=timing)
    found, _ = found_in(imported, [swung(model_of(imported), 14)], "coulomb")
    made = identified_cart(found, imported)
    assert (made.timing.physics_step_s, made.timing.control_period_s) == (0.001, 0.02)
    assert "0.020277 s" in made.sources["timing.control_period_s"]


def test_cart_without_encoders_is_identified(cart: CartParams) -> None:
    seen = dataclasses.replace(cart, encoders=None, firmware=None)
    found, by_name = found_in(seen, [swung(TERMS["coulomb"].write(model_of(seen), 1.4), 15)], "coulomb")
    assert by_name["coulomb"].value == pytest.approx(1.4, rel=0.02)
    assert found.engine == "native"


# ---- progress ----


def test_progress_begins_with_the_first_step(cart: CartParams) -> None:
    done: list[float] = []
    request = IdentifyRequest(terms=("motor_gain", "coulomb"), window_s=WINDOW_S)
    identify([swung(model_of(cart), seed) for seed in (16, 17)], cart, request, progress=done.append)
    assert 0.0 < done[0] < 0.05
    assert done == sorted(done)
    assert done[-1] == 1.0
    assert max(b - a for a, b in itertools.pairwise(done)) < 0.25
