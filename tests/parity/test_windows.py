"""The native engine runs windows of recordings as PyBullet does, and identification and comparison use it."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.engine_equality import randomised
from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.commands.cli import main
from cartpole_robot.compare.comparison import CompareRequest, compare
from cartpole_robot.errors import UsageError
from cartpole_robot.identify import fit as fit_module
from cartpole_robot.identify.identification import IdentifyRequest, identify
from cartpole_robot.open_loop import repeated as repeated_module
from cartpole_robot.open_loop.model import TERMS, Model, freed, model_of, terms_of
from cartpole_robot.open_loop.native_runs import NativePredictor
from cartpole_robot.open_loop.plant_pool import PlantPool
from cartpole_robot.open_loop.plant_runs import PlantPredictor
from cartpole_robot.open_loop.series import Series, series_of
from cartpole_robot.open_loop.windows import Runs, Try, Window
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.rigs import engine_choice
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from cartpole_robot.simulation.engine import Engine

PERIOD_S = 0.02
SAME = 1e-9  # m, m/s, rad and rad/s after half a second
CART = "diy_arduino"


def random_series(cart: CartParams, seed: int, entries: int = 60) -> Series:
    """Random commands at an uneven clock; the readings do not matter here."""
    rng = np.random.default_rng(seed)
    period_s = cart.timing.control_period_s
    time_s = period_s * np.arange(entries) + rng.uniform(0.0, 0.2 * period_s, entries)
    duty = rng.choice((0.0, 1.0), entries) * rng.uniform(-1.0, 1.0, entries)
    duty[:2] = math.nan
    return Series(
        name=f"random {seed}",
        cart=cart,
        period_s=period_s,
        time_us=np.rint(1e6 * (time_s - time_s[0])).astype(np.int64),
        position_m=np.zeros(entries),
        angle_rad=np.zeros(entries),
        duty=duty,
        begins=(0,),
    )


def windows_and_starts(all_series: Sequence[Series], cart: CartParams, seed: int) -> tuple[list[Window], np.ndarray]:
    """Half-second windows from the first entry on and later, upright, hanging, standing still and toward an end."""
    size = max(2, round(0.5 / cart.timing.control_period_s)) + 1
    windows = [
        Window(series=k, first=first, end=min(len(series), first + size))
        for k, series in enumerate(all_series)
        for first in (0, 7, 20)
    ]
    end_m = cart.limits.end_stop_m or 1.0
    rng = np.random.default_rng(seed)
    kinds = [
        (0.0, 0.0, 0.01, 0.0),
        (0.0, 0.0, math.pi, 0.0),
        (0.97 * end_m, 0.6, math.pi - 0.5, 3.0),
        (-0.97 * end_m, -0.6, 1.0, -6.0),
    ]
    starts = np.array([kinds[k % len(kinds)] for k in range(len(windows))])
    starts[:, 2:] += rng.normal(0.0, 0.01, (len(windows), 2))
    return windows, starts


def both(
    all_series: Sequence[Series], windows: Sequence[Window], tries: Sequence[Try]
) -> tuple[list[Runs], list[Runs]]:
    native = NativePredictor(all_series, windows)
    plant = PlantPredictor(all_series, windows, tries[0][0].cart)
    try:
        return native.run(tries), plant.run(tries)
    finally:
        native.close()
        plant.close()


def assert_same(native: Sequence[Runs], plant: Sequence[Runs]) -> None:
    for one, other in zip(native, plant, strict=True):
        np.testing.assert_allclose(one.readings, other.readings, rtol=0.0, atol=SAME)
        np.testing.assert_allclose(one.ends, other.ends, rtol=0.0, atol=SAME)


def coasting(series: Series) -> Series:
    return dataclasses.replace(series, name="off", is_coasting=np.ones(len(series), bool))


def with_motor(cart: CartParams, **changes: object) -> CartParams:
    return dataclasses.replace(cart, motor=dataclasses.replace(cart.motor, **changes))  # type: ignore[arg-type]


@pytest.mark.pybullet
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lag_s": 0.02},
        {"brakes_at_zero": False},
        {"saturation": 0.15},
        {"gain_asymmetry": -0.1, "dead_zone_asymmetry_duty": 0.012},
        {"gain_asymmetry": 0.2, "dead_zone_asymmetry_duty": -0.03, "saturation": 0.15},
    ],
    ids=str,
)
def test_every_term_does_in_c_what_it_does_on_pybullet(changes: dict[str, object]) -> None:
    cart = freed(model_of(with_motor(load_cart(CART), **changes))).cart
    model = Model(cart=cart, delay_s=0.0237, angle_zero_rad=0.02, angle_sign=-1, position_sign=-1)
    all_series = [random_series(cart, 1), coasting(random_series(cart, 2))]
    windows, starts = windows_and_starts(all_series, cart, 3)
    terms = [TERMS[name] for name in terms_of(model.cart)]
    tries = [(term.write(model, term.read(model) + 0.05 * term.size(model)), starts) for term in terms]
    assert_same(*both(all_series, windows, tries))


@pytest.mark.pybullet
@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.0237])
def test_every_term_of_a_stepper_does_in_c_what_it_does_on_pybullet(delay_s: float) -> None:
    cart = freed(model_of(load_cart("diy_stepper"))).cart
    model = Model(cart=cart, delay_s=delay_s, angle_zero_rad=0.02, angle_sign=-1, position_sign=-1, position_scale=1.1)
    all_series = [random_series(cart, 1), coasting(random_series(cart, 2))]
    windows, starts = windows_and_starts(all_series, cart, 3)
    terms = [TERMS[name] for name in terms_of(cart)]
    assert {term.name for term in terms} >= {"settling", "steps_per_m"}
    tries = [(term.write(model, term.read(model) + 0.05 * term.size(model)), starts) for term in terms]
    native, plant = both(all_series, windows, tries)
    assert_same(native, plant)
    held = native[0].readings[-sum(w.end - w.first for w in windows if w.series == 1) :]
    assert len({round(x, 12) for x in held[:10, 0]}) == 1  # the motor off: held at rest


@pytest.mark.pybullet
@pytest.mark.parametrize("number", range(12))
def test_random_carts_with_random_delays_run_alike(number: int) -> None:
    cart = randomised(number, 7)
    cart = dataclasses.replace(
        cart, timing=dataclasses.replace(cart.timing, control_period_s=20.0 * cart.timing.physics_step_s)
    )
    rng = np.random.default_rng(number)
    all_series = [random_series(cart, number), coasting(random_series(cart, 100 + number))]
    windows, starts = windows_and_starts(all_series, cart, number)
    delays_s = (0.0, cart.timing.control_period_s, *rng.uniform(0.0, 0.06, 2))
    assert_same(*both(all_series, windows, [(Model(cart=cart, delay_s=float(each)), starts) for each in delays_s]))


@pytest.mark.pybullet
@pytest.mark.parametrize("name", cart_names())
def test_shipped_carts_run_alike(name: str) -> None:
    model = model_of(load_cart(name))
    all_series = [random_series(model.cart, 5)]
    windows, starts = windows_and_starts(all_series, model.cart, 5)
    assert_same(*both(all_series, windows, [(model, starts)]))


def test_the_windows_reach_the_end_of_the_track_and_stand_still() -> None:
    """What the tests above compare is in their windows."""
    cart = load_cart(CART)
    all_series = [random_series(cart, 1), coasting(random_series(cart, 2))]
    windows, starts = windows_and_starts(all_series, cart, 3)
    (runs,) = NativePredictor(all_series, windows).run([(model_of(cart), starts)])
    assert cart.limits.end_stop_m is not None
    assert np.abs(runs.readings[:, 0]).max() >= cart.limits.end_stop_m
    assert np.count_nonzero(np.abs(np.diff(runs.readings[:, 0])) < 1e-7) > 10  # held by dry friction


def test_a_batch_is_its_single_runs() -> None:
    model = model_of(load_cart(CART))
    all_series = [random_series(model.cart, 1), coasting(random_series(model.cart, 2))]
    windows, starts = windows_and_starts(all_series, model.cart, 3)
    tries = [(TERMS["coulomb"].write(model, 0.1 * k), starts + 1e-3 * k) for k in range(11)]
    predictor = NativePredictor(all_series, windows)
    for one, runs in zip(tries, predictor.run(tries), strict=True):
        (single,) = predictor.run([one])
        np.testing.assert_array_equal(single.readings, runs.readings)
        np.testing.assert_array_equal(single.ends, runs.ends)
    alone = [NativePredictor(all_series, [w]).run([(model, starts[[k]])])[0].readings for k, w in enumerate(windows)]
    (together,) = predictor.run([(model, starts)])
    np.testing.assert_array_equal(np.concatenate(alone), together.readings)


@pytest.mark.pybullet
def test_processes_with_pybullet_run_as_one_does() -> None:
    model = model_of(load_cart(CART))
    all_series = [random_series(model.cart, 1)]
    windows, starts = windows_and_starts(all_series, model.cart, 3)
    tries = [(TERMS["pole_length"].write(model, half_m), starts) for half_m in (0.1, 0.2, 0.3)]
    pool = PlantPool(all_series, windows, model.cart, 2)
    assert_same(pool.run(tries), PlantPredictor(all_series, windows, model.cart).run(tries))
    pool.close()
    pool.close()


def test_a_run_that_diverges_has_no_finite_reading_and_spoils_no_other() -> None:
    model = model_of(load_cart(CART))
    series = random_series(model.cart, 1)
    windows = [Window(series=0, first=0, end=20), Window(series=0, first=20, end=40)]
    starts = np.array([[0.0, 0.0, 0.1, 1e200], [0.0, 0.0, 0.1, 0.0]])
    (runs,) = NativePredictor([series], windows).run([(model, starts)])
    assert not np.isfinite(runs.readings[1:20]).any()
    assert np.isfinite(runs.readings[20:]).all()


# ---- arrays of other shapes ----


def test_arrays_that_do_not_fit_are_refused() -> None:
    from cartpole_robot.simulation._native import Windows

    cart = load_cart(CART)
    times_us, duties = np.arange(10), np.zeros(10)
    for edges in ((0, 10, 5, 6), (0, 10, 5, 11), (2, 10, 1, 5), (0, 11, 0, 5), (-1, 10, 0, 5)):
        with pytest.raises(ValueError, match="window 0: expected two entries or more, inside its series"):
            Windows(times_us, duties, [edges])
    with pytest.raises(ValueError, match="duties: expected 10 values, got 9"):
        Windows(times_us, duties[:9], [])
    for wrong, code in ((times_us.astype(float), "d"), (times_us.astype(np.int32), "i")):
        with pytest.raises(ValueError, match=f"times_us: expected an array of int64, got values of format {code}"):
            Windows(wrong, duties, [])
    with pytest.raises(ValueError, match="duties: expected an array of float64, got values of format f"):
        Windows(times_us, duties.astype(np.float32), [])
    windows = Windows(times_us, duties, [(0, 10, 0, 4)])
    fit = [np.zeros(1), np.zeros((1, 1, 4)), np.zeros((1, 4, 2)), np.zeros((1, 1, 4))]
    windows.run([cart], *fit)
    for place, name in enumerate(("delays_s", "starts", "readings", "ends")):
        others = [*fit[:place], np.zeros(7), *fit[place + 1 :]]
        with pytest.raises(ValueError, match=f"{name}: expected"):
            windows.run([cart], *others)
    fixed = fit[2].copy()
    fixed.flags.writeable = False
    with pytest.raises((BufferError, ValueError)):
        windows.run([cart], fit[0], fit[1], fixed, fit[3])
    slower = dataclasses.replace(cart, timing=dataclasses.replace(cart.timing, physics_step_s=0.002))
    two = [np.concatenate([each, each]) for each in fit]
    with pytest.raises(ValueError, match="carts of different physics steps"):
        windows.run([cart, slower], *two)
    with pytest.raises(ValueError, match="carts of different drives"):
        windows.run([cart, load_cart("diy_stepper")], *two)
    late = dataclasses.replace(cart, delay=Delay(apply=Apply.ON_ARRIVAL, latency_s=1.3))
    windows.run([late], *fit)  # a window has the delay of its try, not the cart's


# ---- identify and compare ----


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cart that is stronger than its file says, on the native engine."""
    cart = load_cart(CART)
    stronger = with_motor(cart, stall_force_n=1.15 * cart.motor.stall_force_n)
    path = tmp_path_factory.mktemp("windows") / "run.parquet"
    file = path.parent / "stronger.toml"
    from cartpole_robot.identify.cart_file import write_cart

    write_cart(file, stronger)
    record_rollout(
        RolloutRequest(
            policy=Path("lqr"),
            cart=str(file),
            rig="virtual",
            backend="c",
            seed=0,
            duration_s=4.0,
            out=path,
            excites=True,
        )
    )
    return path


def beginning_of(series: Series, seconds: float) -> Series:
    """Its first seconds, for PyBullet, which is slow."""
    end = int(seconds / series.period_s)
    parts = {name: getattr(series, name)[:end] for name in ("time_us", "position_m", "angle_rad", "duty")}
    is_coasting = None if series.is_coasting is None else series.is_coasting[:end]
    begins = tuple(first for first in series.begins if first < end)
    return dataclasses.replace(series, **parts, begins=begins, is_coasting=is_coasting)


REQUEST = IdentifyRequest(terms=("motor_gain",), window_s=0.5)


@pytest.mark.long
@pytest.mark.pybullet
def test_identification_is_the_same_on_both_engines(recording: Path) -> None:
    series = [beginning_of(series_of(read_recording(recording)), 6.0)]
    found = {
        engine: identify(series, load_cart(CART), dataclasses.replace(REQUEST, engine=engine)) for engine in Engine
    }
    assert [found[engine].engine for engine in Engine] == list(Engine)
    assert found[Engine.PYBULLET].repeated is None
    repeated = found[Engine.NATIVE].repeated
    assert repeated is not None
    assert repeated.is_same
    assert repeated.windows == repeated.of == found[Engine.NATIVE].after[0].windows
    for one, other in zip(found[Engine.NATIVE].estimates, found[Engine.PYBULLET].estimates, strict=True):
        assert abs(one.value - other.value) < 0.1 * (one.high - one.low)


def heavier_on_native(cart: CartParams, *_: object, engine: Engine) -> object:
    body = dataclasses.replace(cart.pole_cart, cart_mass_kg=cart.pole_cart.cart_mass_kg * (1.0 + 1e-6))
    return simulated_rig(dataclasses.replace(cart, pole_cart=body) if engine is Engine.NATIVE else cart, engine=engine)


@pytest.mark.long
@pytest.mark.pybullet
def test_engine_that_moves_this_cart_otherwise_is_not_used(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_choice, "simulated_rig", heavier_on_native)
    found = compare(CompareRequest(simulated=CART, recorded=recording, attributes=False))
    assert found.engine is Engine.PYBULLET
    assert "off PyBullet" in found.notes[0]
    assert found.as_dict()["simulation"]["engine"] == "pybullet"
    with pytest.raises(UsageError, match=r"off PyBullet.*leave out --engine native"):
        identify(
            [series_of(read_recording(recording))],
            load_cart(CART),
            dataclasses.replace(REQUEST, engine=Engine.NATIVE),
        )


class Stronger(PlantPredictor):
    """PyBullet with another motor: the engines differ, though the check of the cart saw nothing."""

    def run(self, tries: Sequence[Try]) -> list[Runs]:
        gain = TERMS["motor_gain"]
        return super().run([(gain.write(model, 1.02 * gain.read(model)), starts) for model, starts in tries])


@pytest.mark.long
@pytest.mark.pybullet
def test_result_that_pybullet_does_not_repeat_is_searched_on_pybullet(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cartpole_robot.open_loop import plant_runs

    monkeypatch.setattr(plant_runs, "PlantPredictor", Stronger)
    request = dataclasses.replace(REQUEST, workers=1)
    found = identify([series_of(read_recording(recording))], load_cart(CART), request)
    assert found.engine is Engine.PYBULLET
    assert any("PyBullet continued the search" in note for note in found.notes)
    gain = found.estimates[0].value
    assert gain == pytest.approx(1.15 / 1.02 * load_cart(CART).motor.stall_force_n, rel=0.005)


@pytest.mark.pybullet
def test_prediction_that_pybullet_does_not_repeat_is_reported(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cartpole_robot.open_loop import plant_runs

    monkeypatch.setattr(fit_module, "_SAME_COST", math.inf)
    monkeypatch.setattr(plant_runs, "PlantPredictor", Stronger)
    found = identify([series_of(read_recording(recording))], load_cart(CART), REQUEST)
    assert found.engine is Engine.NATIVE
    assert found.repeated is not None
    assert not found.repeated.is_same
    assert any("the engines differ: PyBullet repeats" in note for note in found.notes)


@pytest.mark.pybullet
def test_long_recordings_are_repeated_in_part(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_module.spread, "__defaults__", (1100,))
    found = identify([series_of(read_recording(recording))], load_cart(CART), REQUEST)
    assert found.repeated is not None
    assert found.repeated.windows == 2 < found.repeated.of


def words_of(verb: str, recording: Path, out: Path) -> list[str]:
    if verb == "identify":
        return [verb, str(recording), "--cart", CART, "--out", str(out), "--terms", "motor_gain", "--json"]
    return [verb, CART, str(recording), "--no-attribution", "--json"]


@pytest.mark.pybullet
@pytest.mark.parametrize(
    ("verb", "engine"),
    [("identify", Engine.NATIVE), ("compare", Engine.NATIVE), ("compare", Engine.PYBULLET)],
)
def test_engine_is_in_the_result(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, engine: Engine
) -> None:
    out = tmp_path / "found.toml"
    assert main([*words_of(verb, recording, out), "--engine", engine]) == 0
    result = json.loads(capsys.readouterr().out)
    part = result if verb == "identify" else result["open_loop"]
    assert (result if verb == "identify" else result["simulation"])["engine"] == engine
    assert (part["repeated_on_pybullet"] is None) == (engine is Engine.PYBULLET)
    if verb == "identify":
        assert load_cart(out).sources["motor.stall_force_n"].endswith(f"N, engine {engine}")


@pytest.mark.long
@pytest.mark.parametrize("verb", ["identify", "compare"])
def test_without_pybullet_the_native_engine_runs_alone_and_says_so_once(
    recording: Path, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['pybullet'] = None\n")  # in every process
    words = [word for word in words_of(verb, recording, tmp_path / "found.toml") if word != "--no-attribution"]
    done = subprocess.run(
        [sys.executable, "-m", "cartpole_robot", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result if verb == "identify" else result["simulation"])["engine"] == "native"
    assert (result if verb == "identify" else result["open_loop"])["repeated_on_pybullet"] is None
    assert sum("PyBullet is not installed" in note for note in result["notes"]) == 1
    if verb == "compare":
        assert result["attribution"]["blames"][0]["term"] == "motor_gain"
