"""Collects steps from one environment into the replay memory: SB3's `collect_rollouts` without vectors of length one.

Steps that nothing in Python has to see run in C (quiet_steps.py), rollouts and their updates between them too.
Draws, stored values, counters and callback calls, and their order, are those of SB3. It only omits copies: a vectorised
environment of one copies observations, rewards and infos several times per step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import RolloutReturn, TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.utils import update_learning_rate
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from cartpole_robot.training.dqn.native_update import MEMORY_ARRAYS
from cartpole_robot.training.dqn.quiet_steps import Plan, QuietSteps, SparseCallback, Taken

MOST_ROWS = 100_000  # steps of batches in a call of C, between which signal handlers run


class TransitionStore:
    """Writes into the replay memory of one environment without the copies of `ReplayBuffer.add`."""

    def __init__(self, memory: ReplayBuffer) -> None:
        self.memory = memory
        self._arrays = {name: getattr(memory, name) for name in MEMORY_ARRAYS}
        self._observations, self._following = memory.observations[:, 0], memory.next_observations[:, 0]
        self._actions = memory.actions.reshape(-1)
        self._rewards, self._dones = memory.rewards[:, 0], memory.dones[:, 0]
        self._timeouts = memory.timeouts[:, 0]

    @staticmethod
    def fits(memory: ReplayBuffer | None) -> bool:
        """Whether the memory is one of the two kinds of SB3's DQN, for one environment with Box observations."""
        return (
            memory is not None
            and type(memory) in (ReplayBuffer, NStepReplayBuffer)
            and memory.n_envs == 1
            and memory.action_dim == 1
            and not memory.optimize_memory_usage
            and memory.handle_timeout_termination
            and isinstance(memory.observation_space, gymnasium.spaces.Box)
        )

    def is_of(self, memory: ReplayBuffer) -> bool:
        """Whether this store still writes into the arrays of `memory`."""
        return memory is self.memory and all(getattr(memory, name) is array for name, array in self._arrays.items())

    def advance(self, steps: int) -> None:
        """Count steps that were written past this store."""
        memory = self.memory
        at = memory.pos + steps
        memory.full = memory.full or at >= memory.buffer_size
        memory.pos = at % memory.buffer_size

    def add(
        self, observation: Any, following: Any, action: int, reward: float, *, has_ended: bool, was_cut: bool
    ) -> None:
        """Store one step; `was_cut` if only a time limit ended the episode."""
        memory = self.memory
        at = memory.pos
        self._observations[at] = observation
        self._following[at] = following
        self._actions[at] = action
        self._rewards[at] = reward
        self._dones[at] = has_ended
        self._timeouts[at] = was_cut
        at += 1
        if at == memory.buffer_size:
            memory.full = True
            at = 0
        memory.pos = at


def end_stored_episode(model: DQN) -> None:
    """Mark the last stored step as the end of its episode, so that the next stored step begins another.

    Without the mark an n-step return would run from one episode into the other.
    """
    memory = model.replay_buffer
    assert memory is not None
    last = memory.pos - 1
    if memory.size() > 0 and not memory.dones[last].any():
        memory.dones[last] = memory.timeouts[last] = 1.0


def can_collect(model: DQN, env: VecEnv, memory: ReplayBuffer | None, action_noise: Any) -> bool:
    """Whether `collect` is equivalent to SB3's own method for this environment."""
    return (
        type(env) is DummyVecEnv
        and env.num_envs == 1
        and action_noise is None
        and not model.use_sde
        and isinstance(model.action_space, gymnasium.spaces.Discrete)
        and TransitionStore.fits(memory)
    )


def collect(
    self: Any,  # named as in SB3: callbacks read it from the locals
    env: DummyVecEnv,
    store: TransitionStore,
    callback: BaseCallback,
    train_freq: TrainFreq,
    learning_starts: int,
    log_interval: int | None,
) -> RolloutReturn:
    """Act and store until it is time to train; the locals that callbacks see have the names of SB3."""
    replay_buffer = store.memory
    inner, sample, random = env.envs[0], self.action_space.sample, np.random.rand
    by_steps, frequency = train_freq.unit == TrainFrequencyUnit.STEP, train_freq.frequency
    num_collected_steps = num_collected_episodes = 0
    greedy: Callable[[Any], int] | None = None
    callback.on_rollout_start()
    continue_training = True
    while (num_collected_steps if by_steps else num_collected_episodes) < frequency:
        action: int | None = None
        if isinstance(callback, SparseCallback) and self.num_timesteps >= learning_starts:
            left = frequency - num_collected_steps if by_steps else None
            taken = take_quietly(self, inner, callback, store, train_freq, left)
            num_collected_steps += taken.steps - taken.times * frequency
            num_collected_episodes = 0 if taken.times else num_collected_episodes
            action = taken.action
            if taken.steps and action is None:
                continue
        last = self._last_obs[0]
        if action is not None:
            pass  # the cart has taken this step already
        elif self.num_timesteps < learning_starts or random() < self.exploration_rate:
            action = int(sample())
        else:
            greedy = greedy or self.greedy_action()
            action = greedy(last)
        observation, reward, terminated, truncated, info = inner.step(action)
        has_ended = bool(terminated or truncated)
        was_cut = info["TimeLimit.truncated"] = bool(truncated and not terminated)
        following = observation
        if has_ended:
            info["terminal_observation"] = observation
            observation, env.reset_infos[0] = inner.reset()
        self.num_timesteps += 1
        num_collected_steps += 1

        actions = buffer_actions = np.array([action])
        new_obs = np.asarray(observation)[None]
        rewards, dones, infos = np.array([reward], np.float32), np.array([has_ended]), [info]
        callback.update_locals(locals())
        if not callback.on_step():
            return RolloutReturn(num_collected_steps, num_collected_episodes, continue_training=False)

        if has_ended or "episode" in info:
            self._update_info_buffer(infos, dones)
        store.add(last, following, action, float(rewards[0]), has_ended=has_ended, was_cut=was_cut)
        self._last_original_obs, self._last_obs = self._last_obs, new_obs
        self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
        self._on_step()
        if has_ended:
            num_collected_episodes += 1
            self._episode_num += 1
            if log_interval is not None and self._episode_num % log_interval == 0:
                self.dump_logs()
    callback.on_rollout_end()
    return RolloutReturn(num_collected_steps, num_collected_episodes, continue_training)


_NONE = Taken(0, None, 0, ())


def take_quietly(
    model: Any,
    env: gymnasium.Env[Any, Any],
    callback: SparseCallback,
    store: TransitionStore,
    train_freq: TrainFreq,
    left: int | None,
) -> Taken:
    """Take quiet steps and count them: none where none may be, else up to the next step that is not.

    `left` are those of the rollout, None if it counts episodes. Rollouts of which no callback needs to know, and the
    updates between them, are among the steps; the last ends where it is full, before its updates. A callback that
    replaces the memory, the environment or `train_freq` of the model does so from the next rollout on.
    """
    quiet: QuietSteps | None = model.quiet_steps(env)
    if quiet is None or not store.is_of(model.replay_buffer):
        return _NONE
    steps, total, before = quiet.possible(callback), model._total_timesteps, model.num_timesteps
    plan = None
    if left is not None and steps > left:
        until = min(total - before, callback.rollout_due_in())
        is_next_alike = model.train_freq == train_freq and model.env.envs[0] is env
        if until <= left or before <= model.learning_starts or model.gradient_steps < 1 or not is_next_alike:
            steps = left
        else:
            every = train_freq.frequency
            rollouts = min(-(-(until - left) // every), max(1, MOST_ROWS // (model.gradient_steps * model.batch_size)))
            steps = min(steps, left + rollouts * every)
            plan = _plan(model, left, every, steps)
    if steps <= 0:
        return _NONE
    at = model.epsilon_at
    epsilons = (model.exploration_rate, *[at(1.0 - step / total) for step in range(before + 1, before + steps + 1)])
    target = (model._n_calls, max(model.target_update_interval // model.n_envs, 1), model.tau)
    actions = model.action_space.np_random
    try:
        taken = quiet.take(model._update, model._last_obs, actions, epsilons[:-1], target, plan)
    except BaseException:
        model.drop_episode()  # it has steps that are not counted
        raise
    if taken.times and plan is not None:
        first, every, _, rates = plan
        model.logger.record("train/learning_rate", rates[taken.times - 1])
        update_learning_rate(model.policy.optimizer, rates[taken.times - 1])
        newest = first + (taken.times - 1) * every
        model.note_updates(taken.times * model.gradient_steps, taken.losses, epsilons[newest])
    if taken.steps:
        store.advance(taken.steps)
        last = store.memory.pos - 1
        model._last_original_obs = store.memory.observations[last].copy()
        model._last_obs = store.memory.next_observations[last].copy()
        model.num_timesteps += taken.steps
        model._n_calls += taken.steps
        model._update_current_progress_remaining(model.num_timesteps, total)
        model.exploration_rate = epsilons[taken.steps]
        callback.skip(taken.steps)
    return taken


def _plan(model: Any, left: int, every: int, steps: int) -> Plan:
    """The updates between `steps` steps, from the end of the rollout that has `left` of them on."""
    ends = range(model.num_timesteps + left, model.num_timesteps + steps, every)
    rates = tuple([model.lr_schedule(1.0 - end / model._total_timesteps) for end in ends])
    return left, every, model.lesson(), rates
