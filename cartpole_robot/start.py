"""How an episode starts: by hand, or with a swing-up that this module sets up for any rig."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import cast

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.policy.controllers import Chosen
from cartpole_robot.policy.swing_up import SwingUpController, SwingUpDesign
from cartpole_robot.policy.swing_up_design import swing_up_of
from cartpole_robot.recording.metadata import SwingUpRecord
from cartpole_robot.rig import Rig, Start, SwingRig
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.rigs.swing_start import SwingStart
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.task import Task

_HANGING = State(0.0, 0.0, -math.pi, 0.0)
_STRETCHES = (1.25, 1.5, 2.0, 3.0)  # of the track, tried for one that is too short


def start_named(name: str | Start) -> Start:
    """The start of that name, in an option's spelling too. Raises `UsageError`."""
    try:
        return Start(name.replace("-", "_"))
    except (AttributeError, ValueError):
        raise UsageError(f"start = {name!r}, expected {' or '.join(Start)}") from None


def check_start_of(chosen: Chosen, start: Start) -> None:
    """Raise `UsageError` for a policy that swings up the pole itself, and another swing-up before it."""
    if chosen.task is Task.SWING_UP and start is Start.SWING_UP:
        raise UsageError(f"{chosen.record['policy']}: swings up the pole itself; leave out --start swing-up")


def starting(
    rig: Rig,
    start: Start,
    design: SwingUpDesign | None = None,
    on_stage: Callable[[str], object] = lambda _: None,
) -> Rig:
    """`rig`, whose episodes start as `start` says. Raises `UsageError` for a cart that cannot swing up its pole.

    `design` is that of the cart, from a policy bundle; without it the swing-up is designed here, with SciPy. `on_stage`
    is that of `SwingStart`.
    """
    return rig if start is Start.BY_HAND else swing_start(rig, design, on_stage)


def swing_start(
    rig: Rig, design: SwingUpDesign | None = None, on_stage: Callable[[str], object] = lambda _: None
) -> SwingStart:
    """`rig` with a swing-up before each episode. Raises as `starting`."""
    if not hasattr(rig, "begin_swing"):
        raise UsageError(f"{type(rig).__name__} has no begin_swing(), which a swing-up needs; start by hand")
    return SwingStart(cast(SwingRig, rig), swing_up_driver(rig.cart, design), on_stage=on_stage)


def swing_up_driver(cart: CartParams, design: SwingUpDesign | None = None) -> SwingUpController:
    """The controller of `cart`, which has swung up the simulated cart of the file from hanging still.

    Raises `UsageError` where it does not, with the length of track that it needs, or for a motor that is too weak or a
    pole that turns too hard, and
    without a `design` where SciPy is missing.
    """
    if design is None and find_spec("scipy") is None:
        raise UsageError(
            f"cart {cart.name!r}: --start swing-up designs the swing-up with SciPy, which is not installed; install "
            "cartpole_robot[sim], or name a policy that was exported for this very cart, which has the design with it"
        )
    try:
        return _proven(cart, design)
    except (UsageError, RigError) as error:
        problem = error
    ends_m = cart.limits.cart_position_m
    for stretch in _STRETCHES:
        try:
            _proven(_stretched(cart, stretch))
        except (UsageError, RigError):
            continue
        raise UsageError(
            f"cart {cart.name!r}: its limits of +-{ends_m:g} m are too short for a swing-up, which needs about "
            f"+-{stretch * ends_m:.2f} m; lengthen limits.cart_position_m and the track, or start by hand"
        )
    if _swings_freely(cart):
        raise UsageError(
            f"cart {cart.name!r}: the friction of its pole, {cart.friction.pole_coulomb_n_m:g} N m and "
            f"{cart.friction.pole_viscous_n_m_s:g} N m s, takes more than a swing-up can give ({problem}); make the "
            "pole turn more freely, or start by hand"
        )
    motor, body = cart.motor, cart.pole_cart
    share = motor.stall_force_n / (body.mass_kg * body.gravity_m_s2)
    raise UsageError(
        f"cart {cart.name!r}: its motor, whose {motor.stall_force_n:g} N are {share:.2f} of the weight of cart and "
        f"pole, does not swing up the pole ({problem}); use a stronger motor or start by hand"
    )


def _proven(cart: CartParams, design: SwingUpDesign | None = None) -> SwingUpController:
    """The controller of `cart` after one swing-up in simulation. Raises `UsageError`, `RigError`."""
    driver = swing_up_of(cart) if design is None else SwingUpController(cart, design)
    with contextlib.closing(simulated_rig(cart, engine=Engine.NATIVE)) as rig:
        SwingStart(rig, driver).swing_from(rig.reset(_HANGING, np.random.default_rng(0)))
    driver.rest(math.inf)
    return driver


def _swings_freely(cart: CartParams) -> bool:
    """Whether `cart` would swing up a pole without friction."""
    free = dataclasses.replace(cart.friction, pole_coulomb_n_m=0.0, pole_viscous_n_m_s=0.0)
    with contextlib.suppress(UsageError, RigError):
        _proven(dataclasses.replace(cart, friction=free))
        return True
    return False


def _stretched(cart: CartParams, stretch: float) -> CartParams:
    more_m = (stretch - 1.0) * cart.limits.cart_position_m
    limits, firmware = cart.limits, cart.firmware
    limits = dataclasses.replace(
        limits,
        cart_position_m=limits.cart_position_m + more_m,
        end_stop_m=None if limits.end_stop_m is None else limits.end_stop_m + more_m,
    )
    if firmware is not None:
        firmware = dataclasses.replace(
            firmware, switch_m=firmware.switch_m + more_m, travel_limit_m=firmware.travel_limit_m + more_m
        )
    return dataclasses.replace(cart, limits=limits, firmware=firmware)


def swing_up_of_episode(rig: Rig) -> SwingUpRecord | None:
    """How the newest episode of `rig` was swung up; None for one that begins by hand."""
    return rig.newest if isinstance(rig, SwingStart) else None
