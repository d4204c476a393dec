"""The virtual rig: the real firmware C drives the simulated cart, in lockstep with the caller."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.rigs.firmware_rig import NO_OPTIONS, FirmwareOptions, FirmwareRig
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.simulation.virtual_cart import Board, VirtualCart
from firmware_bridge._host import encode_frame
from firmware_bridge.constants import TICK_S
from firmware_bridge.link import Link
from firmware_bridge.messages import CmdMessage

_MOST_PLACING_S = 5.0
_COMMAND_FRAME_BYTES = len(encode_frame(bytes(CmdMessage.LAYOUT.size)))  # the one that may get lost


class LockstepTransport:
    """A line to a `VirtualCart` whose time passes only during a `read`; implements `firmware_bridge`'s Transport.

    `telemetry` is a running SHA-256 of every byte the cart has sent.
    """

    boot_s = 0.0

    def __init__(self, cart: VirtualCart) -> None:
        self._cart = cart
        self.telemetry = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._cart.receive(data, may_be_lost=len(data) == _COMMAND_FRAME_BYTES)

    def read(self, deadline_s: float) -> bytes:
        """What the cart has sent; lets time pass until it sends something or the simulated clock shows `deadline_s`."""
        data = self._cart.run(max(0, math.ceil(deadline_s / TICK_S - 1e-6) - self._cart.time_ms))
        self.telemetry.update(data)
        return data

    def clock(self) -> float:
        """Simulated seconds."""
        return self._cart.time_ms * TICK_S

    def expect(self, due_s: float) -> None:
        """Do nothing: simulated time passes only as far as `read` needs."""

    def close(self) -> None:
        """Release the cart. May be called twice."""
        self._cart.close()


class SimulatedHand:
    """Brings cart and pole exactly to the start, without delay, or only the pole; implements `Hand`."""

    def __init__(self, cart: VirtualCart, period_ms: int, *, brings_cart: bool = True) -> None:
        """`brings_cart` is False for a cart that a stepper holds."""
        self.brings_cart = brings_cart
        self._cart = cart
        self._period_ms = period_ms

    def let_hang(self) -> None:
        """Stop the swing at once: damping alone takes minutes."""
        self._cart.hang()

    def raise_pole(self, start: State) -> None:
        """Bring cart and pole to `start` and hold them."""
        self._cart.grab(start)

    def has_arrived(self) -> bool:
        """Whether cart and pole are at the start."""
        return self._cart.has_hand_arrived()

    def let_go_at(self, time_us: int) -> None:
        """Let go at the next control tick, with the speeds of the start; cart and pole move freely from there."""
        self._cart.let_go_at(time_us, self._period_ms)

    def let_go(self) -> None:
        """Let go if the control tick has not come yet."""
        self._cart.let_go()


class VirtualRig(FirmwareRig):
    """The cart behind its firmware, both simulated; implements `cartpole_robot.rig.Rig`, exactly at `start`.

    A stepper holds its cart against any hand: that one starts where it is, near the middle.
    """

    def __init__(
        self,
        cart: CartParams,
        randomization: Randomization | None = None,
        *,
        board: Board | None = None,
        plant: CartParams | None = None,
        options: FirmwareOptions = NO_OPTIONS,
        engine: Engine = Engine.NATIVE,
    ) -> None:
        """Switch the cart on; the first `reset` homes it. Raises `UsageError` for one that no firmware can drive.

        The firmware runs on `board`, by default built for this machine; it is the caller's to close. `plant` is the
        cart to simulate if it differs from `cart`, which is then what driver and firmware take it for.
        """
        loaded = None if randomization is None else randomization.shortest_pole()
        self._virtual = VirtualCart(plant or cart, board=board, loaded=loaded, engine=engine)
        self._randomization = randomization
        self._drawn = cart
        self._transport = LockstepTransport(self._virtual)
        period_ms = round(cart.timing.control_period_s * 1000.0)
        link = Link(self._transport, traces=options.traces)
        hand = SimulatedHand(self._virtual, period_ms, brings_cart=cart.stepper is None)
        super().__init__(cart, link, hand, options=options)

    @property
    def episode_cart(self) -> CartParams:
        """The cart of this episode, drawn where there is a randomisation; the firmware keeps the limits of `cart`."""
        return self._drawn

    @property
    def telemetry_sha256(self) -> str:
        """SHA-256 (hex) of every byte the cart has sent so far."""
        return self._transport.telemetry.hexdigest()

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        """The first measurement at `start`; randomised parameters, then delays and losses are drawn from `rng`.

        The cart homes as configured and then becomes the drawn one, which may be too weak or too sluggish for the
        push by which the firmware measures how the pole swings.
        """
        if self._randomization is None:
            self._virtual.reset(rng)
            return super().reset(start, rng)
        self._check_is_open()
        self._drawn = self._randomization.draw(rng)
        self._virtual.reset(rng)
        self._virtual.change(self._cart)
        self.make_ready()
        self._virtual.change(self._drawn)
        return self.start_episode(start)

    def begin_swing(
        self, rng: np.random.Generator, *, checks_zero: bool = False, may_be_held: bool = True
    ) -> Measurement:
        """As `FirmwareRig.begin_swing`; the cart homes as configured, and then becomes the one that is drawn."""
        self._draw(rng)
        return super().begin_swing(rng, checks_zero=checks_zero, may_be_held=may_be_held)

    def begin_hanging(self, start: State, rng: np.random.Generator) -> Measurement:
        """As `FirmwareRig.begin_hanging`, with cart and pole placed at `start` before the firmware is armed."""
        self._draw(rng)
        self.place(start)
        return super().begin_hanging(start, rng)

    def place(self, start: State) -> None:
        """Bring cart and pole to `start`, of a homed cart with the motor off, and let go. Raises `RigError`."""
        self.make_ready_to_swing()
        self._virtual.grab(start)
        for _ in range(round(_MOST_PLACING_S / self._cart.timing.control_period_s)):
            if self._virtual.has_hand_arrived():
                break
            self.watch()
        self._virtual.let_go()

    def _draw(self, rng: np.random.Generator) -> None:
        """Draw losses, jitter, and with a randomisation the cart, which has homed as configured."""
        self._check_is_open()
        drawn = None if self._randomization is None else self._randomization.draw(rng)
        self._virtual.reset(rng)
        if drawn is not None:
            self._virtual.change(self._cart)
            self.make_ready_to_swing()
            self._drawn = drawn
            self._virtual.change(drawn)

    def true_state(self) -> State:
        """The state of the plant, which no encoder shows."""
        return self._virtual.true_state()

    @property
    def virtual_cart(self) -> VirtualCart:
        """The cart itself, for tests that press its e-stop or sag its supply."""
        return self._virtual
