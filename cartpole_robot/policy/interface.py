"""What a policy requires of the cart it runs on."""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from dataclasses import dataclass
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.stepper import Drive
from cartpole_robot.files.records import require
from cartpole_robot.policy.history import check_history_length
from cartpole_robot.swing_up_task import OBSERVATION_LAYOUT as SWING_UP_LAYOUT
from cartpole_robot.swing_up_task import observation_scale as swing_up_scale
from cartpole_robot.task import OBSERVATION_LAYOUT, SIGN_CONVENTION, Task

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # of an observation: it is written into C


class Command(enum.StrEnum):
    """How a policy commands a duty: by the index of one in the cart's action table, or the duty itself."""

    TABLE = "table"
    DUTY = "duty"


@dataclass(frozen=True, kw_only=True)
class Interface:
    """What a policy requires of the cart it runs on, and in `history_length` how far back it looks.

    `task` is what it was trained for, and says which of the cart's action tables it chooses from; `command` is whether
    it chooses from a table at all. A policy that commands its duty itself has no table: `action_duties` is empty.
    `drive` is what its duties mean: shares of a DC motor's voltage or of a stepper's acceleration.
    A cart offers any history: it is kept on the host (`cartpole_robot.policy.history`).
    """

    drive: Drive = Drive.DC
    control_period_s: float
    action_duties: tuple[float, ...]
    observation: tuple[str, ...] = OBSERVATION_LAYOUT
    observation_scale: tuple[float, ...]
    history_length: int = 1
    sign_convention: str = SIGN_CONVENTION
    task: Task = Task.BALANCE
    command: Command = Command.TABLE

    def __post_init__(self) -> None:
        """Raises ValueError for a history length that no policy has, and for names and numbers that no cart has."""
        check_history_length(self.history_length)
        swings_up = self.task is Task.SWING_UP
        require(
            swings_up == (self.observation == SWING_UP_LAYOUT) and not (swings_up and self.history_length > 1),
            f"task {self.task} with the observation {', '.join(self.observation)[:200]} and history_length "
            f"{self.history_length}; a swing-up takes {', '.join(SWING_UP_LAYOUT)} and no history",
        )
        if self.command is Command.DUTY:
            require(
                not self.action_duties and self.history_length == 1 and not swings_up,
                f"a policy that commands its duty, with {len(self.action_duties)} action_duties, history_length "
                f"{self.history_length} and the task {self.task}; expected none, 1 and {Task.BALANCE}",
            )
        require(
            math.isfinite(self.control_period_s) and self.control_period_s > 0.0,
            f"control_period_s = {self.control_period_s:g}, expected a finite number greater than 0",
        )
        require(
            all(math.isfinite(number) for number in (*self.action_duties, *self.observation_scale)),
            "action_duties or observation_scale has a number that is not finite",
        )
        for name in self.observation:
            require(
                _NAME.fullmatch(name) is not None,
                f"observation names {name[:40]!r}, expected lower-case letters, digits and _",
            )

    @staticmethod
    def of(
        cart: CartParams,
        history_length: int = 1,
        task: Task = Task.BALANCE,
        command: Command = Command.TABLE,
    ) -> Interface:
        """The interface that `cart` offers to a policy of that history length, task and command."""
        if task is Task.SWING_UP:
            return Interface(
                drive=cart.drive,
                control_period_s=cart.timing.control_period_s,
                action_duties=cart.swing_up_table,
                observation=SWING_UP_LAYOUT,
                observation_scale=swing_up_scale(cart),
                history_length=history_length,
                task=task,
            )
        return Interface(
            drive=cart.drive,
            control_period_s=cart.timing.control_period_s,
            action_duties=cart.action_duties if command is Command.TABLE else (),
            observation_scale=cart.observation_scale.as_tuple(),
            history_length=history_length,
            command=command,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values; without task, command and drive where they are the default, as before there were others."""
        values = dataclasses.asdict(self)
        if self.drive is Drive.DC:
            del values["drive"]
        if self.task is Task.BALANCE:
            del values["task"]
        if self.command is Command.TABLE:
            del values["command"]
        return values
