"""Replay of a black box: the firmware gets the same inputs and commands again, and must report the same fault."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from cartpole_robot.cart.firmware_figures import encoders_and_settings, quickly_homing
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply
from cartpole_robot.deployment.black_box import BlackBox, samples_of
from cartpole_robot.deployment.stepper_speed import first_speed
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.firmware_rig import IMPLAUSIBLE
from cartpole_robot.rigs.open_rig import open_board
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from firmware_bridge._host import Firmware, FrameDecoder, encode_frame
from firmware_bridge._stepper import Firmware as StepperFirmware
from firmware_bridge.answers import reset_cause_name
from firmware_bridge.constants import CONTACT_SAMPLES
from firmware_bridge.messages import CmdMessage, EventMessage, HelloAckMessage, HelloMessage, ModeMessage, TraceMessage
from firmware_bridge.protocol import Protocol, read_protocol

_SETTLE_MS = 40  # from where the cart was armed to where the box begins
_STANDS_MS = 200  # before it is armed, after its counts were set
_WINDOWS_MS = 1000  # a whole number of every window that the firmware counts in
_ARMABLE = 0.8  # of the arming angle
_SEQ = 251  # differs from the rig's last one
_OBSERVED_MS = 300  # after the end of the box: silence is a fault too
_LINK_LOST = "LINK"
_RESET = "RESET "


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """The fault and its millisecond in the box, as replayed and as recorded (`kept_...`).

    `lost_ms` milliseconds of the box were lost on the line and interpolated; `duty_differences` counts those of the
    others in which the duty in force differs from the recorded one.
    """

    fault: str
    fault_ms: int | None
    kept_fault: str
    kept_ms: int
    lost_ms: int
    duty_differences: int

    @property
    def is_same(self) -> bool:
        """Whether the fault is the same; a cart without a link must stop by COMMAND_TIMEOUT."""
        is_hosts = self.kept_fault in (_LINK_LOST, IMPLAUSIBLE)  # the host stopped, and the firmware had no fault
        return self.fault == ("COMMAND_TIMEOUT" if is_hosts else self.kept_fault)

    def as_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "is_same": self.is_same}


@dataclass(frozen=True, kw_only=True)
class _Step:
    """The firmware's inputs in one safety tick; `command` is the duty of a CMD that precedes it."""

    cart_counts: int
    pole_counts: int
    inputs: int
    supply_mv: int
    illegal: tuple[int, int] = (0, 0)
    missed: int = 0
    command: int | None = None
    arms: bool = False  # MODE ARM precedes it
    number: int | None = None  # of the box's sample; None: interpolated
    stops: bool = False  # MODE ESTOP precedes it
    speed: float | None = None  # of a stepper before it, in steps a second


def replay(box: BlackBox, rig: str) -> Replayed:
    """Run `box` on the firmware of `rig`: "virtual", "avr" or "avr:ELF".

    The cart is homed and armed where the box begins, then gets the recorded encoder counts, contacts, supply and
    commands, each in its millisecond. Raises `UsageError` for an empty box, for counts that no encoder has, and on an
    emulated chip for illegal encoder transitions and for a stepper armed before the box begins; `RigError`.
    """
    if len(box.samples) == 0:
        raise UsageError(
            "this black box is empty: the fault came before the first safety tick; there is nothing to replay"
        )
    if rig != "virtual" and (box.samples["cart_illegal"].any() or box.samples["pole_illegal"].any()):
        raise UsageError("this black box has illegal encoder transitions, which only --rig virtual can be shown")
    if rig != "virtual" and box.cart.stepper is not None and box.since_armed_ms:
        raise UsageError(
            f"this black box begins {box.since_armed_ms} ms after the stepper was armed, at a speed that only "
            "--rig virtual can begin with; leave out --rig"
        )
    cart = _as_kept(box.cart)
    with open_board(rig, cart) as board:
        virtual = VirtualRig(cart, board=board)
        try:
            return _Player(box, cart, virtual, is_early=rig != "virtual").play()
        except OverflowError as error:
            raise UsageError(
                f"this black box cannot be replayed: {error}, which no encoder does; restore it from a copy"
            ) from None
        finally:
            virtual.close()


def _as_kept(cart: CartParams) -> CartParams:
    """The cart without reversed signs, because a box holds corrected ones, and with quick homing."""
    cart = quickly_homing(cart)
    _, settings = encoders_and_settings(cart)
    right = dataclasses.replace(settings, is_motor_reversed=False, is_cart_reversed=False, is_pole_reversed=False)
    return dataclasses.replace(cart, firmware=right)


class _Player:
    def __init__(self, box: BlackBox, cart: CartParams, virtual: VirtualRig, *, is_early: bool) -> None:
        self._box, self._cart, self._virtual, self._is_early = box, cart, virtual, is_early
        self._board = virtual.virtual_cart.board
        self._protocol: Protocol = read_protocol()
        self._period_ms = round(1000.0 * cart.timing.control_period_s)
        self._flag = self._protocol.enums["trace_flag"]
        self._decoder = FrameDecoder()
        self._traces: list[bytes] = []
        self._fault: tuple[str, int] | None = None  # and its time_us
        _, settings = encoders_and_settings(cart)
        self._valid_ms = round(1000.0 * settings.command_timeout_s)

    def play(self) -> Replayed:
        samples = self._box.samples
        self._first_speed = first_speed(self._box)
        self._hold(samples[0])
        lead, steps = self._lead(), self._steps()
        begin_us, all_steps = self._board.time_us, lead + steps
        for k, step in enumerate(all_steps):
            commands = all_steps[k + 1] if self._is_early and k + 1 < len(all_steps) else step
            self._tick(k, step, commands)
        self._end()
        fault, fault_ms = "NONE", None
        if self._fault is not None:
            fault = self._fault[0]
            fault_ms = ((self._fault[1] - begin_us) & 0xFFFF_FFFF) // 1000 - 1 - len(lead)
        traced = samples_of(self._traces)
        found = traced.samples
        first_ms = ((traced.first_us - begin_us) & 0xFFFF_FFFF) // 1000 - 1 - len(lead)
        duties = dict(zip((found["time_ms"] + first_ms).tolist(), found["duty_q15"].tolist(), strict=True))
        kept = {k: int(samples["duty_q15"][step.number]) for k, step in enumerate(steps) if step.number is not None}
        return Replayed(
            fault=fault,
            fault_ms=fault_ms,
            kept_fault=self._box.fault,
            kept_ms=len(steps) - 1,
            lost_ms=sum(step.number is None for step in steps),
            duty_differences=sum(
                duties.get(k) != duty for k, duty in kept.items() if fault_ms is None or k <= fault_ms
            ),
        )

    def _hold(self, first: np.void) -> None:
        """Home the cart and hold it at the first sample's position, as nearly as arming allows."""
        encoders, _ = encoders_and_settings(self._cart)
        angle_rad = float(first["pole_counts"]) / encoders.pole_counts_per_rad
        most_rad = _ARMABLE * self._cart.limits.arming_angle_rad
        position_m = float(first["cart_counts"]) / encoders.cart_counts_per_m
        measured = self._virtual.hold(State(position_m, 0.0, min(most_rad, max(-most_rad, angle_rad)), 0.0))
        self._passed_ms = ((self._board.time_us - measured.mcu_time_us) & 0xFFFF_FFFF) // 1000
        cart, pole = self._virtual.virtual_cart.raw_counts()
        self._zeros = (cart - measured.cart_counts, pole - measured.pole_counts)
        self._begin_counts = (measured.cart_counts, measured.pole_counts)
        if isinstance(self._board, StepperFirmware):
            self._zeros = (self._board.steps - measured.cart_counts, pole - measured.pole_counts)
        self._tick_number = self._virtual.control_tick
        self._session = self._virtual.link.session or 0
        if isinstance(self._board, Firmware):
            self._board.warm(self._box.warmth)

    def _lead(self) -> list[_Step]:
        """The steps before the first sample: held still, then armed.

        Control ticks and the firmware's windows fall as they do in the box. A second holds a whole number of each
        window, so the cart is armed a whole number of seconds earlier or later than in the box.
        """
        samples = self._box.samples
        controls = np.flatnonzero(samples["flags"] & self._flag["CONTROL_TICK"])
        first_control = int(samples["time_ms"][controls[0]] - samples["time_ms"][0]) if len(controls) else 0
        armed = self._box.since_armed_ms % _WINDOWS_MS
        if self._box.since_armed_ms and armed < _SETTLE_MS:
            armed += _WINDOWS_MS
        least = -(-_STANDS_MS // self._period_ms) * self._period_ms
        held = (-first_control - 1 - self._passed_ms - armed) % self._period_ms + least
        cart, pole = self._begin_counts if armed else self._box.counts_before
        to_cart, to_pole = int(samples["cart_counts"][0]), int(samples["pole_counts"][0])
        curve = 1
        if self._cart.stepper is not None:  # its count is set before it is armed; then its speed grows
            cart, curve = round(to_cart - 0.5e-3 * _SETTLE_MS * self._first_speed), 2
        steps = []
        for k in range(held + armed):
            duty = int(samples["duty_q15"][0]) if k >= held + armed - 2 * self._period_ms else 0
            share = max(0.0, (k - (held + armed - _SETTLE_MS)) / _SETTLE_MS) if armed else 0.0
            steps.append(
                _Step(
                    cart_counts=cart + round((to_cart - cart) * share**curve),
                    pole_counts=pole + round((to_pole - pole) * share),
                    inputs=0,
                    supply_mv=int(samples["supply_mv"][0]),
                    arms=k == held,
                    command=duty if k > held and (k - held) % self._period_ms == 1 % self._period_ms else None,
                    speed=share * self._first_speed if share else None,
                )
            )
        return steps

    def _steps(self) -> list[_Step]:
        """The box's samples; gaps are interpolated linearly, with a command in each period."""
        samples = self._box.samples
        is_on_arrival = self._cart.delay.apply is Apply.ON_ARRIVAL
        controls = np.flatnonzero(samples["flags"] & self._flag["CONTROL_TICK"])
        is_sent = self._box.fault == "ESTOP" and not (samples["flags"] & self._flag["ESTOP"]).any()  # by the host
        steps: list[_Step] = []
        for k, row in enumerate(samples):
            missed = int(row["missed"])
            gap = int(row["time_ms"] - samples["time_ms"][k - 1]) - 1 - missed if k else 0
            if gap > 0:
                before = samples[k - 1]
                steps += [
                    _Step(
                        cart_counts=_between(before["cart_counts"], row["cart_counts"], n, gap),
                        pole_counts=_between(before["pole_counts"], row["pole_counts"], n, gap),
                        inputs=0,
                        supply_mv=int(row["supply_mv"]),
                        command=int(row["duty_q15"]) if n % self._period_ms == 0 else None,
                    )
                    for n in range(gap)
                ]
            command = None
            if row["flags"] & self._flag["COMMAND"]:
                effective = k if is_on_arrival else next((int(c) for c in controls if c >= k), k)
                command = int(samples["duty_q15"][effective])
            steps.append(
                _Step(
                    cart_counts=int(row["cart_counts"]),
                    pole_counts=int(row["pole_counts"]),
                    inputs=int(row["flags"]) & self._flag["ESTOP"] | self._contacts(k),
                    supply_mv=int(row["supply_mv"]),
                    illegal=(int(row["cart_illegal"]), int(row["pole_illegal"])),
                    missed=missed,
                    command=command,
                    arms=k == 0 and self._box.since_armed_ms == 0,
                    number=k,
                    speed=None if k else self._first_speed,
                    stops=is_sent and k == len(samples) - 1,
                )
            )
        return steps

    def _contacts(self, row: int) -> int:
        """The end switches before the firmware debounces them: the box has them some samples later."""
        flags = self._box.samples["flags"]
        both = self._flag["LEFT_SWITCH"] | self._flag["RIGHT_SWITCH"]
        return int(flags[min(row + CONTACT_SAMPLES - 1, len(flags) - 1)]) & int(both)

    def _tick(self, number: int, step: _Step, commands: _Step) -> None:
        """One millisecond with the inputs of `step`, after the command of `commands`."""
        if commands.arms:
            self._arm()
        if commands.command is not None:
            self._command(number, commands.command)
        if step.stops:
            stop = ModeMessage(session=0, seq=0, mode=int(self._protocol.enums["mode"]["ESTOP"]), options=0)
            self._board.feed(encode_frame(stop.pack()))
        if isinstance(self._board, Firmware | StepperFirmware) and (step.missed or step.illegal != (0, 0)):
            self._board.disturb(*step.illegal, step.missed)
        cart_zero, pole_zero = self._zeros
        if isinstance(self._board, StepperFirmware):  # it counts its own pulses
            self._board.steps = step.cart_counts + cart_zero
            if step.speed is not None:
                self._board.speed = step.speed
        self._board.tick(step.cart_counts + cart_zero, step.pole_counts + pole_zero, step.inputs, step.supply_mv)
        self._traces.extend(self._new_traces())

    def _arm(self) -> None:
        option = self._protocol.enums["arm_option"]
        options = (self._box.options | option["TRACE"]) & ~(option["ON_BOARD"] | option["HOST_MAY_LEAVE"])
        mode = int(self._protocol.enums["mode"]["ARM"])
        message = ModeMessage(session=self._session, seq=_SEQ, mode=mode, options=options)
        self._board.feed(encode_frame(message.pack()))

    def _command(self, number: int, duty_q15: int) -> None:
        tick = self._tick_number + (number + self._passed_ms) // self._period_ms
        message = CmdMessage(session=self._session, tick=tick, duty_q15=duty_q15, valid_ms=self._valid_ms)
        self._board.feed(encode_frame(message.pack()))

    def _new_traces(self) -> list[bytes]:
        """The TRACEs that the firmware has sent since; notes its first fault."""
        traces = []
        for message in self._decoder.feed(self._board.take()):
            if message[0] == TraceMessage.TYPE:
                traces.append(message)
            elif message[0] == EventMessage.TYPE and self._fault is None:
                event = EventMessage.unpack(message)
                if event.fault:
                    self._fault = (self._protocol.enums["fault"](event.fault).name, event.time_us)
        return traces

    def _end(self) -> None:
        """After the last sample: a reset if the box ended with one, else silence until the firmware faults."""
        last = self._box.samples[-1]
        cart_zero, pole_zero = self._zeros
        if self._box.fault.startswith(_RESET) and self._fault is None:
            kept = self._box.fault.removeprefix(_RESET)  # UNKNOWN where a boot loader cleared it
            causes = self._protocol.enums["reset_cause"].__members__
            cause = causes.get(kept, 0)
            at_us = self._board.time_us
            self._board.restart(int(cause))
            hello = HelloMessage(nonce=1, protocol_hash=self._protocol.hash)
            for k in range(_OBSERVED_MS):
                self._board.tick(0, 0, 0, int(last["supply_mv"]))
                if k == 50:
                    self._board.feed(encode_frame(hello.pack()))
                for message in self._decoder.feed(self._board.take()):
                    if message[0] == HelloAckMessage.TYPE:
                        answer = HelloAckMessage.unpack(message)
                        if answer.session != self._session:
                            name = reset_cause_name(self._protocol, answer.reset_cause)
                            self._fault = (f"{_RESET}{name}", at_us)
            return
        for _ in range(_OBSERVED_MS):
            if self._fault is not None:
                return
            self._board.tick(
                int(last["cart_counts"]) + cart_zero, int(last["pole_counts"]) + pole_zero, 0, int(last["supply_mv"])
            )
            self._traces.extend(self._new_traces())


def _between(begin: np.int32, end: np.int32, number: int, gap: int) -> int:
    return int(begin) + round((int(end) - int(begin)) * (number + 1) / (gap + 1))
