"""Steps in C that nothing in Python has to see: no callback is due, and no episode ends.

Draws, stored steps, counters and the state of the environment's wrappers are those of `collecting.py`, bit for bit.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import Any, NamedTuple, cast

import gymnasium
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor

from cartpole_robot.env import CartPoleEnv
from cartpole_robot.rigs.native_rig import NativeSimRig
from cartpole_robot.rollout.native_episodes import KnownWrappers, known_wrappers
from cartpole_robot.task import REWARD_PER_STEP
from cartpole_robot.training.dqn.native_update import Lesson, NativeUpdate, global_bits
from cartpole_robot.training.priced_steps import PricedSteps

try:
    from cartpole_robot.training.dqn import _update
except ImportError:  # built without a C compiler
    _update = None  # type: ignore[assignment]

MOST_STEPS = 1000  # in a call, between which signal handlers run


Plan = tuple[int, int, Lesson, tuple[float, ...]]  # as in _update.pyi


class Taken(NamedTuple):
    """How many steps were taken; fewer than asked for mean that the episode ends with the next.

    The cart has then taken that step with `action`, and the environment's `step` delivers it; else `action` is None.
    The learner has updated `times` times in between, the last of which had `losses`.
    """

    steps: int
    action: int | None
    times: int
    losses: tuple[float, ...]


class SparseCallback(BaseCallback):
    """A callback that knows its next step."""

    @abstractmethod
    def due_in(self) -> int:
        """Steps until the next on which it does something, unless an episode ends before; at least 1."""

    @abstractmethod
    def rollout_due_in(self) -> int:
        """Steps from which on the next start or end of a rollout matters to it; 0: each matters."""

    @abstractmethod
    def skip(self, steps: int) -> None:
        """Count steps on which it had nothing to do."""


class QuietSteps:
    """The steps of one environment: `CartPoleEnv` on the native engine in the wrappers of a training."""

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        rewarding: PricedSteps | None,
        monitor: Monitor,
        known: KnownWrappers,
        inner: CartPoleEnv,
        rig: NativeSimRig,
    ) -> None:
        """Use `quiet_steps`, which finds out whether these fit."""
        duties = inner.cart.action_duties
        limits = inner.cart.limits
        self._env, self._rewarding, self._monitor, self._known, self._inner = env, rewarding, monitor, known, inner
        self._take = _update.Collector(
            cart=rig.native_cart,
            requested=duties,
            sent=tuple(map(rig.sent_duty, duties)),
            limits=(limits.cart_position_m, limits.pole_angle_rad),
            history_length=1 if known.history is None else known.history.history_length,
        ).take

    def is_of(self, env: gymnasium.Env[Any, Any]) -> bool:
        """Whether these are the steps of `env`."""
        return env is self._env

    def possible(self, callback: SparseCallback) -> int:
        """How many steps may be quiet, if none ends the episode."""
        if self._monitor.needs_reset or not self._inner.is_running:
            return 0
        left = (limit._max_episode_steps - cast(int, limit._elapsed_steps) for limit in self._known.limits)
        return min(callback.due_in(), MOST_STEPS + 1, *left) - 1

    def take(
        self,
        update: NativeUpdate,
        observation: Any,
        actions: np.random.Generator,
        epsilons: tuple[float, ...],
        target: tuple[int, int, float],
        plan: Plan | None,
    ) -> Taken:
        """Take a step for each epsilon, storing them in the memory, with the updates of `plan` between them.

        `target` is the number of steps so far, after how many the target network follows, and by which share.
        """
        rewarding, memory = self._rewarding, update.memory
        at = memory.pos
        price, side = (REWARD_PER_STEP, 0.0) if rewarding is None else (rewarding.price(), rewarding.side)
        whether, which, place = global_bits(), actions.bit_generator, (at, memory.size())
        with whether.lock, which.lock:  # another thread may draw from them while this one has the GIL
            taken, action, side, times, losses = self._take(
                update.object, observation, epsilons, place, price, side, whether, which, target, plan
            )
        if taken:
            monitor, known = self._monitor, self._known
            monitor.rewards += [REWARD_PER_STEP] * taken
            monitor.total_steps += taken
            limit: Any  # Gymnasium's type of its count is None
            for limit in known.limits:
                limit._elapsed_steps += taken
            if known.history is not None:
                known.history.continue_from(memory.next_observations[(at + taken - 1) % memory.buffer_size, 0])
            if rewarding is not None:
                rewarding.side = side
        return Taken(taken, None if action < 0 else action, times, losses)


def quiet_steps(env: gymnasium.Env[Any, Any], actions: gymnasium.Space[Any]) -> QuietSteps | None:
    """The quiet steps of `env`, whose random actions come from `actions`; None where Python takes every step."""
    inner = env.unwrapped
    if type(inner) is not CartPoleEnv or type(inner.rig) is not NativeSimRig or inner.render_mode is not None:
        return None
    if type(actions) is not gymnasium.spaces.Discrete or actions.start != 0 or inner.action_space != actions:
        return None
    rewarding = None
    monitor: Any = env
    if isinstance(env, PricedSteps):
        if "price" not in vars(type(env)):
            return None
        rewarding, monitor = env, env.env
    if type(monitor) is not Monitor:
        return None
    known = known_wrappers(monitor.env)
    if known is None or (known.history is not None and known.history.action_duties != inner.cart.action_duties):
        return None
    return (
        QuietSteps(env, rewarding, monitor, known, inner, inner.rig) if _update is not None and _draws_agree() else None
    )


@functools.cache
def _draws_agree() -> bool:
    """Whether the extension draws actions as the installed Gymnasium and NumPy do."""
    drawing, twin = gymnasium.spaces.Discrete(7, seed=0), gymnasium.spaces.Discrete(7, seed=0)
    bits = twin.np_random.bit_generator
    agree = all(int(drawing.sample()) == _update.drawn(bits, 7) for _ in range(99))
    return agree and drawing.np_random.bit_generator.state == bits.state
