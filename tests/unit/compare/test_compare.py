import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.commands.cli import main
from cartpole_robot.compare import attribution as attribution_module
from cartpole_robot.compare.attribution import BLAMED, ENCODER_SIGN, attribute
from cartpole_robot.compare.closed_loop import agreement, closed_loop, cycle_of, response_delay_s
from cartpole_robot.compare.comparison import CompareRequest, Comparison, compare
from cartpole_robot.compare.distributions import distances
from cartpole_robot.compare.open_loop import Tube, compare_open_loop
from cartpole_robot.compare.quantities import SIGNALS, over_windows, root_mean
from cartpole_robot.compare.words import report_text, summary
from cartpole_robot.errors import UsageError
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.identify.identification import part_of
from cartpole_robot.open_loop.model import TERMS, Model, model_of
from cartpole_robot.open_loop.native_runs import NativePredictor
from cartpole_robot.open_loop.series import Series, series_of
from cartpole_robot.open_loop.windows import Runs, Try, Window
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.recording.format import Recording
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from cartpole_robot.signals import Measurement
from cartpole_robot.simulation.engine import Engine
from tests.conftest import make_network
from tests.policy_on_board import regulating_policy

NOMINAL = "diy_arduino"
LATE_S = 0.033

Record = Callable[..., Recording]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def cart() -> CartParams:
    return load_cart(NOMINAL)


@pytest.fixture(scope="module")
def model(cart: CartParams) -> Model:
    return model_of(cart)


@pytest.fixture(scope="module")
def record(folder: Path) -> Record:
    """Record one episode under a new name."""

    def made(name: str, **changes: object) -> Recording:
        request = RolloutRequest(
            policy=Path("lqr"),
            rig="sim",
            cart=NOMINAL,
            backend="c",
            seed=0,
            duration_s=6.0,
            out=folder / f"{name}.parquet",
        )
        return record_rollout(dataclasses.replace(request, **changes))  # type: ignore[arg-type]

    return made


@pytest.fixture(scope="module")
def simulated(record: Record) -> Recording:
    return record("simulated", seed=1)


@pytest.fixture(scope="module")
def excited(record: Record) -> Recording:
    return record("excited", excites=True, rig="virtual")


@pytest.fixture(scope="module")
def late(record: Record, folder: Path, cart: CartParams) -> Recording:
    """A rollout of a cart that responds `LATE_S` after a measurement; the nominal one takes 20 ms."""
    write_cart(
        folder / "late.toml",
        dataclasses.replace(cart, delay=Delay(apply=Apply.ON_ARRIVAL, latency_s=LATE_S)),
    )
    return record("late", cart=str(folder / "late.toml"), excites=True)


@pytest.fixture(scope="module")
def policy_folder(folder: Path, cart: CartParams) -> Path:
    regulating_policy(cart).save(folder / "policy.npz")
    seen = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    bundle_of(make_network(seed=1), cart, seen, {}).save(folder / "other.npz")
    return folder


@pytest.fixture(scope="module")
def comparison(simulated: Recording, late: Recording) -> Comparison:
    return compare(CompareRequest(simulated=str(simulated.path), recorded=late.path))


# ---- open loop ----


def test_a_simulation_of_the_same_cart_is_off_by_its_counts_only(excited: Recording, model: Model) -> None:
    found = compare_open_loop(series_of(excited), model, Engine.NATIVE)
    encoders = model.cart.encoders
    assert encoders is not None
    assert [h.horizon_s for h in found.horizons] == [0.1, 0.2, 0.5, 1.0]
    assert all(h.windows > 0 for h in found.horizons)
    assert found.horizons[0].rmse[0].value < 1.0 / encoders.cart_counts_per_m
    assert found.horizons[0].rmse[2].value < 1.0 / encoders.pole_counts_per_rad
    assert found.horizons[2].normalised[0].value < 0.02


def test_errors_grow_with_the_horizon_and_lie_inside_their_intervals(late: Recording, model: Model) -> None:
    found = compare_open_loop(series_of(late), model, Engine.NATIVE)
    angles = [h.rmse[2] for h in found.horizons]
    assert [a.value for a in angles] == sorted(a.value for a in angles)
    assert all(a.low <= a.value <= a.high and a.low < a.high for a in angles)
    assert found.growth[-1, 1] > 10.0 * found.growth[2, 1]


def test_cross_correlation_finds_how_much_later_the_cart_responds(
    late: Recording, excited: Recording, model: Model
) -> None:
    found = compare_open_loop(series_of(late), model, Engine.NATIVE).later_s
    assert found is not None
    assert found.value == pytest.approx(LATE_S - 0.02, abs=0.002)
    assert found.low <= found.value <= found.high
    same = compare_open_loop(series_of(excited), model, Engine.NATIVE).later_s
    assert same is not None
    assert abs(same.value) <= 0.001


def test_a_run_never_knows_what_comes_after_its_start(late: Recording, model: Model) -> None:
    whole = series_of(late)
    before = compare_open_loop(part_of(whole, 0, 100), model, Engine.NATIVE, horizons_s=(0.2,)).runs
    spoiled = dataclasses.replace(whole, position_m=whole.position_m.copy(), angle_rad=whole.angle_rad.copy())
    last = round(before[-1].time_s[0] / whole.period_s)
    spoiled.position_m[last + 1 :] += 0.3
    spoiled.angle_rad[last + 1 :] += 0.01
    after = compare_open_loop(part_of(spoiled, 0, 100), model, Engine.NATIVE, horizons_s=(0.2,)).runs
    assert after[-1].time_s[0] == before[-1].time_s[0]
    assert after[-1].simulated.tolist() == before[-1].simulated.tolist()
    assert after[-1].recorded.tolist() != before[-1].recorded.tolist()


def test_fidelity_is_the_time_in_the_tube(late: Recording, excited: Recording, model: Model) -> None:
    narrow = compare_open_loop(
        series_of(late), model, Engine.NATIVE, tube=Tube(position_m=0.005, angle_rad=0.02)
    ).fidelity
    wide = compare_open_loop(series_of(late), model, Engine.NATIVE, tube=Tube(position_m=0.05, angle_rad=0.5)).fidelity
    endless = compare_open_loop(
        series_of(excited), model, Engine.NATIVE, tube=Tube(position_m=9.0, angle_rad=99.0)
    ).fidelity
    assert narrow is not None
    assert wide is not None
    assert endless is not None
    assert 0.0 < narrow.median_s.value < wide.median_s.value < wide.longest_s
    assert narrow.lower_quartile_s <= narrow.median_s.value <= narrow.upper_quartile_s
    assert narrow.inside + sum(narrow.first_out.values()) == narrow.starts
    assert (endless.inside, endless.median_s.value) == (endless.starts, endless.longest_s)


def test_fidelity_has_enough_starts_however_many_gaps_there_are(late: Recording, model: Model) -> None:
    """No stretch is longer than 1.6 s: of runs over 1 s there would be few, and none over 2 s."""
    whole = series_of(late)
    cut = dataclasses.replace(whole, begins=tuple(range(0, len(whole), 80)))
    found = compare_open_loop(cut, model, Engine.NATIVE).fidelity
    assert found is not None
    assert found.starts >= 8
    assert found.longest_s == 0.5
    uncut = compare_open_loop(whole, model, Engine.NATIVE).fidelity
    assert uncut is not None
    assert (uncut.longest_s, uncut.starts) == (2.0, 8)


@pytest.mark.pybullet
def test_attribution_on_pybullet_takes_a_bounded_number_of_runs(
    excited: Recording, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run there takes a hundred times as long as on the native engine: with 30 windows and all searches, minutes."""
    ran_s: list[float] = []

    class Counted(NativePredictor):
        def __init__(self, all_series: Sequence[Series], windows: Sequence[Window]) -> None:
            super().__init__(all_series, windows)
            self._length_s = sum((w.end - 1 - w.first) * all_series[w.series].period_s for w in windows)

        def run(self, tries: Sequence[Try]) -> list[Runs]:
            ran_s.append(self._length_s * len(tries))
            return super().run(tries)

    monkeypatch.setattr(
        attribution_module, "predictor_on", lambda engine, series, windows, cart: Counted(series, windows)
    )
    stronger = TERMS["motor_gain"].write(model, 1.1 * TERMS["motor_gain"].read(model))
    found = attribute(series_of(excited), stronger, Engine.PYBULLET, workers=0)
    assert found is not None
    assert found.blames[0].term == "motor_gain"
    assert found.blames[0].best == pytest.approx(TERMS["motor_gain"].read(model), rel=0.02)
    assert sum(ran_s) < 7000.0  # simulated seconds; PyBullet does some 300 in one


@pytest.mark.long
def test_angle_zero_that_is_far_off_is_found_and_reported(late: Recording, model: Model) -> None:
    series = series_of(late)
    off = dataclasses.replace(series, angle_rad=series.angle_rad + 0.25)
    found = attribute(off, model, Engine.NATIVE, workers=0)
    assert found is not None
    zero = next(blame for blame in found.blames if blame.term == "angle_zero")
    assert zero.best == pytest.approx(0.25, abs=0.02)


def test_a_horizon_longer_than_the_recording_has_no_windows(late: Recording, model: Model) -> None:
    found = compare_open_loop(part_of(series_of(late), 0, 30), model, Engine.NATIVE)
    assert [h.windows > 0 for h in found.horizons] == [True, True, False, False]
    assert math.isnan(found.horizons[3].rmse[0].value)
    assert found.fidelity is not None
    assert found.fidelity.longest_s < 1.0


def test_bootstrap_is_over_windows_and_repeatable() -> None:
    rng = np.random.default_rng(3)
    squares, counts = rng.exponential(size=200) * 10.0, np.full(200, 10.0)
    found = over_windows(root_mean, squares, counts)
    assert found == over_windows(root_mean, squares, counts)
    assert found.value == pytest.approx(math.sqrt(squares.sum() / 2000.0))
    # The mean of n exponentials has a relative standard error of 1/sqrt(n), its root half of that.
    assert (found.high - found.low) / found.value == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(200.0), rel=0.25)
    assert over_windows(root_mean, squares[:1], counts[:1]).low == over_windows(root_mean, squares[:1], counts[:1]).high


# ---- closed loop and distributions ----


def test_cycle_is_the_strongest_sine() -> None:
    time_s = 0.02 * np.arange(1000)
    values = 0.3 + 0.012 * np.sin(2.0 * np.pi * 3.3 * time_s) + 0.002 * np.sin(2.0 * np.pi * 7.0 * time_s)
    found = cycle_of(values, 0.02)
    assert found is not None
    assert found.frequency_hz == pytest.approx(3.3, abs=0.01)
    assert found.amplitude == pytest.approx(0.012, rel=0.05)
    assert cycle_of(values[:200], 0.02) is None
    assert cycle_of(np.full(1000, 0.1), 0.02) is None


def test_closed_loop_shows_a_later_cart(late: Recording, excited: Recording) -> None:
    ours, theirs = closed_loop(excited), closed_loop(late)
    assert ours.steps == 300
    assert ours.end == "duration"
    assert ours.response_delay_s is not None
    assert theirs.response_delay_s is not None
    assert theirs.response_delay_s - ours.response_delay_s == pytest.approx(LATE_S - 0.02, abs=0.005)
    assert ours.effort is not None
    assert 0.0 < ours.effort < 1.0


def test_no_response_of_a_cart_that_stands() -> None:
    assert response_delay_s(np.zeros(500), np.zeros(500), 0.02) is None
    assert response_delay_s(np.ones(50), np.ones(50), 0.02) is None


def test_agreement_counts_equal_actions(record: Record, policy_folder: Path, cart: CartParams) -> None:
    one = record("driven", policy=policy_folder / "policy.npz")
    other = record("driven on virtual", policy=policy_folder / "policy.npz", rig="virtual")
    request = CompareRequest(simulated=str(one.path), recorded=other.path, attributes=False)
    found = compare(request).agreement
    assert found is not None
    assert (found.simulated, found.recorded) == (1.0, 1.0)
    assert found.first_different_tick is not None
    assert 0.3 < found.same_tick < 1.0
    asked = compare(dataclasses.replace(request, policy=policy_folder / "other.npz")).agreement
    assert asked is not None
    assert asked.recorded is not None
    assert asked.recorded < 1.0
    alone = agreement(one, one, None)
    assert alone is not None
    assert (alone.same_tick, alone.first_different_tick, alone.recorded) == (1.0, None, None)


def test_wasserstein_distance_of_a_shift_is_the_shift(simulated: Recording) -> None:
    rows = simulated.rows.copy()
    rows["cart_position_m"] += 0.03
    found = distances(simulated, dataclasses.replace(simulated, rows=rows))
    assert [d.signal for d in found] == [s.name for s in SIGNALS]
    assert found[0].distance == pytest.approx(0.03)
    assert found[0].normalised == pytest.approx(0.03 / np.std(rows["cart_position_m"]))
    assert found[2].distance == 0.0


# ---- attribution ----


def test_the_delayed_cart_is_called_delayed(comparison: Comparison) -> None:
    found = comparison.attribution
    assert found is not None
    assert {blame.term for blame in found.blames} == set(BLAMED)
    assert found.blames[0].term == "delay"
    assert found.blames[0].explained > 0.95
    assert found.blames[0].best == pytest.approx(LATE_S, abs=0.001)
    assert found.blames[0].in_simulation == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("change", "signs"),
    [
        (lambda s: {"angle_rad": -s.angle_rad}, "the pole's reversed"),
        (lambda s: {"position_m": -s.position_m}, "the cart's reversed"),
    ],
)
def test_a_reversed_encoder_is_called_reversed(
    excited: Recording, model: Model, change: Callable[[Series], dict[str, object]], signs: str
) -> None:
    series = part_of(series_of(excited), 0, 100)
    changed = dataclasses.replace(series, **change(series))  # type: ignore[arg-type]
    found = attribute(changed, model, Engine.NATIVE, terms=("motor_gain", ENCODER_SIGN), workers=0)
    assert found is not None
    assert (found.blames[0].term, found.blames[0].best) == (ENCODER_SIGN, signs)
    assert found.blames[0].explained > 0.95


def test_a_motor_that_is_weaker_to_one_side_is_called_so(
    record: Record, folder: Path, cart: CartParams, model: Model
) -> None:
    motor = dataclasses.replace(cart.motor, gain_asymmetry=-0.08)
    write_cart(folder / "weaker.toml", dataclasses.replace(cart, motor=motor))
    series = series_of(record("weaker", cart=str(folder / "weaker.toml"), excites=True, rig="virtual"))
    terms = ("motor_gain", "dead_zone", "gain_asymmetry", "dead_zone_asymmetry", "angle_zero")
    found = attribute(part_of(series, 0, 200), model, Engine.NATIVE, terms=terms, workers=0)
    assert found is not None
    assert found.blames[0].term == "gain_asymmetry"
    assert found.blames[0].explained > 0.95
    assert found.blames[0].best == pytest.approx(-0.08, abs=0.002)


def test_a_simulation_without_a_gap_blames_no_term(excited: Recording, model: Model) -> None:
    shares: list[float] = []
    found = attribute(
        part_of(series_of(excited), 0, 150),
        model,
        Engine.NATIVE,
        terms=("motor_gain", "delay"),
        workers=1,
        progress=shares.append,
    )
    assert found is not None
    assert shares == [0.5, 1.0]
    assert found.blames[0].explained < 0.3
    assert found.gap[0] < 1e-4
    assert TERMS["motor_gain"].read(model) == pytest.approx(
        next(blame.best for blame in found.blames if blame.term == "motor_gain"), rel=0.02
    )


def test_too_short_a_recording_has_no_attribution(excited: Recording, model: Model) -> None:
    assert attribute(part_of(series_of(excited), 0, 10), model, Engine.NATIVE) is None


# ---- all of it ----


def test_summary_names_distance_reason_and_remedy(comparison: Comparison) -> None:
    sentences = " ".join(summary(comparison))
    assert "delay" in sentences.lower()
    assert "delay.apply" in sentences or "delay.latency_s" in sentences
    assert "later than the simulated one" in sentences
    assert "mm" in sentences
    text = report_text(comparison)
    for blame in comparison.attribution.blames if comparison.attribution else ():
        assert blame.label in text


def test_a_cart_without_noise_has_no_gap_to_explain(record: Record) -> None:
    one = record("ideal", cart="gym", duration_s=2.0)
    other = record("ideal, another start", cart="gym", duration_s=2.0, seed=3)
    found = compare(CompareRequest(simulated=str(one.path), recorded=other.path, workers=0))
    sentences = " ".join(summary(found))
    assert "there is no gap to explain" in sentences
    assert "by itself" not in sentences
    assert found.recorded_loop.response_delay_s is None or found.recorded_loop.response_delay_s >= 0.0


def test_json_has_numbers_and_null_alone(comparison: Comparison) -> None:
    report = json.loads(json.dumps(comparison.as_dict(), allow_nan=False))
    assert report["attribution"]["blames"][0]["term"] == "delay"
    assert report["closed_loop"]["simulated"]["steps"] == 300
    assert set(report["wasserstein"]) == {s.name for s in SIGNALS}


def test_a_cart_alone_is_compared_in_open_loop(late: Recording, folder: Path) -> None:
    for name in (NOMINAL, str(folder / "late.toml")):
        found = compare(CompareRequest(simulated=name, recorded=late.path, attributes=False))
        assert (found.simulated, found.simulated_loop, found.agreement, found.distances) == (None, None, None, ())
        json.dumps(found.as_dict(), allow_nan=False)
    assert found.open_loop.horizons[2].rmse[0].value < 1e-4  # its own file


def test_another_cart_may_be_named_for_the_replay(simulated: Recording, late: Recording, folder: Path) -> None:
    request = CompareRequest(simulated=str(simulated.path), recorded=late.path, attributes=False)
    right = compare(dataclasses.replace(request, cart=str(folder / "late.toml")))
    assert right.open_loop.horizons[2].rmse[0].value < 0.1 * compare(request).open_loop.horizons[2].rmse[0].value


# ---- what cannot be compared ----


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["compare", *map(str, words)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "Traceback" not in output.err
    return output.err


def test_the_same_run_twice_is_refused(simulated: Recording, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, simulated.path, simulated.path)
    assert "same run" in message


def test_different_control_periods_are_refused(
    simulated: Recording, folder: Path, cart: CartParams, capsys: pytest.CaptureFixture[str], record: Record
) -> None:
    timing = dataclasses.replace(cart.timing, control_period_s=0.01)
    write_cart(folder / "fast.toml", dataclasses.replace(cart, timing=timing))
    fast = record("fast", cart=str(folder / "fast.toml"))
    message = refused(capsys, simulated.path, fast.path)
    assert "0.01" in message
    assert "0.02" in message


def test_a_cart_that_never_moved_is_refused(
    simulated: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = simulated.rows.copy()
    for signal in SIGNALS:
        rows[signal.name] = 0.0
    message = refused(capsys, simulated.path, rewritten(simulated, rows, tmp_path / "still.parquet"))
    assert "ever moved" in message
    assert "still.parquet" in message


def test_a_value_that_is_no_number_is_named_with_its_row(
    simulated: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = simulated.rows.copy()
    rows["pole_angle_rad"][17] = math.nan
    message = refused(capsys, simulated.path, rewritten(simulated, rows, tmp_path / "hole.parquet"))
    assert "hole.parquet" in message
    assert "row 17" in message


def test_missing_empty_and_truncated_files_are_named(
    simulated: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "gone.parquet" in refused(capsys, simulated.path, tmp_path / "gone.parquet")
    (tmp_path / "empty.parquet").write_bytes(b"")
    assert "empty.parquet" in refused(capsys, simulated.path, tmp_path / "empty.parquet")
    content = simulated.path.read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[: len(content) // 2])
    assert "cut.parquet" in refused(capsys, simulated.path, tmp_path / "cut.parquet")
    assert "no_such_cart" in refused(capsys, "no_such_cart", simulated.path)


def test_nothing_is_overwritten(
    simulated: Recording, late: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.html").write_text("mine")
    message = refused(capsys, simulated.path, late.path, "--out", tmp_path / "there.html")
    assert "exists already" in message
    assert (tmp_path / "there.html").read_text() == "mine"


def test_a_policy_that_cannot_be_read_is_named(
    simulated: Recording, late: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="gone"):
        compare(
            CompareRequest(
                simulated=str(simulated.path),
                recorded=late.path,
                policy=tmp_path / "gone.npz",
                attributes=False,
            )
        )


def rewritten(recording: Recording, rows: np.ndarray, path: Path) -> Path:
    """A recording with other rows, in a file of its own."""
    names = [field.name for field in dataclasses.fields(Measurement)]
    with Recorder(path, recording.metadata) as recorder:
        for row in rows:
            measurement = Measurement(**{name: row[name].item() for name in names})
            recorder.append(measurement, row["host_time_s"], row["requested_duty"], row["reward"], int(row["flags"]))
    return read_recording(path).path
