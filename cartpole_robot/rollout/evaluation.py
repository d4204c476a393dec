"""How long a policy survives: episodes from stated seeds, steps counted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError
from cartpole_robot.policy.controllers import Controller
from cartpole_robot.recording.metadata import SwingUpRecord
from cartpole_robot.rollout.episode import episode
from cartpole_robot.rollout.kept_episodes import KeptEpisodes
from cartpole_robot.rollout.native_episodes import episodes_in_c
from cartpole_robot.rollout.unattended import UnattendedRun
from cartpole_robot.simulation.native_cart import EpisodeSums, Survived

# Where the seeds of episodes live. Training draws its starts from generators seeded below SELECTION_SEED, a
# checkpoint is chosen on seeds from SELECTION_SEED, the verdict falls on seeds from VERDICT_SEED: no start serves
# two of them.
SELECTION_SEED = 1_000_000
VERDICT_SEED = 2_000_000
LONG_RUN_SEED = 3_000_000
CALIBRATION_SEED = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Steps survived in each episode, and how calmly, over the steps of all episodes.

    `reversals_per_step` is the share of steps whose push goes to the other side than the last push did;
    `mean_power_w` is what the motor drew, NaN if unknown. `stopped` is why there are fewer episodes than planned.
    """

    first_seed: int
    max_steps: int
    steps: tuple[int, ...]
    rms_position_m: float
    rms_angle_rad: float
    reversals_per_step: float
    mean_power_w: float = math.nan
    control_period_s: float = math.nan
    faults: tuple[str, ...] = ()
    stopped: str | None = None

    @property
    def mean_steps(self) -> float:
        """Mean steps survived."""
        return float(np.mean(self.steps))

    @property
    def reversals_per_s(self) -> float:
        """Reversals of the push in a second; NaN for an environment that does not report its control period."""
        return self.reversals_per_step / self.control_period_s

    def as_dict(self) -> dict[str, object]:
        """For JSON: the figures, without the single episodes."""
        return {
            "episodes": len(self.steps),
            "first_seed": self.first_seed,
            "max_steps": self.max_steps,
            "mean_steps": self.mean_steps,
            "min_steps": min(self.steps),
            "max_steps_survived": max(self.steps),
            "episodes_survived": sum(steps >= self.max_steps for steps in self.steps),
            "rms_position_m": self.rms_position_m,
            "rms_angle_rad": self.rms_angle_rad,
            "reversals_per_step": self.reversals_per_step,
            "reversals_per_s": _or_none(self.reversals_per_s),
            "mean_power_w": _or_none(self.mean_power_w),
            "faults": list(self.faults),
            **({} if self.stopped is None else {"stopped": self.stopped}),
        }


def evaluate(
    act: Callable[[NDArray[np.float32]], Any],
    env: gymnasium.Env[Any, Any],
    *,
    episodes: int,
    first_seed: int,
    max_steps: int,
    take_step: Callable[[Any], Any] | None = None,
    on_reset: Callable[[], None] | None = None,
    on_episode: Callable[[], object] | None = None,
    unattended: UnattendedRun | None = None,
    kept: KeptEpisodes | None = None,
    swing_up: Callable[[], SwingUpRecord | None] = lambda: None,
) -> Evaluation:
    """Run the policy greedily over `episodes`, seeded first_seed, first_seed + 1, and so on.

    `env` is stepped up to `max_steps` times an episode, whatever its own TimeLimit, which must not be shorter.
    `take_step` takes what `act` returns, where that is no action of `env.step` (`CartPoleEnv.step_duty` takes a duty);
    `on_reset` is called at the beginning of each episode, for an `act` that has a memory, `on_episode` at its end.
    An `unattended` run decides after each episode whether another follows, and counts a start that fails as a fault;
    without it the error of such a start is raised. Episodes that are `kept` do not run again, and each that has run
    is kept, with what `swing_up` says of its start.
    """
    in_c = episodes_in_c(act, env, take_step=take_step, on_reset=on_reset)
    run = (in_c or EpisodesInPython(act, env, take_step)).run
    steps: list[int] = []
    faults: list[str] = []
    sums = EpisodeSums()
    stopped = None
    known = [] if kept is None else kept.episodes[:episodes]
    for number, each in enumerate(known):
        survived = each.survived(sums)
        steps.append(survived.steps)
        sums = survived.sums
        faults += [] if survived.fault is None else [f"episode {number}: {survived.fault}"]
    for number in range(len(known), episodes):
        before = sums
        try:
            survived = run(seed=first_seed + number, max_steps=max_steps, sums=sums, on_reset=on_reset)
        except RigError as error:
            if unattended is None:
                raise
            survived = Survived(0, False, str(error), sums)
        steps.append(survived.steps)
        sums = survived.sums
        if survived.fault is not None:
            faults.append(f"episode {number}: {survived.fault}")
        if kept is not None:
            kept.keep(survived, before, None if survived.fault is not None and not survived.steps else swing_up())
        if on_episode is not None:
            on_episode()
        stopped = None if unattended is None else unattended.reason_to_stop(survived.fault)
        if stopped is not None:
            break
    total = max(1, sum(steps))
    return Evaluation(
        first_seed=first_seed,
        max_steps=max_steps,
        steps=tuple(steps),
        rms_position_m=math.sqrt(sums.square_m2 / total),
        rms_angle_rad=math.sqrt(sums.square_rad2 / total),
        reversals_per_step=sums.reversals / total,
        mean_power_w=sums.power_w / total,
        control_period_s=_control_period_s(env),
        faults=tuple(faults),
        stopped=stopped,
    )


def evaluate_controller(
    controller: Controller,
    env: gymnasium.Env[Any, Any],
    *,
    episodes: int,
    first_seed: int,
    max_steps: int,
    on_episode: Callable[[], object] | None = None,
) -> Evaluation:
    """As `evaluate`, of a controller, which may command any duty.

    `env` is a `CartPoleEnv` or wraps one; its wrappers take no part, so that the controller sees plain observations.
    """
    inner = env.unwrapped
    assert isinstance(inner, CartPoleEnv)
    return evaluate(
        controller.duty,
        inner,
        episodes=episodes,
        first_seed=first_seed,
        max_steps=max_steps,
        take_step=inner.step_duty,
        on_reset=controller.reset,
        on_episode=on_episode,
    )


class EpisodesInPython:
    """Episodes step by step: any policy, any environment."""

    def __init__(
        self, act: Callable[..., Any], env: gymnasium.Env[Any, Any], take_step: Callable[[Any], Any] | None = None
    ) -> None:
        self._act = act
        self._env = env
        self._take_step = take_step

    def run(
        self,
        *,
        seed: int,
        max_steps: int,
        options: dict[str, Any] | None = None,
        sums: EpisodeSums = EpisodeSums(),  # noqa: B008 - immutable
        on_reset: Callable[[], object] | None = None,
    ) -> Survived:
        """As `NativeEpisodes.run`."""
        squares_m2, squares_rad2, power_w, reversals = sums
        side = survived = 0
        is_terminated, fault = False, None
        for taken in episode(
            self._env,
            self._act,
            seed=seed,
            max_steps=max_steps,
            options=options,
            take_step=self._take_step,
            on_reset=on_reset,
        ):
            survived = taken.number
            position_m, _, angle_rad, *_ = taken.observation.tolist()
            squares_m2 += position_m * position_m
            squares_rad2 += angle_rad * angle_rad
            duty = taken.duty
            if duty * side < 0:
                reversals += 1
            if duty:
                side = 1 if duty > 0 else -1
            power_w += taken.info.get("motor_power_w", math.nan)
            is_terminated = taken.is_terminated
            if taken.is_terminated or taken.is_truncated:
                fault = taken.info.get("fault")
        return Survived(survived, is_terminated, fault, EpisodeSums(squares_m2, squares_rad2, power_w, reversals))


def _control_period_s(env: gymnasium.Env[Any, Any]) -> float:
    """The environment's control period, NaN if it reports none."""
    inner = env.unwrapped
    if isinstance(inner, CartPoleEnv):
        return inner.cart.timing.control_period_s
    return float(getattr(inner, "tau", math.nan))


def _or_none(number: float) -> float | None:
    return None if math.isnan(number) else number  # JSON has no NaN


def visited_observations(
    act: Callable[[NDArray[np.float32]], Any],
    env: gymnasium.Env[Any, Any],
    *,
    count: int,
    first_seed: int,
    wander: float = 0.1,
) -> NDArray[np.float32]:
    """`count` observations (count, 4) that a policy meets, episode after episode; with history its inputs.

    `act` returns actions of `env`. A share `wander` of them is random, so that states around the balanced ones are
    among them.
    """
    rng = np.random.default_rng(first_seed)
    space = env.action_space
    actions = int(space.n) if isinstance(space, gymnasium.spaces.Discrete) else None

    def wandering(observation: NDArray[np.float32]) -> Any:
        if rng.random() >= wander:
            return act(observation)
        return rng.uniform(-1.0, 1.0, size=1) if actions is None else int(rng.integers(actions))

    steps = itertools.chain.from_iterable(
        episode(env, wandering, seed=seed, max_steps=MAX_EPISODE_STEPS) for seed in itertools.count(first_seed)
    )
    return np.stack([step.observation for step in itertools.islice(steps, count)])
