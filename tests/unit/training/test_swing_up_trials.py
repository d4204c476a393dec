"""Which network a swing-up exports: trials that count failures, the running mean, and hard starts."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.policy.network import ActionFunction, Network, float_action_function
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.averaging import Averaging
from cartpole_robot.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from cartpole_robot.training.config import TrainingConfig, load_preset
from cartpole_robot.training.dqn.learner import network_of, new_learner
from cartpole_robot.training.environment import swing_up_env, training_env
from cartpole_robot.training.learning import run_learner
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.swing_up_trials import Practice, SwingUpTrials

CART = load_cart("diy_arduino")


def short(**change: object) -> TrainingConfig:
    made = dataclasses.replace(
        load_preset("swing_up"), steps=2000, learning_starts=100, hidden_units=8, evaluate_every_steps=500
    )
    return dataclasses.replace(made, **change)  # type: ignore[arg-type]


class Scripted(SwingUpTrials):
    """Trials of which a network fails those in `fails`."""

    def _passes(self, act: ActionFunction, number: int, stack: ExitStack) -> bool:
        self.seen.append(number)
        return number not in self.fails

    def look(self, *fails: int, least: int = 0) -> int:
        self.seen: list[int] = []
        self.fails = fails
        return self.survived(lambda observation: 0, least)


def test_network_is_given_up_once_it_cannot_be_the_best_and_what_failed_comes_first() -> None:
    with closing(swing_up_env(CART, "sim", 500, engine=Engine.NATIVE)) as env:
        trials = Scripted(env, load_preset("swing_up"), first_seed=1_000_010)
    assert len(trials) == 2010
    assert trials.look() == 2010
    assert trials.look(5, 700) == 2008
    assert trials.look(700, 30, 40, least=2008) == 39, "5 and 700 first, then 0 to 40, the third failure"
    assert trials.seen[:2] == [5, 700]
    assert trials.look(*range(1000)) == 0, "one failure in 300 is as bad as many"
    assert len(trials.seen) == 7


def test_policy_that_never_swings_up_is_given_up_after_seven_trials() -> None:
    network = Network(
        input_gain=np.ones(5, np.float32),
        hidden_weight=np.zeros((1, 5), np.float32),
        hidden_bias=np.zeros(1, np.float32),
        output_weight=np.zeros((7, 1), np.float32),
        output_bias=np.eye(7, dtype=np.float32)[3],
    )
    with closing(swing_up_env(CART, "sim", 500, engine=Engine.NATIVE)) as env:
        trials = SwingUpTrials(env, load_preset("swing_up"), first_seed=1_000_010)
        assert trials.survived(float_action_function(network)) == 0
        record = trials.record(float_action_function(network))
        assert (record.passed, record.of, len(record.failed), record.skipped) == (0, 2010, 7, 2003)
        assert [one.seed for one in record.failed] == list(range(1_000_010, 1_000_017))
        assert record.failed[0].text == "catch 1000010: 0 of 150 steps: not up"
        assert record.text.endswith("4 more; 2003 did not run")
        with ExitStack() as stack:
            assert not trials._passes(float_action_function(network), 2009, stack), "behind the firmware too"


@pytest.fixture(scope="module")
def trained() -> TrainingState:
    """A short training with practice, and the plain mean of its networks, which `averaged_steps` exceed."""
    config = short(averaged_steps=40_000, hard_start_share=1.0)
    env = training_env(CART, "sim", config, engine=Engine.NATIVE)
    state = TrainingState(new_learner(config, CART, env, seed=0, tensorboard=None), LearningLog())
    with closing(swing_up_env(CART, "sim", 500, engine=Engine.NATIVE)) as looking:
        run_learner(state, config, [Averaging(state, 40_000), Practice(state, config, looking)], name="short")
    return state


def test_running_mean_is_neither_the_newest_network_nor_the_first(trained: TrainingState) -> None:
    assert trained.averaged is not None
    newest = network_of(trained.model)
    assert not np.array_equal(trained.averaged.hidden_weight, newest.hidden_weight)
    assert np.array_equal(trained.averaged.input_gain, newest.input_gain)
    assert np.abs(trained.averaged.hidden_weight - newest.hidden_weight).max() < 0.5


def test_starts_that_failed_are_those_of_the_next_episodes(trained: TrainingState) -> None:
    assert len(trained.hard_starts) == 200, "the newest of 800"
    env = trained.model.get_env().envs[0]  # type: ignore[union-attr]
    assert env.get_wrapper_attr("hard_starts") is trained.hard_starts
    begun = env.reset()[0]
    nearest = min(abs(start.cart_position_m - begun[0]) for start in trained.hard_starts)
    assert nearest < 1e-3
    drawn = [np.cos(start.pole_angle_rad) for start in trained.hard_starts]
    assert max(drawn) < 0.0


def test_mean_and_hard_starts_come_back_from_a_checkpoint(trained: TrainingState, tmp_path: Path) -> None:
    config = short(averaged_steps=40_000, hard_start_share=1.0)
    path = save_checkpoint(tmp_path, trained)
    env = training_env(CART, "sim", config, engine=Engine.NATIVE)
    state = load_checkpoint(path, new_learner(config, CART, env, seed=0, tensorboard=None))
    assert state.hard_starts == trained.hard_starts
    assert state.averaged is not None
    assert trained.averaged is not None
    assert np.array_equal(state.averaged.output_weight, trained.averaged.output_weight)


@pytest.mark.parametrize("change", [{"hard_start_share": 0.5}, {"ends_when_verified": True}])
def test_options_of_a_swing_up_are_refused_for_balancing(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="they are for 'swing_up'"):
        dataclasses.replace(load_preset("recommended"), **change)  # type: ignore[arg-type]
