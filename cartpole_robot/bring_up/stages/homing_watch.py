"""What the STATEs tell while a cart homes: the length of the track, and the duty with which it creeps."""

from __future__ import annotations

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from firmware_bridge.messages import StateMessage
from firmware_bridge.protocol import read_protocol

KICK_TIMES = 1.65
"""How many times the duty that creeping takes a push has to have, by which the pole swings enough to be timed.

On `diy_arduino` as in its file it is 1.7.
"""
_LEG_M = (0.03, 0.06)  # of a leg's way: from where its duty counts, and until it is known; the pole is braked in less
_FEWEST = 5  # STATEs


class PushTooWeakError(RigError):
    """The cart creeps with nearly all of its homing duty; `duty` is what creeping takes."""

    def __init__(self, duty: float) -> None:
        super().__init__(f"PUSH_TOO_WEAK: creeping takes duty {duty:.2f}")
        self.duty = duty


class HomingWatch:
    """Looks at each STATE of a homing; raises `PushTooWeakError` early where the pole will not swing enough."""

    def __init__(self, cart: CartParams, *, is_last: bool) -> None:
        """`is_last`: no stronger push is allowed, and none is asked for."""
        encoders, settings = encoders_and_settings(cart)
        protocol = read_protocol()
        self._homing = int(protocol.enums["cart_state"]["HOMING"])
        self._one = protocol.constants["PROTOCOL_DUTY_ONE"]
        self._from, self._until = (round(way_m * encoders.cart_counts_per_m) for way_m in _LEG_M)
        self._homing_duty = settings.homing_duty
        self._is_last = is_last
        self._counts: list[int] = []
        self._turn = 0  # the counts where this leg began
        self._side = 0
        self._duties: list[float] = []
        self.creeping_duty: float | None = None

    @property
    def track_counts(self) -> int:
        """How far the cart went; 0 where it did not home."""
        return max(self._counts) - min(self._counts) if self._counts else 0

    def look(self, state: StateMessage) -> None:
        """Take account of a STATE."""
        if state.state != self._homing:
            return
        if not self._counts:
            self._turn = state.cart_counts
        before = self._counts[-1] if self._counts else state.cart_counts
        self._counts.append(state.cart_counts)
        side = (state.cart_counts > before) - (state.cart_counts < before)
        if (side and side != self._side) or abs(state.cart_counts - before) > self._from:  # or counted from elsewhere
            self._side, self._turn, self._duties = side, before, []
        way = abs(state.cart_counts - self._turn)
        if way < self._from or self.creeping_duty is not None:
            return
        self._duties.append(abs(state.applied_q15) / self._one)
        if way >= self._until and len(self._duties) >= _FEWEST:
            self.creeping_duty = sum(self._duties) / len(self._duties)
            if not self._is_last and self._homing_duty < KICK_TIMES * self.creeping_duty:
                raise PushTooWeakError(self.creeping_duty)
