"""A cart on the emulated chip with somebody at its wires: it is struck at a chosen millisecond, each one is noted."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cartpole_robot.controllers import Controller
from cartpole_robot.firmware_limits import encoders_and_settings
from cartpole_robot.params import CartParams
from cartpole_robot.rig import RigError
from cartpole_robot.rigs.avr import AvrRig
from cartpole_robot.runtime import start_rollout
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge._host import PULSE_PERIOD
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.link import Link

WATCHED_MS = 1000  # after the rig has stopped
_OFF = (None, 0)


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

    Implements `cartpole_robot.simulation.virtual_cart.Board`.
    """

    def __init__(self, chip: EmulatedChip) -> None:
        self.feed, self.take, self.has_sent, self.restart = chip.feed, chip.take, chip.has_sent, chip.restart
        self.moments: list[Moment] = []
        self.time_ms = 0
        self.is_watched = False
        self._chip = chip
        self._tick = chip.tick
        self._due: tuple[int, Callable[[], object]] | None = None

    @property
    def time_us(self) -> int:
        """The chip's clock."""
        return self._chip.time_us

    def strike_in(self, milliseconds: int, strike: Callable[[], object]) -> int:
        """The number of the millisecond at whose beginning `strike` will be called, and the notes begin."""
        at_ms = self.time_ms + milliseconds
        self._due = (at_ms, strike)
        return at_ms

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> int | None:
        """One millisecond."""
        self.time_ms += 1
        if self._due is not None and self.time_ms >= self._due[0]:
            strike, self._due = self._due[1], None
            self.moments.clear()
            self.is_watched = True
            strike()
        pulses = self._tick(cart_counts, pole_counts, inputs, supply_mv)
        if self.is_watched:
            self.moments.append(Moment(self.time_ms, self._chip.time_us, cart_counts, pole_counts, pulses))
        return pulses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Struck:
    """What came of one strike: the rig's last word, ms until the motor was off for good, mm the cart went from there.

    `off_ms` counts the milliseconds that began with the bridge driven; 0 is off at once. `told` is None where the rig
    went on.
    """

    told: str | None
    off_ms: int
    travel_mm: float

    @property
    def fault(self) -> str:
        """The name of the fault, or the rig's own words where it has none."""
        return "went on" if self.told is None else self.told.split(" at ")[0]


class Bench:
    """One cart and its controller; struck again and again. A context manager."""

    def __init__(self, cart: CartParams, controller: Controller, *, image: Path | None = None) -> None:
        """Switch the cart on. Raises `RigError` as `AvrRig` does."""
        self.rig = AvrRig(cart, image=image)
        self.controller = controller
        encoders, _ = encoders_and_settings(cart)
        self._mm_per_count = 1000.0 / encoders.cart_counts_per_m
        self._counts_per_turn = encoders.pole_counts_per_turn
        self.board = WatchedBoard(self.chip)
        self.cart.board = self.board

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
        """A new episode, everything mended. Raises `RigError`."""
        self.mend()
        self._measured = start_rollout(self.rig, seed)
        self.controller.reset()

    def mend(self) -> None:
        """All wires, switches, clocks and voltages as they should be."""
        self.board.is_watched = False
        self.chip.wire()
        self.chip.skew(0)
        self.cart.inputs_set = self.cart.inputs_cleared = 0
        self.cart.is_estop_pressed = False
        self.cart.supply_mv = self.cart.nominal_mv
        self.cart.line = None

    def balance(self, turns: int) -> int:
        """Turns survived of so many; fewer where the cart's limits end it. Raises `RigError`."""
        for turn in range(turns):
            duty = self.controller.duty(np.array(self._measured.state()))
            self._measured = self.rig.step(duty)
            if not self.rig.is_running:
                return turn + 1
        return turns

    def survive(self, turns: int) -> str | None:
        """None where the cart balanced so many turns, else what ended it."""
        try:
            survived = self.balance(turns)
        except RigError as error:
            return str(error)
        return None if survived == turns else f"fell in turn {survived}"

    def strike(self, rng: random.Random, strike: Callable[[], object], *, turns: int = 100) -> Struck:
        """Balance for a while, strike at a random millisecond, balance on for `turns` and watch what stands still."""
        self.begin(rng.randrange(1_000_000))
        self.balance(rng.randrange(20, 60))
        at_ms = self.board.strike_in(rng.randrange(1, 40), strike)
        told = self.survive(turns)
        return self.watch(at_ms, told)

    def watch(self, at_ms: int, told: str | None) -> Struck:
        """What came of the strike at `at_ms`, a second later."""
        self.pass_ms(WATCHED_MS)
        moments = self.board.moments
        driven = [moment.time_ms for moment in moments if moment.pulses not in _OFF]
        begin_counts = moments[0].cart_counts
        farthest = max(abs(moment.cart_counts - begin_counts) for moment in moments)
        self.board.is_watched = False
        return Struck(
            told=told,
            off_ms=0 if not driven else driven[-1] - at_ms + 1,
            travel_mm=farthest * self._mm_per_count,
        )

    def command_once(self) -> None:
        """Answer the last measurement, and wait for nothing."""
        self.rig.command(self.controller.duty(np.array(self._measured.state())))

    def watch_duties(self, turns: int) -> tuple[str | None, int, bool]:
        """Balance so long: the rig's last word (None: it went on), turns survived, whether an unasked duty was driven."""
        self.board.moments.clear()
        self.board.is_watched = True
        asked = {None, 0}
        told = None
        turn = 0
        try:
            for turn in range(turns):
                duty = self.controller.duty(np.array(self._measured.state()))
                pulses = round(abs(duty) * PULSE_PERIOD)
                asked.add(pulses if duty > 0.0 else -pulses)
                self._measured = self.rig.step(duty)
                if not self.rig.is_running:
                    told = f"fell in turn {turn + 1}"
                    break
        except RigError as error:
            told = str(error)
        self.board.is_watched = False
        driven = {moment.pulses for moment in self.board.moments}
        return told, turn + 1, not driven <= asked

    def count_offsets(self) -> tuple[int, int]:
        """What the firmware's counts, cart and pole, are beyond the encoders' own, a constant where none is lost."""
        self.board.moments.clear()
        self.board.is_watched = True
        self.balance(1)
        self.board.is_watched = False
        measured = self._measured
        moment = next(moment for moment in self.board.moments if moment.time_us == measured.mcu_time_us)
        return (
            measured.cart_counts - moment.cart_counts,
            (measured.pole_counts - moment.pole_counts) % self._counts_per_turn,
        )

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


def quickly_homing(cart: CartParams) -> CartParams:
    """`cart` that homes in some seconds instead of twenty; nothing else is changed."""
    _, firmware = encoders_and_settings(cart)
    return dataclasses.replace(cart, firmware=dataclasses.replace(firmware, homing_speed_m_s=0.6, homing_duty=0.5))
