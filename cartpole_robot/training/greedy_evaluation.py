"""Greedy evaluation of a training: the figures of the newest network, and the choice of the best one."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import gymnasium
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.policy.network import ActionFunction, float_action_function
from cartpole_robot.rollout.evaluation import SELECTION_SEED, Evaluation, evaluate
from cartpole_robot.rollout.swing_up_evaluation import SwingUpEvaluation
from cartpole_robot.rollout.trials import Trials, TrialsRecord
from cartpole_robot.task import Task
from cartpole_robot.training.adaptive_cost import cost_after
from cartpole_robot.training.checkpoint import Selected, TrainingState
from cartpole_robot.training.config import Selection, TrainingConfig
from cartpole_robot.training.dqn.learner import network_of
from cartpole_robot.training.log import EvaluationRow
from cartpole_robot.training.precision import Against, PrecisionReward, RegulatorReference, against
from cartpole_robot.training.swing_up_trials import swung_up
from cartpole_robot.training.trials import trials_of


class GreedyEvaluation(BaseCallback):
    """Evaluates the greedy policy on the selection seeds every `evaluate_every_steps` and keeps the best network.

    Where the training averages its network, that is the network evaluated.

    The best network survives, or holds, the most steps. One with all of them also runs the trials. Ties go to the
    network that strays least from the middle of the track, because a long run needs that, or with
    `Selection.REGULATOR` to the one that compares best with the cart's regulator.
    """

    def __init__(
        self,
        state: TrainingState,
        config: TrainingConfig,
        env: gymnasium.Env[Any, Any],
        randomization: Randomization | None = None,
    ) -> None:
        """`env` draws its carts from `randomization`, if given."""
        super().__init__()
        self._state = state
        self._config = config
        self._env = env
        self._trials = trials_of(config, env, randomization)
        self._regulator = self._reference() if config.selection is Selection.REGULATOR else None
        self._adapt_cost()
        self.first_verified_s: float | None = (
            None  # learning time up to `first_verified_step`; None if an earlier run reached it
        )

    def _on_step(self) -> bool:
        if self.num_timesteps % self._config.evaluate_every_steps == 0:
            self.evaluate_now()
            if self._config.ends_when_verified:
                return self.first_verified_step is None
            is_extended = self._config.extension_steps > 0 and self.num_timesteps > self._config.steps
            return not (is_extended and self.may_end)
        return True

    def evaluate_newest(self) -> None:
        """Count the time, and evaluate the current network unless the last evaluation was of this step.

        The selected network runs the trials that were put off.
        """
        state = self._state
        rows = state.log.evaluations
        state.count_time()
        if not rows or rows[-1].step != state.model.num_timesteps:
            self.evaluate_now()
        best = state.selected
        assert best is not None
        if self._regulator is not None and best.row.mean_steps >= MAX_EPISODE_STEPS and best.row.trials == 0:
            row = dataclasses.replace(best.row, trials=self._survived(float_action_function(best.network)))
            rows[[each.step for each in rows].index(row.step)] = row
            state.selected = dataclasses.replace(best, row=row)
            if row.trials == len(self._trials):
                self.first_verified_s = state.count_time()

    @property
    def _runs_trials(self) -> bool:
        """Whether a network that balances best runs the trials at once.

        Where figures decide, the best of them changes often, and with rare exceptions passes: it waits for the end.
        """
        return self._regulator is None or self._state.model.num_timesteps > self._config.steps

    def _balances_best(self, row: EvaluationRow) -> bool:
        """Whether the network of `row` balances, and is the best so far if it passes every trial."""
        return row.mean_steps >= MAX_EPISODE_STEPS and self._is_best(dataclasses.replace(row, trials=len(self._trials)))

    def evaluate_now(self) -> None:
        """Evaluate the current network and keep a copy if it is the best so far."""
        state = self._state
        network = state.averaged or network_of(state.model)
        act = float_action_function(network)
        result = self._evaluated(act)
        row = EvaluationRow(state.model.num_timesteps, result.mean_steps, result.rms_position_m)
        if self._regulator is not None and isinstance(result, Evaluation):
            score = self._regulator.score(result, act, self._env)
            row = _compared(row, against(result, self._regulator.figures), score)
        if self._runs_trials and self._balances_best(row):
            row = dataclasses.replace(row, trials=self._survived(act))
        state.log.evaluations.append(row)
        if hasattr(state.model, "_logger"):  # not where a training is resumed at its end
            state.model.logger.record("evaluation/mean_steps", row.mean_steps)
        if self.first_verified_step == row.step:
            self.first_verified_s = state.count_time()
        if self._is_best(row):
            state.selected = Selected(network, row)
        self._adapt_cost()

    def _adapt_cost(self) -> None:
        """Set the weights of the reward that follow from the evaluations so far, those of an earlier run included."""
        cost = self._config.cost
        if cost is not None and cost.adapts_from is not None:
            training = self._training_env()
            assert isinstance(training, PrecisionReward)
            training.set_cost(cost_after(self._config, self._state.log.evaluations))

    def _evaluated(self, act: ActionFunction) -> Evaluation | SwingUpEvaluation:
        episodes = self._config.evaluation_episodes
        if self._config.task is Task.SWING_UP:
            return swung_up(act, self._env, episodes=episodes, first_seed=SELECTION_SEED, hold_steps=MAX_EPISODE_STEPS)
        return evaluate(act, self._env, episodes=episodes, first_seed=SELECTION_SEED, max_steps=MAX_EPISODE_STEPS)

    def _reference(self) -> RegulatorReference:
        """That of the training's reward, if it has one."""
        training = self._training_env()
        if isinstance(training, PrecisionReward):
            return training.regulator
        return RegulatorReference(self._env, episodes=self._config.evaluation_episodes)

    def _training_env(self) -> gymnasium.Env[Any, Any]:
        return cast(DummyVecEnv, self._state.model.env).envs[0]

    def _survived(self, act: ActionFunction) -> int:
        """Trials survived; a swing-up is given up where it will not be the best."""
        if isinstance(self._trials, Trials):
            return self._trials.survived(act)
        best = self._state.selected
        return self._trials.survived(act, least=0 if best is None else best.row.trials)

    @property
    def is_durable(self) -> bool:
        """Whether the selected network has passed every trial."""
        best = self._state.selected
        return best is not None and best.row.mean_steps >= MAX_EPISODE_STEPS and best.row.trials == len(self._trials)

    @property
    def may_end(self) -> bool:
        """Whether the selected network has passed every trial, and the newest survived its evaluation episodes."""
        return self.is_durable and self._state.log.evaluations[-1].mean_steps >= MAX_EPISODE_STEPS

    def trials_of_selected(self) -> TrialsRecord:
        """The trials of the selected network; unless it has passed all, they run again, each to its end."""
        best = self._state.selected
        assert best is not None
        if self.is_durable:
            return TrialsRecord(of=len(self._trials))
        return self._trials.record(float_action_function(best.network))

    def _is_best(self, row: EvaluationRow) -> bool:
        best = self._state.selected
        return best is None or _rank(row) > _rank(best.row)

    @property
    def first_verified_step(self) -> int | None:
        """The step at which a network first survived all its evaluation episodes and trials; None if none has."""
        for row in self._state.log.evaluations:
            if row.mean_steps >= MAX_EPISODE_STEPS and row.trials == len(self._trials):
                return row.step
        return None


def _compared(row: EvaluationRow, found: Against, score: float) -> EvaluationRow:
    return dataclasses.replace(
        row,
        against_regulator=score,
        position_ratio=_known(found.rms_position_m),
        angle_ratio=_known(found.rms_angle_rad),
        power_ratio=_known(found.mean_power_w),
        reversals_ratio=_known(found.reversals_per_step),
    )


def _known(ratio: float) -> float | None:
    return None if math.isnan(ratio) else ratio


def _rank(row: EvaluationRow) -> tuple[float, int, float]:
    figure = row.rms_position_m if row.against_regulator is None else row.against_regulator
    return (row.mean_steps, row.trials, -figure)
