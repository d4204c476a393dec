"""A score: what disturbs a cart, the firmware's rules, the ranges, and the command."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.commands.cli import main
from cartpole_robot.errors import UsageError
from cartpole_robot.experiments.score import score as score_module
from cartpole_robot.experiments.score.cell import driver_of
from cartpole_robot.experiments.score.disturbed_cart import Disturbance, DisturbedCart, Push
from cartpole_robot.experiments.score.drivers import Driver, SwingUpControllerDriver, SwingUpPolicyDriver
from cartpole_robot.experiments.score.parts import REPORT_SEED, TUNING_SEED, Row, Trial, rows_of, trial
from cartpole_robot.experiments.score.ranges import ScoreRanges, score_ranges
from cartpole_robot.experiments.score.score import planned_score
from cartpole_robot.experiments.score.scored_run import RunFigures, scored_run
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.policy.swing_up_design import design_swing_up
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.task import Task, observation
from tests.conftest import make_network
from tests.policy_on_board import regulating_policy

HANGING, UPRIGHT = State(0.0, 0.0, -math.pi, 0.0), State(0.0, 0.0, 0.0, 0.0)
STEP_S = 0.002


@pytest.fixture(scope="module")
def diy() -> CartParams:
    return load_cart("diy_arduino")


@pytest.fixture(scope="module")
def swing_up(diy: CartParams) -> Driver:
    return SwingUpControllerDriver(diy, design_swing_up(diy))


class Drives:
    """A driver that does what a function of the time says; counts how often it begins."""

    def __init__(self, duty: Callable[[NDArray[Any], int], float]) -> None:
        self._duty, self.begun, self.steps = duty, 0, 0

    def begin(self) -> None:
        self.begun += 1

    def duty(self, observation: NDArray[Any]) -> float:
        self.steps += 1
        return self._duty(observation, self.steps)

    def rest(self, duration_s: float, duty_square: float = 0.0) -> None:
        pass


def run(driver: Driver, cart: CartParams, *, start: State = HANGING, seed: int = 5, **disturbance: Any) -> RunFigures:
    made = Trial(plant=cart, disturbance=Disturbance(**disturbance), start=start, duration_s=6.0, seed=seed)
    return scored_run(driver, cart, made, score_ranges())


def seen(cart: CartParams, start: State, duties: list[float], **disturbance: Any) -> NDArray[Any]:
    disturbed = DisturbedCart(cart, Disturbance(**disturbance), step_s=STEP_S, seed=3)
    return np.array([disturbed.place(start), *[disturbed.step(duty) for duty in duties]])


def test_cart_without_disturbance_moves_as_on_rig_sim(diy: CartParams) -> None:
    duties = np.random.default_rng(1).uniform(-1.0, 1.0, 100).tolist()
    start = State(0.1, 0.0, 2.0, -1.0)
    rig = simulated_rig(diy, engine=Engine.NATIVE)
    expected = [observation(rig.reset(start, np.random.default_rng(3)))]
    expected += [observation(rig.step(duty)) for duty in duties]
    assert np.array_equal(seen(diy, start, duties), np.array(expected))


def test_delay_of_40_ms_shows_the_cart_two_control_periods_late(diy: CartParams) -> None:
    duties = [0.5, -0.5, 0.3, 0.8, -0.8, 0.1, 0.4]
    prompt, late = seen(diy, HANGING, duties), seen(diy, HANGING, duties, late_s=0.04)
    assert np.array_equal(late[2:], prompt[:-2])
    assert not np.array_equal(late, prompt)


def test_response_of_a_tenth_leaves_a_drive_short_after_one_period(diy: CartParams) -> None:
    disturbed = DisturbedCart(diy, Disturbance(response=0.1), step_s=STEP_S, seed=3)
    disturbed.place(HANGING)
    disturbed.step(0.6)
    disturbed.step(0.6)  # the cart's own delay is one period
    drive = diy.motor.level(disturbed.measurement.applied_duty)
    assert drive == pytest.approx(diy.motor.level(0.6) * (1.0 - 0.9**10))


def test_noise_of_speed_and_force_has_the_stated_size(diy: CartParams) -> None:
    quiet = seen(diy, HANGING, [0.0] * 400)
    noisy = seen(diy, HANGING, [0.0] * 400, cart_noise_m_s=0.1, pole_noise_rad_s=0.4)
    assert np.array_equal(noisy[:, [0, 2]], quiet[:, [0, 2]])
    assert np.std(noisy[:, 1]) == pytest.approx(0.1, rel=0.15)
    assert np.std(noisy[:, 3]) == pytest.approx(0.4, rel=0.15)
    disturbed = DisturbedCart(diy, Disturbance(drive_noise=0.1), step_s=STEP_S, seed=3)
    disturbed.place(HANGING)
    drives = []
    for _ in range(400):
        disturbed.step(0.0)
        drives.append(diy.motor.level(disturbed.measurement.applied_duty))
    # each step keeps nothing of the one before: response 1
    assert np.std(drives) == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize("is_on_pole", [False, True])
def test_push_moves_what_it_acts_on_to_its_side_for_as_long_as_it_lasts(diy: CartParams, is_on_pole: bool) -> None:
    height = 0.2 if is_on_pole else 8.0
    signal = 3 if is_on_pole else 1
    for side in (-1.0, 1.0):
        push = Push(at_s=0.2, width_s=0.03, height=side * height, is_on_pole=is_on_pole)
        moved = seen(diy, HANGING, [0.0] * 20, pushes=(push,))
        assert np.all(moved[:2] == moved[0])
        assert side * moved[11, signal] > 0.1
    frictionless = dataclasses.replace(
        diy, friction=dataclasses.replace(diy.friction, pole_coulomb_n_m=0.0, pole_viscous_n_m_s=0.0)
    )
    if is_on_pole:  # its impulse, while the cart stands
        turned = seen(frictionless, HANGING, [0.0] * 20, pushes=(dataclasses.replace(push, width_s=0.004, height=0.2),))
        impulse = 0.2 * 0.004 * math.sqrt(2.0 * math.pi)
        assert turned[11, 3] == pytest.approx(impulse / diy.pole_cart.hinge_inertia_kg_m2, rel=0.2)


def test_driver_that_never_acts_scores_0(diy: CartParams) -> None:
    figures = run(Drives(lambda seen, step: 0.0), diy)
    assert figures == RunFigures(up_share=0.0, up_s=math.inf, longest_s=0.0, is_at_goal=False, stops=())


def test_regulator_holds_the_undisturbed_upright_pole_for_a_share_of_1(diy: CartParams) -> None:
    figures = run(SwingUpPolicyDriver(regulator_of(diy)), diy, start=UPRIGHT)
    assert (figures.up_share, figures.up_s, figures.is_at_goal, figures.stops) == (1.0, 0.0, True, ())


def test_swing_up_controller_is_at_the_goal_without_disturbance(diy: CartParams, swing_up: Driver) -> None:
    figures = run(swing_up, diy)
    assert figures.is_at_goal
    assert figures.longest_s == pytest.approx(6.0 - figures.up_s)
    assert figures.up_share >= 0.5


def test_same_seed_gives_the_same_figures_and_another_seed_others(diy: CartParams, swing_up: Driver) -> None:
    first, again, other = (
        run(swing_up, diy, seed=seed, drive_noise=0.1, pole_noise_rad_s=0.3, cart_noise_m_s=0.05) for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_fallen_pole_switches_the_motor_off_and_begins_another_swing_up(diy: CartParams) -> None:
    regulator = regulator_of(diy)
    driver = Drives(lambda seen, step: regulator.duty(seen) if step < 60 else 0.3 * (step < 70))
    figures = run(driver, diy, start=UPRIGHT)
    assert figures.stops == ("POLE_ANGLE",)
    assert driver.begun == 2
    assert 1.0 < figures.longest_s < 4.0
    assert not figures.is_at_goal


def test_cart_past_its_limit_is_driven_back_before_it_begins_again(diy: CartParams) -> None:
    driver = Drives(lambda seen, step: 0.8)
    figures = run(driver, diy)
    assert set(figures.stops) == {"TRAVEL_LIMIT"}
    assert driver.begun >= 2
    assert driver.steps * 0.02 < 5.0  # the rest of the 6 s went by on the way back


def test_ranges_are_those_of_the_double_pendulum(diy: CartParams) -> None:
    ranges = score_ranges()
    rows = {row.name: row for row in rows_of(diy, ranges)}
    assert (REPORT_SEED, TUNING_SEED) == (21_500_000, 22_500_000)
    success = ranges.success
    assert (success.height_share, success.final_angle_rad, success.final_speed_rad_s) == (0.9, 0.35, 1.0)
    assert (success.run_s, success.share_of_repeats) == (10.0, 0.5)
    assert [len(row.values) for row in rows.values()] == [10, 50, *[21] * 12, 50]
    assert {row.repeats for row in rows.values() if "noise" in row.name} == {10}
    for name in ("cart_mass_kg", "pole_mass_kg", "pole_half_length_m", "pole_inertia_kg_m2"):
        values = rows[f"pole_cart.{name}"].values
        own = getattr(diy.pole_cart, name)
        assert (values[0], values[10], values[-1]) == pytest.approx((0.75 * own, own, 1.25 * own))
    stall_n, weight_n_m = 25.7, 0.1 * 9.81 * 0.25
    assert rows["friction.cart_coulomb_n"].values[-1] == pytest.approx(1.0 + stall_n * 0.2 / 6.0)
    assert rows["friction.pole_coulomb_n_m"].values[-1] == pytest.approx(5e-4 + weight_n_m * 0.2 / 6.0)
    assert rows["force noise"].values[-1] == pytest.approx(1.1 / 6.0)
    assert (rows["speed noise"].values[-1], rows["delay"].values[-1]) == (0.5, 0.04)
    assert (rows["response"].values[0], rows["response"].values[-1]) == (0.1, 2.0)
    pushes = trial(diy, ranges.with_scale(1.0), rows["pushes"], 0, 0, TUNING_SEED).disturbance.pushes
    assert sorted(push.is_on_pole for push in pushes) == [False] * 3 + [True] * 3
    assert all(0.05 <= push.width_s <= 0.1 for push in pushes)
    shares = [abs(push.height) / (weight_n_m if push.is_on_pole else stall_n) for push in pushes]
    assert all(0.5 / 6.0 <= share <= 5.0 / 6.0 for share in shares)
    assert ranges.pushes.scale == 1.497
    minute = trial(diy, ranges, rows["minutes"], 0, 0, TUNING_SEED)
    assert (minute.duration_s, len(minute.disturbance.pushes)) == (60.0, 15)


@pytest.fixture(scope="module")
def policies(diy: CartParams, tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Path]:
    """One that balances, and an untrained one that swings up."""
    folder = tmp_path_factory.mktemp("policies")
    network = make_network(3, inputs=5, hidden=16, outputs=7)
    visited = np.random.default_rng(3).normal(size=(300, 5)).astype(np.float32)
    bundles = {
        Task.BALANCE: regulating_policy(diy),
        Task.SWING_UP: bundle_of(network, diy, visited, {}, task=Task.SWING_UP),
    }
    for task, bundle in bundles.items():
        dataclasses.replace(bundle, provenance={"cart": diy.as_dict()}).save(folder / f"{task}.npz")
    return {task: folder / f"{task}.npz" for task in bundles}


def test_policy_is_scored_next_to_both_references(diy: CartParams, policies: dict[Task, Path]) -> None:
    labels = [[each.label for each in planned_score(policies[task], diy).contenders] for task in Task]
    references = ["swing-up, lqr", "swing-up controller"]
    assert labels == [["swing-up, balance", *references], ["swing_up", *references]]


def test_policy_that_swings_up_drives_alone_and_one_that_balances_after_a_swing_up(
    diy: CartParams, policies: dict[Task, Path]
) -> None:
    contenders = {task: planned_score(path, diy).contenders[0] for task, path in policies.items()}
    alone, after = (
        run(driver_of(contenders[task].source, contenders[task].policy_hash, diy), diy)
        for task in (Task.SWING_UP, Task.BALANCE)
    )
    assert alone.up_share < 0.5
    assert after.is_at_goal
    with pytest.raises(UsageError, match="another policy than when this score was begun"):
        driver_of(contenders[Task.BALANCE].source, "0" * 64, diy)


def test_policy_of_another_cart_is_refused(policies: dict[Task, Path]) -> None:
    with pytest.raises(UsageError, match=r"actions|duties"):
        planned_score(policies[Task.SWING_UP], "quanser_ip02")


def _quick(ranges: ScoreRanges) -> ScoreRanges:
    return dataclasses.replace(
        ranges,
        success=dataclasses.replace(ranges.success, run_s=3.0),
        varied=dataclasses.replace(ranges.varied, values=2, noise_repeats=1),
        pushes=dataclasses.replace(ranges.pushes, profiles=1, each=1),
        long_run=dataclasses.replace(ranges.long_run, duration_s=4.0, pushes=1, runs=1),
        swing_ups=dataclasses.replace(ranges.swing_ups, runs=1),
    )


def _a_row_of_each_part(cart: CartParams, ranges: ScoreRanges) -> tuple[Row, ...]:
    return tuple({row.part: row for row in rows_of(cart, ranges)}.values())


@pytest.mark.long
def test_score_prints_its_figures_and_finds_them_again_in_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "score_ranges", lambda: _quick(score_ranges()))
    monkeypatch.setattr(score_module, "rows_of", _a_row_of_each_part)
    folder, plot = tmp_path / "score", tmp_path / "score.png"
    folder.mkdir()  # an empty one will do
    command = ["score", "lqr", "--cart", "diy_arduino", "--out", str(folder), "--jobs", "1"]
    assert main([*command, "--json", "--plot", str(plot)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [each["label"] for each in record["contenders"]] == ["swing-up, lqr", "swing-up controller"]
    for each in record["contenders"]:
        assert (each["swing_ups"], each["swing_ups_tried"]) == (1, 1)
        assert each["robustness"] == pytest.approx(np.mean(list(each["parts"].values())))
        assert each["parts"]["model"] == 1.0
    assert Image.open(plot).size > (1000, 500)
    cells = sorted((folder / "cells").iterdir())
    written = [cell.stat().st_mtime_ns for cell in cells]
    assert main(command) == 0
    assert "robustness" in capsys.readouterr().out
    assert [cell.stat().st_mtime_ns for cell in cells] == written
    assert main([*command, "--plot", str(plot)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lqr", "--cart", "gym"], "no motor and no encoders"),
        (["lqr"], "name it with --cart"),
        (["nowhere", "--cart", "diy_arduino"], "nowhere"),
        (["lqr", "--cart", "diy_arduino", "--plot", "{tmp}/mine.txt/score.png"], "cannot be written"),
        (["lqr", "--cart", "diy_arduino", "--out", "{tmp}"], "is no score's folder"),
    ],
)
def test_score_refuses_what_it_cannot_do(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["score", *(word.format(tmp=tmp_path) for word in words)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
