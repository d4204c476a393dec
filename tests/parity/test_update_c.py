"""The update in C alone: under the sanitizers, and bit-identical for every vector width of the compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NATIVE = HERE.parent.parent / "cartpole_robot" / "training" / "dqn" / "native"
SOURCES = [str(HERE / "update_run.c"), str(NATIVE / "update.c")]
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-ffp-contract=off"]
PLAIN = ["-O0"]
SANITIZED = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
AS_BUILT = ["-O3", "-fno-math-errno", "-fno-trapping-math"]  # as in setup.py
FOR_THIS_MACHINE = [*AS_BUILT, "-march=native"]


def printed(tmp_path: Path, options: list[str]) -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler is not None, "no C compiler"
    program = tmp_path / "update_run"
    subprocess.run([compiler, *STRICT, *options, f"-I{NATIVE}", *SOURCES, "-o", str(program), "-lm"], check=True)
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}  # the driver does not free its memory
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "options", [*(pytest.param(each, marks=pytest.mark.long) for each in (SANITIZED, AS_BUILT)), FOR_THIS_MACHINE]
)
def test_update_is_bit_identical_to_plain_c(tmp_path: Path, options: list[str]) -> None:
    expected = printed(tmp_path, PLAIN)
    assert len(expected.splitlines()) == 56
    assert "nan" not in expected
    assert len({line.split()[-1] for line in expected.splitlines()}) == 56
    assert printed(tmp_path, options) == expected
