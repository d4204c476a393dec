"""What the firmware does without a command, by name. It imports nothing: the command line offers the names at once."""

from __future__ import annotations

import enum


class Late(enum.StrEnum):
    """What the firmware does at a control tick that no new command has reached."""

    HOLD = "hold"
    BRAKE = "brake"
    DISARM = "disarm"
