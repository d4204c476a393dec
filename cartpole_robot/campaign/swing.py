"""The faults of the campaign in the middle of a swing-up: the pole hangs or rotates, and has not been upright yet."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from functools import partial

import numpy as np

from cartpole_robot.campaign.bench import FELL, Bench, Subject
from cartpole_robot.campaign.trials import (
    LEFT_SWITCH,
    RIGHT_SWITCH,
    Outcome,
    Trial,
    fault_trials,
    harmed_wires,
    press_switch,
)
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.policy.swing_up_design import swing_up_of
from cartpole_robot.signals import Measurement

SWING = "swing"
MOST_BOUNCE_MS = 3  # a contact that bounces is given time
# What a broken encoder makes the swing-up do may meet another limit first; the host has one for the cart, too. A pole
# that counts backwards shows only near upright and hanging: elsewhere it looks like one that swings the other way.
_LED_TO = {
    "cart": ("CART_ENCODER", "CART_STUCK", "TRAVEL_LIMIT", "END_SWITCH", "POLE_SIGN", FELL),
    "pole": ("POLE_ENCODER", "POLE_STILL", "TRAVEL_LIMIT", "POLE_ANGLE", "SWING_TIMEOUT", FELL),
}
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
        _trial(name, wires.harm, tuple(dict.fromkeys((*wires.faults, *_LED_TO[wires.encoder]))))
        for name, wires in harmed_wires().items()
    ]
    stuck = [
        _trial(f"{side} switch stuck pressed", partial(press_switch, bit=bit), ("END_SWITCH",), MOST_BOUNCE_MS)
        for side, bit in (("left", LEFT_SWITCH), ("right", RIGHT_SWITCH))
    ]
    return [*stopping, *broken, *stuck]


def _name(name: str) -> str:
    return f"swing: {name}"


def _trial(name: str, strike: Callable[[Bench], object], faults: tuple[str, ...], most_ms: int | None = None) -> Trial:
    """`most_ms` None: until the swing-up times out, and the cart meanwhile stays off its end stops."""
    within = "the swing-up's time, off the end stops" if most_ms is None else f"{most_ms} ms"

    def run(bench: Bench, rng: random.Random) -> Outcome:
        _, settings = encoders_and_settings(bench.cart_params)
        timeout_s, period_s = settings.swing_timeout_s, bench.cart_params.timing.control_period_s
        at_m: list[float] = []

        def place_and_strike() -> None:
            at_m.append(bench.cart.true_state().cart_position_m)
            strike(bench)

        struck = bench.strike(rng, place_and_strike, steps=math.ceil(timeout_s / period_s))
        most = 1000.0 * timeout_s if most_ms is None else most_ms
        is_off_the_stops = bench.farthest_mm(1000.0 * at_m[0]) < 1000.0 * (
            bench.cart_params.limits.end_stop_m or math.inf
        )
        return Outcome(
            is_good=struck.fault in faults and struck.off_ms <= most and is_off_the_stops,
            message=struck.fault,
            figure=float(struck.off_ms),
        )

    return Trial(
        group=SWING,
        name=_name(name),
        must=f"{' or '.join(faults)} within {within}",
        unit="ms",
        count=_COUNT,
        short_count=_SHORT_COUNT,
        run=run,
    )
