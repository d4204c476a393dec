"""The stages of a bring-up: their names, what each leaves behind, and the error with which one ends."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cartpole_robot.errors import RunError


class StageName(enum.StrEnum):
    """The stages, in their order."""

    CHECK = "check"
    HOME = "home"
    BRAKE = "brake"
    ACCELERATION = "acceleration"
    EXCITE = "excite"
    IDENTIFY = "identify"
    TRAIN = "train"
    SWING_UP = "swing-up"
    BALANCE = "balance"
    COMPARE = "compare"


TITLES = {
    StageName.CHECK: "check the rig without moving it",
    StageName.HOME: "home, with whatever period the pole has",
    StageName.BRAKE: "measure the brake, in small steps",
    StageName.ACCELERATION: "find the largest acceleration without a lost step",
    StageName.EXCITE: "drive with the pole hanging, and record it",
    StageName.IDENTIFY: "identify the cart",
    StageName.TRAIN: "train a policy on the identified cart",
    StageName.SWING_UP: "swing the pole up",
    StageName.BALANCE: "balance for a minute with the policy",
    StageName.COMPARE: "compare the cart with its simulation",
}
CART_STAGES = (
    *(StageName.HOME, StageName.BRAKE, StageName.ACCELERATION, StageName.EXCITE),
    *(StageName.SWING_UP, StageName.BALANCE),
)
"""Those in which the motor runs."""


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a stage did: one line for people, and its figures for programs and for the stages after it.

    `wall_s` is the time it took. Of that, by the cart's clock, the motor was armed for `armed_s`, and the cart homed or
    went to the middle for `homing_s`. `notes` are further lines, such as limits that were raised.
    """

    name: StageName
    line: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    wall_s: float = 0.0
    armed_s: float = 0.0
    homing_s: float = 0.0


class StageFailedError(RunError):
    """A stage that ended with something wrong; the motor is off. `message` has its figure, `remedy` what to do."""

    def __init__(self, message: str, remedy: str, figures: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.message, self.remedy = message, remedy
        self.figures: dict[str, Any] = dict(figures or {})
