"""Mutants of the firmware's C for this machine: each is compiled alone and linked with the other objects."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.firmware.c_core import FIRMWARE, HERE, CompileError, compile_c
from tests.firmware.mutant_trials import Trial, loaded_from, number_of


def number_of_judges(files: Iterable[Path], options: Sequence[str]) -> int:
    """A number that changes with compiler, options, headers, `files` and the loaded test modules."""
    compiler = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout
    return number_of(
        [*FIRMWARE.glob("*.h"), *files, *loaded_from(HERE.parent, FIRMWARE.parent)], compiler, " ".join(options)
    )


def compile_objects(folder: Path, files: Iterable[Path], options: Sequence[str]) -> None:
    """Compile each file into an object in `folder`."""
    for part in files:
        compile_c(folder / f"{part.stem}.o", [part], [*options, "-c"])


def linked(trial: Trial, options: Sequence[str]) -> Path | None:
    """The library with the trial's mutant in place of its file; None for a mutant that does not compile."""
    folder = trial.folder
    text = folder / f"{trial.number}.c"
    text.write_text(trial.changed, encoding="utf-8")
    objects = [each for each in folder.glob("*.o") if each.stem != trial.mutant.file]
    try:
        return compile_c(folder / f"{trial.number}.so", [text, *objects], [*options, "-shared"])
    except CompileError:
        return None
