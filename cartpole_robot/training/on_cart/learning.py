"""Learning on the cart itself: it acts in real time, and learns only between episodes, while the cart is disarmed.

A gradient step takes longer than a command may be late. So an episode is acted out by a copy of the network in C,
its steps are kept, the cart is disarmed, and then the steps go into the replay memory and the learner makes the
updates that they would have given, in the same order.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError, RunError
from cartpole_robot.policy.network import float_action_function
from cartpole_robot.rollout.evaluation import SELECTION_SEED, Evaluation, evaluate
from cartpole_robot.training.callbacks import Stopped
from cartpole_robot.training.cart_progress import CartEvaluation, CartProgress
from cartpole_robot.training.checkpoint import Selected, TrainingState, end_stored_episode, save_checkpoint
from cartpole_robot.training.config import EpsilonClock, LearnerReward, TrainingConfig
from cartpole_robot.training.dqn.epsilon import annealed_epsilon
from cartpole_robot.training.dqn.learner import follow_target, network_of
from cartpole_robot.training.log import EpisodeRow, EvaluationRow
from cartpole_robot.training.on_cart.episode import (
    StopBetweenSteps,
    Transition,
    Watched,
    no_garbage_collection,
)

MAX_UPDATES = 4000  # between two episodes: a few seconds for whoever waits beside the cart
MAX_FAULTS = 10  # episodes in a row that the rig failed in: a policy may provoke them, and learn not to
MAX_FALSE_STARTS = 3  # the same without a single step: no learning mends that
_KEPT_CHECKPOINTS = 3


class CartLearning:
    """Episodes on one rig, each counted, until the policy balances or `config.episodes` are used up.

    `on_episode` is called after each, with its steps.
    """

    def __init__(
        self,
        config: TrainingConfig,
        state: TrainingState,
        env: gymnasium.Env[Any, Any],
        checkpoints: Path,
        stop: StopBetweenSteps,
        on_episode: Callable[[int], object] = lambda steps: None,
    ) -> None:
        assert state.on_cart is not None
        assert isinstance(env.unwrapped, CartPoleEnv)
        self._config = config
        self._state = state
        self._model = state.model
        self._progress: CartProgress = state.on_cart
        self._env = env
        self._cart_env = env.unwrapped
        self._checkpoints = checkpoints
        self._stop = stop
        self._on_episode = on_episode
        self._budget = config.episodes or 0
        self._faults_in_a_row = self._false_starts = 0

    @property
    def episodes(self) -> int:
        """Episodes the cart has been through, learning and evaluation."""
        return len(self._state.log.episodes) + self._progress.evaluation_episodes

    @property
    def epsilon(self) -> float:
        """Epsilon now, by the schedule of the simulation's training."""
        config = self._config
        is_by_steps = config.epsilon_clock is EpsilonClock.STEPS
        progress = self._model.num_timesteps / config.steps if is_by_steps else self.episodes / max(1, self._budget)
        return annealed_epsilon(
            progress, start=config.epsilon_start, end=config.epsilon_end, fraction=config.epsilon_fraction
        )

    def run(self) -> bool:
        """Learn; True when it is over, False when a person stopped it. The cart is disarmed, a checkpoint written.

        Raises `RunError` after `MAX_FAULTS` faults of the rig in a row, or `MAX_FALSE_STARTS`.
        """
        try:
            while not self._is_over():
                self._stop.check()
                if self._progress.initial is None:
                    self._evaluate()
                else:
                    self._learn_an_episode()
        except (Stopped, KeyboardInterrupt):
            return False
        finally:
            self._stand_down()
            self.save()
        return True

    def save(self) -> Path:
        """Write a checkpoint of this moment, of which the newest few are kept; returns its folder."""
        self._state.count_time()
        path = save_checkpoint(self._checkpoints, self._state)
        for old in sorted(self._checkpoints.glob("step_*"))[:-_KEPT_CHECKPOINTS]:
            shutil.rmtree(old, ignore_errors=True)
        return path

    def _is_over(self) -> bool:
        best = self._progress.best
        return (
            (best is not None and best.is_flawless)
            or self.episodes >= self._budget
            or self._model.num_timesteps >= self._config.steps
        )

    def _learn_an_episode(self) -> None:
        epsilon = self.epsilon
        steps: list[Transition] = []
        try:
            fault = self._act_out(epsilon, steps)
        finally:  # stopped by a person: what was seen is kept
            is_disarmed = self._stand_down()
            self._remember(steps, epsilon)
        self._on_episode(len(steps))
        if fault is not None:
            self._note_fault(fault, len(steps))
        else:
            self._faults_in_a_row = self._false_starts = 0
            self._evaluate_if_promising(steps)
        if is_disarmed and not self._is_over():
            self._update(len(steps))
        self.save()

    def _act_out(self, epsilon: float, steps: list[Transition]) -> str | None:
        """One episode into `steps`; the rig's fault where one ended it. Raises `Stopped`."""
        config, model, env = self._config, self._model, self._env
        act = float_action_function(network_of(model))
        marks_falls = config.learner_reward is LearnerReward.FALL
        try:
            observation = self._reset()
        except RigError as error:
            return str(error)
        with no_garbage_collection():
            while len(steps) < config.max_steps:
                self._stop.check()
                explores = np.random.rand() < epsilon
                action = int(model.action_space.sample()) if explores else act(observation)
                following, reward, has_fallen, _, info = env.step(action)
                if "fault" in info:  # nothing was measured: a step that never was
                    return str(info["fault"])
                learned = -float(has_fallen) if marks_falls else float(reward)
                steps.append(Transition(observation, following, action, learned, has_fallen))
                observation = following
                if has_fallen:
                    break
        return None

    def _reset(self) -> NDArray[np.float32]:
        """The first observation of an episode; a person may wait for the pole, and Ctrl-C works at once."""
        self._stop.at_once = True
        try:
            self._stop.check()
            observation: NDArray[np.float32] = self._env.reset()[0]
            return observation
        finally:
            self._stop.at_once = False

    def _stand_down(self) -> bool:
        """Whether the cart has said that it is disarmed."""
        try:
            self._cart_env.disarm()
        except RigError:  # the firmware's timeout has stopped the motor; the next reset tells what is wrong
            return False
        return True

    def _remember(self, steps: list[Transition], epsilon: float) -> None:
        """The transitions into the replay memory; an episode that did not end by a fall is cut, not over."""
        if not steps:
            return
        model = self._model
        memory = model.replay_buffer
        assert memory is not None
        for step in steps:
            memory.add(
                step.observation[None],
                step.following[None],
                np.array([[step.action]]),
                np.array([step.reward]),
                np.array([step.has_fallen]),
                [{}],
            )
        end_stored_episode(model)
        self._progress.visited.extend(step.observation for step in steps)
        model.num_timesteps += len(steps)
        model._episode_num += 1
        model.exploration_rate = epsilon
        self._state.log.episodes.append(EpisodeRow(model.num_timesteps, len(steps), epsilon))
        model.logger.record("rollout/steps", len(steps))
        model.logger.record("rollout/exploration_rate", epsilon)
        model.logger.dump(step=model.num_timesteps)

    def _update(self, steps: int) -> None:
        """What so many steps give: gradient steps and steps of the target network in the order of a simulation's."""
        model, config = self._model, self._config
        if model.num_timesteps < config.learning_starts:
            return
        updates = 0
        for _ in range(steps):
            model._n_calls += 1
            if model._n_calls % config.train_every_steps == 0:
                model.train(config.gradient_steps, config.batch_size)
                updates += config.gradient_steps
            if model._n_calls % config.target_update_every_steps == 0:
                follow_target(model)
            if updates >= MAX_UPDATES:
                break
        self._progress.updates += updates

    def _evaluate_if_promising(self, steps: list[Transition]) -> None:
        """Evaluate the network that has just lasted longer than the best one's mean, before it is changed."""
        best, rows = self._progress.best, self._state.log.evaluations
        is_due = not rows or self._model.num_timesteps - rows[-1].step >= self._config.evaluate_every_steps
        if is_due and (best is None or len(steps) > best.mean_steps or len(steps) == self._config.max_steps):
            self._evaluate()

    def _evaluate(self) -> None:
        """The greedy policy, episode by episode until the first fall or fault; the best network is kept.

        Nothing of it goes into the replay memory: evaluation and learning never see the same steps.
        """
        network = network_of(self._model)
        watched = Watched(float_action_function(network), self._env, self._progress, self._stop)
        results: list[Evaluation] = []
        survived = 0
        inner = self._cart_env
        kept = inner.np_random  # the evaluation's seeds must not begin the learning's starts once more
        try:
            while survived == len(results) < self._config.evaluation_episodes and self.episodes < self._budget:
                try:
                    result = self._evaluated(watched, SELECTION_SEED + len(results))
                except RigError as error:
                    self._note_fault(str(error), 0)
                    continue
                results.append(result)
                survived += result.steps[0] >= MAX_EPISODE_STEPS and not result.faults
                if result.faults:
                    self._note_fault(result.faults[0].partition(": ")[2], result.steps[0])
                else:
                    self._faults_in_a_row = self._false_starts = 0
                self._on_episode(result.steps[0])
        finally:
            inner.np_random = kept
        self._judge(results, survived)

    def _evaluated(self, watched: Watched, seed: int) -> Evaluation:
        try:
            self._progress.evaluation_episodes += 1
            with no_garbage_collection():
                return evaluate(
                    watched.act,
                    self._env,
                    episodes=1,
                    first_seed=seed,
                    max_steps=MAX_EPISODE_STEPS,
                    take_step=watched.step,
                )
        except RigError:
            self._progress.evaluation_episodes -= 1  # it never began
            raise
        finally:
            self._stand_down()

    def _judge(self, results: list[Evaluation], survived: int) -> None:
        if not results:
            return
        state, progress = self._state, self._progress
        steps = tuple(result.steps[0] for result in results)
        squares = sum(result.rms_position_m**2 * result.steps[0] for result in results)
        evaluation = CartEvaluation(
            step=state.model.num_timesteps,
            steps=steps,
            survived=survived,
            planned=self._config.evaluation_episodes,
            rms_position_m=math.sqrt(squares / max(1, sum(steps))),
        )
        row = EvaluationRow(evaluation.step, evaluation.mean_steps, evaluation.rms_position_m)
        state.log.evaluations.append(row)
        state.model.logger.record("evaluation/mean_steps", row.mean_steps)
        if progress.initial is None:
            progress.initial = evaluation
        if progress.best is None or evaluation.rank() > progress.best.rank():
            progress.best = evaluation
            state.selected = Selected(network_of(state.model), row)

    def _note_fault(self, fault: str, steps: int) -> None:
        """A fault is no fall: the run goes on. Raises `RunError` when it is one of too many in a row."""
        self._progress.faults.append(fault)
        self._faults_in_a_row += 1
        self._false_starts = 0 if steps else self._false_starts + 1
        if self._faults_in_a_row >= MAX_FAULTS or self._false_starts >= MAX_FALSE_STARTS:
            raise RunError(
                f"{self._faults_in_a_row} episodes in a row ended by a fault of the rig, the last: {fault}; what was "
                f"learned is in {self._checkpoints}: mend the rig and go on with --resume {self._checkpoints.parent}"
            )
