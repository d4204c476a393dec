"""Line and branch coverage of the firmware, by the tests that judge it.

    python -m tests.firmware.coverage            the table, and each line and branch that was not taken

Exit code 1 where uncovered.txt does not explain one of these, or explains one that was taken.

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
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_bridge import build
from firmware_bridge.chip_trace import ELSEWHERE, NEXT, TRACE_WORDS
from firmware_bridge.emulator import DriverWiring, EmulatedChip
from tests.firmware import test_stepper_board
from tests.firmware.c_core import FIRMWARE, HERE, compile_library
from tests.firmware.cases import cases_of
from tests.firmware.mutate_boards import chip_checks, first_failed_check
from tests.firmware.mutation import function_at, tokens_of
from tests.firmware.stepper_core import compile_stepper

ROOT = HERE.parent.parent
OF_THE_APP = (
    "app_armed",
    "app_messages",
    "dead_zone",
    "estimator",
    "framing",
    "homing",
    "jogging",
    "onboard",
    "onboard_history",
    "policy_c",
)
HOST_TESTS = (
    *(f"tests/firmware/test_{name}.py" for name in OF_THE_APP),
    "tests/faults/test_swinging_pole.py",
    "tests/faults/test_virtual_cart.py",
    "tests/unit/policy/test_network.py",
)
NOT_OF_THE_HOST = "not trained and not simulated_one and not two_processes and not avr and not chip"
CORE = (
    "safety.c",
    "drive_dc.c",
    "stillness.c",
    "plausibility.c",
    "pole_zero.c",
    "framing.c",
    "config.c",
    "rail.c",
)  # by the core's cases
OF_A_STEPPER = ("drive_stepper.c", "homing_stepper.c", "ramp.c")  # by a stepper's
OPTIMIZED = '"-O3"'
REASONS = HERE / "uncovered.txt"
CONDITIONAL = re.compile(r"br(?!eak)\w+|cpse|sbrc|sbrs|sbic|sbis")


@dataclass
class Coverage:
    """Of one file: the lines and branch ways that there are, and those that were taken.

    A missing way is of a line that runs; those of one that does not are missing with it.
    """

    lines: set[int] = field(default_factory=set)
    lines_run: set[int] = field(default_factory=set)
    ways: int = 0
    ways_taken: int = 0
    ways_missing: Counter[int] = field(default_factory=Counter)  # by line

    def gaps(self, source: str) -> list[tuple[str, str, int]]:
        """What was not covered: its function, the line's text and how many of its ways, 0 where it never runs."""
        missing = dict.fromkeys(self.lines - self.lines_run, 0) | self.ways_missing
        tokens, texts = tokens_of(source), source.splitlines(keepends=True)
        return [
            (function_at(tokens, sum(map(len, texts[:number])) - 1), " ".join(texts[number - 1].split()), ways)
            for number, ways in sorted(missing.items())
        ]

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


def image_with_lines(folder: Path, drive: str = "dc") -> Path:
    """The image for `drive` as it is flashed, with line numbers. Raises `ValueError` where they change a byte of it."""
    plain = build.build_firmware(folder / "plain", drive=drive)
    sources = build.firmware_sources(drive=drive)
    for source, text in sources.items():
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).write_text(text, encoding="utf-8")
    defines = [f"-DPROTOCOL_HASH=0x{plain.protocol_hash:08x}UL", f"-DFIRMWARE_ID=0x{plain.firmware_id:08x}UL"]
    if drive == "stepper":
        defines.append(build._STEPPER_DEFINE)
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
    return _of_the_board(image, chips)


def stepper_chip_coverage(folder: Path) -> dict[str, Coverage]:
    """Of boards/avr/stepper.c, by its name: the checks of the firmware's image."""
    folder.mkdir(parents=True)
    chips: list[EmulatedChip] = []

    def traced_chip(elf: Path) -> EmulatedChip:
        chips.append(EmulatedChip(elf, is_traced=True, driver=DriverWiring(has_cart_encoder=True)))
        return chips[-1]

    image = image_with_lines(folder, "stepper")
    for _, function, case in cases_of(("test_stepper_board",), "chip"):
        chip = test_stepper_board.stepper_chip(image, traced_chip)
        try:
            function(chip=chip, **case)
        finally:
            chip.close()
    return {name: each for name, each in _of_the_board(image, chips).items() if name == "stepper.c"}


def _of_the_board(image: Path, chips: list[EmulatedChip]) -> dict[str, Coverage]:
    ways = [0] * TRACE_WORDS
    for chip in chips:
        assert chip.trace is not None
        ways = [way | other for way, other in zip(ways, chip.trace.ways, strict=True)]
    found: dict[str, Coverage] = defaultdict(Coverage)
    for instruction in instructions_of(image):
        place = Path(instruction.file)
        if place.parent.name == "avr" and place.suffix == ".c":
            _count(found[place.name], instruction, ways[instruction.address // 2])
    return dict(found)


def _count(coverage: Coverage, instruction: Instruction, way: int) -> None:
    coverage.lines.add(instruction.line)
    if way:
        coverage.lines_run.add(instruction.line)
    if CONDITIONAL.fullmatch(instruction.name):
        coverage.ways += 2
        coverage.ways_taken += bool(way & NEXT) + bool(way & ELSEWHERE)
        if way in (NEXT, ELSEWHERE):
            coverage.ways_missing[instruction.line] += 1


def host_coverage(folder: Path) -> dict[str, Coverage]:
    """Of the C built for this machine, by the file's name: gcov of the extension, under the tests in `HOST_TESTS`."""
    copy = folder / "copy"
    ignored = shutil.ignore_patterns(".*", "build", "*.so", "runs", "__pycache__", "docs")
    shutil.copytree(ROOT, copy, ignore=ignored)
    for extension in ROOT.glob("cartpole_robot/**/*.so"):
        shutil.copy(extension, copy / extension.relative_to(ROOT))
    setup = (copy / "setup.py").read_text(encoding="utf-8")
    if OPTIMIZED not in setup:
        raise ValueError(f"setup.py: expected {OPTIMIZED}, which is to become -O0: it would come after CFLAGS")
    (copy / "setup.py").write_text(setup.replace(OPTIMIZED, '"-O0"'), encoding="utf-8")
    _run(copy, "setup.py", "-q", "build_ext", "--inplace", "--force", CFLAGS="-g --coverage")
    _run(copy, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not realtime", "-k", NOT_OF_THE_HOST, *HOST_TESTS)
    counted = [each for each in (copy / "build").rglob("*.gcda") if {"_host", "firmware_bridge"} <= {*each.parts}]
    found = _gcov(copy, counted)
    core = folder / "core"
    core.mkdir()
    library = compile_library(core / "core.so", ("-O0", "-g", "--coverage"))
    _run(ROOT, "-m", "tests.firmware.cases", str(library))
    of_core = {name: each for name, each in _gcov(core, list(core.glob("*.gcda"))).items() if name in CORE}
    return {**found, **of_core, **stepper_coverage(folder / "stepper")}


def stepper_coverage(folder: Path) -> dict[str, Coverage]:
    """Of the core's files that only a stepper has, by their names."""
    folder.mkdir(parents=True)
    library = compile_stepper(folder / "core.so", ("-O0", "-g", "--coverage"))
    _run(ROOT, "-m", "tests.firmware.cases", str(library), "stepper")
    return {name: each for name, each in _gcov(folder, list(folder.glob("*.gcda"))).items() if name in OF_A_STEPPER}


def _gcov(folder: Path, counted: list[Path]) -> dict[str, Coverage]:
    words = ["gcov", "--json-format", "--branch-probabilities", *map(str, counted)]
    subprocess.run(words, check=True, capture_output=True, cwd=folder)
    found: dict[str, Coverage] = defaultdict(Coverage)
    for report in folder.glob("*.gcov.json.gz"):
        for file in json.loads(gzip.decompress(report.read_bytes()))["files"]:
            place = Path(file["file"])
            if place.parent.name == "firmware" and place.suffix == ".c":
                _count_lines(found[place.name], file["lines"])
    return dict(found)


def _count_lines(coverage: Coverage, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        number, branches = line["line_number"], line["branches"]
        coverage.lines.add(number)
        coverage.ways += len(branches)
        taken = sum(branch["count"] > 0 for branch in branches)
        coverage.ways_taken += taken
        if line["count"]:
            coverage.lines_run.add(number)
            if taken < len(branches):
                coverage.ways_missing[number] += len(branches) - taken


def _run(folder: Path, *words: str, **environment: str) -> None:
    """Python in `folder`, which is imported from first."""
    variables = {**os.environ, **environment, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=variables, capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(f"{' '.join(words)[:80]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def read_reasons(path: Path = REASONS) -> dict[tuple[str, str, int], str]:
    """Why something is not covered, by function, line and missing ways. Raises ValueError for an odd line."""
    reasons = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        if not text.strip() or text.startswith("#"):
            continue
        where, _, rest = text.partition(" | ")
        line, what, why = rest.rsplit(" | ", 2) if rest.count(" | ") > 1 else ("", "", "")
        ways = re.fullmatch(r"never runs|(\d+) ways?", what)
        if ways is None or len(why) < 10 or (where, line, int(ways[1] or 0)) in reasons:
            raise ValueError(
                f"{path.name}: {text!r}: expected `file function | line | never runs, or N ways | why`, each once"
            )
        reasons[where, line, int(ways[1] or 0)] = why
    return reasons


def main() -> int:
    argparse.ArgumentParser(description="Line and branch coverage of the firmware").parse_args()
    reasons = read_reasons()
    with tempfile.TemporaryDirectory() as name:
        host, chip = host_coverage(Path(name) / "host"), chip_coverage(Path(name) / "chip")
        chip |= stepper_chip_coverage(Path(name) / "stepper")
    gaps = []
    for title, found, folder in (("on this machine", host, ""), ("on the emulated chip", chip, "boards/avr/")):
        print(title)
        for file, coverage in sorted(found.items()):
            print(f"  {coverage.row(file)}")
            for function, line, ways in coverage.gaps((FIRMWARE / folder / file).read_text(encoding="utf-8")):
                gaps.append((f"{folder}{file} {function}", line, ways))
                what = "never runs" if ways == 0 else f"{ways} way{'s' * (ways > 1)}"
                print(f"      {function} | {line} | {what} | {reasons.get(gaps[-1], 'NO REASON')}")
    wrong = [
        *(
            f"not covered, and no reason in {REASONS.name}: {' | '.join(map(str, gap))}"
            for gap in gaps
            if gap not in reasons
        ),
        *(
            f"{REASONS.name} explains what is covered: {' | '.join(map(str, gap))}"
            for gap in reasons
            if gap not in gaps
        ),
    ]
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
