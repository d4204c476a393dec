"""Where a swing-up begins: with the pole hanging or turning freely, and the rig ready for commands."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from cartpole_robot.errors import UsageError
from cartpole_robot.rig import Rig
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.signals import Measurement, State


@runtime_checkable
class SwingingRig(Protocol):
    """A rig whose firmware can be armed with the pole hanging."""

    def begin_swing(self, rng: np.random.Generator) -> Measurement:
        """The first measurement of a swing-up, the pole in whatever motion it has. Raises `RigError`."""


def check_can_swing(rig: Rig) -> None:
    """Raise `UsageError` for a rig that cannot begin with a hanging pole."""
    if not isinstance(rig, LockstepRig | SwingingRig):
        raise UsageError(
            f"a {type(rig).__name__} cannot begin a swing-up: it has no begin_swing, and its firmware arms an upright "
            "pole alone; use the rig sim"
        )


def begin_hanging(rig: Rig, start: State, rng: np.random.Generator) -> Measurement:
    """The first measurement of a swing-up: at `start` exactly on a simulated cart without a firmware.

    A firmware takes the pole in whatever motion it has, and `start` does not count. Raises `RigError`, and `UsageError`
    as `check_can_swing`.
    """
    if isinstance(rig, LockstepRig):
        return rig.reset(start, rng)
    check_can_swing(rig)
    assert isinstance(rig, SwingingRig)
    return rig.begin_swing(rng)
