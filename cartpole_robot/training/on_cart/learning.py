"""Learning on the real cart: it acts in real time and learns only between episodes, while the cart is disarmed.

A gradient step takes longer than a command may be late. So a copy of the network in C acts during an episode and its
transitions are kept. Then the cart is disarmed, the transitions go into the replay memory, and the learner makes the
updates that these steps would have caused, in the same order.
"""

from __future__ import annotations

import math
import shlex
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
from cartpole_robot.training.checkpoint import Selected, TrainingState, save_checkpoint
from cartpole_robot.training.config import EpsilonClock, LearnerReward, TrainingConfig
from cartpole_robot.training.dqn.collecting import end_stored_episode
from cartpole_robot.training.dqn.epsilon import annealed_epsilon
from cartpole_robot.training.dqn.learner import follow_target, network_of
from cartpole_robot.training.log import EpisodeRow, EvaluationRow
from cartpole_robot.training.on_cart.episode import (
    ObservedEpisodes,
    StopBetweenSteps,
    Transition,
    no_garbage_collection,
)

MAX_UPDATES = 4000  # between two episodes: a few seconds of waiting for the operator
MAX_FAULTS = 10  # in consecutive episodes: a policy may provoke faults and learn not to
MAX_FALSE_STARTS = 3  # consecutive episodes without a single step: learning does not fix these
_KEPT_CHECKPOINTS = 3


class CartLearning:
    """Runs episodes on one rig until the policy balances or `config.episodes` are used up; every episode counts.

    `on_episode` is called after each with its length in steps.
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
        """Episodes run so far, for learning and evaluation."""
        return len(self._state.log.episodes) + self._progress.evaluation_episodes

    @property
    def epsilon(self) -> float:
        """The current epsilon, by the schedule of training in simulation."""
        config = self._config
        is_by_steps = config.epsilon_clock is EpsilonClock.STEPS
        progress = self._model.num_timesteps / config.steps if is_by_steps else self.episodes / max(1, self._budget)
        return annealed_epsilon(
            progress, start=config.epsilon_start, end=config.epsilon_end, fraction=config.epsilon_fraction
        )

    def run(self) -> bool:
        """Learn; True at the end, False if a signal stopped it. Disarms the cart and writes a checkpoint.

        Raises `RunError` after `MAX_FAULTS` consecutive rig faults or `MAX_FALSE_STARTS` false starts, and for a cart
        that does not confirm that it is disarmed.
        """
        problem: str | None = None
        failure: RunError | None = None
        is_over = False
        try:
            while not self._is_over():
                self._stop.check()
                if self._progress.initial is None:
                    self._evaluate()
                else:
                    self._learn_an_episode()
            is_over = True
        except (Stopped, KeyboardInterrupt):
            pass
        except RunError as error:
            failure = error
        finally:
            problem = self._stand_down()
            self.save()
        if failure is not None:
            raise failure if problem is None or problem in str(failure) else RunError(f"{failure}; {problem}")
        self._check_disarmed(problem)
        return is_over

    def save(self) -> Path:
        """Write a checkpoint and delete all but the newest few; returns its folder."""
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
        transitions: list[Transition] = []
        try:
            fault = self._act_out(epsilon, transitions)
        finally:  # a stopped episode is kept, too
            problem = self._stand_down()
            self._remember(transitions, epsilon)
        self._on_episode(len(transitions))
        self._check_disarmed(problem)
        if fault is not None:
            self._note_fault(fault, len(transitions))
        else:
            self._faults_in_a_row = self._false_starts = 0
            self._evaluate_if_promising(len(transitions))
        if not self._is_over():
            self._update(len(transitions))
        self.save()

    def _act_out(self, epsilon: float, transitions: list[Transition]) -> str | None:
        """Run one episode into `transitions`; returns the rig fault that ended it, or None. Raises `Stopped`."""
        config, model, env = self._config, self._model, self._env
        act = float_action_function(network_of(model))
        marks_falls = config.learner_reward is LearnerReward.FALL
        try:
            observation = self._reset()
        except RigError as error:
            return str(error)
        with no_garbage_collection():
            while len(transitions) < config.max_steps:
                self._stop.check()
                explores = np.random.rand() < epsilon
                action = int(model.action_space.sample()) if explores else act(observation)
                following, reward, has_fallen, _, info = env.step(action)
                if "fault" in info:  # nothing was measured: this step does not count
                    return str(info["fault"])
                learned = -float(has_fallen) if marks_falls else float(reward)
                transitions.append(Transition(observation, following, action, learned, has_fallen))
                observation = following
                if has_fallen:
                    break
        return None

    def _reset(self) -> NDArray[np.float32]:
        """The first observation of an episode. The reset may wait for an operator, so Ctrl-C takes effect at once."""
        self._stop.at_once = True
        try:
            self._stop.check()
            observation: NDArray[np.float32] = self._env.reset()[0]
            return observation
        finally:
            self._stop.at_once = False

    def _stand_down(self) -> str | None:
        """Disarm; returns None once the cart has confirmed it, else what the rig reports."""
        try:
            self._cart_env.disarm()
        except RigError as error:
            return str(error)
        return None

    def _check_disarmed(self, problem: str | None) -> None:
        """Raise `RunError` for the `problem` of `_stand_down`: training stops where the cart may still move."""
        if problem is not None:
            raise RunError(
                f"{problem}; checkpoints are in {self._checkpoints}: fix the rig and use "
                f"--resume {self._checkpoints.parent}"
            )

    def _remember(self, transitions: list[Transition], epsilon: float) -> None:
        """Store an episode in the replay memory; one that did not end in a fall is stored as truncated."""
        if not transitions:
            return
        model = self._model
        memory = model.replay_buffer
        assert memory is not None
        for transition in transitions:
            memory.add(
                transition.observation[None],
                transition.following[None],
                np.array([[transition.action]]),
                np.array([transition.reward]),
                np.array([transition.has_fallen]),
                [{}],
            )
        end_stored_episode(model)
        self._progress.visited.extend(transition.observation for transition in transitions)
        model.num_timesteps += len(transitions)
        model._episode_num += 1
        model.exploration_rate = epsilon
        self._state.log.episodes.append(EpisodeRow(model.num_timesteps, len(transitions), epsilon))
        model.logger.record("rollout/steps", len(transitions))
        model.logger.record("rollout/exploration_rate", epsilon)
        model.logger.dump(step=model.num_timesteps)

    def _update(self, steps: int) -> None:
        """Update network and target network as a simulation would over `steps` steps, in the same order."""
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

    def _evaluate_if_promising(self, steps: int) -> None:
        """Evaluate the network, before it changes, if its `steps` exceed the mean of the best network."""
        best, rows = self._progress.best, self._state.log.evaluations
        is_due = not rows or self._model.num_timesteps - rows[-1].step >= self._config.evaluate_every_steps
        if is_due and (best is None or steps > best.mean_steps or steps == self._config.max_steps):
            self._evaluate()

    def _evaluate(self) -> None:
        """Evaluate the greedy policy until the first fall or fault, and keep the best network.

        Its steps do not go into the replay memory: evaluation and learning never share steps.
        """
        network = network_of(self._model)
        observed = ObservedEpisodes(float_action_function(network), self._env, self._progress, self._stop)
        results: list[Evaluation] = []
        survived = 0
        inner = self._cart_env
        kept = inner.np_random  # the evaluation's seeds must not restart the starts of learning
        try:
            while survived == len(results) < self._config.evaluation_episodes and self.episodes < self._budget:
                try:
                    result = self._evaluated(observed, SELECTION_SEED + len(results))
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

    def _evaluated(self, observed: ObservedEpisodes, seed: int) -> Evaluation:
        problem: str | None = None
        try:
            self._progress.evaluation_episodes += 1
            with no_garbage_collection():
                evaluation = evaluate(
                    observed.act,
                    self._env,
                    episodes=1,
                    first_seed=seed,
                    max_steps=MAX_EPISODE_STEPS,
                    take_step=observed.step,
                )
        except RigError:
            self._progress.evaluation_episodes -= 1  # it did not begin
            raise
        finally:
            problem = self._stand_down()
        self._check_disarmed(problem)
        return evaluation

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
            fault=results[-1].faults[0].partition(": ")[2] if results[-1].faults else None,
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
        """Count a rig fault, which is not a fall. Raises `RunError` after too many in a row."""
        self._progress.faults.append(fault)
        self._faults_in_a_row += 1
        self._false_starts = 0 if steps else self._false_starts + 1
        if self._faults_in_a_row >= MAX_FAULTS or self._false_starts >= MAX_FALSE_STARTS:
            again = shlex.quote(str(self._checkpoints.parent))
            raise RunError(
                f"{self._faults_in_a_row} episodes in a row ended with a rig fault, the last: {fault}; "
                f"checkpoints are in {self._checkpoints}: fix the rig and use --resume {again}"
            )
