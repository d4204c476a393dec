"""A cart on the emulated chip with somebody at its wires: it is struck at a chosen millisecond, each one is noted."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cartpole_robot.controllers import Controller, choose_controller
from cartpole_robot.firmware_limits import encoders_and_settings, quickly_homing
from cartpole_robot.params import CartParams
from cartpole_robot.rig import RigError
from cartpole_robot.rigs.avr import AvrRig
from cartpole_robot.runtime import start_rollout
from cartpole_robot.simulation.virtual_cart import VirtualCart
from cartpole_robot.task import observation
from firmware_bridge._host import pulses_of
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.errors import RefusedError
from firmware_bridge.link import CartSays, Link

WATCHED_MS = 1000  # after the rig has stopped
_DUTY_ONE = 32767
_OFF = (None, 0)
_HOLD_MS = 450  # a hand takes 400


class Moment(NamedTuple):
    """A millisecond: its number, the chip's clock at its tick, where the encoders stand, the bridge's pulses then on.

    No pulses (None): the bridge is open.
    """

    time_ms: int
    time_us: int
    cart_counts: int
    pole_counts: int
    pulses: int | None


class WatchedBoard:
    """The chip, with a note of every millisecond while it is watched, and with orders for one to come.

    Implements `cartpole_robot.simulation.virtual_cart.Board`. `turn`, where it is set, is called in each
    millisecond and returns counts to be added to both encoders: a hand that spins them.
    """

    def __init__(self, chip: EmulatedChip) -> None:
        self.feed, self.take, self.has_sent, self.restart = chip.feed, chip.take, chip.has_sent, chip.restart
        self.moments: list[Moment] = []
        self.time_ms = 0
        self.is_watched = False
        self.turn: Callable[[], int] | None = None
        self._chip = chip
        self._tick = chip.tick
        self._due: tuple[int, Callable[[], object]] | None = None

    @property
    def time_us(self) -> int:
        """The chip's clock."""
        return self._chip.time_us

    def strike_in(self, milliseconds: int, strike: Callable[[], object]) -> int:
        """The number of the millisecond just before which `strike` will be called, and with which the notes begin."""
        at_ms = self.time_ms + milliseconds
        self._due = (at_ms, strike)
        self._strike_if_due()
        return at_ms

    def _strike_if_due(self) -> None:
        if self._due is not None and self.time_ms + 1 >= self._due[0]:
            strike, self._due = self._due[1], None
            self.watch()
            strike()

    def watch(self) -> None:
        """Take notes from the next millisecond on, and forget those of before."""
        self.moments.clear()
        self.is_watched = True

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> int | None:
        """One millisecond."""
        self.time_ms += 1
        if self.turn is not None:
            turned = self.turn()
            cart_counts, pole_counts = cart_counts + turned, pole_counts + turned
        pulses = self._tick(cart_counts, pole_counts, inputs, supply_mv)
        if self.is_watched:
            self.moments.append(Moment(self.time_ms, self._chip.time_us, cart_counts, pole_counts, pulses))
        self._strike_if_due()
        return pulses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Struck:
    """What came of one strike: the rig's last word, ms until the motor was off for good, mm the cart went until then.

    `off_ms` counts the milliseconds that began with the bridge driven; 0 is off at once. `told` is None where the rig
    went on.
    """

    told: str | None
    off_ms: int
    travel_mm: float

    @property
    def fault(self) -> str:
        """As `in_short`."""
        return in_short(self.told)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """What a campaign strikes: a cart, what steers it (a policy's file, a run folder, or "lqr"), and its image.

    `cart` is a name or a file, None the cart that the policy was trained on; `image` an ELF file, None this package's
    firmware.
    """

    policy: Path
    cart: str | None
    image: Path | None = None

    def open(self) -> tuple[CartParams, Controller]:
        """The cart, homing quickly, and its controller. Raises `UsageError`."""
        chosen = choose_controller(self.policy, self.cart, "c")
        return quickly_homing(chosen.cart), chosen.controller


class Bench:
    """One cart and its controller; struck again and again. A context manager."""

    def __init__(self, subject: Subject, change: Callable[[CartParams], CartParams] = lambda cart: cart) -> None:
        """Switch the cart on, changed by `change`. Raises `RigError` as `AvrRig` does, `UsageError`."""
        self.subject = subject
        cart, self.controller = subject.open()
        self.cart_params = change(cart)
        self.rig = AvrRig(self.cart_params, image=subject.image)
        encoders, settings = encoders_and_settings(self.cart_params)
        self.timeout_ms = round(1000.0 * settings.command_timeout_s)
        self.switch_mm = 1000.0 * settings.switch_m
        self._mm_per_count = 1000.0 / encoders.cart_counts_per_m
        self._counts_per_turn = encoders.pole_counts_per_turn
        self.board = WatchedBoard(self.chip)
        self.cart.board = self.board
        self._starts_anew = False
        self._asked: set[float] = set()

    @property
    def chip(self) -> EmulatedChip:
        """The chip itself."""
        return self.rig.chip

    @property
    def cart(self) -> VirtualCart:
        """The cart around it."""
        return self.rig.virtual_cart

    @property
    def link(self) -> Link:
        """The host's end of the line."""
        return self.rig.link

    def begin(self, seed: int) -> None:
        """A new episode, everything mended, homed anew where the encoders were harmed. Raises `RigError`."""
        self.mend()
        if self._starts_anew:
            self._starts_anew = False
            self.restart("EXTERNAL")
        self._measured = start_rollout(self.rig, seed)
        self._asked.clear()
        self.controller.reset()

    def restart(self, cause: str) -> None:
        """Reset the chip by that `enum reset_cause`."""
        self.chip.restart(int(self.link.protocol.enums["reset_cause"][cause]))

    def start_anew(self) -> None:
        """Before the next episode the chip will be reset: its session is another one, and it homes."""
        self._starts_anew = True

    def wire(self, *, cut: int = 0, swapped: int = 0, spiked: int = 0, spikes: int = 0) -> None:
        """Harm the encoders' wires as `EmulatedChip.wire` does; their counts are worth nothing from here on."""
        self.start_anew()
        self.chip.wire(cut=cut, swapped=swapped, spiked=spiked, spikes=spikes)

    def mend(self) -> None:
        """All wires, switches, clocks and voltages as they should be."""
        self.board.is_watched = False
        self.board.turn = None
        self.chip.wire()
        self.chip.skew(0)
        self.cart.inputs_set = self.cart.inputs_cleared = 0
        self.cart.is_estop_pressed = False
        self.cart.supply_mv = self.cart.nominal_mv
        self.cart.line = None

    def balance(self, turns: int) -> int:
        """Turns survived of so many; fewer where the cart's limits end it. Raises `RigError`."""
        for turn in range(turns):
            duty = self.controller.duty(observation(self._measured))
            self._asked.add(duty)
            self._measured = self.rig.step(duty)
            if not self.rig.is_running:
                return turn + 1
        return turns

    def survive(self, turns: int) -> tuple[int, str | None]:
        """Turns survived, and what ended it; None where the cart balanced them all."""
        for turn in range(turns):
            try:
                self.balance(1)
            except RigError as error:
                return turn, str(error)
            if not self.rig.is_running:
                return turn, "fell"
        return turns, None

    def strike(self, rng: random.Random, strike: Callable[[], object], *, turns: int = 100) -> Struck:
        """Balance for a while, strike at a random millisecond, balance on for `turns` and watch what stands still."""
        self.begin(rng.randrange(1_000_000))
        self.balance(rng.randrange(20, 60))
        at_ms = self.board.strike_in(rng.randrange(1, 40), strike)
        _, told = self.survive(turns)
        return self.watch(at_ms, told)

    def watch(self, at_ms: int, told: str | None) -> Struck:
        """What came of the strike at `at_ms`, a second later."""
        self.pass_ms(WATCHED_MS)
        moments = self.board.moments
        driven = [moment.time_ms for moment in moments if moment.pulses not in _OFF]
        off_at_ms = driven[-1] + 1 if driven else at_ms
        begin_counts = moments[0].cart_counts
        farthest = max(abs(moment.cart_counts - begin_counts) for moment in moments if moment.time_ms <= off_at_ms)
        self.board.is_watched = False
        return Struck(told=told, off_ms=off_at_ms - at_ms, travel_mm=farthest * self._mm_per_count)

    def command_once(self) -> None:
        """Answer the last measurement, and wait for nothing."""
        self.rig.command(self.controller.duty(observation(self._measured)))

    def watch_duties(self, turns: int) -> tuple[int, str | None, bool]:
        """As `survive`, and whether the bridge drove a duty that nobody had asked for."""
        self.board.watch()
        self._asked = {0.0}
        survived, told = self.survive(turns)
        self.board.is_watched = False
        asked = {_pulses(duty) for duty in self._asked}
        is_foreign = any(moment.pulses is not None and moment.pulses not in asked for moment in self.board.moments)
        return survived, told, is_foreign

    def count_offsets(self) -> tuple[int, int]:
        """What the firmware's counts, cart and pole, are beyond the encoders' own, a constant where none is lost.

        Ends the episode: a hand takes cart and pole and holds them still. Raises `RigError`.
        """
        with contextlib.suppress(RefusedError):  # in any state, of any session
            self.link.mode("DISARM")
        self.cart.grab(self.cart.true_state()._replace(cart_speed_m_s=0.0, pole_speed_rad_s=0.0))
        self.pass_ms(_HOLD_MS)
        self.board.watch()
        state = self._new_state()
        self.board.is_watched = False
        moment = next(moment for moment in self.board.moments if moment.time_us == state["time_us"])
        return (
            state["cart_counts"] - moment.cart_counts,
            (state["pole_counts"] - moment.pole_counts) % self._counts_per_turn,
        )

    def begin_counted(self, seed: int) -> tuple[int, int]:
        """As `begin`, with the `count_offsets` at the outset."""
        self.begin(seed)
        offsets = self.count_offsets()
        self.begin(seed)
        return offsets

    def counts_lost(self, before: tuple[int, int]) -> int:
        """By how much the worse of the two `count_offsets` is another one than `before`. Ends the episode."""
        return max(abs(now - then) for now, then in zip(self.count_offsets(), before, strict=True))

    def told_fault(self) -> str:
        """The name of the fault that the firmware tells now."""
        self.pass_ms(20)
        return self.link.protocol.enums["fault"](self._new_state()["fault"]).name

    def _new_state(self) -> CartSays:
        self.link.forget_states()
        state = self.link.newest_state(self.link.transport.clock() + 0.1)
        if state is None:
            raise RigError("the chip does not tell its state any more")
        return state

    def pass_ms(self, milliseconds: int) -> None:
        """Let the cart live on by itself."""
        for _ in range(milliseconds):
            self.cart.pass_ms()

    def close(self) -> None:
        """Switch everything off. May be called twice."""
        self.rig.close()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pulses(duty: float) -> int:
    """What the bridge drives of `PULSE_PERIOD` for a duty in [-1, 1] that has been sent as a 15-bit fraction."""
    return pulses_of(round(max(-1.0, min(1.0, duty)) * _DUTY_ONE))


def in_short(told: str | None) -> str:
    """The name of the fault in a rig's last word, else its first words; "goes on" where it has not had to speak."""
    return "goes on" if told is None else told.split(" at ")[0].split(":")[0]
