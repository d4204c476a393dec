"""The trials a policy must survive to be trusted: corner starts, random starts, then long runs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import gymnasium

from cartpole_robot.cart.parts import StartSpread
from cartpole_robot.errors import RigError
from cartpole_robot.policy.network import ActionFunction
from cartpole_robot.rollout.evaluation import EpisodesInPython
from cartpole_robot.rollout.native_episodes import episodes_in_c
from cartpole_robot.signals import State
from cartpole_robot.simulation.native_cart import EpisodeSums, Survived

CORNER, RANDOM, LONG_RUN = "corner start", "random start", "long run"
BEHIND_FIRMWARE = "random start behind the firmware"
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
        """A line for a person, with the first failed trials."""
        if self.is_passed:
            return f"passed all {self.of}"
        shown = [one.text for one in self.failed[:_SHOWN]]
        more = len(self.failed) - len(shown)
        skipped = f"; {self.skipped} did not run" if self.skipped else ""
        return (
            f"passed {self.passed} of {self.of}; failed: {'; '.join(shown)}{f'; {more} more' if more else ''}{skipped}"
        )


class Trials:
    """What a policy must survive to be trusted: episodes from corners of the start spread and from random starts, then
    long runs from both, then episodes behind the firmware.

    Almost good policies survive a few random starts, but fall from a corner or drift away in the end. A firmware may
    take a calm cart for a stuck one.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        first_seed: int,
        max_steps: int,
        random_starts: int,
        corner_steps: int,
        long_steps: int,
        long_runs: int,
        behind_firmware: Callable[[], gymnasium.Env[Any, Any]] | None = None,
        firmware_starts: int = 0,
    ) -> None:
        """`env` is a `CartPoleEnv`, wrapped or not; seeds run from `first_seed`.

        It is stepped up to `max_steps` from each corner and `random_starts` others, then up to `corner_steps` from each
        corner and `long_steps` from `long_runs` others; its TimeLimit must not be shorter. The environment that
        `behind_firmware` opens is stepped up to `max_steps` from each of `firmware_starts`.
        """
        corners = corner_starts(env.get_wrapper_attr("cart").start)
        kinds = [
            *((CORNER, start, max_steps) for start in corners),
            *[(RANDOM, None, max_steps)] * random_starts,
            *((LONG_RUN, start, corner_steps) for start in corners),
            *[(LONG_RUN, None, long_steps)] * long_runs,
            *[(BEHIND_FIRMWARE, None, max_steps)] * (0 if behind_firmware is None else firmware_starts),
        ]
        self._env, self._behind_firmware = env, behind_firmware
        self._trials = [
            Trial(kind=kind, seed=first_seed + number, steps=steps, start=start)
            for number, (kind, start, steps) in enumerate(kinds)
        ]

    def __len__(self) -> int:
        return len(self._trials)

    def survived(self, act: ActionFunction) -> int:
        """How many trials, one after another, the policy survives before its first fall or fault."""
        with closing(self._run(act)) as running:
            return next((number for number, (_, ended) in enumerate(running) if not _is_passed(ended)), len(self))

    def record(self, act: ActionFunction) -> TrialsRecord:
        """Which trials the policy passes; all of them run."""
        failed = tuple(
            FailedTrial(
                kind=trial.kind,
                seed=trial.seed,
                steps=ended.steps,
                of=trial.steps,
                start=None if trial.start is None else tuple(trial.start),
                fault=ended.fault,
            )
            for trial, ended in self._run(act)
            if not _is_passed(ended)
        )
        return TrialsRecord(of=len(self), failed=failed)

    def _run(self, act: ActionFunction) -> Generator[tuple[Trial, Survived]]:
        run = (episodes_in_c(act, self._env) or EpisodesInPython(act, self._env)).run
        with ExitStack() as stack:
            is_behind = False
            for trial in self._trials:
                if trial.kind == BEHIND_FIRMWARE and not is_behind and self._behind_firmware is not None:
                    run = EpisodesInPython(act, stack.enter_context(closing(self._behind_firmware()))).run
                    is_behind = True
                options = None if trial.start is None else {"state": trial.start}
                try:
                    ended = run(seed=trial.seed, max_steps=trial.steps, options=options)
                except RigError as error:  # a firmware that does not arm again
                    if not is_behind:
                        raise
                    ended = Survived(0, False, str(error), EpisodeSums())
                yield trial, ended


def _is_passed(ended: Survived) -> bool:
    return not ended.is_terminated and ended.fault is None


def corner_starts(spread: StartSpread) -> tuple[State, ...]:
    """The corners of a start spread: every combination of its ends, at most 16."""
    ends = ((-size, size) if size else (0.0,) for size in spread.as_tuple())
    return tuple(State(*corner) for corner in itertools.product(*ends))
