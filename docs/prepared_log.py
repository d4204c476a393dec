"""Writes the CSV file that docs/guides/recordings.md imports: `python docs/prepared_log.py RECORDING FILE.csv`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from cartpole_robot.recording.reader import read_recording


def write_log(recording: Path, csv: Path) -> None:
    """The columns t (s), x_mm, angle_deg and u of `recording`; its last row has no command."""
    read = read_recording(recording)
    tick = read.column("tick")[:-1].astype(float)
    table = np.column_stack(
        [
            0.02 * (tick - tick[0]),
            1000.0 * read.column("cart_position_m")[:-1],
            np.degrees(read.column("pole_angle_rad")[:-1]),
            read.column("requested_duty")[:-1],
        ]
    )
    np.savetxt(csv, table, fmt="%.4f", delimiter=",", header="t,x_mm,angle_deg,u", comments="")


write_log(Path(sys.argv[1]), Path(sys.argv[2]))
