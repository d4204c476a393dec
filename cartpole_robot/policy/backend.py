"""What may decide a duty, by name. It imports nothing: the command line offers the names at once."""

from __future__ import annotations

import enum

LQR = "lqr"  # the cart's regulator, where the file of a policy is expected


class Backend(enum.StrEnum):
    """Who computes a policy's action."""

    C = "c"
    INT16 = "int16"
    NUMPY = "numpy"
