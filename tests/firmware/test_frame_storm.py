"""50,000 random frames with good CRCs: only accepted commands turn the motor. For 1,000,000 there is frame_storm.py."""

from __future__ import annotations

from pathlib import Path

from tests.firmware.frame_storm import storm


def test_no_frame_drives_the_motor_but_an_accepted_command(tmp_path: Path) -> None:
    done = storm(tmp_path, 50_000, seed=1)
    assert done.wrong == ""
    assert done.frames == 50_000
    assert done.commands > 4000, "the storm has armed the cart"
    assert done.ticks_armed > 30_000
    assert done.ticks_homing > 100_000
    assert done.homed > 20, "homing as it is was seen too"
    assert done.decided > 200, "a policy on board has driven"
