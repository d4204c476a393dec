"""Which network a training exports: greedy evaluations of handmade networks on a real environment."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.network import Network
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.checkpoint import TrainingState
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.dqn.learner import new_learner, set_network
from cartpole_robot.training.environment import balancing_env, training_env
from cartpole_robot.training.greedy_evaluation import GreedyEvaluation
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.trials import TRIAL_RUNS, TRIAL_STARTS, TRIAL_STEPS

SHORT_TRIALS = 16 + TRIAL_STARTS  # the corners of four ranges, and random starts
ALL_TRIALS = SHORT_TRIALS + 16 + TRIAL_RUNS


def linear(cart: CartParams, gain: np.ndarray, bias: float = 0.0) -> Network:
    """Pushes to the side of -gain · state, or with a bias drifts: two hidden units, one for each sign.

    `gain` has shape (4,), SI units.
    """
    scale = np.array(cart.observation_scale.as_tuple(), np.float32)
    row = (-gain * scale / np.abs(gain * scale).max()).astype(np.float32)
    return Network(
        input_gain=1.0 / scale,
        hidden_weight=np.stack([row, -row]),
        hidden_bias=np.array([bias, -bias], np.float32),
        output_weight=np.array([[0.0, 1.0], [1.0, 0.0]], np.float32),
        output_bias=np.zeros(2, np.float32),
    )


@pytest.fixture
def looked_at(gym_cart: CartParams) -> tuple[TrainingState, GreedyEvaluation]:
    config = dataclasses.replace(load_preset("recommended"), hidden_units=2)
    model = new_learner(config, gym_cart, training_env(gym_cart, "sim", config), seed=0, tensorboard=None)
    model.learn(4)
    state = TrainingState(model, LearningLog())
    return state, GreedyEvaluation(state, config, balancing_env(gym_cart, "sim", TRIAL_STEPS, engine=Engine.NATIVE))


def test_a_network_that_survives_every_trial_is_verified_and_stays_best(
    gym_cart: CartParams, looked_at: tuple[TrainingState, GreedyEvaluation]
) -> None:
    state, evaluation = looked_at
    regulator = design_lqr(gym_cart).state_gain
    calm = linear(gym_cart, regulator)
    # survives 500 steps from random starts; the cart creeps away in the long runs, or from a corner
    creeping = linear(gym_cart, regulator * np.array([0.0, 0.1, 1.0, 1.0]), bias=0.01)
    leaning = linear(gym_cart, regulator * np.array([0.0, 0.1, 1.0, 1.0]), bias=0.02)
    evaluation.evaluate_now()
    assert evaluation.first_verified_step is None
    falling = linear(gym_cart, -regulator)
    for network, mean_steps, trials in (
        (leaning, 500, 0),
        (creeping, 500, SHORT_TRIALS),
        (calm, 500, ALL_TRIALS),
        (falling, 8, 0),
    ):
        set_network(state.model, network)
        state.model.num_timesteps += 1000
        evaluation.evaluate_now()
        row = state.log.evaluations[-1]
        assert round(row.mean_steps) == mean_steps
        assert row.trials == trials
        assert evaluation.is_durable == (network is calm or network is falling)
        assert evaluation.may_end == (network is calm), "not with a newest network that falls"
    assert state.selected is not None
    assert state.selected.row is state.log.evaluations[3]
    assert (state.selected.network.hidden_weight == calm.hidden_weight).all()
    assert evaluation.first_verified_step == state.log.evaluations[3].step


def test_trials_run_only_for_a_network_that_could_be_the_best(
    gym_cart: CartParams, looked_at: tuple[TrainingState, GreedyEvaluation]
) -> None:
    state, evaluation = looked_at
    regulator = design_lqr(gym_cart).state_gain
    for gain in (regulator, regulator * np.array([0.1, 0.1, 1.0, 1.0])):
        set_network(state.model, linear(gym_cart, gain))
        evaluation.evaluate_now()
    calm, straying = state.log.evaluations
    assert straying.mean_steps == 500.0
    assert straying.rms_position_m > calm.rms_position_m
    assert (calm.trials, straying.trials) == (ALL_TRIALS, 0)
