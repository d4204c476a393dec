"""Whether a cart can have moved as two measurements have it: bounds from the cart's own parameters.

| what | at most |
|---|---|
| cart's speed, from counts and as reported; its change from one step to the next | 3 x terminal speed at full drive |
| pole's speed, likewise | 3 x (speed at the bottom of a fall from upright + what a sudden stop of the cart gives it) |
| cart's distance from the middle | the longest leg of homing, 2.2 x from the middle to a switch |
| pole's angle | half a turn; one that rotates goes on from the other side |

Three times leaves room for a hand's blow, a higher supply voltage and a cart file that is wrong by half. A cart that
bounces off its end stop changes its speed by twice the terminal speed. An encoder's counts may be off by a few.
"""

from __future__ import annotations

import math

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from firmware_bridge.constants import ESTIMATOR_COUNT_S, SPEED_PER_COUNT, WRAP_COUNTS
from firmware_bridge.messages import CfgMessage, StateMessage

_MARGIN = 3.0
_SLACK_COUNTS = 4  # flicker
_ADVICE = "check the encoder's wires and the cart file"


class MotionCheck:
    """The counts and speeds of consecutive STATEs of a homed cart."""

    def __init__(self, cart: CartParams, limits: CfgMessage) -> None:
        encoders, _ = encoders_and_settings(cart)
        body, terminal_m_s = cart.pole_cart, cart.terminal_speed_m_s
        fall_rad_s = 2.0 * math.sqrt(body.coupling_kg_m * body.gravity_m_s2 / body.hinge_inertia_kg_m2)
        jolt_rad_s = terminal_m_s * body.coupling_kg_m / body.hinge_inertia_kg_m2
        self._most = (
            _MARGIN * terminal_m_s * encoders.cart_counts_per_m,
            _MARGIN * (fall_rad_s + jolt_rad_s) * encoders.pole_counts_per_rad,
        )
        self._reach = limits.homing_travel_counts
        self._turn = limits.pole_counts_per_turn
        self._most_reported = tuple(SPEED_PER_COUNT * (most + _SLACK_COUNTS / ESTIMATOR_COUNT_S) for most in self._most)
        self._before: StateMessage | None = None
        self._speeds: tuple[float, float] | None = None  # in the step before, counts per second

    def begin(self) -> None:
        """The next STATE is the first."""
        self._before = self._speeds = None

    def problem(self, state: StateMessage) -> str | None:
        """Why no cart with these parameters can be in `state` after the one before, with what to do; None if it can."""
        cart, pole, before = state.cart_counts, state.pole_counts, self._before
        if before is not None and self._speeds is not None:  # nearly always all is well, and this shows it
            step_s = ((state.time_us - before.time_us) & 0xFFFF_FFFF) * 1e-6
            cart_s, pole_s = (cart - before.cart_counts) / step_s, (pole - before.pole_counts) / step_s
            (most_cart, most_pole), (cart_before, pole_before) = self._most, self._speeds
            (most_cart_units, most_pole_units), half = self._most_reported, self._turn // 2
            if (
                -self._reach <= cart <= self._reach
                and -half <= pole <= half
                and -most_cart_units <= state.cart_speed <= most_cart_units
                and -most_pole_units <= state.pole_speed <= most_pole_units
                and -most_cart <= cart_s <= most_cart
                and -most_pole <= pole_s <= most_pole
                and -most_cart <= cart_s - cart_before <= most_cart
                and -most_pole <= pole_s - pole_before <= most_pole
            ):
                self._before, self._speeds = state, (cart_s, pole_s)
                return None
        return self._problem(state)

    def _problem(self, state: StateMessage) -> str | None:
        if abs(state.cart_counts) > self._reach:
            return f"the cart's encoder reads {state.cart_counts} counts, at most {self._reach} are possible; {_ADVICE}"
        most = self._turn // 2 + WRAP_COUNTS + 1
        if abs(state.pole_counts) > most:
            return f"the pole's encoder reads {state.pole_counts} counts, at most {most} are possible; {_ADVICE}"
        reported = (state.cart_speed, state.pole_speed)
        for who, units, most_units in zip(("cart", "pole"), reported, self._most_reported, strict=True):
            if abs(units) > most_units:
                return (
                    f"the {who}'s speed is {units / SPEED_PER_COUNT:.0f} counts per second, at most "
                    f"{most_units / SPEED_PER_COUNT:.0f} are possible; {_ADVICE}"
                )
        before, self._before = self._before, state
        return None if before is None else self._jump(before, state)

    def _jump(self, before: StateMessage, state: StateMessage) -> str | None:
        step_s = ((state.time_us - before.time_us) & 0xFFFF_FFFF) * 1e-6
        half = self._turn // 2
        moved = (
            state.cart_counts - before.cart_counts,
            (state.pole_counts - before.pole_counts + half) % self._turn - half,
        )
        speeds, speeds_before = (moved[0] / step_s, moved[1] / step_s), self._speeds
        self._speeds = speeds
        slack = _SLACK_COUNTS / step_s
        for k, who in enumerate(("cart", "pole")):
            most = self._most[k] + slack
            if abs(speeds[k]) > most:
                return (
                    f"the {who}'s encoder moved {moved[k]:+d} counts in {step_s * 1e3:g} ms, at most "
                    f"{most * step_s:.0f} are possible; {_ADVICE}"
                )
            if speeds_before is not None and abs(speeds[k] - speeds_before[k]) > most:
                return (
                    f"the {who}'s speed changed from {speeds_before[k]:.0f} to {speeds[k]:.0f} counts per second in "
                    f"{step_s * 1e3:g} ms, at most by {most:.0f} is possible; {_ADVICE}"
                )
        return None
