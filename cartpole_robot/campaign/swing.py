"""The faults of the campaign in the middle of a swing-up: the pole hangs or rotates, and has not been upright yet."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from functools import partial

import numpy as np

from cartpole_robot.campaign.bench import Bench, Subject
from cartpole_robot.campaign.trials import (
    LEFT_SWITCH,
    RIGHT_SWITCH,
    Outcome,
    Trial,
    fault_trials,
    harmed_wires,
    press_switch,
)
from cartpole_robot.policy.swing_up_design import swing_up_of
from cartpole_robot.signals import Measurement

SWING = "swing"
MOST_MS = 2000
MOST_BOUNCE_MS = 3  # a contact that bounces is given time
_STEPS = 200
# What a broken encoder makes the swing-up do may meet another limit first.
_LED_TO = {"cart": ("TRAVEL_LIMIT", "END_SWITCH", "CART_STUCK", "POLE_SIGN"), "pole": ("TRAVEL_LIMIT", "POLE_STILL")}
_COUNT, _SHORT_COUNT = 20, 1


class SwingBench(Bench):
    """A bench whose episodes begin with a hanging pole, which the swing-up controller swings up."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self.controller = swing_up_of(self.cart_params)

    def _start(self, seed: int) -> Measurement:
        return self.rig.begin_swing(np.random.default_rng(seed))


def swing_trials() -> list[Trial]:
    """The faults of the groups stop, encoder and switch that can strike in mid-swing, in their order."""
    stopping = [
        dataclasses.replace(trial, group=SWING, name=_name(trial.name), count=_COUNT, short_count=_SHORT_COUNT)
        for trial in fault_trials()
        if trial.group == "stop"
    ]
    broken = [
        _trial(name, wires.harm, tuple(dict.fromkeys((*wires.faults, *_LED_TO[wires.encoder]))), MOST_MS)
        for name, wires in harmed_wires().items()
    ]
    stuck = [
        _trial(f"{side} switch stuck pressed", partial(press_switch, bit=bit), ("END_SWITCH",), MOST_BOUNCE_MS)
        for side, bit in (("left", LEFT_SWITCH), ("right", RIGHT_SWITCH))
    ]
    return [*stopping, *broken, *stuck]


def _name(name: str) -> str:
    return f"swing: {name}"


def _trial(name: str, strike: Callable[[Bench], object], faults: tuple[str, ...], most_ms: int) -> Trial:
    def run(bench: Bench, rng: random.Random) -> Outcome:
        struck = bench.strike(rng, lambda: strike(bench), steps=_STEPS)
        is_good = struck.fault in faults and struck.off_ms <= most_ms
        return Outcome(is_good=is_good, message=struck.fault, figure=float(struck.off_ms))

    return Trial(
        group=SWING,
        name=_name(name),
        must=f"{' or '.join(faults)} within {most_ms} ms",
        unit="ms",
        count=_COUNT,
        short_count=_SHORT_COUNT,
        run=run,
    )
