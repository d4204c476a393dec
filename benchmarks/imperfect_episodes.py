"""Episodes on virtual carts with imperfections, on processes: how many last, and why the others end."""

from __future__ import annotations

import dataclasses
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RigError
from cartpole_robot.policy.controllers import choose_controller
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import run_rollout, start_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.simulation.imperfections.imperfect import spoil
from cartpole_robot.simulation.imperfections.profile import IDEAL, Profile, load_profile
from cartpole_robot.simulation.workers import WorkerPool

CART = "diy_arduino"
FIRST_SEED = 4_000_000
STEPS = 500
PER_CART = 4  # episodes after one homing
WORKBENCH = load_profile("workbench")


def only(section: str, **changes: float) -> Profile:
    """Nothing but that section of the workbench, with `changes`."""
    return dataclasses.replace(IDEAL, **{section: dataclasses.replace(getattr(WORKBENCH, section), **changes)})


def scaled(factor: float) -> Profile:
    """Every amount of the workbench times `factor`; its capacitor is divided by it."""
    usb, supply, rail = WORKBENCH.usb, WORKBENCH.supply, WORKBENCH.rail
    assert usb is not None
    assert supply is not None
    assert rail is not None
    assert WORKBENCH.contacts is not None
    assert WORKBENCH.encoders is not None
    assert WORKBENCH.bridge is not None
    assert WORKBENCH.belt is not None
    return dataclasses.replace(
        WORKBENCH,
        usb=dataclasses.replace(usb, flush_s=factor * usb.flush_s, frame_s=factor * usb.frame_s),
        contacts=dataclasses.replace(WORKBENCH.contacts, bounce_s=factor * WORKBENCH.contacts.bounce_s),
        encoders=dataclasses.replace(WORKBENCH.encoders, counts=factor * WORKBENCH.encoders.counts),
        bridge=dataclasses.replace(WORKBENCH.bridge, pulse_loss_s=factor * WORKBENCH.bridge.pulse_loss_s),
        supply=dataclasses.replace(supply, source_ohm=factor * supply.source_ohm, bulk_f=supply.bulk_f / factor),
        rail=dataclasses.replace(rail, rail_v=5.0 - factor * (5.0 - rail.rail_v), shared_ohm=factor * rail.shared_ohm),
        belt=dataclasses.replace(WORKBENCH.belt, play_m=factor * WORKBENCH.belt.play_m),
    )


@dataclass(frozen=True)
class Survived:
    """Episodes of one profile: how many lasted, of how many, and why the others ended."""

    good: int
    count: int
    causes: dict[str, int]

    @property
    def text(self) -> str:
        """As a cell of the table."""
        worst = max(self.causes, key=lambda cause: self.causes[cause], default="")
        return f"{self.good} of {self.count}" + (f" ({worst})" if worst else "")


def survive(policy: Path, profile: Profile, seed: int) -> list[str | None]:
    """Why each of the episodes of one cart ended, None for those that lasted."""
    cart = load_cart(CART)
    pilot = SinglePilot(choose_controller(policy, CART, "c").controller)
    rig = VirtualRig(cart)
    spoil(rig.virtual_cart, cart, profile, seed)
    ends: list[str | None] = []
    try:
        for number in range(PER_CART):
            try:
                first = start_rollout(rig, seed + number)
            except RigError as error:
                ends.append(cause_of(str(error)))
            else:
                rollout = run_rollout(rig, pilot, first, max_steps=STEPS)
                ends.append(None if rollout.steps >= STEPS else cause_of(rollout.reason or "fall"))
    finally:
        rig.virtual_cart.close()
    return ends


def cause_of(message: str) -> str:
    """The fault's name at the beginning of a message, or its first words."""
    for word in message.replace(":", " ").split():
        if word.isupper() and len(word) > 4 and word not in ("DISARM", "UNHEALTHY", "CLEAR"):
            return word
    return " ".join(message.split()[:5])


class Trials:
    """Runs episodes on processes."""

    def __init__(self, pool: WorkerPool, episodes: int) -> None:
        self._pool = pool
        self._carts = max(1, episodes // PER_CART)

    def begin(self, policy: Path, profile: Profile) -> list[Future[list[str | None]]]:
        """The trials of a profile, under way."""
        seeds = range(FIRST_SEED, FIRST_SEED + 100 * self._carts, 100)
        return [self._pool.submit(survive, policy, profile, seed) for seed in seeds]

    @staticmethod
    def end(begun: list[Future[list[str | None]]]) -> Survived:
        """Their outcome."""
        ends = [end for future in begun for end in future.result()]
        return Survived(ends.count(None), len(ends), dict(Counter(end for end in ends if end is not None)))
