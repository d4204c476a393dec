"""The live view of a virtual cart, whose process is the cart itself and has no control loop."""

from __future__ import annotations

import math

from cartpole_robot.page.live.ring import Ring
from cartpole_robot.rigs.pty_cart import PtyCart
from firmware_bridge._host import FrameDecoder
from firmware_bridge.messages import EventMessage, StateMessage
from firmware_bridge.protocol import read_protocol

_EVERY_MS = 10
DRIVERS = ("the host at its port",)


class VirtualCartFeed:
    """Writes the true state of `pty_cart` into `ring`, and delivers the e-stop frame; called each millisecond."""

    def __init__(self, ring: Ring, pty_cart: PtyCart) -> None:
        self._ring, self._pty_cart = ring, pty_cart
        self._decoder = FrameDecoder()
        self._state = self._fault = self._applied_q15 = 0
        self._one = read_protocol().constants["PROTOCOL_DUTY_ONE"]
        pty_cart.on_sent = self._look

    def _look(self, sent: bytes) -> None:
        for message in self._decoder.feed(sent):
            if message[0] == StateMessage.TYPE:
                state = StateMessage.unpack(message)
                self._state, self._fault = state.state, state.fault
                self._applied_q15 = state.applied_q15
            elif message[0] == EventMessage.TYPE:
                event = EventMessage.unpack(message)
                self._state, self._fault = event.state, event.fault

    def __call__(self) -> None:
        cart = self._pty_cart.cart
        if self._ring.is_stop_asked():
            self._pty_cart.stop_between_frames(self._ring.confirm_stop)
        if cart.time_ms % _EVERY_MS:
            return
        true = cart.true_state()
        self._ring.put(
            (
                cart.time_ms / 1000.0,
                *true,
                math.nan,
                self._applied_q15 / self._one if cart.is_stepper else cart.drive or 0.0,
                cart.bridge_mv / 1000.0,
                math.nan,
                self._state,
                self._fault,
                0,
            )
        )
