"""What the stages of a bring-up share: the line to the cart, the folder, and what is known of the cart so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cartpole_robot.bring_up.cart_line import CartLine
from cartpole_robot.bring_up.cautious import (
    Brake,
    cautious_cart,
    cautious_stepper,
    weakest_brake,
    with_homing,
    with_signs,
)
from cartpole_robot.bring_up.folder import FILES, BringUpFolder
from cartpole_robot.bring_up.stage import StageName
from cartpole_robot.cart.params import CartParams


@dataclass(frozen=True, kw_only=True)
class Work:
    """A bring-up at work.

    `cart` is the cart file as it was given. `is_checked` leaves out the steps that need hands. `say` shows a line.
    """

    line: CartLine
    folder: BringUpFolder
    cart: CartParams
    seed: int
    is_checked: bool
    say: Callable[[str], object]

    def figures(self, stage: StageName) -> dict[str, Any]:
        """The figures of a finished stage."""
        return dict(self.folder.results[stage].figures)

    @property
    def homed_cart(self) -> CartParams:
        """The cart file with what homing found: the duties that move the cart, and the latency."""
        found = self.figures(StageName.HOME)
        cart = with_homing(
            self.cart,
            homing_duty=found["homing_duty"],
            moving_duty=found["moving_duty"],
            latency_s=found["latency_s"],
        )
        return with_signs(cart, found.get("signs", {}), f"measured: bring-up, at {StageName.HOME}")

    @property
    def cautious_cart(self) -> CartParams:
        """The homed cart before it is identified."""
        if self.cart.stepper is not None:
            is_tried = StageName.ACCELERATION in self.folder.results
            return cautious_stepper(self.accelerated_cart if is_tried else self.homed_cart)
        return cautious_cart(self.homed_cart, weakest_brake(self.cart))

    @property
    def accelerated_cart(self) -> CartParams:
        """The homed cart of a stepper, with the acceleration at which it loses no step."""
        cart = self.homed_cart
        stepper = cart.stepper
        most_m_s2 = self.figures(StageName.ACCELERATION)["maximum_acceleration_m_s2"]
        if stepper is None or most_m_s2 == stepper.maximum_acceleration_m_s2:
            return cart
        key, source = "stepper.maximum_acceleration_m_s2", "measured: bring-up, without a lost step, with a margin"
        stepper = dataclasses.replace(stepper, maximum_acceleration_m_s2=most_m_s2)
        return dataclasses.replace(cart, stepper=stepper, sources={**cart.sources, key: source})

    @property
    def measured_brake(self) -> Brake:
        """What the stage `brake` has measured."""
        found = self.figures(StageName.BRAKE)
        return Brake(rate_1_s=found["rate_1_s"], dry_m_s2=found["dry_m_s2"])

    @property
    def identified_cart(self) -> CartParams:
        """The cart that the stage `identify` wrote."""
        return self.folder.cart(StageName.IDENTIFY)

    def path(self, stage: StageName, number: int = 0) -> Path:
        """A file or folder that the stage writes."""
        return self.folder.path / FILES[stage][number]

    def rng(self, offset: int = 0) -> np.random.Generator:
        """Random numbers that the same command draws again."""
        return np.random.default_rng([self.seed, offset])
