"""Every single bit of frames of every message, flipped: none is accepted."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.firmware.c_core import FIRMWARE, HERE, STRICT, compile_c


def test_no_flipped_bit_is_accepted(tmp_path: Path) -> None:
    sources = [HERE / "flips.c", FIRMWARE / "framing.c"]
    program = compile_c(tmp_path / "flips", sources, [*STRICT, "-O3"])
    done = subprocess.run([str(program), "1500", "1"], capture_output=True, text=True, check=True)
    tried, accepted, lost = map(int, done.stdout.split())
    print(f"{tried} flips, {accepted} accepted, {lost} frames lost besides the flipped one")
    assert tried > 3_000_000
    assert accepted == 0, done.stderr
    assert lost == 1500 * 15 * 8, "a flip in a frame's end glues the next frame to it; no other costs a second frame"
