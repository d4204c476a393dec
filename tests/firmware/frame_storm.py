"""A storm of frames against the whole firmware under the sanitizers.

python -m tests.firmware.frame_storm                      1,000,000 frames, a few seconds
python -m tests.firmware.frame_storm --frames 100000 --seed 7
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.firmware.c_core import FIRMWARE, HERE, SANITIZED, STRICT, compile_c

PARTS = (
    "app",
    "safety",
    "plausibility",
    "pole_zero",
    "config",
    "framing",
    "homing",
    "estimator",
    "policy",
    "onboard",
    "rail",
    "stillness",
    "drive_dc",
    "homing_dc",
)
HOST_PARTS = ("policy_image",)


@dataclass(frozen=True)
class Storm:
    """The result of a storm; `wrong` is empty if nothing went wrong."""

    frames: int = 0
    commands: int = 0
    ticks_armed: int = 0
    ticks_homing: int = 0
    homed: int = 0
    decided: int = 0
    wrong: str = ""


def storm(folder: Path, frames: int, seed: int) -> Storm:
    """Send `frames` random frames. A wrong duty, a memory error or undefined behaviour ends it."""
    sources = [HERE / "frame_storm.c", *(FIRMWARE / f"{part}.c" for part in PARTS)]
    sources += [FIRMWARE / "boards/host" / f"{part}.c" for part in HOST_PARTS]
    program = compile_c(folder / "frame_storm", sources, [*STRICT, *SANITIZED, "-O1", "-g"])
    done = subprocess.run([str(program), str(frames), str(seed)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return Storm(wrong=done.stdout + done.stderr)
    return Storm(*map(int, done.stdout.split()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A storm of frames against the firmware")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        done = storm(Path(folder), chosen.frames, chosen.seed)
    print(done.wrong or f"{done}, seed {chosen.seed}")
    return bool(done.wrong)


if __name__ == "__main__":
    sys.exit(main())
