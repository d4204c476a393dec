"""Episodes of a compiled policy on the native engine: the loop of `rollout.episode` in one call of C an episode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium

from cartpole_robot.env import CartPoleEnv
from cartpole_robot.policy.controllers import DutyController, HistoryController, PolicyController
from cartpole_robot.policy.network import compiled_policy
from cartpole_robot.rigs.native_rig import NativeSimRig
from cartpole_robot.rollout.history_wrapper import HistoryObservation
from cartpole_robot.simulation.native_cart import EpisodeSums, Survived, TabledPolicy


class NativeEpisodes:
    """Steps, sums, faults and random numbers are those of the loop in Python, bit for bit.

    After an episode the environment needs a reset, even where nothing ended the episode but `max_steps`.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], inner: CartPoleEnv, rig: NativeSimRig, policy: TabledPolicy, most_steps: int
    ) -> None:
        """`inner` is what `env` wraps, on `rig`; none of its wrappers may do more than end an episode at `most_steps`.

        `episodes_in_c` finds out whether that is so.
        """
        self._env = env
        self._inner = inner
        self._rig = rig
        self._policy = policy
        self._most_steps = most_steps

    def run(
        self,
        *,
        seed: int,
        max_steps: int,
        options: dict[str, Any] | None = None,
        sums: EpisodeSums = EpisodeSums(),  # noqa: B008 - immutable
        on_reset: Callable[[], object] | None = None,
    ) -> Survived:
        """The episode that `env.reset(seed=seed, options=options)` starts, `max_steps` at most."""
        self._env.reset(seed=seed, options=options)
        if on_reset is not None:
            on_reset()
        found = self._rig.episode(self._policy, min(max_steps, self._most_steps), sums)
        self._inner.disarm()
        return found


def episodes_in_c(
    act: Callable[..., Any],
    env: gymnasium.Env[Any, Any],
    *,
    take_step: Callable[[Any], Any] | None = None,
    on_reset: Callable[[], object] | None = None,
) -> NativeEpisodes | None:
    """The episodes that `rollout.episode` runs with these arguments, in C; None where it takes the loop in Python.

    C runs them where `act` is a policy in C, or the `duty` of its controller with `CartPoleEnv.step_duty` as
    `take_step`, and where `env` is a `CartPoleEnv` on the native engine that nothing but this package's history and
    Gymnasium's time limit wraps, of a cart whose commands reach the bridge as they are.
    """
    inner = env.unwrapped
    if type(inner) is not CartPoleEnv or not isinstance(inner.action_space, gymnasium.spaces.Discrete):
        return None
    if type(inner.rig) is not NativeSimRig or inner.render_mode == "human":
        return None
    known = known_wrappers(env)
    if known is None or inner.cart.compensates_dead_zone:  # C has one duty for the bridge and for the history
        return None
    most_steps, observed = min((limit._max_episode_steps for limit in known.limits), default=_NO_LIMIT), known.history
    if take_step is None:
        policy = _acting(act, inner.cart.action_duties, observed)
    elif take_step == inner.step_duty and observed is None:
        policy = _controlling(act, on_reset)
        most_steps = _NO_LIMIT  # a duty goes past the wrappers
    else:
        return None
    return None if policy is None else NativeEpisodes(env, inner, inner.rig, policy, most_steps)


_NO_LIMIT = 2**62


class KnownWrappers(NamedTuple):
    """What wraps a `CartPoleEnv`: time limits and a history."""

    limits: tuple[gymnasium.wrappers.TimeLimit[Any, Any], ...]
    history: HistoryObservation | None


def known_wrappers(env: gymnasium.Env[Any, Any]) -> KnownWrappers | None:
    """The wrappers of `env`; None if there are others than Gymnasium's limits of time and order and one history."""
    limits: list[gymnasium.wrappers.TimeLimit[Any, Any]] = []
    observed = None
    while env is not env.unwrapped:
        kind = type(env)
        if isinstance(env, gymnasium.wrappers.TimeLimit) and kind is gymnasium.wrappers.TimeLimit:
            limits.append(env)
        elif isinstance(env, HistoryObservation) and kind is HistoryObservation and observed is None:
            observed = env
        elif kind is not gymnasium.wrappers.OrderEnforcing:
            return None
        assert isinstance(env, gymnasium.Wrapper)  # for the type checker
        env = env.env
    return KnownWrappers(tuple(limits), observed)


def _acting(
    act: Callable[..., Any], duties: tuple[float, ...], observed: HistoryObservation | None
) -> TabledPolicy | None:
    policy = compiled_policy(act)
    if policy is None or (observed is not None and observed.action_duties != duties):
        return None
    return TabledPolicy(policy, duties, 1 if observed is None else observed.history_length)


def _controlling(act: Callable[..., Any], on_reset: Callable[[], object] | None) -> TabledPolicy | None:
    controller = getattr(act, "__self__", None)
    if type(controller) not in (PolicyController, HistoryController, DutyController):
        return None
    assert isinstance(controller, PolicyController)  # for the type checker
    policy = compiled_policy(controller.act)
    forgets = controller.history_length == 1 or on_reset == controller.reset
    if policy is None or act != controller.duty or not forgets:
        return None
    return TabledPolicy(policy, controller.action_duties, controller.history_length)
