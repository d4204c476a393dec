"""Runs one target on drawn inputs, and records what each led to."""

from __future__ import annotations

import collections
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.edits import edits
from tests.fuzz.targets import OWN_ERRORS, Files, Target, write_files

CPU_LIMIT_S = 10.0  # of the processor, for one input


class Hang(BaseException):
    """An input took more than `CPU_LIMIT_S`."""


@dataclass
class Tally:
    """What the inputs of one target led to: each is accepted, refused with an own error, or a failure."""

    accepted: int = 0
    refused: int = 0
    hangs: int = 0
    failures: dict[str, tuple[str, Files]] = field(default_factory=dict)  # by place: a traceback and the input
    failed: collections.Counter[str] = field(default_factory=collections.Counter)

    @property
    def inputs(self) -> int:
        return self.accepted + self.refused + self.hangs + sum(self.failed.values())


class Runner:
    """One target with its corpus, in a folder of its own."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target, self.folder = target, folder
        self.corpus = target.corpus()
        self.tally = Tally()
        for files in self.corpus:  # the valid ones must be accepted, else nothing is tested
            write_files(files, folder)
            target.read(folder)

    def batch(self, number: int, count: int, on_input: Callable[[], object] = lambda: None) -> None:
        """Run `count` inputs drawn with the seed `number`."""
        strategy = st.tuples(st.sampled_from(range(len(self.corpus))), st.integers(0, 64), edits())

        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @given(strategy)
        def one(drawn: tuple[int, int, list[Any]]) -> None:
            which, place, changes = drawn
            self.run(self.target.edited(self.corpus[which], changes, place))
            on_input()

        one()

    def run(self, files: Files) -> None:
        """Read one input and record what came of it."""
        write_files(files, self.folder)
        before = signal.signal(signal.SIGPROF, _out_of_time)
        signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
        try:
            self.target.read(self.folder)
        except OWN_ERRORS as error:
            self.tally.refused += 1
            if "\n" in str(error):
                self._note(f"{type(error).__name__} of several lines", str(error), files)
                self.tally.refused -= 1
        except Hang:
            self.tally.hangs += 1
            self.tally.failures.setdefault(f"hang {self.tally.hangs}", (traceback.format_exc(), files))
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            place = f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
            self._note(place, traceback.format_exc(), files)
        else:
            self.tally.accepted += 1
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            signal.signal(signal.SIGPROF, before)

    def _note(self, place: str, text: str, files: Files) -> None:
        self.tally.failed[place] += 1
        self.tally.failures.setdefault(place, (text, files))


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise Hang
