"""Mutation testing of boards/avr: checks on the emulated chip kill every mutant, or equivalent_boards.txt explains it.

    python -m tests.firmware.mutate_boards                  all mutants, about half an hour on two idle cores
    python -m tests.firmware.mutate_boards --file serial --sample 20

The changed file is compiled alone and linked with the others' objects, without link-time optimization: the same C in
a tenth of the time. Exit code 1 when an unexplained mutant survives, or an explained one is killed or is none any more.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from firmware_bridge import build
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.protocol import read_protocol
from tests.firmware.c_core import HERE
from tests.firmware.cases import expand
from tests.firmware.mutant_trials import (
    KILLED,
    NOT_C,
    SAME,
    SURVIVED,
    Trial,
    Trials,
    loaded_from,
    number_of,
    run_trials,
)
from tests.firmware.test_avr_build import Chip

BOARD = "boards/avr/"
FILES = (
    "clock",
    "contacts",
    "encoders",
    "identity",
    "main",
    "motor",
    "relay",
    "serial",
    "session",
    "startup",
    "supply",
)
HEADER = "interrupt_time"  # its functions are part of every file that includes it
CHECKS = ("test_avr_build", "test_chip_board")  # their functions of a `chip`
TIMED = (  # they ask for the speed of the image that is flashed
    "test_ping_is_answered_with_the_time_in_between_ticks",
    "test_flood_of_noise_delays_no_tick",
    "test_edges_faster_than_the_interrupt_are_reported",
)
FIRMWARE_ID = 7
Case = tuple[str, Callable[..., None], dict[str, Any]]


def board_trials() -> Trials:
    sources = build.firmware_sources()
    return Trials(
        sources={name: sources[f"{BOARD}{name}.c"] for name in FILES} | {HEADER: sources[f"{BOARD}{HEADER}.h"]},
        explained=HERE / "equivalent_boards.txt",
        prepare=prepare,
        judge=_judge,
        judged_by=number_of_board_judges,
        limit_s=120.0,
    )


def number_of_board_judges(drive: str = "dc", others: Sequence[Path] = ()) -> int:
    """Changes with the checks, the emulator, the compiler, the firmware of that drive, or one of the `others`."""
    compiler = subprocess.run(["avr-gcc", "--version"], capture_output=True, text=True, check=True).stdout
    bridge = Path(build.__file__).parent
    emulator = [each for each in (bridge / "simavr").rglob("*") if each.suffix in (".c", ".h")]
    words = [f"{name}\n{text}" for name, text in sorted(build.firmware_sources(drive=drive).items())]
    return number_of([*emulator, *others, *loaded_from(HERE.parent, bridge)], compiler, *words)


@cache
def chip_checks(firmware_id: int = FIRMWARE_ID) -> list[Case]:
    """Every case that needs a `chip`, and no other fixture than its image."""
    found: list[Case] = []
    for module in CHECKS:
        for name, function in vars(importlib.import_module(f"tests.firmware.{module}")).items():
            code = getattr(function, "__code__", None)
            if not name.startswith("test_") or code is None:
                continue
            names = code.co_varnames[: code.co_argcount]
            given = {"image": SimpleNamespace(firmware_id=firmware_id)} if "image" in names else {}
            if "chip" in names and name not in TIMED:
                found += [(f"{name}{case}", function, {**case, **given}) for case in expand(function)]
    return found


def prepare(folder: Path) -> None:
    """The sources and an object of each in `folder`, and their image. Raises `ValueError` if a check fails on it."""
    compile_original(folder)
    failed = first_failed_check(folder / "original.elf", chip_checks())
    if failed is not None:
        raise ValueError(f"the firmware itself fails {failed}")


def compile_original(folder: Path, drive: str = "dc") -> None:
    """Write the sources of the firmware for `drive` to `folder`, with an object of each, and original.elf."""
    sources = build.firmware_sources(drive=drive)
    for source, text in sources.items():
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).write_text(text, encoding="utf-8")
    for source in sources:
        if source.endswith(".c"):
            compile_object(folder, folder / source, source, drive)
    link_image(folder, "original", {}, drive)


def _options(drive: str) -> list[str]:
    defines = [f"-DPROTOCOL_HASH=0x{read_protocol().hash:08x}UL", f"-DFIRMWARE_ID={FIRMWARE_ID}UL"]
    if drive == "stepper":
        defines.append(build._STEPPER_DEFINE)
    return [option for option in build._COMPILE if option not in ("-flto", "-Werror")] + ["-w", *defines]


def compile_object(folder: Path, text: Path, source: str, drive: str = "dc") -> Path:
    """The object of the C file `text`, which stands where `source` does. Raises `CalledProcessError`."""
    target = folder / f"{text.stem if text.parent == folder / 'changed' else source.replace('/', '-')}.o"
    words = ["avr-gcc", *_options(drive), build._WITHOUT_POLICY, f"-I{(folder / source).parent}", "-c", str(text)]
    subprocess.run([*words, "-o", str(target)], cwd=folder, check=True, capture_output=True)
    return target


def link_image(folder: Path, name: str, instead: dict[str, Path], drive: str = "dc") -> bytes:
    """`name`.elf in `folder`, of the objects there and those `instead` of a source's; returns its bytes of flash."""
    objects = [
        str(instead.get(source, folder / f"{source.replace('/', '-')}.o"))
        for source in build.firmware_sources(drive=drive)
        if source.endswith(".c")
    ]
    elf, binary = folder / f"{name}.elf", folder / f"{name}.bin"
    subprocess.run(["avr-gcc", *_options(drive), *objects, "-o", str(elf)], cwd=folder, check=True, capture_output=True)
    subprocess.run(["avr-objcopy", "-O", "binary", "-R", ".eeprom", str(elf), str(binary)], check=True)
    return binary.read_bytes()


def first_failed_check(
    elf: Path, checks: Sequence[Case], make_chip: Callable[[Path], EmulatedChip] = EmulatedChip
) -> str | None:
    """The first of `checks` that fails on an image, its name before a tab and why after it; None where all pass."""
    for name, function, arguments in checks:
        try:
            chip = Chip(elf, make_chip)
            try:
                chip.step(milliseconds=30)
                function(chip=chip, **arguments)
            finally:
                chip.close()
        except Exception as error:  # whatever goes wrong is a failure
            return f"{name}\t{' '.join(str(error).split())[:120]}"
    return None


def _changed_objects(trial: Trial) -> dict[str, Path]:
    """By source, the objects of a mutant: one, or of a header's those that include it. Raises `CalledProcessError`."""
    folder, name = trial.folder / "changed", f"{trial.number}.h"
    folder.mkdir(exist_ok=True)
    texts = {f"{BOARD}{trial.mutant.file}.c": trial.changed}
    if trial.mutant.file == HEADER:
        (folder / name).write_text(trial.changed, encoding="utf-8")
        line, other = (f'#include "{each}"' for each in (f"{HEADER}.h", folder / name))
        sources = build.firmware_sources().items()
        texts = {source: text.replace(line, other) for source, text in sources if line in text}
    objects = {}
    for source, text in texts.items():
        place = folder / f"{trial.number}-{Path(source).name}"
        place.write_text(text.replace('#include "../../', f'#include "{trial.folder}/'), encoding="utf-8")
        objects[source] = compile_object(trial.folder, place, source)
    return objects


def _judge(trial: Trial) -> tuple[int, str]:
    folder, number = trial.folder, trial.number
    try:
        flash = link_image(folder, str(number), _changed_objects(trial))
    except subprocess.CalledProcessError:
        return NOT_C, ""
    if flash == (folder / "original.bin").read_bytes():
        return SAME, ""
    failed = first_failed_check(folder / f"{number}.elf", trial.ordered(chip_checks()))
    (folder / f"{number}.elf").unlink()
    return (SURVIVED, "") if failed is None else (KILLED, failed.split("\t")[0])


if __name__ == "__main__":
    sys.exit(run_trials(board_trials(), "boards/avr"))
