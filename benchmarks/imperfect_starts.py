"""Swing-ups on a virtual cart with imperfections, for processes: what they take, and why attempts fail."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter

import numpy as np

from benchmarks.imperfect_episodes import cause_of
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.policy.swing_up import SwingUpDesign
from cartpole_robot.rigs.swing_start import SwingStart
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from cartpole_robot.simulation.imperfections.imperfect import spoil
from cartpole_robot.simulation.imperfections.profile import Profile
from cartpole_robot.start import swing_start
from firmware_bridge.messages import StateMessage

PER_CART = 10  # starts after one homing
_FALL_STEPS = 25  # with the motor off, before the next swing-up


@dataclasses.dataclass
class Starts:
    """The starts of one cart: seconds to upright, faults of failed attempts, highest supply, the clamp's energy."""

    swing_up_s: list[float] = dataclasses.field(default_factory=list)
    first_attempts: int = 0
    faults: Counter[str] = dataclasses.field(default_factory=Counter)
    supply_v: float = 0.0
    clamped_j: float = 0.0

    def look(self, state: StateMessage) -> None:
        """Take account of a STATE."""
        self.supply_v = max(self.supply_v, state.supply_mv / 1000.0)

    def add(self, other: Starts) -> None:
        """Take in the starts of another cart."""
        self.swing_up_s += other.swing_up_s
        self.first_attempts += other.first_attempts
        self.faults += other.faults
        self.supply_v = max(self.supply_v, other.supply_v)
        self.clamped_j += other.clamped_j


def started(cart: CartParams, design: SwingUpDesign, profile: Profile, seed: int) -> Starts:
    """The starts of the cart of that seed."""
    found, rng = Starts(), np.random.default_rng(seed)
    with contextlib.closing(VirtualRig(cart)) as rig:
        rig.on_state = found.look
        spoil(rig.virtual_cart, cart, profile, seed)
        swung = swing_start(rig, design)
        for _ in range(PER_CART):
            try:
                swung.reset(State(0.0, 0.0, 0.0, 0.0), rng)
                rig.disarm()
            except RigError as error:
                found.faults[cause_of(str(error))] += 1
                continue
            _count(found, swung)
            for _ in range(_FALL_STEPS):
                rig.watch()
        supply = getattr(rig.virtual_cart.imperfect, "supply", None)
        found.clamped_j = 0.0 if supply is None else supply.clamped_j
    return found


def _count(found: Starts, swung: SwingStart) -> None:
    assert swung.newest is not None
    found.swing_up_s.append(swung.newest.swing_up_s)
    found.first_attempts += not swung.newest.swing_up_failures
    found.faults.update(cause_of(failure) for failure in swung.newest.swing_up_failures)
