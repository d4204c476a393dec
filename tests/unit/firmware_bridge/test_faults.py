"""Which faults belong to one drive alone, read from the firmware's sources."""

from __future__ import annotations

import re
from pathlib import Path

import firmware_bridge
from firmware_bridge.faults import DC_FAULTS, FAULTS, STEPPER_FAULTS

FIRMWARE = Path(firmware_bridge.__file__).parent / "firmware"
FOR_A_CART_ENCODER = "DRIVE_HAS_CART_ENCODER"


def raised(*names: str) -> set[str]:
    """The faults that these files raise, those they only compare with left out; of a DC motor under its condition."""
    found = set()
    for name in names:
        lines = (FIRMWARE / name).read_text(encoding="utf-8").splitlines()
        for above, line in zip(["", *lines], lines, strict=False):
            faults = {f"FAULT_{fault}" for fault in FAULTS} & set(re.findall(r"(?<![=!]= )FAULT_\w+", line))
            found |= {("dc " if FOR_A_CART_ENCODER in above + line else "") + fault for fault in faults}
    return {fault.replace("FAULT_", "") for fault in found}


def test_faults_of_one_drive_are_those_that_only_its_sources_raise() -> None:
    own = {drive: sorted(path.name for path in FIRMWARE.glob(f"*_{drive}.[ch]")) for drive in ("dc", "stepper")}
    common = raised(*(path.name for path in FIRMWARE.glob("*.c") if path.name not in own["dc"] + own["stepper"]))
    encoders = {fault.removeprefix("dc ") for fault in common if fault.startswith("dc ")}
    dc, stepper = raised(*own["dc"]) | encoders, raised(*own["stepper"])
    assert len(common) > 15
    assert dc - common - stepper == DC_FAULTS
    assert stepper - common - dc == STEPPER_FAULTS
    assert {fault for fault in common if not fault.startswith("dc ")} | dc | stepper == set(FAULTS)
