"""The simulated cart, with motor, encoders and delay if it has them: on PyBullet or on the native engine."""

from __future__ import annotations

from cartpole_robot.cart.params import CartParams, check_is_ideal
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.simulation.engine import Engine, check_is_installed, reference_engine


def simulated_rig(
    cart: CartParams, randomization: Randomization | None = None, *, engine: Engine | None = None
) -> LockstepRig:
    """The rig for `cart`: with its encoders, or ideal if it has none; `engine` None is PyBullet where it is installed.

    Raises `UsageError`.
    """
    if cart.encoders is None:
        try:
            check_is_ideal(cart)
        except ValueError as error:
            raise UsageError(f"cart {cart.name!r}: {error}") from None
    if (engine or reference_engine()) is Engine.NATIVE:
        from cartpole_robot.rigs.native_rig import NativeSimRig

        return NativeSimRig(cart, randomization)
    check_is_installed(Engine.PYBULLET)
    from cartpole_robot.rigs.pybullet_rigs import IdealSimRig, SimRig

    if cart.encoders is not None:
        return SimRig(cart, cart.encoders, randomization)
    return IdealSimRig(cart, randomization)
