"""From a rig's name to the rig."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartpole_robot.errors import UsageError
from cartpole_robot.params import CartParams
from cartpole_robot.rig import Rig

if TYPE_CHECKING:
    from cartpole_robot.simulation.randomization import Randomization

RIG_NAMES = ("sim", "virtual")


def open_rig(rig: str, cart: CartParams, randomization: Randomization | None = None) -> Rig:
    """The rig called `rig`, driving `cart`; with `randomization` a simulated one draws its cart for each episode.

    Raises `UsageError` for a name that is not known.
    """
    if rig == "sim":
        from cartpole_robot.rigs.sim import simulated_rig

        return simulated_rig(cart, randomization)
    if rig == "virtual":
        from cartpole_robot.rigs.virtual import VirtualRig

        return VirtualRig(cart, randomization)
    raise UsageError(f"rig {rig!r} is not known; expected one of {', '.join(RIG_NAMES)}")
