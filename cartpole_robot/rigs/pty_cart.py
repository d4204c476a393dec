"""A virtual cart behind a pseudo-terminal, in real time: to other programs it is a cart on a serial port."""

from __future__ import annotations

import contextlib
import math
import os
import select
import time
import tty
import weakref
from collections.abc import Callable
from pathlib import Path

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.signals import State
from cartpole_robot.simulation.virtual_cart import Board, VirtualCart
from firmware_bridge._host import FrameDecoder, encode_frame
from firmware_bridge.constants import TICK_S
from firmware_bridge.messages import EventMessage, ModeMessage, StateMessage
from firmware_bridge.protocol import read_protocol

_MOST_BEHIND_MS = 50  # a host that stalls longer loses time instead of making the cart race
_WAIT_MS = 300  # a hand is not there at once
_STEADY_MS = 2000  # how long homing waits for a swinging pole before the person helps
_HOLD_MS = 1000
_TIRED_MS = 8000  # how long it holds a pole that the host does not take; then it lets it hang, as the host may want
_FRAME_MS = 5  # no host takes longer for a frame

OnTick = Callable[[VirtualCart], None]


def clear_link(link: Path) -> None:
    """Make room for a link to a port: one that a killed virtual cart left behind is removed.

    Raises `UsageError` for anything else that is there, and where there is no folder for it.
    """
    if not link.parent.is_dir():
        raise UsageError(f"{link}: there is no folder {link.parent}; make it, or choose another --link")
    if link.is_symlink() and not link.exists() and str(link.readlink()).startswith("/dev/pts/"):
        link.unlink()
    if link.exists() or link.is_symlink():
        raise UsageError(f"{link}: exists already; remove it, or choose another --link")


class PtyCart:
    """A `VirtualCart` on a pseudo-terminal; `path` is the port to open. A context manager.

    A simulated person helps it: brings the pole to hang before homing, raises it when the cart is ready, and lets go
    when it is armed.
    """

    def __init__(
        self, cart: CartParams, *, link: Path | None = None, has_hand: bool = True, board: Board | None = None
    ) -> None:
        """Switch the cart on; with `link` a symbolic link to the port is made there. Raises OSError, `UsageError`.

        The firmware runs on `board`, by default built for this machine; it is the caller's to close.
        """
        self.cart = VirtualCart(cart, board=board)
        self._master, self._slave = os.openpty()
        self._release = weakref.finalize(self, _close_files, self._master, self._slave)
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._link = link
        if link is not None:
            link.symlink_to(self.path)
        self.person = SimulatedPerson(self.cart, cart) if has_hand else None
        self.lost_ms = 0
        self.last_received_ms = 0  # of the cart's time
        self.on_sent: Callable[[bytes], object] | None = None
        """Gets what the cart sends."""
        self._is_in_frame = False
        self._on_stopped: Callable[[], object] | None = None

    def serve(self, *, until: Callable[[], bool], on_tick: OnTick | None = None) -> None:
        """Run the cart in real time until `until()` is true; `on_tick` is called after each millisecond."""
        next_s = time.monotonic()
        while not until():
            self._tick(on_tick)
            next_s += TICK_S
            now_s = time.monotonic()
            if now_s - next_s > _MOST_BEHIND_MS * TICK_S:
                self.lost_ms += round((now_s - next_s) / TICK_S)
                next_s = now_s
            elif next_s > now_s:
                select.select([self._master], [], [], next_s - now_s)  # a command is taken as soon as it is there
                rest_s = next_s - time.monotonic()
                if rest_s > 0.0:
                    self._take_received()
                    time.sleep(max(0.0, next_s - time.monotonic()))

    def _tick(self, on_tick: OnTick | None) -> None:
        self._take_received()
        if self._on_stopped is not None:
            self._try_stop(self._on_stopped)
        sent = self.cart.pass_ms()
        if sent:
            with contextlib.suppress(BlockingIOError):  # no reader: a real line loses its bytes too
                os.write(self._master, sent)
            if self.person is not None:
                self.person.look(sent)
            if self.on_sent is not None:
                self.on_sent(sent)
        if self.person is not None:
            self.person.act()
        if on_tick is not None:
            on_tick(self.cart)

    def _take_received(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            data = os.read(self._master, 4096)
            if data:
                self.last_received_ms = self.cart.time_ms
                self._is_in_frame = data[-1] != 0
                self.cart.receive(data)

    def stop_between_frames(self, on_stopped: Callable[[], object]) -> None:
        """Deliver an e-stop frame as soon as no frame of the host is under way; `on_stopped` is called then."""
        self._on_stopped = on_stopped

    def _try_stop(self, on_stopped: Callable[[], object]) -> None:
        if self._is_in_frame and self.cart.time_ms - self.last_received_ms < _FRAME_MS:
            return
        stop = ModeMessage(session=0, seq=0, mode=int(read_protocol().enums["mode"]["ESTOP"]), options=0)
        self.cart.receive(b"\0" + encode_frame(stop.pack()))  # the zero ends what a host may have left half sent
        self._on_stopped = None
        on_stopped()

    def close(self) -> None:
        """Remove the port. May be called twice."""
        if self._master >= 0:
            self._release()
            self._master = -1
            if self._link is not None:
                self._link.unlink(missing_ok=True)
            self.cart.close()

    def __enter__(self) -> PtyCart:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close_files(*numbers: int) -> None:
    for number in numbers:
        os.close(number)


class SimulatedPerson:
    """Does what a person at the cart would do, as the firmware's state requires.

    A pole that the host does not take from its hand it lets hang for as long, and then raises again.

    With `position_m` it also takes the cart there while it raises the pole.
    """

    position_m: float | None = None

    def __init__(self, cart: VirtualCart, params: CartParams) -> None:
        self._cart = cart
        self._lean_rad = params.start.pole_angle_rad / 2.0
        self._decoder = FrameDecoder()
        self._states = read_protocol().enums["cart_state"]
        self._state = -1
        self._since_ms = 0
        self._holds = False
        self._was_driven = False
        self._raises = True  # else it lets the pole hang
        self._grasped_ms = 0

    @property
    def sees_armed(self) -> bool:
        """Whether the firmware reports that it is armed."""
        return self._state == self._states["ARMED"]

    def look(self, sent: bytes) -> None:
        """Read the state from what the firmware sends."""
        for message in self._decoder.feed(sent):
            if message[0] == StateMessage.TYPE:
                state = StateMessage.unpack(message).state
            elif message[0] == EventMessage.TYPE:
                state = EventMessage.unpack(message).state
            else:
                continue
            if state != self._state:
                self._state, self._since_ms = state, self._cart.time_ms
                self._raises = True
                if self._holds:
                    self._cart.let_go()
                    self._holds = False

    def act(self) -> None:
        """Take or release the pole a moment after the state requires it."""
        passed_ms = self._cart.time_ms - self._since_ms
        self._was_driven = passed_ms > 1 and (self._was_driven or self._cart.drive not in (None, 0.0))
        if self._holds:
            # It lets go when it has held long enough, and at once when the cart begins to move.
            if self._state == self._states["HOMING"] and (self._was_driven or passed_ms > _STEADY_MS + _HOLD_MS):
                self._cart.let_go()
                self._holds = False
            elif self._state == self._states["READY"] and self._cart.time_ms - self._grasped_ms >= _TIRED_MS:
                self._cart.let_go()
                self._holds = False
                self._raises = not self._raises
            return
        if passed_ms < _WAIT_MS:
            return
        position_m = self._cart.true_state().cart_position_m
        if self._state == self._states["HOMING"] and passed_ms == _STEADY_MS and not self._was_driven:
            # It waits until the pole hangs still: help it.
            self._cart.grab(State(position_m, 0.0, math.pi, 0.0))
            self._holds = True
        if self._state == self._states["READY"]:
            if self.position_m is not None:
                position_m = self.position_m
            self._cart.grab(State(position_m, 0.0, self._lean_rad if self._raises else math.pi, 0.0))
            self._grasped_ms = self._cart.time_ms
            self._holds = True
        elif self._state == self._states["DISARMED"]:
            self._cart.grab(State(position_m, 0.0, math.pi, 0.0))
            self._holds = True
