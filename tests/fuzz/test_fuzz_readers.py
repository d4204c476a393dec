"""A short run of every fuzz target with fixed seeds; `make fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.run_target import Runner
from tests.fuzz.targets import TARGETS, Target

INPUTS = 16
SEED = 1905


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_reader_accepts_or_refuses_edited_files_in_one_line(target: Target, tmp_path: Path) -> None:
    runner = Runner(target, tmp_path / "input")
    runner.batch(SEED, INPUTS)
    tally = runner.tally
    assert tally.inputs >= INPUTS
    assert not tally.failures, "\n".join(f"seed {SEED}: {place}\n{text}" for place, (text, _) in tally.failures.items())
    assert target.name in ("frames",) or tally.refused, "no edit did any harm: the target tests nothing"


def test_failing_reader_is_reported_with_its_input(tmp_path: Path) -> None:
    """The harness itself: an error that is not the package's own is a failure."""

    def read(folder: Path) -> None:
        if (folder / "a.json").read_bytes() != b'{"x": 1}':
            raise KeyError("x")

    runner = Runner(Target(name="broken", corpus=lambda: [{"a.json": b'{"x": 1}'}], read=read), tmp_path / "input")
    runner.batch(SEED, INPUTS)
    assert runner.tally.failed.total() > INPUTS // 2
    ((place, (text, files)),) = runner.tally.failures.items()
    assert place.startswith("KeyError at test_fuzz_readers.py:")
    assert "Traceback" in text
    assert files.keys() == {"a.json"}
