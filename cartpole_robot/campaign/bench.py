"""A cart on the emulated chip that can be harmed at a chosen millisecond, with a record of every millisecond."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cartpole_robot.cart.firmware_figures import encoders_and_settings, quickly_homing
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.policy.controllers import Controller, choose_controller
from cartpole_robot.rigs.avr import ChipRig
from cartpole_robot.rigs.cfg_message import cfg_message
from cartpole_robot.rigs.firmware_rig import NO_OPTIONS, FirmwareOptions
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.signals import Measurement
from cartpole_robot.simulation.virtual_cart import VirtualCart
from cartpole_robot.task import observation
from firmware_bridge._host import pulses_of
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.errors import RefusedError
from firmware_bridge.link import Link
from firmware_bridge.messages import StateMessage
from firmware_bridge.second_emulator import Chip

OBSERVED_MS = 1000  # after the rig has stopped
OFF = (None, 0)  # the bridge's pulses
CONTINUES = "continues"  # instead of a fault: the rig has not stopped
FELL = "fell"  # likewise: cart or pole passed the limits of an episode, and the host stopped the motor
_HOLD_MS = 450  # a hand takes 400
_STILL_MM, _STILL_DEG = 2.0, 0.2  # neither has moved this far since the strike: no encoder had anything to show
_ROCK_STEPS, _ROCK_STROKE_STEPS, _ROCK_SHARE = 100, 4, 1.5  # of the duty that must move the cart


class Moment(NamedTuple):
    """One millisecond: its number, the chip's clock at its tick, the encoders' counts, the bridge's pulses after it.

    `pulses` is None while the bridge is open; of a stepper it is what `Board.tick` returns.
    """

    time_ms: int
    time_us: int
    cart_counts: int
    pole_counts: int
    pulses: float | None


class RecordedBoard:
    """The chip with a record of every millisecond while `is_recording`, and with a strike scheduled for a later one.

    Implements `cartpole_robot.simulation.virtual_cart.Board`. `spin`, if set, is called in each millisecond and
    returns counts to add to both encoders: a hand that spins them.
    """

    def __init__(self, chip: Chip) -> None:
        self.feed, self.take, self.has_sent, self.restart = chip.feed, chip.take, chip.has_sent, chip.restart
        self.moments: list[Moment] = []
        self.time_ms = 0
        self.is_recording = False
        self.struck_cycle = 0  # of the chip, in the millisecond before the last strike
        self.spin: Callable[[], int] | None = None
        self._chip = chip
        self._tick = chip.tick
        self._due: tuple[int, Callable[[], object]] | None = None

    @property
    def time_us(self) -> int:
        return self._chip.time_us

    def strike_in(self, milliseconds: int, strike: Callable[[], object]) -> int:
        """Schedule `strike`; returns the number of the millisecond just after it, with which the record begins."""
        at_ms = self.time_ms + milliseconds
        self._due = (at_ms, strike)
        self._strike_if_due()
        return at_ms

    def _strike_if_due(self) -> None:
        if self._due is not None and self.time_ms + 1 >= self._due[0]:
            strike, self._due = self._due[1], None
            self.watch()
            self.struck_cycle = self._chip.figures()["cycles"]
            strike()

    def watch(self) -> None:
        """Start a new record with the next millisecond."""
        self.moments.clear()
        self.is_recording = True

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> float | None:
        self.time_ms += 1
        if self.spin is not None:
            spun = self.spin()
            cart_counts, pole_counts = cart_counts + spun, pole_counts + spun
        pulses = self._tick(cart_counts, pole_counts, inputs, supply_mv)
        if self.is_recording:
            self.moments.append(Moment(self.time_ms, self._chip.time_us, cart_counts, pole_counts, pulses))
        self._strike_if_due()
        return pulses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Struck:
    """The outcome of one strike: the rig's last message, ms until the motor stays off, mm of travel until then.

    `off_ms` counts the milliseconds that began with the bridge driven; 0 is off at once. `message` is None if the rig
    continued. `was_rocked`: everything stood still until the host rocked the cart.
    """

    message: str | None
    off_ms: int
    travel_mm: float
    was_rocked: bool = False

    @property
    def fault(self) -> str:
        return in_short(self.message)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """What a campaign tests: a cart, its policy (a bundle, a run folder, or "lqr"), and its firmware image.

    `cart` is a name or a file; None: the cart that the policy was trained on. `image` is an ELF file; None: this
    package's firmware.
    """

    policy: Path
    cart: str | None
    image: Path | None = None

    def open(self) -> tuple[CartParams, Controller]:
        """The cart, homing quickly, and its controller. Raises `UsageError`."""
        chosen = choose_controller(self.policy, self.cart, "c")
        return quickly_homing(chosen.cart), chosen.controller


class Bench:
    """One cart and its controller, for many trials. A context manager."""

    def __init__(
        self,
        subject: Subject,
        change: Callable[[CartParams], CartParams] = lambda cart: cart,
        options: FirmwareOptions = NO_OPTIONS,
        make_chip: Callable[[Path | None], Chip] = EmulatedChip,
    ) -> None:
        """Switch on the cart, changed by `change`, with a chip of one emulator. Raises `RigError`, `UsageError`."""
        self.subject = subject
        cart, self.controller = subject.open()
        self.cart_params = change(cart)
        self.rig = ChipRig(self.cart_params, lambda: make_chip(subject.image), options=options)
        encoders, settings = encoders_and_settings(self.cart_params)
        self.timeout_ms = round(1000.0 * settings.command_timeout_s)
        self.switch_mm = 1000.0 * settings.switch_m
        self._rock_duty = min(1.0, _ROCK_SHARE * settings.moving_duty)
        self._mm_per_count = 1000.0 / encoders.cart_counts_per_m
        self._counts_per_turn = encoders.pole_counts_per_turn
        self.board = RecordedBoard(self.chip)
        self.cart.board = self.board
        limits = cfg_message(self.cart_params)
        self._dead_zones_q15 = (limits.dead_zone_left_q15, limits.dead_zone_right_q15)
        delay = self.cart_params.delay
        # In force until the command timeout, from a control tick after its arrival; line and tick take a millisecond.
        self._in_force_ms = (
            self.timeout_ms + limits.control_period_ms + math.ceil(1000.0 * (delay.latency_s + delay.jitter_s)) + 2
        )
        self._restarts_first = False
        self._asked: list[tuple[int, float]] = []  # time_ms and duty, while the board records

    @property
    def chip(self) -> Chip:
        return self.rig.chip

    @property
    def cart(self) -> VirtualCart:
        return self.rig.virtual_cart

    @property
    def link(self) -> Link:
        return self.rig.link

    def begin(self, seed: int) -> None:
        """Repair everything and begin an episode; home again if the encoders were harmed. Raises `RigError`."""
        self.repair()
        if self._restarts_first:
            self._restarts_first = False
            self.restart("EXTERNAL")
        self._measured = self._start(seed)
        self._asked.clear()
        self.controller.reset()

    def _start(self, seed: int) -> Measurement:
        return start_rollout(self.rig, seed)

    def restart(self, cause: str) -> None:
        """Reset the chip by that `enum reset_cause`."""
        self.chip.restart(int(self.link.protocol.enums["reset_cause"][cause]))

    def restart_first(self) -> None:
        """Reset the chip before the next episode, so that it homes in a new session."""
        self._restarts_first = True

    def wire(self, *, cut: int = 0, swapped: int = 0, spiked: int = 0, spikes: int = 0) -> None:
        """Harm the encoders' wires as `EmulatedChip.wire` does; their counts are invalid from here on."""
        self.restart_first()
        self.chip.wire(cut=cut, swapped=swapped, spiked=spiked, spikes=spikes)

    def skew(self, ppm: int) -> None:
        """Let the chip's clock run faster by `ppm`; its ticks drift within the world's milliseconds."""
        if ppm != 0:
            self.restart_first()
        self.chip.skew(ppm)

    def repair(self) -> None:
        """Restore all wires, switches, clocks and voltages."""
        self.board.is_recording = False
        self.board.spin = None
        self.chip.wire()
        self.chip.skew(0)
        self.cart.inputs_set = self.cart.inputs_cleared = 0
        self.cart.is_estop_pressed = False
        self.cart.supply_mv = self.cart.nominal_mv
        self.cart.line = None
        while self.cart.bridge_mv < self.cart.nominal_mv:  # the e-stop's relay is closed, and the capacitor charges
            self.cart.pass_ms()

    def balance(self, steps: int, extra_duty: float = 0.0) -> int:
        """Steps survived, at most `steps`; fewer if the cart's limits end the episode. Raises `RigError`.

        `extra_duty` is added to what the controller wants.
        """
        for step in range(steps):
            duty = max(-1.0, min(1.0, self.controller.duty(observation(self._measured)) + extra_duty))
            if self.board.is_recording:
                self._asked.append((self.board.time_ms, duty))
            self._measured = self.rig.step(duty)
            if not self.rig.is_running:
                return step + 1
        return steps

    def survive(self, steps: int, extra_duty: Callable[[int], float] = lambda _: 0.0) -> tuple[int, str | None]:
        """Steps survived, and what ended the episode; None if the cart survived all of them.

        `extra_duty` of the step's number is added to what the controller wants.
        """
        for step in range(steps):
            try:
                self.balance(1, extra_duty(step))
            except RigError as error:
                return step, str(error)
            if not self.rig.is_running:
                return step, FELL
        return steps, None

    def strike(
        self, rng: random.Random, strike: Callable[[], object], *, steps: int = 100, may_rock: bool = False
    ) -> Struck:
        """Balance for a while, strike at a random millisecond, then balance for `steps` more; returns the outcome.

        A cart that a regulator has brought to rest on its dry friction shows nothing of a broken encoder, and needs
        none. With `may_rock` the host then rocks it, which it balances through with encoders that are whole.
        """
        self.begin(rng.randrange(1_000_000))
        self.balance(rng.randrange(20, 60))
        at_ms = self.board.strike_in(rng.randrange(1, 40), strike)
        _, message = self.survive(steps)
        was_rocked = may_rock and message is None and self._has_stood_still()
        if was_rocked:
            _, message = self.rock()
        return dataclasses.replace(self.watch(at_ms, message), was_rocked=was_rocked)

    def rock(self) -> tuple[int, str | None]:
        """As `survive`, while the host pushes the cart back and forth by a centimetre, toward the middle first."""
        first = -math.copysign(self._rock_duty, self.cart.true_state().cart_position_m)

        def push(step: int) -> float:
            is_back = (step + _ROCK_STROKE_STEPS // 2) // _ROCK_STROKE_STEPS % 2
            return -first if is_back else first

        return self.survive(_ROCK_STEPS, push)

    def _has_stood_still(self) -> bool:
        """Whether neither cart nor pole has truly moved since the record began."""
        first, moments = self.board.moments[0], self.board.moments
        cart_counts = max(abs(moment.cart_counts - first.cart_counts) for moment in moments)
        pole_counts = max(abs(moment.pole_counts - first.pole_counts) for moment in moments)
        pole_deg = 360.0 * pole_counts / self._counts_per_turn
        return cart_counts * self._mm_per_count < _STILL_MM and pole_deg < _STILL_DEG

    def watch(self, at_ms: int, message: str | None) -> Struck:
        """The outcome of the strike at `at_ms`, observed for another second."""
        self.pass_ms(OBSERVED_MS)
        moments = self.board.moments
        driven = [moment.time_ms for moment in moments if moment.pulses not in OFF]
        off_at_ms = driven[-1] + 1 if driven else at_ms
        begin_counts = moments[0].cart_counts
        farthest = max(abs(moment.cart_counts - begin_counts) for moment in moments if moment.time_ms <= off_at_ms)
        self.board.is_recording = False
        return Struck(message=message, off_ms=off_at_ms - at_ms, travel_mm=farthest * self._mm_per_count)

    def farthest_mm(self, begin_mm: float) -> float:
        """How far from the middle the cart came while the board last recorded, having begun that far from it."""
        first = self.board.moments[0].cart_counts
        return max(abs(begin_mm + (moment.cart_counts - first) * self._mm_per_count) for moment in self.board.moments)

    def command_once(self) -> None:
        """Answer the last measurement without waiting."""
        self.rig.command(self.controller.duty(observation(self._measured)))

    def watch_duties(self, steps: int) -> tuple[int, str | None, bool]:
        """As `survive`, and whether the bridge drove a duty that was never requested, or no longer in force."""
        self.board.watch()
        self._asked.clear()
        survived, message = self.survive(steps)
        self.board.is_recording = False
        return survived, message, has_foreign(self.board.moments, self._asked_pulses(), self._in_force_ms)

    def _asked_pulses(self) -> list[tuple[int, int]]:
        return [(time_ms, self._pulses(duty)) for time_ms, duty in self._asked]

    def _pulses(self, duty: float) -> int:
        """The bridge's pulses, of `PULSE_PERIOD`, for a duty sent as a 15-bit fraction."""
        one = self.link.protocol.constants["PROTOCOL_DUTY_ONE"]
        size = round(min(1.0, abs(duty)) * one)
        dead_zone = self._dead_zones_q15[duty > 0.0]
        if size and dead_zone:  # as the firmware's app.c
            size = min(one, dead_zone + size * (one - dead_zone) // one)
        return pulses_of(size if duty > 0.0 else -size)

    def count_offsets(self) -> tuple[int, int]:
        """The firmware's counts minus the encoders' own, cart and pole: constant unless counts are lost.

        Ends the episode: a hand takes cart and pole and holds them still. Raises `RigError`.
        """
        with contextlib.suppress(RefusedError):  # in any state, of any session
            self.link.mode("DISARM")
        self.cart.grab(self.cart.true_state()._replace(cart_speed_m_s=0.0, pole_speed_rad_s=0.0))
        self.board.watch()
        self.pass_ms(_HOLD_MS)
        state = self._new_state()
        self.board.is_recording = False
        moment = next((moment for moment in self.board.moments if moment.time_us == state.time_us), None)
        if moment is None:
            raise RigError(f"the chip reports a state at {state.time_us} us, which no recorded millisecond has")
        return (
            state.cart_counts - moment.cart_counts,
            (state.pole_counts - moment.pole_counts) % self._counts_per_turn,
        )

    def begin_counted(self, seed: int) -> tuple[int, int]:
        """As `begin`; returns the `count_offsets` at the start."""
        self.begin(seed)
        offsets = self.count_offsets()
        self.begin(seed)
        return offsets

    def counts_lost(self, before: tuple[int, int]) -> int:
        """The larger change of the two `count_offsets` since `before`. Ends the episode."""
        return max(abs(now - then) for now, then in zip(self.count_offsets(), before, strict=True))

    def reported_fault(self) -> str:
        """The name of the fault that the firmware reports now."""
        self.pass_ms(20)
        return self.link.protocol.enums["fault"](self._new_state().fault).name

    def _new_state(self) -> StateMessage:
        self.link.forget_states()
        state = self.link.newest_state(self.link.clock() + 0.1)
        if state is None:
            raise RigError("the chip no longer reports its state")
        return state

    def pass_ms(self, milliseconds: int) -> None:
        """Let time pass for the cart, without commands."""
        for _ in range(milliseconds):
            self.cart.pass_ms()

    def close(self) -> None:
        """Switch everything off. May be called twice."""
        self.rig.close()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def has_foreign(moments: Sequence[Moment], asked: Sequence[tuple[int, int]], in_force_ms: int) -> bool:
    """Whether any moment's pulses were not requested within `in_force_ms` before; `asked` is (time_ms, pulses)."""
    return any(
        moment.pulses not in OFF
        and not any(
            pulses == moment.pulses and time_ms < moment.time_ms <= time_ms + in_force_ms for time_ms, pulses in asked
        )
        for moment in moments
    )


def in_short(message: str | None) -> str:
    """The name of the fault in a rig's message, else its first words; `CONTINUES` for None."""
    return CONTINUES if message is None else message.split(" at ")[0].split(":")[0]
