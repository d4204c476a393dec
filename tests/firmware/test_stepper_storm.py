"""A storm of frames and inputs against the whole firmware of a stepper, under the sanitizers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.firmware.c_core import CORE, FIRMWARE, HERE, SANITIZED, compile_c

PARTS = (*(name for name in CORE if not name.endswith("_dc")), "drive_stepper", "homing_stepper", "ramp", "onboard")
BOARD = ("simulated_board", "pulse_train", "policy_image")


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3))])
def test_nothing_that_comes_drives_a_stepper_beyond_its_limits(tmp_path: Path, seed: int) -> None:
    sources = [*(FIRMWARE / f"{name}.c" for name in PARTS), *(FIRMWARE / f"boards/host/{name}.c" for name in BOARD)]
    options = ["-std=c11", "-O1", "-g", *SANITIZED, "-DFIRMWARE_STEPPER"]
    storm = compile_c(tmp_path / "storm", [*sources, HERE / "stepper_storm.c"], options)
    done = subprocess.run([storm, "500000", str(seed)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    armed, moved, homed = map(int, re.findall(r"\d+", done.stdout))
    assert min(armed, homed) > 500, done.stdout
    assert moved > 5000
