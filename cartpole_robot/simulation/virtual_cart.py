"""A cart with its firmware, simulated: a board runs the C and drives the plant, a millisecond at a time.

It has a serial line and a clock, and does not depend on what is at the other end. A simulated hand moves cart and pole
where a person would.
"""

from __future__ import annotations

import math
from collections import deque
from math import floor
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Encoders
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.simulation.line import Line
from cartpole_robot.simulation.native_cart import NativeBoardCart
from cartpole_robot.simulation.supply_relay import SupplyRelay
from firmware_bridge._host import PULSE_PERIOD, ChipMailbox, Firmware, PolicyImage
from firmware_bridge._stepper import Firmware as StepperFirmware
from firmware_bridge.constants import TICK_S
from firmware_bridge.protocol import read_protocol

if TYPE_CHECKING:
    from cartpole_robot.simulation._native import BoardCart
    from cartpole_robot.simulation.cart import SimulatedCart
    from cartpole_robot.simulation.imperfections.imperfect import Imperfect

LIFT_S = 0.4  # how long a hand takes to bring the pole up
_HANGING = State(0.0, 0.0, math.pi, 0.0)
_LEFT, _RIGHT, _ESTOP = (
    int(read_protocol().enums["input_flag"][name]) for name in ("LEFT_SWITCH", "RIGHT_SWITCH", "ESTOP")
)
ALARM_HIGH = 8  # among a stepper's inputs: the level of its driver's alarm output
_PULSE = 1.0 / PULSE_PERIOD


class Board(Protocol):
    """What runs the firmware: the C built for this machine (`Firmware`), or the chip's image in an emulator."""

    @property
    def time_us(self) -> int:
        """What the firmware's clock showed at the last tick; wraps at 32 bits."""

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> float | None:
        """Run one millisecond; returns how many of `PULSE_PERIOD` cycles the bridge drives, None if it is open.

        A stepper's board returns the mean, over the next millisecond, of the steps that it has made; None with the
        driver disabled.
        """

    def feed(self, received: bytes, /) -> None:
        """Receive bytes from the serial line."""

    def take(self) -> bytes:
        """What has been sent since the last call."""

    def has_sent(self) -> bool:
        """Whether `take` would return the end of a frame; part of one is no use to the host."""

    def restart(self, cause: int, /) -> None:
        """Reset for that `enum reset_cause`."""


class VirtualCart:
    """One cart; `run` lets time pass.

    `receive` takes bytes, which reach the firmware after the cart's latency. Before it is homed its pole hangs still,
    somewhere along the track. `drive` is the duty at the motor, None with the bridge open; a stepper's is the board's
    count of steps, None with the driver disabled, and a hand leaves the cart where the motor holds it. `supply_mv`,
    which a DC motor's voltage follows, and without half of which a stepper's driver is off, `is_estop_pressed`, and
    the switches (`inputs_set` and `inputs_cleared`, bits of `enum input_flag`) may be set at any time, and so may
    `line`. Where the cart file's `estop_cuts_supply` is set, the supply at the bridge falls while the e-stop is
    pressed. `imperfect` is what `imperfections.imperfect.spoil`
    makes of it; None is an ideal cart.
    """

    def __init__(
        self,
        cart: CartParams,
        *,
        start: State = _HANGING,
        board: Board | None = None,
        loaded: CartParams | None = None,
        engine: Engine = Engine.NATIVE,
    ):
        """The cart as it is switched on, at `start`, with its firmware on `board`: by default built for this machine.

        `loaded` is the cart with the shortest pole that `change` will ever bring. Raises `UsageError` for a cart that
        no firmware can drive.
        """
        encoders, settings = encoders_and_settings(cart)
        self._simulated = _simulated(cart, loaded, encoders, engine)
        self._right_counts = floor(settings.switch_m * encoders.cart_counts_per_m)
        self._left_counts = -self._right_counts
        self._m_per_count = 1.0 / encoders.cart_counts_per_m
        self._is_stepper = cart.stepper is not None
        self._per_pulse = 1.0 if self._is_stepper else _PULSE
        self._put_on(built_firmware(cart) if board is None else board)
        self.nominal_mv = self.supply_mv = round(1000.0 * (cart.motor.supply_voltage_v or 12.0))
        self.is_estop_pressed = False
        self._relay = SupplyRelay(is_opened_by_estop=settings.estop_cuts_supply)
        self.inputs_set = self.inputs_cleared = 0
        if cart.stepper is not None and cart.stepper.alarm_is_low:
            self.inputs_set = ALARM_HIGH
        self.line: Line | None = None
        self.imperfect: Imperfect | None = None
        self.time_ms = 0
        self.drive: float | None = None
        self._hand: _Hand | None = None
        self._release_ms: int | None = None
        self._delay = cart.delay
        self._rng = np.random.default_rng(0)
        self._on_the_way: deque[tuple[int, bytes]] = deque()
        # An encoder begins to count where it is switched on.
        self._cart_zero: int
        self._pole_zero: int
        self._cart_zero, self._pole_zero = self._simulated.place(start)

    @property
    def board(self) -> Board:
        """What runs the firmware; may be replaced by one that has the same state."""
        return self._board

    @board.setter
    def board(self, board: Board) -> None:
        self._put_on(board)

    def _put_on(self, board: Board) -> None:
        self._board = board
        self._native: tuple[BoardCart, Firmware | StepperFirmware | ChipMailbox] | None = None
        in_c = getattr(board, "mailbox", board)  # of an emulated chip
        if isinstance(self._simulated, NativeBoardCart) and isinstance(in_c, Firmware | StepperFirmware | ChipMailbox):
            self._native = self._simulated.body, in_c

    @property
    def is_stepper(self) -> bool:
        """Whether a stepper moves it."""
        return self._is_stepper

    @property
    def left_switch_m(self) -> float:
        """Where the cart closes the left end switch."""
        return self._left_counts * self._m_per_count

    @property
    def bridge_mv(self) -> int:
        """The supply at the bridge, behind the relay that the e-stop opens."""
        return self.supply_mv if self._relay.share == 1.0 else round(self.supply_mv * self._relay.share)

    def reset(self, rng: np.random.Generator) -> None:
        """Draw losses and jitter of the host's commands from `rng` from now on."""
        self._rng = rng

    def change(self, cart: CartParams) -> None:
        """Change the parameters; a hand must hold the pole. Raises ValueError as the plant does."""
        self._simulated.change(cart)
        self._delay = cart.delay

    def receive(self, data: bytes, *, may_be_lost: bool = False) -> None:
        """Deliver bytes from the host after the cart's latency, or with `may_be_lost` lose them at random."""
        delay = self._delay
        if may_be_lost and delay.drop_probability and self._rng.random() < delay.drop_probability:
            return
        late_s = delay.latency_s
        if delay.jitter_s:
            late_s += delay.jitter_s * self._rng.random()
        if self.imperfect is not None:
            late_s += self.imperfect.to_cart_s()
        if late_s <= 0.0 and not self._on_the_way:
            self._feed(data)
        else:  # a line keeps the order of its bytes
            due_ms = self.time_ms + math.ceil(late_s / TICK_S - 1e-9)
            if self._on_the_way:
                due_ms = max(due_ms, self._on_the_way[-1][0])
            self._on_the_way.append((due_ms, data))

    def _feed(self, data: bytes) -> None:
        self._board.feed(data if self.line is None else self.line.to_cart(data))

    def _take(self) -> bytes:
        sent = self._board.take() if self.line is None else self.line.to_host(self._board.take(), self.time_ms)
        return sent if self.imperfect is None else self.imperfect.to_host(sent, self.time_ms)

    def run(self, most_ms: int) -> bytes:
        """Let time pass until the host receives something, at most `most_ms`; returns what it has received.

        A millisecond is physics under the duty in force, then what the line brings, then the firmware's safety tick.
        Raises what the board raises when it has ended.
        """
        sent = self._take()
        end_ms = self.time_ms + most_ms
        while not sent and self.time_ms < end_ms:
            self._relay.pass_ms(is_estop_pressed=self.is_estop_pressed)
            most_ms = end_ms - self.time_ms if self._relay.share == 1.0 else 1
            if self._hand is not None:
                if self.imperfect is not None:
                    self.imperfect.at_motor(self.drive, self.bridge_mv, self.nominal_mv, 0.0)
                self._hold(self._hand.state())
                if self._release_ms is not None and self.time_ms >= self._release_ms:
                    self.let_go()
                sent = self._take()
            elif self.imperfect is not None:
                self._run_imperfect(self.imperfect)
                sent = self._take()
            elif self.line is not None:
                sent = self._run_free(1) or self._take()
            elif self._native is not None:
                sent = self._run_native(*self._native, most_ms)
            else:
                sent = self._run_free(most_ms) or self._take()
        return sent

    def pass_ms(self) -> bytes:
        """Let exactly one millisecond pass, for a caller with its own clock; returns what the host has received."""
        sent = self._take()
        return sent + self.run(1)

    def _run_free(self, most_ms: int) -> bytes:
        """The hot path: no hand holds the cart, and switches and line rarely change anything."""
        sent = b""
        board = self._board
        has_sent, take, surroundings, driven = board.has_sent, self._take, self._surroundings, self._driven

        def tick(cart_counts: int, pole_counts: int) -> float | None:
            nonlocal sent
            drive = driven(board.tick(*surroundings(cart_counts, pole_counts)))
            if has_sent():
                sent = take()
                raise StopIteration
            return drive

        self._simulated.run_under(tick, self._at_motor(), most_ms)
        return sent

    def _hold(self, held: State) -> None:
        """One millisecond in a hand; it does not move a cart whose stepper holds it."""
        if not self._is_held():
            self._tick(*self._simulated.place(held))
            return
        self._simulated.turn(held.pole_angle_rad, 0.0)
        self._simulated.run_under(self._tick_held, self._at_motor(), 1)

    def _tick_held(self, cart_counts: int, _: int) -> float | None:
        """The board's millisecond, with the pole where the hand had it before the motor moved the cart."""
        assert self._hand is not None
        held = self._hand.held
        _, pole_counts = self._simulated.turn(held.pole_angle_rad, held.pole_speed_rad_s)
        return self._tick(cart_counts, pole_counts)

    def _run_native(self, body: BoardCart, board: Firmware | StepperFirmware | ChipMailbox, most_ms: int) -> bytes:
        """The hot path in one call."""
        pressed = _ESTOP if self.is_estop_pressed else 0
        surroundings = (
            *(self.bridge_mv, self.nominal_mv, self.inputs_set | pressed, self.inputs_cleared),
            *(self._left_counts, self._right_counts, self._cart_zero, self._pole_zero),
        )
        try:
            body.run(board, self._on_the_way, most_ms, self.time_ms, self.drive, surroundings)
        finally:
            self.time_ms, self.drive = body.time_ms, body.drive
        return board.take()

    def _run_imperfect(self, imperfect: Imperfect) -> None:
        """One millisecond of a cart with imperfections."""
        simulated = self._simulated
        speed_m_s = simulated.state().cart_speed_m_s
        drive = self._at_motor() if self._is_stepper else self.drive
        at_motor = imperfect.at_motor(drive, self.bridge_mv, self.nominal_mv, speed_m_s)
        simulated.run_under(self._tick, at_motor, 1)

    def _tick(self, cart_counts: int, pole_counts: int) -> float | None:
        """The board's millisecond, with cart and pole in a hand or with imperfections."""
        return self._driven(self._board.tick(*self._surroundings(cart_counts, pole_counts)))

    def _surroundings(self, cart_counts: int, pole_counts: int) -> tuple[int, int, int, int]:
        """A millisecond begins: what the line brings reaches the board; returns what else `Board.tick` wants."""
        self.time_ms = now_ms = self.time_ms + 1
        waiting = self._on_the_way
        while waiting and waiting[0][0] <= now_ms:
            self._feed(waiting.popleft()[1])
        inputs = 0
        if not self._left_counts < cart_counts < self._right_counts:
            inputs = _LEFT if cart_counts < 0 else _RIGHT
        if self.is_estop_pressed:
            inputs |= _ESTOP
        inputs = (inputs | self.inputs_set) & ~self.inputs_cleared
        if self.imperfect is not None:
            return self._surroundings_of(self.imperfect, inputs)
        return cart_counts - self._cart_zero, pole_counts - self._pole_zero, inputs, self.bridge_mv

    def _surroundings_of(self, imperfect: Imperfect, inputs: int) -> tuple[int, int, int, int]:
        """As `_surroundings`, with what the board really sees."""
        state = self._simulated.state()
        imperfect.moved(state.cart_speed_m_s)
        cart_counts, pole_counts = imperfect.counts(state)
        seen = imperfect.inputs(inputs, self.time_ms)
        return cart_counts - self._cart_zero, pole_counts - self._pole_zero, seen, imperfect.power(self._board)

    def _driven(self, pulses: float | None) -> float | None:
        """The board's answer, as `_at_motor`."""
        self.drive = pulses if pulses is None else pulses * self._per_pulse
        return self._at_motor()

    def _at_motor(self) -> float | None:
        """The duty that gives, at the nominal supply, what the motor gets from now on; None with an open bridge.

        Of a stepper the board's count, None where it is not driven.
        """
        if self._is_stepper:
            return None if self.bridge_mv < self.nominal_mv // 2 else self.drive
        if self.drive is None or self.bridge_mv == self.nominal_mv:
            return self.drive
        return self.drive * self.bridge_mv / self.nominal_mv

    def grab(self, start: State) -> None:
        """A hand takes the pole, brings cart and pole to the positions of `start` and holds them still."""
        self._release_ms = None
        self._hand = _Hand(self._simulated.state(), _nearest(self._simulated.state(), start), LIFT_S)

    def carry(self, goal: State, duration_s: float) -> None:
        """A hand brings cart and pole to `goal`, over every revolution of the pole on the way, and holds them still."""
        self._release_ms = None
        self._hand = _Hand(self._simulated.state(), goal, duration_s)

    def hang(self) -> None:
        """A hand takes the pole, brings it to hang still where the cart is, and leaves it."""
        self.grab(_HANGING._replace(cart_position_m=self._simulated.state().cart_position_m))
        self._release_ms = self.time_ms + round(LIFT_S / TICK_S)

    def has_hand_arrived(self) -> bool:
        """Whether a hand holds cart and pole at the requested state."""
        return self._hand is not None and self._hand.has_arrived()

    def let_go_at(self, time_us: int, period_ms: int) -> None:
        """The hand will let go when the firmware's clock shows `time_us`, or a whole number of periods later.

        It is the first of these moments in the future: every control tick will do.
        """
        passed_us = (self._board.time_us - time_us + 0x80000000) % 0x100000000 - 0x80000000
        due_ms = self.time_ms - passed_us // 1000
        while due_ms <= self.time_ms:
            due_ms += period_ms
        self._release_ms = due_ms

    def let_go(self) -> None:
        """The hand lets go, with the speeds of the start it was given."""
        if self._hand is not None:
            self._put(self._hand.release())
            self._hand = self._release_ms = None

    def _put(self, state: State) -> None:
        """Cart and pole are there, moving so; a cart that a stepper holds stays where it is."""
        if self._is_held():
            self._simulated.turn(state.pole_angle_rad, state.pole_speed_rad_s)
        else:
            self._simulated.place(state)

    def _is_held(self) -> bool:
        """Whether a stepper whose driver is on holds the cart."""
        return self._is_stepper and self._at_motor() is not None

    def push(self, pole_speed_rad_s: float) -> None:
        """Strike the pole, which is then faster by so much; one in a hand feels nothing."""
        if self._hand is None:
            state = self._simulated.state()
            self._put(state._replace(pole_speed_rad_s=state.pole_speed_rad_s + pole_speed_rad_s))

    def true_state(self) -> State:
        """The state of the plant, which no encoder shows."""
        return self._simulated.state()

    def raw_counts(self) -> tuple[int, int]:
        """The counts of both encoders, cart and pole, as the board receives them."""
        cart, pole = self._simulated.counts()
        return cart - self._cart_zero, pole - self._pole_zero

    def close(self) -> None:
        """Release the physics. May be called twice."""
        self._simulated.close()


def built_firmware(cart: CartParams, policy: PolicyImage | None = None) -> Firmware | StepperFirmware:
    """A board with the firmware built for this machine, of the drive that `cart` has, and with `policy` in it."""
    return Firmware(policy=policy) if cart.stepper is None else StepperFirmware(policy=policy)


def _simulated(
    cart: CartParams, loaded: CartParams | None, encoders: Encoders, engine: Engine
) -> SimulatedCart | NativeBoardCart:
    if engine is Engine.NATIVE:
        return NativeBoardCart(cart)
    from cartpole_robot.simulation.cart import SimulatedCart

    made = SimulatedCart(loaded or cart, encoders)
    if loaded is not None:
        made.change(cart)
    return made


def _nearest(begin: State, goal: State) -> State:
    """`goal` by the nearest way up from `begin`, however often the pole has revolved: its encoder does not wrap."""
    revolutions = round((begin.pole_angle_rad - goal.pole_angle_rad) / (2.0 * math.pi))
    return goal._replace(pole_angle_rad=goal.pole_angle_rad + 2.0 * math.pi * revolutions)


class _Hand:
    """A smooth motion from one state to another, a millisecond at a time, then rest."""

    def __init__(self, begin: State, goal: State, duration_s: float) -> None:
        self._begin = begin
        self._goal = goal
        self._duration_s = duration_s
        self._ms = 0
        self.held = begin
        """Of the last millisecond."""

    def release(self) -> State:
        """The state at release: the goal with its speeds, or the place on the way there, at rest."""
        return self._goal if self.has_arrived() else self._place()

    def has_arrived(self) -> bool:
        """Whether it is at its goal."""
        return self._ms * TICK_S >= self._duration_s

    def state(self) -> State:
        """The state a millisecond later."""
        self._ms += 1
        self.held = self._place()
        return self.held

    def _place(self) -> State:
        share = min(1.0, self._ms * TICK_S / self._duration_s)
        eased = share * share * (3.0 - 2.0 * share)
        begin, goal = self._begin, self._goal
        return State(
            begin.cart_position_m + eased * (goal.cart_position_m - begin.cart_position_m),
            0.0,
            begin.pole_angle_rad + eased * (goal.pole_angle_rad - begin.pole_angle_rad),
            0.0,
        )
