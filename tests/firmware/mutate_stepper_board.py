"""Mutation testing of a stepper's board code: checks on the emulated chip kill every mutant, or a table explains it.

    python -m tests.firmware.mutate_stepper_board                  all mutants, about ten minutes on two idle cores
    python -m tests.firmware.mutate_stepper_board --file stepper --sample 20

Mutated are boards/avr/stepper.c, each instruction of its assembly too, and what other files of the board have for a
stepper alone. A mutant is judged in two images: steps.c's, pulse for pulse, and the firmware's. Exit code 1 when an
unexplained mutant survives, or one that equivalent_stepper_board.txt explains is killed or is none any more.
"""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from firmware_bridge import build
from tests.firmware import test_stepper_board
from tests.firmware.c_core import FIRMWARE, HERE
from tests.firmware.cases import cases_of
from tests.firmware.mutant_trials import KILLED, NOT_C, SAME, SURVIVED, Trial, Trials, run_trials
from tests.firmware.mutate_boards import BOARD, compile_object, compile_original, link_image, number_of_board_judges
from tests.firmware.mutate_kernel import without_an_instruction
from tests.firmware.mutation import Mutant, mutants_of
from tests.firmware.step_checks import (
    CRUISING,
    ENABLE_HIGH,
    ENABLE_LOW,
    FAST,
    HIGH_BYTE,
    REVERSING,
    SLOW,
    WAITS,
    check_steps,
    check_stray_interrupt,
    expected_steps,
)
from tests.hil.step_train import STEP_BOARD

FILES = ("stepper", "clock", "contacts", "main")
OF_A_STEPPER = re.compile(r"motor_(hold_clocks|release_clocks|latch|take)|is_alarm_high")  # lines of the other files
STEPS_C = HERE.parent / "hil" / "steps.c"
Check = tuple[str, Callable[[Path, Path], None]]


def stepper_board_trials() -> Trials:
    sources = build.firmware_sources(drive="stepper")
    return Trials(
        sources={name: sources[f"{BOARD}{name}.c"] for name in FILES},
        explained=HERE / "equivalent_stepper_board.txt",
        prepare=_prepare,
        judge=_judge,
        judged_by=_judged_by,
        limit_s=120.0,
        mutants=stepper_board_mutants,
    )


def stepper_board_mutants(source: str, file: str) -> list[Mutant]:
    """Of stepper.c all, of another file those of a stepper's lines."""
    mutants = mutants_of(source, file)
    if file == "stepper":
        return [*mutants, *without_an_instruction(source, file)]
    return [mutant for mutant in mutants if OF_A_STEPPER.search(mutant.name.split(" | ")[1])]


def _judged_by() -> int:
    return number_of_board_judges("stepper", [FIRMWARE / "boards/host/pulse_train.c", STEPS_C])


@cache
def checks() -> list[Check]:
    """Each with a name, of the image of steps.c and of the firmware's."""
    found: list[Check] = [
        ("steps, fast", lambda steps, _: check_steps(steps, FAST)),
        ("steps, slow", lambda steps, _: check_steps(steps, SLOW, ENABLE_HIGH)),
        ("steps, waiting", lambda steps, _: check_steps(steps, FAST, ENABLE_LOW | WAITS)),
        ("steps, reversing", lambda steps, _: check_steps(steps, REVERSING, ENABLE_HIGH | WAITS)),
        ("steps, cruising", lambda steps, _: check_steps(steps, CRUISING, ENABLE_LOW | WAITS)),
        ("steps, high byte", lambda steps, _: check_steps(steps, HIGH_BYTE)),
        ("steps, lost", lambda steps, _: check_stray_interrupt(steps, ENABLE_LOW)),
        ("steps, lost and high", lambda steps, _: check_stray_interrupt(steps, ENABLE_HIGH)),
    ]
    for name, function, case in cases_of(("test_stepper_board",), "chip"):
        found.append((name, functools.partial(_on_a_chip, function, case)))
    return found


def _on_a_chip(function: Callable[..., None], case: dict[str, object], _: Path, elf: Path) -> None:
    chip = test_stepper_board.stepper_chip(elf)
    try:
        function(chip=chip, **case)
    finally:
        chip.close()


def _prepare(folder: Path) -> None:
    compile_original(folder, "stepper")
    compile_object(folder, STEPS_C, "steps.c", "stepper")
    _link_steps(folder, "original-steps", {})
    for most in (SLOW, FAST, REVERSING, CRUISING, HIGH_BYTE):
        expected_steps(most)
    for _, check in checks():
        check(folder / "original-steps.elf", folder / "original.elf")


def _link_steps(folder: Path, name: str, instead: dict[str, Path]) -> Path:
    """The image of steps.c, of the objects in `folder` and those `instead` of a source's."""
    sources = ["steps.c", "ramp.c", *(f"{BOARD}{each}.c" for each in STEP_BOARD)]
    objects = [str(instead.get(source, folder / f"{source.replace('/', '-')}.o")) for source in sources]
    elf = folder / f"{name}.elf"
    words = ["avr-gcc", f"-mmcu={build.MCU}", *objects, "-Wl,--undefined=firmware_mark", "-o", str(elf)]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return elf


def _judge(trial: Trial) -> tuple[int, str]:
    folder, source = trial.folder, f"{BOARD}{trial.mutant.file}.c"
    (folder / "changed").mkdir(exist_ok=True)
    text = folder / "changed" / f"{trial.number}-{trial.mutant.file}.c"
    text.write_text(trial.changed.replace('#include "../../', f'#include "{folder}/'), encoding="utf-8")
    try:
        instead = {source: compile_object(folder, text, source, "stepper")}
        flash = link_image(folder, str(trial.number), instead, "stepper")
        steps = _link_steps(folder, f"{trial.number}-steps", instead)
    except subprocess.CalledProcessError:
        return NOT_C, ""
    elf = folder / f"{trial.number}.elf"
    verdict = SURVIVED, ""
    if flash == (folder / "original.bin").read_bytes():
        verdict = SAME, ""
    else:
        for name, check in trial.ordered(checks()):
            try:
                check(steps, elf)
            except Exception:  # whatever goes wrong is a failure
                verdict = KILLED, name
                break
    elf.unlink()
    steps.unlink()
    return verdict


if __name__ == "__main__":
    sys.exit(run_trials(stepper_board_trials(), "a stepper's board"))
