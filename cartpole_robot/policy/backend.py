"""What may decide a duty, by name. It imports nothing heavy: the command line needs the names at once."""

from __future__ import annotations

import enum

LQR = "lqr"  # the cart's regulator, in place of a policy file


class Backend(enum.StrEnum):
    """Who computes a policy's action."""

    C = "c"
    INT16 = "int16"
    NUMPY = "numpy"
