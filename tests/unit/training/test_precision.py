"""Precise policies: reward, comparison with the regulator, selection, and the action table they choose from."""

from __future__ import annotations

import dataclasses
import json
import math
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.controllers import choose_controller
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rollout.evaluation import Evaluation
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from cartpole_robot.training.config import (
    GuardAction,
    LearnerReward,
    Selection,
    StepCost,
    TrainingConfig,
    cart_to_learn,
    load_preset,
)
from cartpole_robot.training.dqn.learner import new_learner
from cartpole_robot.training.environment import balancing_env, training_env
from cartpole_robot.training.greedy_evaluation import GreedyEvaluation
from cartpole_robot.training.job import TrainingJob
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.precision import (
    Against,
    PrecisionReward,
    RegulatorReference,
    against,
    regulator_evaluation,
)
from cartpole_robot.training.run import start_training

CART = load_cart("diy_arduino")
PRECISE = load_preset("precise")


def evaluation(position: float, angle: float, power: float, reversals: float) -> Evaluation:
    return Evaluation(
        first_seed=0,
        max_steps=500,
        steps=(500,),
        rms_position_m=position,
        rms_angle_rad=angle,
        mean_power_w=power,
        reversals_per_step=reversals,
    )


def test_score_is_the_worst_figure_and_a_quarter_of_their_mean() -> None:
    found = against(evaluation(0.02, 0.01, 0.5, 0.1), evaluation(0.01, 0.02, 1.0, 0.4))
    assert found == Against(rms_position_m=2.0, rms_angle_rad=0.5, mean_power_w=0.5, reversals_per_step=0.25)
    assert found.score == pytest.approx(2.0 + 0.25 * 3.25 / 4)


def test_a_figure_that_was_not_measured_does_not_count() -> None:
    found = against(evaluation(0.02, 0.01, math.nan, 0.1), evaluation(0.01, 0.02, math.nan, 0.0))
    assert math.isnan(found.mean_power_w)
    assert math.isnan(found.reversals_per_step)
    assert found.score == pytest.approx(2.0 + 0.25 * 2.5 / 2)
    assert found.text == "RMS position 2.00, RMS angle 0.50 times its"


def test_reward_counts_squares_in_units_of_the_regulator() -> None:
    cart = cart_to_learn(PRECISE, CART)
    cost = StepCost(position=0.5, angle=0.25, duty=0.125, reversal=0.0625)
    with closing(balancing_env(cart, "sim", 500, engine=Engine.NATIVE)) as plain:
        regulator = RegulatorReference(plain, episodes=1)
        regulator.figures = evaluation(0.01, 0.02, 1.0, 0.1)
        env = PrecisionReward(plain, cost, regulator, gamma=0.9)
        env.reset(seed=1, options={"state": (0.02, 0.0, 0.01, 0.0)})
        strongest = max(cart.action_duties)
        sides = []
        for action in (6, 3, 0, 0, 4):
            observation, reward, terminated, _, info = env.step(action)
            duty = info["requested_duty"]
            expected = 0.5 * (observation[0] / 0.01) ** 2 + 0.25 * (observation[2] / 0.02) ** 2
            expected += 0.125 * (duty / strongest) ** 2
            sides.append(duty)
            if action == 0 and sides[-2] >= 0.0:  # a push to the left after one to the right, with a pause between
                expected += 0.0625
            if action == 4:
                expected += 0.0625
            assert not terminated
            assert reward == pytest.approx(-0.1 * expected / (1.0 + expected), rel=1e-5)


def test_a_fall_costs_more_than_any_step_can() -> None:
    cart = cart_to_learn(PRECISE, CART)
    with closing(training_env(cart, "sim", PRECISE, engine=Engine.NATIVE)) as env:
        env.reset(seed=1)
        rewards, terminated = [], False
        while not terminated:
            _, reward, terminated, _, _ = env.step(0)
            rewards.append(float(reward))
    assert rewards[-1] == -1.0
    assert all(-(1.0 - PRECISE.gamma) < reward <= 0.0 for reward in rewards[:-1])


def test_falls_after_a_push_that_the_regulator_survives_count_against_a_network() -> None:
    cart = cart_to_learn(PRECISE, CART)
    with closing(balancing_env(cart, "sim", 500, engine=Engine.NATIVE)) as env:
        reference = RegulatorReference(env, episodes=2)
        assert 10 <= len(reference._pushed) < 60, "the regulator recovers from a part of them"
        found = reference.figures
        never_moves = reference.score(found, lambda _: 3, env)
        regulator = regulator_of(cart)
        table = np.array(cart.action_duties)

        def nearest(observation: np.ndarray) -> int:
            return int(np.abs(table - regulator.duty(observation)).argmin())

        assert never_moves == pytest.approx(against(found, found).score + 2.0, abs=0.2)
        assert reference.score(found, nearest, env) < never_moves - 1.0


def test_share_of_the_episodes_begins_as_after_a_push() -> None:
    cart = cart_to_learn(PRECISE, CART)
    config = dataclasses.replace(PRECISE, wide_start_share=0.3, history_length=1)
    with closing(training_env(cart, "sim", config, engine=Engine.NATIVE)) as env:
        env.reset(seed=0)
        starts = np.array([env.reset()[0] for _ in range(400)])
        again = env.reset(seed=0)[0]
    limits, spread = cart.limits, cart.start
    is_wide = np.abs(starts[:, 0]) > spread.cart_position_m + 0.001
    assert 60 <= is_wide.sum() <= 140
    assert np.abs(starts[:, 0]).max() <= 0.5 * limits.cart_position_m + 0.001
    assert np.abs(starts[:, 2]).max() <= 0.4 * limits.pole_angle_rad + 0.003
    assert abs(again[0]) <= spread.cart_position_m + 0.001, "a seeded start is the task's own"


def test_regulator_is_judged_on_the_plain_environment_below_a_history() -> None:
    with (
        closing(balancing_env(CART, "sim", 500, history_length=3, engine=Engine.NATIVE)) as wrapped,
        closing(balancing_env(CART, "sim", 500, engine=Engine.NATIVE)) as plain,
    ):
        found, expected = (regulator_evaluation(env, episodes=3) for env in (wrapped, plain))
    assert found == expected
    assert found.steps == (500, 500, 500)


def trained(config: TrainingConfig, steps: int) -> tuple[TrainingState, GreedyEvaluation]:
    cart = cart_to_learn(config, CART)
    env = training_env(cart, "sim", config, engine=Engine.NATIVE)
    model = new_learner(config, cart, env, seed=0, tensorboard=None)
    model.learn(steps)
    state = TrainingState(model, LearningLog())
    judging = balancing_env(cart, "sim", 15_000, history_length=config.history_length, engine=Engine.NATIVE)
    return state, GreedyEvaluation(state, config, judging)


@pytest.mark.long
def test_a_network_is_selected_by_its_worst_figure_against_the_regulator(tmp_path: Path) -> None:
    config = dataclasses.replace(PRECISE, history_length=1, averaged_steps=None)
    state, looking = trained(config, 100)
    looking.evaluate_now()
    row = state.log.evaluations[-1]
    assert row.against_regulator is not None
    assert row.against_regulator > 1.0, "it falls"
    better = dataclasses.replace(row, mean_steps=500.0, trials=10, against_regulator=0.9, rms_position_m=0.5)
    worse = dataclasses.replace(better, against_regulator=1.1, rms_position_m=0.001)
    assert state.selected is not None
    state.selected = dataclasses.replace(state.selected, row=worse)
    assert looking._is_best(better)
    assert not looking._is_best(worse)
    cart = cart_to_learn(config, CART)
    fresh = new_learner(config, cart, training_env(cart, "sim", config), seed=0, tensorboard=None)
    loaded = load_checkpoint(save_checkpoint(tmp_path, state), fresh)
    assert loaded.selected is not None
    assert loaded.selected.row == worse
    assert loaded.log.evaluations == state.log.evaluations


def test_log_of_a_training_without_a_regulator_has_empty_columns(tmp_path: Path) -> None:
    state, looking = trained(dataclasses.replace(load_preset("recommended"), hidden_units=2), 100)
    looking.evaluate_now()
    state.log.save(tmp_path)
    head, first = (tmp_path / "evaluations.csv").read_text().splitlines()
    assert head.endswith(",against_regulator,position_ratio,angle_ratio,power_ratio,reversals_ratio")
    assert first.endswith(",,,,,")
    assert LearningLog.load(tmp_path).evaluations == state.log.evaluations
    assert state.log.evaluations[0].against_regulator is None


@pytest.mark.parametrize("name", ["gym", "diy_arduino", "quanser_ip02", "sensorsini"])
def test_precise_table_is_fine_symmetric_and_moves_the_cart(name: str) -> None:
    cart = load_cart(name)
    table = cart.precise_table
    assert 5 <= len(table) <= 8
    assert table == tuple(-duty for duty in reversed(table))
    weakest = min(duty for duty in table if duty > 0.0)
    assert cart.motor.stall_force_n * cart.motor.level(weakest) > cart.friction.cart_static_n
    fitted = cart.with_table(table)
    assert fitted.action_duties == table
    assert fitted.with_table(fitted.precise_table) is fitted
    assert cart.with_table((-0.5, 0.5)) is cart
    assert cart_to_learn(load_preset("recommended"), cart) is cart


def test_cart_without_a_table_gets_one_that_overcomes_dead_zone_and_friction() -> None:
    cart = dataclasses.replace(
        CART,
        precise_duties=None,
        motor=dataclasses.replace(CART.motor, dead_zone_duty=0.1),
        action_duties=(-0.3, 0.3),
    )
    weakest = min(duty for duty in cart.precise_table if duty > 0.0)
    assert cart.motor.stall_force_n * cart.motor.level(weakest) > cart.friction.cart_static_n
    assert 0.0 in cart.precise_table
    assert cart.precise_table[-2:] == (0.375, 1.0)


def test_cart_without_dry_friction_gets_four_duties_to_each_side() -> None:
    cart = dataclasses.replace(load_cart("sensorsini"), precise_duties=None)
    assert cart.friction.cart_static_n == 0.0
    table = cart.precise_table
    assert len(table) == 8
    assert 0.0 not in table
    assert table[4] == round(1.25 * cart.motor.dead_zone_duty, 3)
    assert table[-2:] == (0.45, 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cost": None}, "learner_reward = 'precision' without a section"),
        ({"learner_reward": LearnerReward.FALL}, "learner_reward = 'fall' with a section"),
        ({"collapse_guard": GuardAction.HOLD}, "collapse_guard = 'hold' with learner_reward = 'precision'"),
        ({"scale_observations": False}, "input_gain = .* with scale_observations = false"),
        ({"input_gain": 100.0}, "input_gain = 100, expected at most 16"),
        ({"wide_start_share": 1.5}, "wide_start_share = 1.5, expected 0 to 1"),
        ({"gamma": 1.0}, "gamma = 1 with learner_reward = 'precision', expected less than 1"),
        (
            {"cost": None, "learner_reward": LearnerReward.TASK},
            "expected .* 'step', 'fall' or 'precision' for 'balance'",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PRECISE, **changes)


@pytest.mark.parametrize("name", ["position", "angle", "duty", "reversal"])
def test_negative_cost_is_refused(name: str) -> None:
    assert PRECISE.cost is not None
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(PRECISE.cost, **{name: -1.0})


@pytest.mark.long
def test_policy_finds_its_table_on_the_cart_it_is_for_and_is_refused_elsewhere(tmp_path: Path) -> None:
    """A short training of the preset: what it exports runs on the cart by name, and knows how it compares."""
    config = dataclasses.replace(PRECISE, steps=3000, extension_steps=0, evaluation_episodes=2, hidden_units=16)
    job = TrainingJob(
        config=config,
        cart=cart_to_learn(config, CART),
        rig="sim",
        engine=Engine.NATIVE,
        seed=1,
        folder=tmp_path / "run",
        tensorboard=False,
    )
    outcome = start_training(job)
    assert outcome.summary is not None
    assert "against LQR" in outcome.summary.text()
    recorded = json.loads((job.folder / "summary.json").read_text())["against_regulator"]
    assert set(recorded) == {"rms_position_m", "rms_angle_rad", "mean_power_w", "reversals_per_step"}
    chosen = choose_controller(job.folder, "diy_arduino", "c")
    assert chosen.cart.action_duties == CART.precise_table
    assert chosen.note is None, "the cart is the one of the training"
    other = dataclasses.replace(CART, precise_duties=(-0.5, -0.2, 0.0, 0.2, 0.5))
    with pytest.raises(UsageError, match="the policy's action_duties is"):
        choose_controller(job.folder, other, "c")


def test_cart_without_a_regulator_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_exists(cart: CartParams) -> None:
        raise UsageError(f"cart {cart.name!r}: no regulator can be found")

    monkeypatch.setattr("cartpole_robot.training.precision.regulator_of", none_exists)
    job = TrainingJob(
        config=PRECISE, cart=CART, rig="sim", engine=Engine.NATIVE, seed=1, folder=tmp_path / "run", tensorboard=False
    )
    with pytest.raises(UsageError, match="no regulator"):
        start_training(job)
    assert not job.folder.exists()


def test_selection_by_the_regulator_needs_no_precise_reward() -> None:
    config = dataclasses.replace(load_preset("recommended"), selection=Selection.REGULATOR)
    state, looking = trained(config, 100)
    looking.evaluate_now()
    assert np.isfinite(state.log.evaluations[-1].against_regulator or math.nan)
