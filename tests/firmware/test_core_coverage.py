"""What the core's cases reach: every line and every branch of the files in COVERED, no undefined behaviour."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from firmware_bridge import build
from tests.firmware.c_core import FIRMWARE, HERE, PROTOCOL, SANITIZED, STRICT, compile_c, compile_library
from tests.firmware.stepper_core import compile_stepper

OF_DRIVE = {"dc": (), "stepper": ("-DFIRMWARE_STEPPER",)}
ROOT = HERE.parent.parent
COVERED = ("safety.c", "drive_dc.c", "stillness.c", "plausibility.c", "pole_zero.c", "framing.c", "config.c", "rail.c")


def run_cases(library: Path, *drive: str, **environment: str) -> str:
    """The cases in a process of their own, so that counters are written and sanitizers may end it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.firmware.cases", str(library), *drive],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done.stdout


def uncovered(folder: Path, source: str) -> tuple[int, int, list[str]]:
    """How many lines and branches gcov counted in a source, and those never taken."""
    subprocess.run(
        ["gcov", "--json-format", "--branch-probabilities", *map(str, folder.glob("*.gcda"))],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    lines, branches, missing = 0, 0, []
    for report in folder.glob("*.gcov.json.gz"):
        for file in json.loads(gzip.decompress(report.read_bytes()))["files"]:
            if Path(file["file"]).name != source:
                continue
            for line in file["lines"]:
                lines += 1
                branches += len(line["branches"])
                if line["count"] == 0:
                    missing.append(f"{source}:{line['line_number']} never run")
                for number, branch in enumerate(line["branches"]):
                    if branch["count"] == 0:
                        missing.append(f"{source}:{line['line_number']} branch {number} never taken")
    return lines, branches, missing


def test_every_line_and_branch_of_the_core_is_run(tmp_path: Path) -> None:
    library = compile_library(tmp_path / "core.so", ("-O0", "-g", "--coverage"))
    run_cases(library)
    for source in COVERED:
        lines, branches, missing = uncovered(tmp_path, source)
        print(f"{source}: {lines} lines, {branches} branches, {len(missing)} missing")
        assert lines >= 5, "gcov saw the file"
        assert branches >= 2
        assert missing == []


def test_every_line_and_branch_of_a_stepper_is_run(tmp_path: Path) -> None:
    library = compile_stepper(tmp_path / "core.so", ("-O0", "-g", "--coverage"))
    run_cases(library, "stepper")
    for source in ("drive_stepper.c", "ramp.c"):
        lines, branches, missing = uncovered(tmp_path, source)
        print(f"{source}: {lines} lines, {branches} branches, {len(missing)} missing")
        assert lines > 15, "gcov saw the file"
        assert branches > 5
        assert missing == []


@pytest.mark.long
@pytest.mark.parametrize("drive", build.DRIVES)
def test_cases_meet_no_undefined_behaviour_and_no_memory_error(tmp_path: Path, drive: str) -> None:
    compiled = compile_library if drive == "dc" else compile_stepper
    library = compiled(tmp_path / "core.so", ("-O1", "-g", *SANITIZED))
    asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    report = run_cases(library, drive, LD_PRELOAD=asan.stdout.strip(), ASAN_OPTIONS="detect_leaks=0")
    assert "all pass" in report


@pytest.mark.parametrize("drive", build.DRIVES)
@pytest.mark.parametrize(
    "optimized", [*(pytest.param(level, marks=pytest.mark.long) for level in ("-O0", "-Os")), "-O3"]
)
def test_core_compiles_without_a_warning(tmp_path: Path, drive: str, optimized: str) -> None:
    core = [name for name in build.firmware_sources("", drive) if name.endswith(".c") and "/" not in name]
    assert len(core) >= 14
    for source in core:
        compile_c(tmp_path / "object.o", [FIRMWARE / source], [*STRICT, *OF_DRIVE[drive], optimized, "-c"])


def board_sources() -> list[tuple[str, str]]:
    """Each file of boards/host, with the drive that it is compiled for."""
    names = sorted(path.name for path in FIRMWARE.glob("boards/host/*.c"))
    shared = ("firmware_object.c", "policy_image.c", "pulse_train.c", "simulated_board.c", "stepper_extension.c")
    of_stepper = [(name, "stepper") for name in shared]
    return [(name, "dc") for name in names if name != "stepper_extension.c"] + of_stepper


@pytest.mark.parametrize(("source", "drive"), board_sources())
def test_host_board_compiles_without_a_warning(tmp_path: Path, source: str, drive: str) -> None:
    """The firmware's folder is no include path here: its limits.h would hide the system's from Python.h."""
    headers = sysconfig.get_path("include")
    words = [
        "gcc",
        *STRICT,
        *OF_DRIVE[drive],
        "-O2",
        "-fPIC",
        "-DPy_LIMITED_API=0x030B0000",
        f"-DPROTOCOL_HASH=0x{PROTOCOL.hash:08x}u",
        f"-isystem{headers}",
        "-c",
    ]
    words += [str(FIRMWARE / "boards/host" / source), "-o", str(tmp_path / "object.o")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
