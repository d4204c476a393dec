"""The weights of a precise reward that follow the evaluations."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.adaptive_cost import cost_after
from cartpole_robot.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from cartpole_robot.training.config import Selection, StepCost, TrainingConfig, cart_to_learn, load_preset
from cartpole_robot.training.dqn.learner import new_learner
from cartpole_robot.training.environment import balancing_env, training_env
from cartpole_robot.training.greedy_evaluation import GreedyEvaluation
from cartpole_robot.training.learning import learn
from cartpole_robot.training.log import EvaluationRow, LearningLog
from cartpole_robot.training.precision import PrecisionReward

PLANNED = StepCost(position=0.1, angle=0.2, duty=1.0, reversal=0.02, adapts_from=0.4)
CONFIG = dataclasses.replace(load_preset("precise"), steps=10_000, cost=PLANNED)
CART = cart_to_learn(CONFIG, load_cart("quanser_ip02"))


def row(
    position: float | None = 1.0,
    angle: float | None = 1.0,
    power: float | None = 0.9,
    reversals: float | None = 1.0,
    *,
    step: int = 4000,
    mean_steps: float = 500.0,
) -> EvaluationRow:
    return EvaluationRow(
        step,
        mean_steps,
        0.01,
        against_regulator=1.0,
        position_ratio=position,
        angle_ratio=angle,
        power_ratio=power,
        reversals_ratio=reversals,
    )


def test_a_position_that_lags_behind_costs_more_and_the_angle_less() -> None:
    cost = cost_after(CONFIG, [row(position=1.1, angle=0.9, power=0.92 * (1.1 * 0.9) ** 0.5, reversals=0.5)])
    assert cost.position > 1.05 * PLANNED.position
    assert cost.angle < 0.95 * PLANNED.angle
    assert cost.position * cost.angle == pytest.approx(PLANNED.position * PLANNED.angle)
    assert cost.duty == pytest.approx(PLANNED.duty)
    assert (cost.reversal, cost.adapts_from) == (PLANNED.reversal, PLANNED.adapts_from)


@pytest.mark.parametrize(("power", "reversals"), [(1.4, 0.5), (0.5, 1.6), (None, 1.4), (1.4, None)])
def test_effort_above_the_regulators_makes_a_duty_cost_more(power: float | None, reversals: float | None) -> None:
    cost = cost_after(CONFIG, [row(power=power, reversals=reversals)])
    assert cost.duty > 1.1 * PLANNED.duty
    assert (cost.position, cost.angle) == (PLANNED.position, PLANNED.angle)


def test_effort_to_spare_makes_a_duty_cost_less() -> None:
    assert cost_after(CONFIG, [row(power=0.4, reversals=0.5)]).duty < 0.8 * PLANNED.duty


def test_changes_add_up_to_a_bound() -> None:
    far = row(position=3.0, angle=0.5, power=5.0)
    once, always = cost_after(CONFIG, [row(position=1.1, angle=1.0)]), cost_after(CONFIG, [far] * 50)
    assert PLANNED.position < once.position < always.position
    assert always.position == pytest.approx(2.0 * PLANNED.position)
    assert always.angle == pytest.approx(PLANNED.angle / 2.0)
    assert always.duty == pytest.approx(4.0 * PLANNED.duty)


@pytest.mark.parametrize(
    "ignored",
    [
        row(position=2.0, power=3.0, step=3999),
        row(position=2.0, power=3.0, mean_steps=499.9),
        row(position=None, angle=None, power=3.0),
        EvaluationRow(4000, 500.0, 0.01),
    ],
)
def test_an_early_evaluation_or_one_with_a_fall_changes_nothing(ignored: EvaluationRow) -> None:
    assert cost_after(CONFIG, [ignored]) == PLANNED


def test_unknown_effort_leaves_the_duty_alone() -> None:
    cost = cost_after(CONFIG, [row(position=1.2, power=None, reversals=None)])
    assert cost.position > PLANNED.position
    assert cost.duty == PLANNED.duty


def test_weights_stay_without_adapts_from() -> None:
    fixed = dataclasses.replace(PLANNED, adapts_from=None)
    assert cost_after(dataclasses.replace(CONFIG, cost=fixed), [row(position=2.0, power=3.0)]) == fixed


def new_state(config: TrainingConfig) -> TrainingState:
    env = training_env(CART, "sim", config, engine=Engine.NATIVE)
    return TrainingState(new_learner(config, CART, env, seed=5, tensorboard=None), LearningLog())


def weights(state: TrainingState) -> tuple[float, float, float]:
    """Of position, angle and duty, as the training's reward has them, in units of what `PLANNED` gives."""
    reward = state.model.get_env().envs[0]  # type: ignore[union-attr]
    assert isinstance(reward, PrecisionReward)
    now = (reward._position, reward._angle, reward._duty)
    reward.set_cost(PLANNED)
    planned = (reward._position, reward._angle, reward._duty)
    return now[0] / planned[0], now[1] / planned[1], now[2] / planned[2]


def test_a_training_and_its_checkpoint_have_the_weights_that_follow_from_its_log(tmp_path: Path) -> None:
    config = dataclasses.replace(
        CONFIG, evaluation_episodes=5, evaluate_every_steps=1000, extension_steps=0, averaged_steps=2000
    )
    state = new_state(config)
    with closing(balancing_env(CART, "sim", 15_000, history_length=3, engine=Engine.NATIVE)) as env:
        learn(state, config, env, name="test")
        rows = state.log.evaluations
        expected = cost_after(config, rows)
        assert expected.position != PLANNED.position, "a network balanced in an evaluation"
        assert all(None not in (each.position_ratio, each.power_ratio, each.reversals_ratio) for each in rows)
        ratios = [getattr(expected, name) / getattr(PLANNED, name) for name in ("position", "angle", "duty")]
        assert weights(state) == pytest.approx(ratios)
        resumed = load_checkpoint(save_checkpoint(tmp_path, state), new_state(config).model)
        GreedyEvaluation(resumed, config, env)
    assert weights(resumed) == pytest.approx(ratios)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"cost\.adapts_from = .*, expected 0 to 1"):
        dataclasses.replace(PLANNED, adapts_from=share)


def test_weights_that_follow_a_comparison_need_one() -> None:
    with pytest.raises(ValueError, match=r"cost\.adapts_from with selection = 'position', expected 'regulator'"):
        dataclasses.replace(CONFIG, selection=Selection.POSITION)
