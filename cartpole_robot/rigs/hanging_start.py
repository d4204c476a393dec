"""Where a swing-up begins: with the pole hanging or turning freely, and the rig ready for commands."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from cartpole_robot.errors import UsageError
from cartpole_robot.rig import Rig
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.signals import Measurement, State


@runtime_checkable
class HangingRig(Protocol):
    """A rig whose firmware can be armed with the pole hanging."""

    def begin_hanging(self, start: State, rng: np.random.Generator) -> Measurement:
        """The first measurement of an episode of the swing-up task. Raises `RigError`.

        Where cart and pole can be placed they begin near `start`, else the pole moves as it happens to.
        """


@runtime_checkable
class PlacingRig(HangingRig, Protocol):
    """One whose cart is simulated: a simulated hand places cart and pole before the firmware is armed."""

    def place(self, start: State) -> None:
        """Bring cart and pole to `start` with the motor off, and let go. Raises `RigError`."""


def check_can_swing(rig: Rig) -> None:
    """Raise `UsageError` for a rig that cannot begin with a hanging pole."""
    if not isinstance(rig, LockstepRig | HangingRig):
        raise UsageError(
            f"a {type(rig).__name__} cannot begin a swing-up: it has no begin_hanging, and its firmware arms an "
            "upright pole alone; use the rig sim"
        )


def begin_hanging(rig: Rig, start: State, rng: np.random.Generator) -> Measurement:
    """The first measurement of a swing-up: at `start` exactly on a simulated cart without a firmware.

    With a firmware a simulated cart has moved on from there until it is armed, and a real one starts as it is. Raises
    `RigError`, and `UsageError` as `check_can_swing`.
    """
    if isinstance(rig, LockstepRig):
        return rig.reset(start, rng)
    check_can_swing(rig)
    assert isinstance(rig, HangingRig)
    return rig.begin_hanging(start, rng)
