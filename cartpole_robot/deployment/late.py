"""What the firmware does without a command. Imports nothing heavy, so that the command line starts fast."""

from __future__ import annotations

import enum


class Late(enum.StrEnum):
    """What the firmware does at a control tick for which no new command has arrived."""

    HOLD = "hold"
    BRAKE = "brake"
    DISARM = "disarm"
