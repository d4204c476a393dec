"""Which engine a verb that runs many steps uses: the native one, once it has moved this very cart as PyBullet does."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import NamedTuple

import numpy as np

from cartpole_robot.cart.params import CartParams, check_is_ideal
from cartpole_robot.cart.parts import Encoders
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.engine import Engine, check_is_installed, is_installed
from cartpole_robot.simulation.native_cart import NotRepresentedError
from firmware_bridge.constants import TICK_S

LARGEST_DIFFERENCE = 1e-9  # of any signal after a window; the rest is rounding, which a falling pole amplifies
_WINDOW_S = 0.5
_SEED = 20_000
_SAME_STEP_S = 1e-9
_FINE = Encoders(cart_counts_per_m=1e6, pole_counts_per_turn=1_000_000)


class EngineChoice(NamedTuple):
    """An engine, and what a user should know about the choice; None where it needs no words."""

    engine: Engine | None
    note: str | None = None


def rig_engine(
    rig: str, cart: CartParams, requested: Engine | None = None, randomization: Randomization | None = None
) -> EngineChoice:
    """As `chosen_engine` for the rig sim; no engine for other rigs. Raises `UsageError` if one is requested there."""
    if rig == "sim":
        return chosen_engine(cart, requested, randomization)
    if requested is not None:
        raise UsageError(f"rig {rig!r} has no choice of engine; leave out --engine {requested}, or use the rig sim")
    return EngineChoice(None)


def chosen_engine(
    cart: CartParams, requested: Engine | None = None, randomization: Randomization | None = None
) -> EngineChoice:
    """The requested engine, or without a request the native one if it passes the check against PyBullet on `cart`.

    The check takes well under a second; of a `randomization` it only asks whether the native engine can represent the
    carts. Raises `UsageError` for a requested engine that is not installed, and for a
    native engine that was requested and fails the check.
    """
    if requested is not None:
        check_is_installed(requested)
    if requested is Engine.PYBULLET:
        return EngineChoice(Engine.PYBULLET)
    if not is_installed(Engine.PYBULLET):
        return EngineChoice(Engine.NATIVE, "PyBullet is not installed: the native engine is not checked against it")
    if not is_installed(Engine.NATIVE):
        return EngineChoice(
            Engine.PYBULLET, "the native engine is not installed: PyBullet simulates, which takes longer"
        )
    reason = refusal(cart, randomization)
    if reason is None:
        return EngineChoice(Engine.NATIVE)
    if requested is Engine.NATIVE:
        raise UsageError(f"cart {cart.name!r}: {reason}; leave out --engine native")
    return EngineChoice(Engine.PYBULLET, f"PyBullet simulates this cart: {reason}")


def open_loop_engine(cart: CartParams, requested: Engine | None = None) -> EngineChoice:
    """As `chosen_engine`, for a model of `cart` that runs through recordings.

    There a cart without encoders need not be ideal, and its clock is that of the recording: it is checked with fine
    encoders, and in steps of the firmware's tick.
    """
    if cart.encoders is None:
        try:
            check_is_ideal(cart)
        except ValueError:
            cart = dataclasses.replace(cart, encoders=_FINE)
    if cart.encoders is not None and abs(cart.timing.physics_step_s - TICK_S) > _SAME_STEP_S:
        period_s = TICK_S * max(1, round(cart.timing.control_period_s / TICK_S))
        timing = dataclasses.replace(cart.timing, physics_step_s=TICK_S, control_period_s=period_s)
        cart = dataclasses.replace(cart, timing=timing)
    return chosen_engine(cart, requested)


def is_represented(cart: CartParams) -> bool:
    """Whether the native engine can simulate `cart` at all."""
    try:
        simulated_rig(cart, engine=Engine.NATIVE).close()
    except UsageError:
        return False
    return True


def refusal(cart: CartParams, randomization: Randomization | None = None) -> str | None:
    """Why the native engine must not simulate `cart`: it cannot, or moves it otherwise than PyBullet; None if it may.

    Three windows of half a second: the pole upright, hanging, and rotating while the cart meets the end of its track.
    """
    try:
        if randomization is not None:
            simulated_rig(cart, randomization, engine=Engine.NATIVE).close()
        native = simulated_rig(cart, engine=Engine.NATIVE)
    except NotRepresentedError as error:
        return error.reason
    with contextlib.closing(native), contextlib.closing(simulated_rig(cart, engine=Engine.PYBULLET)) as reference:
        for name, start in _starts(cart).items():
            found = _difference(reference, native, start)
            if not found <= LARGEST_DIFFERENCE:
                if math.isnan(found):
                    return f"the physics diverges, so there is nothing to compare with PyBullet, window {name!r}"
                return f"the native engine is {found:.1e} off PyBullet, window {name!r}"
    return None


def _starts(cart: CartParams) -> dict[str, State]:
    spread = cart.start
    end_m = cart.limits.end_stop_m or cart.limits.cart_position_m
    upright = State(*np.maximum(spread.as_tuple(), 1e-3).tolist())
    return {
        "upright": upright,
        "hanging": State(0.0, 0.0, math.pi - 0.3, 0.0),
        "end of the track": State(0.99 * end_m, 0.5, 1.0, 6.0),
    }


def _difference(reference: LockstepRig, native: LockstepRig, start: State) -> float:
    """The largest difference of any signal at the end of a window of random duties; NaN if one diverges."""
    steps = max(1, round(_WINDOW_S / reference.cart.timing.control_period_s))
    duties = np.random.default_rng(_SEED).uniform(-1.0, 1.0, steps)
    ends = []
    for rig in (reference, native):
        try:
            measured = rig.reset(start, np.random.default_rng(_SEED))
            for duty in duties.tolist():
                measured = rig.step(duty)
        except RigError:
            return math.nan
        ends.append((*rig.true_state(), *_signals(measured)))
    one, other = map(np.array, ends)
    return float(np.max(np.abs(one - other)))


def _signals(measured: Measurement) -> tuple[float, ...]:
    numbers = (measured.applied_duty, measured.command_age_s, measured.motor_power_w)
    return tuple(0.0 if math.isnan(number) else number for number in numbers)
