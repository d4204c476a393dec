"""Line and branch coverage of the firmware, by the tests that judge it.

    python -m tests.firmware.coverage            the table
    python -m tests.firmware.coverage --missing  and each line and branch that was not taken

safety.c, homing.c, app.c, onboard.c and the rest of the core: gcov on the C built for this machine, under the core's
cases and rollouts of the virtual rig. boards/avr: the flashed image with line numbers on the emulated chip, under the
chip checks; a branch is a conditional branch or skip of the compiled program, and counts twice: taken, not taken.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_bridge import build
from firmware_bridge.chip_trace import ELSEWHERE, NEXT, TRACE_WORDS
from firmware_bridge.emulator import EmulatedChip
from tests.firmware.c_core import HERE, compile_library
from tests.firmware.mutate_boards import chip_checks, first_failed_check

ROOT = HERE.parent.parent
HOST_TESTS = ("tests/firmware", "tests/faults/test_virtual_cart.py")
NOT_OF_THE_HOST = "not mutant and not board_setup and not chip and not avr"
CORE = ("safety.c", "plausibility.c", "pole_zero.c", "framing.c", "config.c", "rail.c")  # by the core's cases
CONDITIONAL = re.compile(r"br(?!eak)\w+|cpse|sbrc|sbrs|sbic|sbis")


@dataclass
class Coverage:
    """Of one file: the lines and branch ways that there are, and those that were taken."""

    lines: set[int] = field(default_factory=set)
    lines_run: set[int] = field(default_factory=set)
    ways: int = 0
    ways_taken: int = 0
    missing: list[str] = field(default_factory=list)  # a line each, for a person

    def row(self, name: str) -> str:
        """Its row of the table."""
        run, there = len(self.lines_run), len(self.lines)
        lines = f"{run:4} of {there:4} lines {_percent(run, there)}"
        return (
            f"{name:16} {lines}   {self.ways_taken:4} of {self.ways:4} branches {_percent(self.ways_taken, self.ways)}"
        )


def _percent(part: int, whole: int) -> str:
    return f"{100.0 * part / whole:5.1f} %" if whole else "      -"


@dataclass(frozen=True)
class Instruction:
    """One of the image: its byte address, its mnemonic, and the source line it was compiled from."""

    address: int
    name: str
    file: str
    line: int


def instructions_of(elf: Path) -> list[Instruction]:
    """The instructions of an image built with -g, with the place of each."""
    words = ["avr-objdump", "-dl", "--no-show-raw-insn", str(elf)]
    listing = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found, place = [], ("", 0)
    for text in listing.splitlines():
        if at := re.match(r"(\S+\.[chS]):(\d+)", text):
            place = (at[1], int(at[2]))
        elif instruction := re.match(r" *([0-9a-f]+):\t(\S+)", text):
            found.append(Instruction(int(instruction[1], 16), instruction[2], *place))
        elif text.endswith(">:"):
            place = ("", 0)
    return found


def image_with_lines(folder: Path) -> Path:
    """The firmware as it is flashed, with line numbers. Raises `ValueError` where they change a byte of it."""
    plain = build.build_firmware(folder / "plain")
    sources = build.firmware_sources()
    for source, text in sources.items():
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).write_text(text, encoding="utf-8")
    defines = [f"-DPROTOCOL_HASH=0x{plain.protocol_hash:08x}UL", f"-DFIRMWARE_ID=0x{plain.firmware_id:08x}UL"]
    code = [source for source in sources if source.endswith(".c")]
    elf, flash = folder / "lines.elf", []
    words = ["avr-gcc", *build._COMPILE, build._WITHOUT_POLICY, "-g", *defines, *code, "-o", str(elf)]
    subprocess.run(words, cwd=folder, check=True)
    for each in (plain.elf, elf):
        subprocess.run(["avr-objcopy", "-O", "binary", "-R", ".eeprom", str(each), str(folder / "flash")], check=True)
        flash.append((folder / "flash").read_bytes())
    if flash[0] != flash[1]:
        raise ValueError("-g changes the image: its coverage is not that of the firmware")
    return elf


def chip_coverage(folder: Path) -> dict[str, Coverage]:
    """Of each C file of boards/avr, by its name. Raises `ValueError` where a chip check fails."""
    image = image_with_lines(folder)
    chips: list[EmulatedChip] = []

    def traced_chip(elf: Path) -> EmulatedChip:
        chips.append(EmulatedChip(elf, is_traced=True))
        return chips[-1]

    checks = chip_checks(build.firmware_id(build.firmware_sources()))
    failed = first_failed_check(image, checks, traced_chip)
    if failed is not None:
        raise ValueError(f"the firmware fails {failed}")
    ways = [0] * TRACE_WORDS
    for chip in chips:
        assert chip.trace is not None
        ways = [way | other for way, other in zip(ways, chip.trace.ways, strict=True)]
    found: dict[str, Coverage] = defaultdict(Coverage)
    for instruction in instructions_of(image):
        place = Path(instruction.file)
        if place.parent.name == "avr" and place.suffix == ".c":
            _count(found[place.name], instruction, ways[instruction.address // 2])
    for name, coverage in found.items():
        coverage.missing += [f"{name}:{line}: never runs" for line in sorted(coverage.lines - coverage.lines_run)]
    return dict(found)


def _count(coverage: Coverage, instruction: Instruction, way: int) -> None:
    coverage.lines.add(instruction.line)
    if way:
        coverage.lines_run.add(instruction.line)
    if CONDITIONAL.fullmatch(instruction.name):
        coverage.ways += 2
        coverage.ways_taken += bool(way & NEXT) + bool(way & ELSEWHERE)
        if way in (NEXT, ELSEWHERE):
            other = "taken" if way == NEXT else "passed"
            place = f"{Path(instruction.file).name}:{instruction.line}"
            coverage.missing.append(f"{place}: {instruction.name} at 0x{instruction.address:x} is never {other}")


def host_coverage(folder: Path) -> dict[str, Coverage]:
    """Of the C built for this machine, by the file's name: gcov of the extension, under the tests in `HOST_TESTS`."""
    copy = folder / "copy"
    ignored = shutil.ignore_patterns(".*", "build", "*.so", "runs", "__pycache__", "docs")
    shutil.copytree(ROOT, copy, ignore=ignored)
    for extension in ROOT.glob("cartpole_robot/**/*.so"):
        shutil.copy(extension, copy / extension.relative_to(ROOT))
    _run(copy, "setup.py", "-q", "build_ext", "--inplace", "--force", CFLAGS="-O0 -g --coverage")
    _run(copy, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not realtime", "-k", NOT_OF_THE_HOST, *HOST_TESTS)
    counted = [each for each in (copy / "build").rglob("*.gcda") if "firmware_bridge" in str(each)]
    found = _gcov(copy, counted)
    core = folder / "core"
    core.mkdir()
    library = compile_library(core / "core.so", ("-O0", "-g", "--coverage"))
    _run(ROOT, "-m", "tests.firmware.cases", str(library))
    return {**found, **{name: each for name, each in _gcov(core, list(core.glob("*.gcda"))).items() if name in CORE}}


def _gcov(folder: Path, counted: list[Path]) -> dict[str, Coverage]:
    words = ["gcov", "--json-format", "--branch-probabilities", *map(str, counted)]
    subprocess.run(words, check=True, capture_output=True, cwd=folder)
    found: dict[str, Coverage] = defaultdict(Coverage)
    for report in folder.glob("*.gcov.json.gz"):
        for file in json.loads(gzip.decompress(report.read_bytes()))["files"]:
            place = Path(file["file"])
            if place.parent.name == "firmware" and place.suffix == ".c":
                _count_lines(found[place.name], place.name, file["lines"])
    return dict(found)


def _count_lines(coverage: Coverage, name: str, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        number = line["line_number"]
        coverage.lines.add(number)
        if line["count"]:
            coverage.lines_run.add(number)
        else:
            coverage.missing.append(f"{name}:{number}: never runs")
        coverage.ways += len(line["branches"])
        coverage.ways_taken += sum(branch["count"] > 0 for branch in line["branches"])
        if line["count"]:
            coverage.missing += [
                f"{name}:{number}: branch {k} is never taken"
                for k, branch in enumerate(line["branches"])
                if branch["count"] == 0
            ]


def _run(folder: Path, *words: str, **environment: str) -> None:
    """Python in `folder`, which is imported from first."""
    variables = {**os.environ, **environment, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=variables, capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(f"{' '.join(words)[:80]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Line and branch coverage of the firmware")
    parser.add_argument("--missing", action="store_true", help="each line and branch that was not taken, too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        host, chip = host_coverage(Path(name) / "host"), chip_coverage(Path(name) / "chip")
    for title, found in (("on this machine", host), ("on the emulated chip", chip)):
        print(title)
        for file, coverage in sorted(found.items()):
            print(f"  {coverage.row(file)}")
            if chosen.missing:
                print("".join(f"      {each}\n" for each in coverage.missing), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
