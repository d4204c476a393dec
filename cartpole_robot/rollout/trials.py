"""The trials a policy must survive to be trusted: corner starts, random starts, then long runs."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import gymnasium

from cartpole_robot.cart.parts import StartSpread
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError
from cartpole_robot.policy.controllers import Controller
from cartpole_robot.policy.network import ActionFunction
from cartpole_robot.rollout.evaluation import EpisodesInPython
from cartpole_robot.rollout.native_episodes import episodes_in_c
from cartpole_robot.signals import State
from cartpole_robot.simulation.native_cart import EpisodeSums, Survived

CORNER, RANDOM, LONG_RUN = "corner start", "random start", "long run"
BEHIND_FIRMWARE, ON_PYBULLET = "behind the firmware", "on PyBullet"
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One episode of at most `steps` steps, seeded `seed`, from `start`, or from a random start if that is None."""

    kind: str
    seed: int
    steps: int
    start: State | None = None


@dataclass(frozen=True, kw_only=True)
class FailedTrial:
    """A trial that a policy did not pass: it fell after `steps` of `of` steps, or ended by `fault`."""

    kind: str
    seed: int
    steps: int
    of: int
    start: tuple[float, ...] | None = None
    fault: str | None = None

    @property
    def fault_name(self) -> str | None:
        """The firmware's name for the fault, without what explains it."""
        return None if self.fault is None else self.fault.partition(" ")[0]

    @property
    def text(self) -> str:
        place = "" if self.start is None else " (" + ", ".join(f"{number:g}" for number in self.start) + ")"
        ended = "" if self.fault is None else f": {self.fault}"
        return f"{self.kind} {self.seed}{place}: {self.steps} of {self.of} steps{ended}"


@dataclass(frozen=True, kw_only=True)
class TrialsRecord:
    """Which of `of` trials a policy failed; the last `skipped` of them did not run because too many had failed."""

    of: int
    failed: tuple[FailedTrial, ...] = ()
    skipped: int = 0

    @property
    def passed(self) -> int:
        return self.of - len(self.failed) - self.skipped

    @property
    def is_passed(self) -> bool:
        """Whether the policy passed every trial."""
        return self.passed == self.of

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"passed": self.passed, **dataclasses.asdict(self)}

    @property
    def text(self) -> str:
        """A line for a person, with the first failed trials: those of other kinds and faults before the same again."""
        if self.is_passed:
            return f"passed all {self.of}"
        firsts = {(one.kind, one.fault_name): one for one in reversed(self.failed)}
        order = sorted(self.failed, key=lambda one: one is not firsts[one.kind, one.fault_name])
        shown = [one.text for one in order[:_SHOWN]]
        more = len(self.failed) - len(shown)
        skipped = f"; {self.skipped} did not run" if self.skipped else ""
        return (
            f"passed {self.passed} of {self.of}; failed: {'; '.join(shown)}{f'; {more} more' if more else ''}{skipped}"
        )


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """How many trials there are, and of how many steps at most.

    First `max_steps` from each corner of the start spread and from `random_starts` others, then long runs:
    `corner_steps` from each corner and `long_steps` from `long_runs` others. With no `corner_steps` none begins in a
    corner.
    """

    max_steps: int
    random_starts: int
    corner_steps: int = 0
    long_steps: int = 0
    long_runs: int = 0

    def starts(self, corners: Sequence[State]) -> list[tuple[str, State | None, int]]:
        """Kind, start (None: a random one) and most steps of each trial."""
        corners = corners if self.corner_steps else ()
        return [
            *((CORNER, start, self.max_steps) for start in corners),
            *[(RANDOM, None, self.max_steps)] * self.random_starts,
            *((LONG_RUN, start, self.corner_steps) for start in corners),
            *[(LONG_RUN, None, self.long_steps)] * self.long_runs,
        ]


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """More trials in the environment that `opened` returns; the kind of each ends in `name`."""

    name: str
    opened: Callable[[], gymnasium.Env[Any, Any]]
    plan: TrialPlan


class Trials:
    """What a policy must survive to be trusted: episodes from corners of the start spread and from random starts, then
    long runs from both, then trials elsewhere, such as behind the firmware.

    Almost good policies survive a few random starts, but fall from a corner or drift away in the end. A firmware may
    take a calm cart for a stuck one, or stop a motor that a policy drives too hard.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], plan: TrialPlan, *, first_seed: int, elsewhere: Sequence[Elsewhere] = ()
    ) -> None:
        """`env` is a `CartPoleEnv`, wrapped or not; seeds run from `first_seed`.

        No environment's TimeLimit may be shorter than its trials. Those of `elsewhere` are opened for each policy.
        """
        corners = corner_starts(env.get_wrapper_attr("cart").start)
        self._env = env
        seeds = itertools.count(first_seed)
        self._places = [
            (
                opened,
                [
                    Trial(kind=f"{kind} {name}".rstrip(), seed=next(seeds), steps=steps, start=start)
                    for kind, start, steps in its_plan.starts(corners)
                ],
            )
            for name, opened, its_plan in (("", None, plan), *((one.name, one.opened, one.plan) for one in elsewhere))
        ]

    def __len__(self) -> int:
        return sum(len(trials) for _, trials in self._places)

    def survived(self, policy: ActionFunction | Controller) -> int:
        """How many trials, one after another, the policy survives before its first fall or fault.

        It chooses actions of the environments, or as a `Controller` commands the duty.
        """
        with closing(self._run(policy)) as running:
            return next((number for number, (_, ended) in enumerate(running) if not _is_passed(ended)), len(self))

    def record(
        self, policy: ActionFunction | Controller, on_trial: Callable[[], object] = lambda: None
    ) -> TrialsRecord:
        """Which trials the policy passes; all of them run, with `on_trial` called after each."""
        failed: list[FailedTrial] = []
        for trial, ended in self._run(policy):
            if not _is_passed(ended):
                start = None if trial.start is None else tuple(trial.start)
                failed.append(
                    FailedTrial(
                        kind=trial.kind,
                        seed=trial.seed,
                        steps=ended.steps,
                        of=trial.steps,
                        start=start,
                        fault=ended.fault,
                    )
                )
            on_trial()
        return TrialsRecord(of=len(self), failed=tuple(failed))

    def _run(self, policy: ActionFunction | Controller) -> Generator[tuple[Trial, Survived]]:
        for opened, trials in self._places:
            with nullcontext(self._env) if opened is None else closing(opened()) as env:
                run = _episodes(policy, env)
                for trial in trials:
                    options = None if trial.start is None else {"state": trial.start}
                    try:
                        ended = run(seed=trial.seed, max_steps=trial.steps, options=options)
                    except RigError as error:  # a firmware that does not arm again
                        if opened is None:
                            raise
                        ended = Survived(0, False, str(error), EpisodeSums())
                    yield trial, ended


def _episodes(policy: ActionFunction | Controller, env: gymnasium.Env[Any, Any]) -> Callable[..., Survived]:
    """What runs one episode of the policy in `env`, in C where that is possible."""
    if callable(policy):
        return (episodes_in_c(policy, env) or EpisodesInPython(policy, env)).run
    inner = env.unwrapped
    assert isinstance(inner, CartPoleEnv)
    take_step, reset = inner.step_duty, policy.reset
    in_c = episodes_in_c(policy.duty, inner, take_step=take_step, on_reset=reset)
    return functools.partial((in_c or EpisodesInPython(policy.duty, inner, take_step)).run, on_reset=reset)


def _is_passed(ended: Survived) -> bool:
    return not ended.is_terminated and ended.fault is None


def corner_starts(spread: StartSpread) -> tuple[State, ...]:
    """The corners of a start spread: every combination of its ends, at most 16."""
    ends = ((-size, size) if size else (0.0,) for size in spread.as_tuple())
    return tuple(State(*corner) for corner in itertools.product(*ends))
