import contextlib
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply
from cartpole_robot.commands.cli import main
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.identify.cart_file import cart_as_toml, identified_cart, write_cart
from cartpole_robot.identify.identification import Identification, IdentifyRequest, default_terms, identify, part_of
from cartpole_robot.identify.search import Search
from cartpole_robot.open_loop.error import observed_errors, observed_starts, windows_with_past
from cartpole_robot.open_loop.model import TERMS, Model, freed, model_of, with_room
from cartpole_robot.open_loop.plant_runs import OpenLoop, step_duties
from cartpole_robot.open_loop.predictor import predictor_on
from cartpole_robot.open_loop.series import Series, series_of
from cartpole_robot.open_loop.shooting import Shooting
from cartpole_robot.open_loop.windows import Window, pieces_of, windows_of
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.recording.format import Flag, Recording
from cartpole_robot.recording.metadata import ControllerRecord, RecordingMetadata
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.rollout.excitation import Excitation
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from cartpole_robot.signals import State
from cartpole_robot.simulation.cart import SimulatedCart
from cartpole_robot.simulation.delay import CommandDelay
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.simulation.native_cart import NativeBoardCart
from firmware_bridge._host import PULSE_PERIOD

PERIOD_S, STEP_S, STEPS = 0.02, 0.001, 20
HIDDEN = {"motor_gain": 1.2, "damping": 0.85, "coulomb": 1.3, "dead_zone": 1.5, "pole_length": 1.1}


@pytest.fixture(scope="module")
def cart() -> CartParams:
    return load_cart("diy_arduino")


def changed(model: Model, factors: dict[str, float]) -> Model:
    for name, factor in factors.items():
        model = TERMS[name].write(model, factor * TERMS[name].read(model))
    return model


def shaken(model: Model, seconds: float, seed: int, name: str = "shaken", hardest: float = 0.6) -> Series:
    """A hanging pole on a cart that is pushed about, read in whole counts."""
    rng = np.random.default_rng(seed)
    count = round(seconds / PERIOD_S)
    time_s = PERIOD_S * np.arange(count)
    duty = np.zeros(count)
    loop = NativeBoardCart(freed(model).cart)
    state = State(0.0, 0.0, math.pi, 0.0)
    loop.place(state)
    states = []
    push = 0.0
    for k in range(count):
        if k % 15 == 0:
            push = rng.uniform(-0.35, 0.35) * hardest / 0.6
        duty[k] = np.clip(push - state.cart_position_m, -hardest, hardest)
        states.append(state)
        past = slice(max(0, k - 5), k + 1)
        for one in step_duties(time_s[k], time_s[past], duty[past], model.delay_s, STEP_S, STEPS):
            loop.body.step(one)
        state = loop.state()
    encoders = model.cart.encoders
    assert encoders is not None
    seen = np.array(states)
    per_m, per_rad = encoders.cart_counts_per_m, encoders.pole_counts_per_rad
    return Series(
        name=name,
        cart=model.cart,
        period_s=PERIOD_S,
        time_us=np.rint(1e6 * time_s).astype(np.int64),
        position_m=np.round(per_m * seen[:, 0]) / per_m,
        angle_rad=np.round(per_rad * (seen[:, 2] + model.angle_zero_rad)) / per_rad,
        duty=duty,
        begins=(0,),
    )


@pytest.fixture(scope="module")
def hidden(cart: CartParams) -> Model:
    return dataclasses.replace(changed(model_of(cart), HIDDEN), delay_s=0.0237, angle_zero_rad=0.01)


@pytest.fixture(scope="module")
def series(hidden: Model) -> Series:
    return shaken(hidden, 8.0, seed=1)


# ---- the plant without encoders ----


@pytest.mark.pybullet
def test_open_loop_is_the_simulated_cart(cart: CartParams) -> None:
    assert cart.encoders is not None
    rng = np.random.default_rng(0)
    duties = rng.uniform(-0.3, 0.3, 400).tolist()
    start = State(0.05, 0.2, 3.0, -1.0)
    simulated = SimulatedCart(cart, cart.encoders)
    simulated.place(start)
    simulated.run(duties, lambda cart_counts, pole_counts: None)
    loop = OpenLoop(cart)
    ran = loop.run(start, duties)
    assert ran.shape == (401, 4)
    assert ran[0].tolist() == list(start)
    assert ran[-1].tolist() == list(simulated.state())
    simulated.close()
    loop.close()


@pytest.mark.pybullet
@pytest.mark.parametrize("half_m", [0.05, 0.15, 0.6])
def test_plant_becomes_any_other_cart(cart: CartParams, half_m: float) -> None:
    model = TERMS["pole_length"].write(model_of(cart), half_m)
    other = dataclasses.replace(model.cart, limits=dataclasses.replace(model.cart.limits, end_stop_m=0.475))
    start, duties = State(0.0, 0.0, 0.3, 0.0), [0.2] * 300
    real, changed = OpenLoop(other), OpenLoop(cart)
    before = changed.run(start, duties)
    changed.change(other)
    np.testing.assert_allclose(changed.run(start, duties), real.run(start, duties), rtol=0, atol=1e-9)
    changed.change(cart)
    np.testing.assert_allclose(changed.run(start, duties), before, rtol=0, atol=1e-9)


@pytest.mark.parametrize("latency_s", [0.0005, 0.004, 0.0125, 0.0333, 0.06])
def test_step_duties_are_the_simulated_delays(cart: CartParams, latency_s: float) -> None:
    delay = CommandDelay(
        dataclasses.replace(cart.delay, apply=Apply.ON_ARRIVAL, latency_s=latency_s, jitter_s=0.0), cart.timing
    )
    requested = np.random.default_rng(3).uniform(-1.0, 1.0, 20)
    expected = [duty for request in requested for duty in delay.duties(float(request))]
    found = step_duties(0.0, PERIOD_S * np.arange(20), requested, latency_s, 0.001, 400)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_step_duties_from_the_middle_of_a_recording() -> None:
    times_s, requested = PERIOD_S * np.arange(10), np.arange(10.0) / 10.0
    whole = step_duties(0.0, times_s, requested, 0.0137, 0.001, 200)
    assert step_duties(0.06, times_s, requested, 0.0137, 0.001, 100) == pytest.approx(whole[60:160], abs=1e-9)
    assert step_duties(0.0, times_s[:0], requested[:0], 0.0137, 0.001, 5) == [0.0] * 5


@pytest.mark.pybullet
def test_open_bridge_coasts(cart: CartParams) -> None:
    loop = OpenLoop(cart)
    coasting = loop.run(State(0.0, 0.5, math.pi, 0.0), [math.nan] * 50)
    braking = loop.run(State(0.0, 0.5, math.pi, 0.0), [0.0] * 50)
    loop.close()
    assert coasting[-1, 0] > 1.2 * braking[-1, 0]


def test_pieces_cover_their_windows() -> None:
    windows = [Window(series=0, first=3, end=29), Window(series=1, first=0, end=9)]
    pieces = pieces_of(windows, 8)
    assert [(p.series, p.first, p.end - 1) for p in pieces] == [
        (0, 3, 9),
        (0, 9, 15),
        (0, 15, 22),
        (0, 22, 28),
        (1, 0, 8),
    ]


# ---- what identification finds ----


@pytest.fixture(scope="module")
def found_and_progress(series: Series, cart: CartParams) -> tuple[Identification, list[float]]:
    done: list[float] = []
    names = ("delay", "motor_gain", "damping", "coulomb", "dead_zone", "pole_length", "angle_zero")
    return identify([series], cart, IdentifyRequest(terms=names, window_s=2.0), progress=done.append), done


def test_terms_of_a_hidden_cart_are_found(
    found_and_progress: tuple[Identification, list[float]], hidden: Model, cart: CartParams
) -> None:
    found, done = found_and_progress
    for estimate in found.estimates:
        true = estimate.term.read(hidden)
        assert estimate.low <= estimate.value <= estimate.high
        off = abs(estimate.value - true)
        assert off < {"delay": 0.001, "angle_zero": 0.002}.get(estimate.term.name, 0.03 * abs(true)), estimate
    assert found.noise[0] < 2e-4
    assert found.after[0].position_m < 0.2 * found.before[0].position_m
    assert found.after[0].angle_rad < 0.2 * found.before[0].angle_rad
    assert done == sorted(done)
    assert done[-1] == 1.0
    made = identified_cart(found, cart)
    assert made.delay.apply is Apply.ON_ARRIVAL
    assert made.delay.latency_s == pytest.approx(0.0237, abs=0.001)
    assert made.sources["motor.stall_force_n"].startswith("identified from shaken: 95 % within ")
    assert made.sources["pole_cart.cart_mass_kg"] == cart.sources["pole_cart.cart_mass_kg"]


def test_motor_that_was_never_driven_is_left_as_it_was(hidden: Model, cart: CartParams) -> None:
    loop = NativeBoardCart(freed(hidden).cart)
    loop.place(State(0.0, 0.0, math.pi - 0.6, 0.0))
    states = []
    for _ in range(250):
        states.append(loop.state())
        for _ in range(STEPS):
            loop.body.step(0.0)
    ran = np.array(states)
    series = Series(
        name="swing",
        cart=cart,
        period_s=PERIOD_S,
        time_us=20_000 * np.arange(len(ran)),
        position_m=ran[:, 0],
        angle_rad=ran[:, 2],
        duty=np.zeros(len(ran)),
        begins=(0,),
    )
    found = identify([series], cart, IdentifyRequest(window_s=1.0, workers=0))
    by_name = {e.term.name: e.value for e in found.estimates}
    assert set(by_name) == {"pole_viscous", "pole_coulomb", "pole_length", "angle_zero"}
    assert by_name["pole_length"] == pytest.approx(TERMS["pole_length"].read(hidden), rel=0.005)
    assert any("never driven" in note for note in found.notes)
    assert identified_cart(found, cart).delay == cart.delay


def test_inertia_and_saturation_are_found_where_the_pole_swings_and_the_motor_is_driven_hard(cart: CartParams) -> None:
    """Only the pull of the pole on the cart fixes the force in newtons."""
    hidden = TERMS["saturation"].write(changed(model_of(cart), {"cart_mass": 1.6, "motor_gain": 1.2}), 0.15)
    series = shaken(hidden, 6.0, seed=2, hardest=1.0)
    names = ("motor_gain", "damping", "coulomb", "dead_zone", "saturation", "cart_mass")
    assert {"saturation", "cart_mass"} <= set(default_terms([series], cart))
    found = identify([series], cart, IdentifyRequest(terms=names, window_s=1.0, held_out=0.0))
    by_name = {e.term.name: e for e in found.estimates}
    for name, within in (("motor_gain", 0.03), ("damping", 0.03), ("cart_mass", 0.03), ("saturation", 0.15)):
        assert by_name[name].value == pytest.approx(TERMS[name].read(hidden), rel=within), name
    assert any("as accurate as the pole's mass" in note for note in found.notes)
    made = identified_cart(found, cart)
    assert made.sources["pole_cart.cart_mass_kg"].startswith("identified from shaken: ")
    assert made.sources["motor.saturation"].startswith("identified from shaken: ")
    pushes = [
        (c.motor.level(max(c.action_duties)) * c.motor.stall_force_n - c.friction.cart_coulomb_n)
        / (c.pole_cart.cart_mass_kg + c.pole_cart.pole_mass_kg)
        for c in (cart, made)
    ]
    assert pushes[1] == pytest.approx(pushes[0], rel=1e-3)


def test_motor_that_is_weaker_to_the_right_is_found(cart: CartParams) -> None:
    hidden = changed(model_of(cart), {"motor_gain": 1.2, "dead_zone": 1.5})
    for name, value in (("gain_asymmetry", -0.08), ("dead_zone_asymmetry", 0.013)):
        hidden = TERMS[name].write(hidden, value)
    series = shaken(hidden, 8.0, seed=4)
    names = ("motor_gain", "coulomb", "dead_zone", "gain_asymmetry", "dead_zone_asymmetry")
    assert set(names) <= set(default_terms([series], cart))
    found = identify([series], cart, IdentifyRequest(terms=names, window_s=1.0, held_out=0.0))
    by_name = {e.term.name: e.value for e in found.estimates}
    assert by_name["gain_asymmetry"] == pytest.approx(-0.08, abs=0.002)
    assert by_name["dead_zone_asymmetry"] == pytest.approx(0.013, abs=0.0005)
    assert by_name["motor_gain"] == pytest.approx(TERMS["motor_gain"].read(hidden), rel=0.01)
    assert not any("right against left" in note for note in found.notes)
    made = identified_cart(found, cart)
    assert made.sources["motor.gain_asymmetry"].startswith("identified from shaken: 95 % within -0.08")
    left, right = (made.motor.level(duty) * made.motor.stall_force_n for duty in made.action_duties)
    assert right == pytest.approx(-left, rel=1e-3)
    assert made.action_duties[1] > 1.1 * -made.action_duties[0]
    assert cart.firmware is not None
    helped = dataclasses.replace(cart, firmware=dataclasses.replace(cart.firmware, compensates_dead_zone=True))
    adapted = identified_cart(found, helped)
    left, right = (adapted.motor.level(adapted.bridge_duty(duty)) for duty in adapted.action_duties)
    assert right == pytest.approx(-left, rel=1e-3)
    without = identify([series], cart, IdentifyRequest(terms=names[:3], window_s=1.0, held_out=0.0))
    assert without.noise[0] > 5.0 * found.noise[0]


@pytest.mark.parametrize(
    ("right", "left", "expected"),
    [
        ((0.02, 0.6), (0.02, 0.55), {"gain_asymmetry", "dead_zone_asymmetry"}),
        ((0.2, 0.2), (0.2, 0.2), {"gain_asymmetry"}),  # a policy of two actions
        ((0.37, 0.37), (0.15, 0.7), set()),  # steps to the left, each brought back at one duty
        ((0.02, 0.6), (0.0, 0.0), set()),
    ],
)
def test_asymmetry_is_a_term_where_both_sides_are_driven_alike(
    series: Series, cart: CartParams, right: tuple[float, float], left: tuple[float, float], expected: set[str]
) -> None:
    share = np.random.default_rng(0).uniform(size=len(series))
    sides = [low + share * (high - low) for low, high in (right, left)]
    duty = np.where(np.arange(len(series)) % 2 == 0, sides[0], -sides[1])
    duty[-1] = np.nan
    found = default_terms([dataclasses.replace(series, duty=duty)], cart)
    assert {name for name in found if name.endswith("asymmetry")} == expected


def test_interval_of_the_stall_force_has_the_uncertainty_of_the_dead_zone_in_it(cart: CartParams) -> None:
    """The search keeps the force's slope where it moves the dead zone, so the stall force moves too."""
    model = freed(model_of(cart))
    terms = [TERMS[name] for name in ("motor_gain", "dead_zone", "coulomb")]
    series = shaken(model, 1.0, seed=5)
    windows = windows_of([series], 0.5)
    with contextlib.closing(predictor_on(Engine.NATIVE, [series], windows, model.cart)) as predictor:
        changes = Search(Shooting([series], windows, predictor), terms, model).value_changes(model)
    # of the stall force per dead zone, in units of their sizes
    expected = -model.cart.motor.slope_n * 0.03 / model.cart.motor.stall_force_n
    np.testing.assert_allclose(changes, [[1.0, expected, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], atol=1e-9)


def test_terms_keep_the_dead_zones_of_both_sides_at_0_or_more(cart: CartParams) -> None:
    model = TERMS["dead_zone_asymmetry"].write(model_of(cart), -0.02)
    assert TERMS["dead_zone"].read(model) == cart.motor.dead_zone_duty
    wider = TERMS["dead_zone_asymmetry"].write(model, 0.05).cart.motor
    assert (wider.right_dead_zone_duty, wider.left_dead_zone_duty) == (0.1, 0.0)
    smaller = TERMS["dead_zone"].write(model, 0.01).cart.motor
    assert (smaller.right_dead_zone_duty, smaller.left_dead_zone_duty) == (0.0, 0.02)


def test_terms_are_those_that_the_recordings_can_show(series: Series, cart: CartParams) -> None:
    coasting = dataclasses.replace(cart, motor=dataclasses.replace(cart.motor, brakes_at_zero=False))
    assert "damping" in default_terms([series], cart)
    assert {"back_emf", "viscous"} <= set(default_terms([series], coasting))
    gentle = dataclasses.replace(series, duty=np.clip(series.duty, -0.4, 0.4))
    assert "saturation" not in default_terms([gentle], cart)
    assert "cart_mass" in default_terms([gentle], cart)
    standing = dataclasses.replace(series, angle_rad=0.1 * np.sin(series.time_s))
    assert "cart_mass" not in default_terms([standing], cart)


@pytest.mark.pybullet
def test_model_runs_into_the_end_of_the_track_unless_the_cart_was_read_beyond(cart: CartParams) -> None:
    end_m = cart.limits.end_stop_m
    assert end_m is not None
    for farthest_m in (0.0, end_m + 0.02):
        model = with_room(freed(model_of(cart)), farthest_m)
        loop = OpenLoop(model.cart)
        ran = loop.run(State(end_m - 0.02, 0.5, math.pi, 0.0), [0.3] * 300)
        loop.close()
        assert ran[:, 0].max() == pytest.approx(max(farthest_m, end_m), abs=2e-3)


def test_start_states_come_from_before_the_start(series: Series, hidden: Model) -> None:
    series = part_of(series, 0, 200)
    windows = windows_with_past([series], 0.5, 0.5)
    assert min(window.first for window in windows) * PERIOD_S >= 0.3
    starts = observed_starts([series], windows, hidden, Engine.NATIVE)
    behind = windows[3].first + 1
    blind = dataclasses.replace(
        series,
        position_m=np.where(np.arange(len(series)) < behind, series.position_m, 0.1),
        angle_rad=np.where(np.arange(len(series)) < behind, series.angle_rad, 2.5),
    )
    assert observed_starts([blind], windows, hidden, Engine.NATIVE)[3].tolist() == starts[3].tolist()
    (errors,) = observed_errors([series], [hidden], 0.5, hidden, Engine.NATIVE)
    assert errors[0].position_m < 1e-3
    assert errors[0].angle_rad < 0.01


def test_windows_do_not_cross_gaps(series: Series) -> None:
    torn = dataclasses.replace(series, begins=(0, 101, 130))
    for window in windows_of([torn], 0.5):
        assert any(begin <= window.first and window.end <= end for begin, end in torn.stretches())
    assert not any(101 <= w.first < 130 and w.end - w.first > 29 for w in windows_of([torn], 0.5))
    part = part_of(torn, 90, 140)
    assert part.begins == (0, 11, 40)
    assert len(part) == 50


# ---- bad input ----


def test_same_run_twice_is_refused(series: Series, cart: CartParams) -> None:
    with pytest.raises(UsageError, match=r"shaken and copy are recordings of the same run"):
        identify([series, dataclasses.replace(series, name="copy")], cart, IdentifyRequest())


def test_different_periods_are_refused_with_both(series: Series, cart: CartParams) -> None:
    other = dataclasses.replace(series, name="fast", period_s=0.005, angle_rad=series.angle_rad + 0.1)
    with pytest.raises(UsageError, match=r"period of 0\.02 s, fast one of 0\.005 s.*--mixed-periods"):
        identify([series, other], cart, IdentifyRequest())


def test_cart_that_never_moved_is_refused(series: Series, cart: CartParams) -> None:
    still = dataclasses.replace(series, position_m=0.0 * series.position_m, angle_rad=0.0 * series.angle_rad)
    with pytest.raises(UsageError, match=r"shaken: neither cart nor pole ever moved"):
        identify([still], cart, IdentifyRequest())


def test_unknown_term_and_too_little_are_refused(series: Series, cart: CartParams) -> None:
    with pytest.raises(UsageError, match=r"term 'mass' is not known, expected some of delay, motor_gain"):
        identify([series], cart, IdentifyRequest(terms=("mass",)))
    with pytest.raises(UsageError, match=r"windows of 5 s"):
        identify([series], cart, IdentifyRequest(window_s=5.0))
    with pytest.raises(UsageError, match="no recording"):
        identify([], cart, IdentifyRequest())


def recorded(cart: CartParams, **columns: Any) -> Recording:
    names = ("tick", "mcu_time_us", "flags", "cart_position_m", "pole_angle_rad", "requested_duty")
    rows = np.zeros(10, np.dtype([(name, "<u4" if name in names[:3] else "<f8") for name in names]))
    rows["tick"] = np.arange(10)
    rows["mcu_time_us"] = 20000 * np.arange(10)
    for name, values in columns.items():
        rows[name] = values
    metadata = RecordingMetadata(cart=cart, rig="sim", controller=ControllerRecord(policy="lqr"))
    return Recording(path=Path("here.parquet"), metadata=metadata, rows=rows, outcome=None)


def test_clock_that_goes_back_is_named_with_its_row(cart: CartParams) -> None:
    with pytest.raises(UsageError, match=r"here\.parquet: row 4: its time 5 us is not after 60000 us"):
        series_of(recorded(cart, mcu_time_us=[0, 20000, 40000, 60000, 5, 100000, 120000, 140000, 160000, 180000]))


def test_clock_that_wraps_continues(cart: CartParams) -> None:
    wrapping = (np.arange(10) * 20000 + 2**32 - 50000) % 2**32
    assert series_of(recorded(cart, mcu_time_us=wrapping)).time_s == pytest.approx(PERIOD_S * np.arange(10))


def test_reading_that_is_no_number_is_named_with_its_row(cart: CartParams) -> None:
    angles = np.zeros(10)
    angles[7] = math.nan
    with pytest.raises(UsageError, match=r"here\.parquet: row 7: pole_angle_rad = nan"):
        series_of(recorded(cart, pole_angle_rad=angles))


def test_gaps_and_jumps_begin_new_stretches(cart: CartParams) -> None:
    clock = 20000 * np.arange(10)
    clock[5:] += 20000
    angles = np.full(10, 3.0)
    angles[8] = 3.4
    found = series_of(recorded(cart, mcu_time_us=clock, pole_angle_rad=angles))
    assert set(found.begins) == {0, 5, 7, 8, 9}
    turning = np.linspace(3.0, 4.0, 10)
    wrapped = np.where(turning > math.pi, turning - 2.0 * math.pi, turning)
    assert series_of(recorded(cart, pole_angle_rad=wrapped)).begins == (0,)


# ---- cart files, command line ----


@pytest.mark.parametrize("name", ["gym", "quanser_ip02", "sensorsini", "diy_arduino"])
def test_cart_file_reads_back_as_the_cart(tmp_path: Path, name: str) -> None:
    cart = load_cart(name)
    path = tmp_path / f"{name}.toml"
    write_cart(path, cart)
    assert load_cart(path) == cart
    assert load_cart(path).sources["pole_cart.cart_mass_kg"] == cart.sources["pole_cart.cart_mass_kg"]
    with pytest.raises(UsageError, match="exists already"):
        write_cart(path, cart)
    assert cart_as_toml(load_cart(path)) == path.read_text(encoding="utf-8")


def test_too_weak_a_motor_is_refused(found_and_progress: tuple[Identification, list[float]], cart: CartParams) -> None:
    found, _ = found_and_progress
    weak = dataclasses.replace(found, model=TERMS["motor_gain"].write(freed(found.model), 2.0))
    with pytest.raises(RunError, match="cannot be driven as the nominal one"):
        identified_cart(weak, cart)


def test_from_a_recording_to_a_cart_file(tmp_path: Path, cart: CartParams, capsys: pytest.CaptureFixture[str]) -> None:
    stronger = tmp_path / "stronger.toml"
    write_cart(stronger, freed_of_gain(cart))
    recording, out = tmp_path / "run.parquet", tmp_path / "mine.toml"
    record = [
        "record",
        "lqr",
        "--cart",
        str(stronger),
        "--rig",
        "virtual",
        "--duration-s",
        "8",
        "--out",
        str(recording),
    ]
    assert main(record) == 0
    capsys.readouterr()
    words = ["identify", str(recording), "--cart", "diy_arduino", "--out", str(out), "--window-s", "0.5"]
    assert main([*words, "--terms", "motor_gain", "coulomb", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    gain = next(e for e in result["estimates"] if e["term"] == "motor_gain")
    assert gain["before"] == 25.7
    assert gain["value"] == pytest.approx(1.3 * 25.7, rel=0.03)
    assert load_cart(out).motor.stall_force_n == pytest.approx(gain["value"], rel=1e-5)
    assert max(load_cart(out).action_duties) < max(cart.action_duties)
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert read_recording(recording).cart.motor.stall_force_n == pytest.approx(1.3 * 25.7)


def test_excited_cart_moves_and_the_same_seed_does_the_same(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        out = tmp_path / f"{name}.parquet"
        assert (
            main(
                [
                    "excite",
                    "--upright",
                    "--cart",
                    "quanser_ip02",
                    "--duration-s",
                    "6",
                    "--swing-s",
                    "0",
                    "--seed",
                    seed,
                    "--out",
                    str(out),
                ]
            )
            == 0
        )
        found.append(read_recording(out))
    assert found[0].metadata.is_excited
    assert np.array_equal(found[0].column("requested_duty"), found[1].column("requested_duty"), equal_nan=True)
    assert not np.array_equal(found[0].column("requested_duty"), found[2].column("requested_duty"), equal_nan=True)
    duty = found[0].column("requested_duty")[:-1]
    assert np.abs(duty).max() <= 1.0
    assert len(np.unique(np.round(duty, 3))) > 150
    assert np.ptp(found[0].column("cart_position_m")) > 0.08


def test_excited_cart_is_let_swing_at_the_end(tmp_path: Path, cart: CartParams) -> None:
    out = tmp_path / "swing.parquet"
    words = ["excite", "--upright", "--duration-s", "12", "--swing-s", "6", "--seed", "1", "--out", str(out)]
    assert main(words) == 0
    recording = read_recording(out)
    assert len(recording.rows) == 601
    is_off = (recording.column("flags") & Flag.MOTOR_OFF) != 0
    assert np.isnan(recording.column("requested_duty")[is_off]).all()
    assert 240 <= is_off.sum() <= 300
    assert np.isfinite(recording.column("requested_duty")[:300]).all()
    found = series_of(recording)
    assert found.is_coasting is not None
    assert np.ptp(found.angle_rad[found.is_coasting]) > math.pi
    assert not any(  # none across the end of driving
        found.is_coasting[window.first] != found.is_coasting[window.end - 1] for window in windows_of([found], 0.5)
    )
    cycles = found.duty[np.isfinite(found.duty)] * PULSE_PERIOD
    np.testing.assert_allclose(cycles, np.round(cycles), atol=1e-9)


def test_pole_that_stands_too_still_is_pushed(cart: CartParams) -> None:
    excitation = Excitation(regulator_of(cart), cart, seed=0)
    excitation._shake, excitation._shake_s = 0.01, 10.0
    for place_m in np.arange(0.0, 0.03, 0.004):
        excitation.duty(np.array([place_m, 0.2, 0.001, 0.0]))
    assert abs(excitation._shake) == 0.2


def test_near_its_limits_the_regulator_alone_drives(cart: CartParams) -> None:
    regulator, other = regulator_of(cart), regulator_of(cart)
    excitation = Excitation(regulator, cart, seed=0)
    leaning = np.array([0.0, 0.0, 0.9 * cart.limits.pole_angle_rad, 0.0], np.float32)
    assert [excitation.duty(leaning) for _ in range(30)] == [other.duty(leaning) for _ in range(30)]


def test_only_a_regulator_can_be_excited(tmp_path: Path, trained_run: Path) -> None:
    out = tmp_path / "out.parquet"
    request = RolloutRequest(
        policy=trained_run, rig="sim", cart=None, backend="c", seed=0, duration_s=1.0, out=out, excites=True
    )
    with pytest.raises(UsageError, match="only the regulator"):
        record_rollout(request)
    assert list(tmp_path.iterdir()) == []


def freed_of_gain(cart: CartParams) -> CartParams:
    return TERMS["motor_gain"].write(model_of(cart), 1.3 * cart.motor.stall_force_n).cart


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.parquet", "--out", "x.toml"], "no such recording"),
        (["a.parquet", "--out", "x.toml", "--held-out", "1.5"], "expected a share from 0 to 0.9, got '1.5'"),
        (["a.parquet", "--out", "x.toml", "--window-s", "0"], "expected a number greater than 0"),
    ],
)
def test_bad_arguments_are_exit_code_2(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["identify", *words])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    assert message in capsys.readouterr().err
