"""A device on a pseudo-terminal that passes for a cart, and the ways in which it misbehaves.

`Device` does everything right: its pole stands upright for ever. Each behaviour is a subclass that spoils one thing.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import termios
import time
import tty
from collections.abc import Callable
from typing import Any

from firmware_bridge._host import FrameDecoder, encode_frame
from firmware_bridge.messages import (
    AckMessage,
    CfgMessage,
    CmdMessage,
    EventMessage,
    HealthMessage,
    HelloAckMessage,
    HelloMessage,
    ModeMessage,
    PolicyMessage,
    PongMessage,
    StateMessage,
    TraceMessage,
)
from firmware_bridge.protocol import Message, read_protocol

PERIOD_S = 0.02
PROTOCOL = read_protocol()
MODES = PROTOCOL.enums["mode"]
STATES = PROTOCOL.enums["cart_state"]
ACKS = PROTOCOL.enums["ack_code"]
FAULTS = PROTOCOL.enums["fault"]
HOMED, STILL = 8, 16
HOMING_S = 0.1


def filled(kind: type[Message], **fields: Any) -> Message:
    """A message of that kind, 0 where nothing is given."""
    empty = {name: type_() for name, type_ in kind.FIELDS.items()}
    return kind(**{**empty, **fields})


class Device:
    """A cart without faults. `stage` is the newest request: HELLO, CFG, PING, HEALTH, DISARM, HOME, ARM, CMD, ..."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)
        self._decoder = FrameDecoder()
        self._began_s = time.monotonic()
        self._tick = 0
        self._homed_s = 0.0
        self._waiting: list[tuple[float, bytes]] = []
        self.session = 7
        self.state = int(STATES["DISARMED"])
        self.is_homed = False
        self.stage = ""
        self.armed_s: float | None = None
        self.armed_tick = 0
        self.answered_tick = -1  # of the newest STATE that the host has answered with a duty
        self.frozen: dict[str, int] = {}
        self.is_gone = False
        self.last_drive = "none"  # the newest message that moves or stops the motor

    # what behaviours change

    def answer(self, name: str, message: Message) -> list[Message]:
        """The answers to a request."""
        match message:
            case HelloMessage():
                return [self.hello_ack(message.nonce)]
            case CfgMessage():
                return [self.ack(message.seq)]
            case ModeMessage():
                self.change_mode(name)
                return [self.ack(message.seq)]
        if name == "PING":
            return [PongMessage(host_us=message[0], time_us=self.time_us)]
        if name == "HEALTH_REQUEST":
            return [filled(HealthMessage, longest_tick_us=300)]
        return [filled(PolicyMessage)] if name == "POLICY_REQUEST" else []

    def change_mode(self, name: str) -> None:
        if name in ("DISARM", "CLEAR"):
            self.state = int(STATES["READY" if self.is_homed else "DISARMED"])
            self.armed_s = None
        elif name == "HOME":
            self.state, self._homed_s = int(STATES["HOMING"]), self.now_s + HOMING_S
        elif name.startswith("JOG"):
            self.state = int(STATES["HOMING"])
        elif name == "ARM":
            self.state = int(STATES["ARMED"])
            self.armed_s, self.armed_tick = self.now_s, self._tick

    def state_message(self) -> StateMessage:
        """The next STATE."""
        if self.state == STATES["HOMING"] and self.stage == "HOME" and self.now_s > self._homed_s:
            self.state, self.is_homed = int(STATES["READY"]), True
        return StateMessage(
            session=self.session,
            tick=self._tick,
            time_us=self.time_us,
            cart_counts=0,
            pole_counts=0,
            cart_speed=0,
            pole_speed=0,
            applied_q15=0,
            supply_mv=12000,
            command_age_ms=20,
            state=self.state,
            fault=0,
            inputs=STILL | (HOMED if self.is_homed else 0),
        )

    def messages(self) -> list[Message]:
        """What is sent with each control tick."""
        return [self.state_message()] if self.stage else []

    def line(self, frame: bytes) -> bytes:
        """What reaches the host of a frame."""
        return frame

    def spare_s(self, name: str) -> float:
        """How long the answer to a request takes."""
        return 0.0

    def babble(self) -> bytes:
        """What it sends whenever the line takes it."""
        return b""

    def heard(self, data: bytes) -> None:
        """Called with every byte that the host sends."""

    # what stays

    @property
    def now_s(self) -> float:
        return time.monotonic() - self._began_s

    @property
    def time_us(self) -> int:
        return self._tick * 20_000

    @property
    def armed_for_s(self) -> float:
        return -1.0 if self.armed_s is None else self.now_s - self.armed_s

    def hello_ack(self, nonce: int, **fields: int) -> HelloAckMessage:
        self.change_mode("DISARM")
        values = {
            "nonce": nonce,
            "protocol_hash": PROTOCOL.hash,
            "session": self.session,
            "version": PROTOCOL.constants["PROTOCOL_VERSION"],
            "state": self.state,
            "time_us": self.time_us,
            "drive": 1,
            **fields,
        }
        found = filled(HelloAckMessage, **values)
        assert isinstance(found, HelloAckMessage)
        return found

    def ack(self, seq: int, code: int = 0, detail: int = 0) -> AckMessage:
        return AckMessage(seq=seq, code=code, detail=detail, limits_crc=1)

    def put(self, data: bytes) -> None:
        """Write what the line takes; the rest is lost, as on a line without a reader."""
        if not self.is_gone:
            with contextlib.suppress(BlockingIOError):
                os.write(self.master, data)

    def vanish(self) -> None:
        """The cable is pulled."""
        if not self.is_gone:
            self.is_gone = True
            with contextlib.suppress(termios.error):
                termios.tcflush(self._slave, termios.TCIOFLUSH)
            os.close(self.master)
            os.close(self._slave)

    def serve(self, is_over: Callable[[], bool]) -> None:
        """Be a cart until `is_over`."""
        due_s = 0.0
        while not is_over():
            if self.is_gone:
                time.sleep(0.01)
                continue
            babble = self.babble()
            if babble:
                self.put(babble)
            self._send_due()
            if not self.is_gone and self.now_s >= due_s:
                self._tick = max(self._tick + 1, int(self.now_s / PERIOD_S))
                due_s = (self._tick + 1) * PERIOD_S
                for message in self.messages():
                    self.put(self.line(encode_frame(message.pack())))
            if not self.is_gone:
                self._listen(0.0 if babble else min(0.005, max(0.0, due_s - self.now_s)))
        if not self.is_gone:
            self._listen(0.0)

    def _send_due(self) -> None:
        waiting, self._waiting = self._waiting, []
        for due_s, data in waiting:
            if due_s <= self.now_s:
                self.put(data)
            else:
                self._waiting.append((due_s, data))

    def _listen(self, wait_s: float) -> None:
        if not self.reads() or not select.select([self.master], [], [], wait_s)[0]:
            return
        try:
            data = os.read(self.master, 4096)
        except OSError:  # nobody has it open
            time.sleep(0.001)
            return
        self.heard(data)
        for raw in self._decoder.feed(data):
            message = PROTOCOL.unpack(raw)
            name = MODES(message.mode).name if isinstance(message, ModeMessage) else message.NAME
            if isinstance(message, CmdMessage):
                self.last_drive = f"CMD {message.duty_q15}"
                self.answered_tick = message.tick
            elif isinstance(message, ModeMessage | HelloMessage):
                self.last_drive = name
            if name != "PING" or message[0]:  # 0: the host only shows that it is there
                self.stage = name
            for answer in self.answer(name, message):
                if self.is_gone:
                    return
                frame = self.line(encode_frame(answer.pack()))
                late_s = self.spare_s(name)
                if late_s:
                    self._waiting.append((self.now_s + late_s, frame))
                else:
                    self.put(frame)

    def reads(self) -> bool:
        """Whether it takes what the host sends."""
        return True

    @property
    def is_motor_off(self) -> bool:
        """Whether the host's last word was to stop the motor, or it never set it in motion."""
        return self.last_drive in ("none", "HELLO", "DISARM", "CMD 0")


# ---- behaviours ----


def silent_from(stage: str, after_s: float = 0.0) -> type[Device]:
    """Sends nothing any more from the first request of that name on."""

    class Silent(Device):
        since_s: float | None = None

        def line(self, frame: bytes) -> bytes:
            if self.stage == stage and self.since_s is None:
                self.since_s = self.now_s
            return b"" if self.since_s is not None and self.now_s - self.since_s >= after_s else frame

    return Silent


def vanishes_at(stage: str) -> type[Device]:
    """The port is gone at the first request of that name."""

    class Vanishing(Device):
        def answer(self, name: str, message: Message) -> list[Message]:
            if name == stage:
                self.vanish()
            return super().answer(name, message)

    return Vanishing


def spoils_state(after_s: float = 0.2, **fields: Any) -> type[Device]:
    """From `after_s` armed on, fields of STATE have those values, or what the function of device and value returns."""

    class Spoiling(Device):
        def state_message(self) -> StateMessage:
            state = super().state_message()
            if self.armed_for_s < after_s:
                return state
            return state._replace(
                **{
                    name: value(self, getattr(state, name)) if callable(value) else value
                    for name, value in fields.items()
                }
            )

    return Spoiling


def spoils_answer(stage: str, change: Callable[[Device, Message], Message]) -> type[Device]:
    """The answer to that request is changed."""

    class Answering(Device):
        def answer(self, name: str, message: Message) -> list[Message]:
            answers = super().answer(name, message)
            return [change(self, one) for one in answers] if name == stage else answers

    return Answering


def acks(stage: str, code: str | int, detail: int = 0) -> type[Device]:
    """That request is answered with that code, and does nothing."""

    class Acking(Device):
        def answer(self, name: str, message: Message) -> list[Message]:
            if name != stage or not isinstance(message, ModeMessage | CfgMessage):
                return super().answer(name, message)
            return [self.ack(message.seq, int(ACKS[code]) if isinstance(code, str) else code, detail)]

    return Acking


def floods_with(
    make: Callable[[Device], bytes], *, when_armed: bool = True, stage: str = "", is_alone: bool = False
) -> type[Device]:
    """Sends without a pause once armed, or from the start, or from that request on; `is_alone`: and nothing else."""

    class Flooding(Device):
        has_begun = False

        def babble(self) -> bytes:
            self.has_begun |= self.stage == stage if stage else not when_armed or self.armed_for_s > 0.1
            return make(self) if self.has_begun else b""

        def line(self, frame: bytes) -> bytes:
            return b"" if is_alone and self.has_begun else frame

    return Flooding


def on_line(change: Callable[[Device, bytes], bytes], *, when_armed: bool = True) -> type[Device]:
    """Every frame is changed on its way."""

    class Noisy(Device):
        def line(self, frame: bytes) -> bytes:
            return change(self, frame) if not when_armed or self.armed_for_s > 0.1 else frame

    return Noisy


def late(stage: str, late_s: float) -> type[Device]:
    """Answers that request late."""

    class Late(Device):
        def spare_s(self, name: str) -> float:
            return late_s if name == stage else 0.0

    return Late


def also_sends(make: Callable[[Device], Message]) -> type[Device]:
    """Sends another message with each STATE while it is armed."""

    class Talking(Device):
        def messages(self) -> list[Message]:
            return [*super().messages(), *([make(self)] if self.armed_for_s > 0.1 else [])]

    return Talking


class NeverConfirms(Device):
    """Once armed it takes no DISARM and stays armed."""

    def answer(self, name: str, message: Message) -> list[Message]:
        return [] if name == "DISARM" and self.armed_s is not None else super().answer(name, message)


class FallsAndNeverConfirms(NeverConfirms):
    """Its pole falls as soon as it is armed, and it takes no DISARM."""

    def state_message(self) -> StateMessage:
        state = super().state_message()
        fallen = 0 if self.armed_s is None else min(100, 20 * (self._tick - self.armed_tick))
        return state._replace(pole_counts=fallen)


class StaysArmed(Device):
    """Acknowledges DISARM and stays armed."""

    def change_mode(self, name: str) -> None:
        if not (name == "DISARM" and self.armed_s is not None):
            super().change_mode(name)


class StaysHoming(Device):
    """Acknowledges everything and keeps homing."""

    def change_mode(self, name: str) -> None:
        if self.state != STATES["HOMING"]:
            super().change_mode(name)
        self._homed_s = 1e9


class StillDrives(Device):
    """Disarms by its word, with a duty in force."""

    was_armed = False

    def state_message(self) -> StateMessage:
        self.was_armed |= self.armed_s is not None
        return super().state_message()._replace(applied_q15=6000 if self.was_armed else 0)


class ArmedAgain(Device):
    """Confirms DISARM, and is armed again a moment later."""

    disarmed_s: float | None = None

    def state_message(self) -> StateMessage:
        if self.stage == "DISARM" and self.last_armed and self.disarmed_s is None:
            self.disarmed_s = self.now_s
        state = super().state_message()
        is_again = self.disarmed_s is not None and self.now_s - self.disarmed_s > 0.2
        return state._replace(state=int(STATES["ARMED"])) if is_again else state

    last_armed = False

    def change_mode(self, name: str) -> None:
        self.last_armed |= name == "ARM"
        super().change_mode(name)


class Restarts(Device):
    """Resets itself while armed: another session, disarmed, its ticks from the start."""

    cause = 0
    has_restarted = False

    def messages(self) -> list[Message]:
        if not self.has_restarted and self.armed_for_s > 0.2:
            self.has_restarted, self.session, self.is_homed = True, 8, False
            self.change_mode("DISARM")
        return super().messages()

    def answer(self, name: str, message: Message) -> list[Message]:
        if isinstance(message, HelloMessage):
            return [self.hello_ack(message.nonce, reset_cause=self.cause)]
        if isinstance(message, ModeMessage) and message.session != self.session:
            return [self.ack(message.seq, int(ACKS["BAD_SESSION"]))]
        return super().answer(name, message)


class RestartsByAll(Restarts):
    """With every flag of the reset's cause set, as after a slow start of the supply."""

    cause = 15


class RestartsSecretly(Device):
    """Resets itself while armed and keeps the session: its ticks begin again."""

    def state_message(self) -> StateMessage:
        state = super().state_message()
        if self.armed_for_s < 0.2:
            return state
        tick = round(self.armed_for_s / PERIOD_S)
        return state._replace(tick=tick, time_us=20_000 * tick, state=int(STATES["DISARMED"]))


class Crawls(Device):
    """Once armed, a STATE of the next tick every 0.4 s: nothing in it shows that time passes more slowly."""

    sent = 0
    due_s = 0.0

    def messages(self) -> list[Message]:
        if self.armed_for_s < 0.1:
            return super().messages()
        if self.now_s < self.due_s:
            return []
        self.due_s, self.sent = self.now_s + 0.4, self.sent + 1
        tick = self.armed_tick + 10 + self.sent
        return [self.state_message()._replace(tick=tick, time_us=20_000 * tick)]


class Echoes(Device):
    """Sends back whatever it receives."""

    def heard(self, data: bytes) -> None:
        self.put(data)

    def answer(self, name: str, message: Message) -> list[Message]:
        return []

    def messages(self) -> list[Message]:
        return []


class EchoesToo(Device):
    """A cart whose line sends the host's bytes back as well."""

    def heard(self, data: bytes) -> None:
        self.put(data)


class Deaf(Device):
    """Once armed it reads nothing more, and keeps reporting."""

    def reads(self) -> bool:
        return self.armed_for_s < 0.1


class Dribbles(Device):
    """Each frame comes one byte at a time, over most of the time to the next."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""
        self._next_s = 0.0

    def line(self, frame: bytes) -> bytes:
        self._rest = (self._rest + frame)[-2000:]
        return b""

    def babble(self) -> bytes:
        if not self._rest or self.now_s < self._next_s:
            return b""
        self._next_s = self.now_s + 0.002
        data, self._rest = self._rest[:1], self._rest[1:]
        return data


class Boots(Device):
    """Prints a boot loader's text for a moment, then is a cart."""

    def line(self, frame: bytes) -> bytes:
        return random.Random(len(frame)).randbytes(40) + b"boot\r\n" if self.now_s < 0.4 else frame


class NeverBoots(Device):
    """Prints text and nothing else."""

    def line(self, frame: bytes) -> bytes:
        return b"panic: not a cart\r\n"


def garbage(device: Device) -> bytes:
    return random.Random(int(device.now_s * 1e6)).randbytes(1024)


def many(make: Callable[[Device], Message]) -> Callable[[Device], bytes]:
    return lambda device: encode_frame(make(device).pack()) * 200


def racing(device: Device) -> bytes:
    """STATEs, each a tick after the last, as fast as the line takes them."""
    frames = b""
    for _ in range(40):
        device._tick += 1
        frames += encode_frame(device.state_message().pack())
    return frames


def broken(frame: bytes) -> bytes:
    """A frame with a wrong CRC."""
    return frame[:-2] + bytes([frame[-2] ^ 1]) + frame[-1:]


def freezes(name: str) -> Callable[[Device, int], int]:
    """The first value of that field for ever."""
    return lambda device, value: device.frozen.setdefault(name, value)


def flipping(counts: int) -> Callable[[Device, int], int]:
    """That many counts in the one tick after a STATE that the host has answered: a host that reads it has missed none.

    Over several ticks, of which a busy machine's host may see but the last, a cart can go as far.
    """
    return lambda device, value: counts * (device._tick == device.answered_tick + 1)


BEHAVIOURS: dict[str, type[Device]] = {
    "does everything right": Device,
    # silence
    **{
        f"silent from {stage}": silent_from(stage)
        for stage in ("HELLO", "CFG", "HEALTH_REQUEST", "PING", "DISARM", "HOME", "ARM", "CMD", "CLEAR", "JOG_RIGHT")
    },
    "silent while it homes": silent_from("HOME", 0.06),
    # the motor stays on
    "DISARM never confirmed": NeverConfirms,
    "falls, DISARM never confirmed": FallsAndNeverConfirms,
    "DISARM confirmed, stays ARMED": StaysArmed,
    "DISARM confirmed, stays HOMING": StaysHoming,
    "DISARM confirmed, duty in force": StillDrives,
    "DISARM confirmed, ARMED again": ArmedAgain,
    "DISARM refused": acks("DISARM", "NOT_NOW"),
    "ARMED after HELLO": spoils_answer("HELLO", lambda _, one: one._replace(state=4)),  # type: ignore[attr-defined]
    # floods
    "flood of STATE": floods_with(racing),
    "flood of one STATE": floods_with(many(lambda device: device.state_message())),
    "flood of PONG": floods_with(many(lambda _: PongMessage(host_us=1, time_us=1))),
    "flood of ACK": floods_with(many(lambda _: AckMessage(seq=250, code=0, detail=0, limits_crc=0))),
    "flood of PONG and nothing else": floods_with(many(lambda _: PongMessage(host_us=1, time_us=1)), is_alone=True),
    **{
        f"flood of PONG and nothing else from {stage}": floods_with(
            many(lambda _: PongMessage(host_us=1, time_us=1)), stage=stage, is_alone=True
        )
        for stage in ("DISARM", "HOME", "JOG_RIGHT")
    },
    "flood of EVENT from the start": floods_with(many(lambda _: filled(EventMessage)), when_armed=False),
    "flood of HELLO from the start": floods_with(
        many(lambda _: HelloMessage(nonce=1, protocol_hash=2)), when_armed=False
    ),
    "flood of garbage": floods_with(garbage),
    "flood of garbage from the start": floods_with(garbage, when_armed=False),
    "flood of zeros": floods_with(lambda _: bytes(1024)),
    # numbers the protocol does not have
    "ACK of unknown code": acks("CFG", 99),
    "ACK of a field that CFG has not": acks("CFG", "OUT_OF_RANGE", 200),
    "ACK of a real field": acks("CFG", "OUT_OF_RANGE", 3),
    "ACK of an unknown fault": acks("ARM", "UNHEALTHY", 99),
    "ACK of an unknown self-test": acks("ARM", "SELF_TEST", 99),
    "ARM refused": acks("ARM", "NO_LIMITS"),
    "ARM confirmed, stays READY": acks("ARM", "DONE"),
    "HOME refused": acks("HOME", "NOT_NOW"),
    "HOME confirmed, stays DISARMED": acks("HOME", "DONE"),
    "STATE of unknown state": spoils_state(state=77),
    "STATE of unknown fault": spoils_state(state=5, fault=200),
    "STATE HOMING while driven": spoils_state(state=2),
    "FAULT without a fault": spoils_state(state=5),
    "duty beyond full drive": spoils_state(applied_q15=-32768),
    "HELLO_ACK of unknown state": spoils_answer(
        "HELLO",
        lambda _, one: one._replace(state=99),  # type: ignore[attr-defined]
    ),
    "HELLO_ACK of unknown fault": spoils_answer(
        "HELLO",
        lambda _, one: one._replace(fault=99),  # type: ignore[attr-defined]
    ),
    "HELLO_ACK of another version": spoils_answer(
        "HELLO",
        lambda _, one: one._replace(version=9),  # type: ignore[attr-defined]
    ),
    "HELLO_ACK of another protocol": spoils_answer(
        "HELLO",
        lambda _, one: one._replace(protocol_hash=1, state=99),  # type: ignore[attr-defined]
    ),
    "HELLO_ACK to another nonce": spoils_answer(
        "HELLO",
        lambda _, one: one._replace(nonce=one[0] ^ 0x8000),  # type: ignore[attr-defined]
    ),
    "EVENT of unknown state": also_sends(lambda _: filled(EventMessage, state=99)),
    "POLICY of unknown self-test": spoils_answer("POLICY_REQUEST", lambda *_: filled(PolicyMessage, self_test=99)),
    "TRACE of 255 samples": also_sends(lambda _: filled(TraceMessage, count=255, samples=bytes(48))),
    "TRACE of a count too far": also_sends(
        lambda _: filled(TraceMessage, count=8, cart_counts=2**31 - 1, samples=bytes([127] * 48))
    ),
    "HEALTH of full counters": spoils_answer(
        "HEALTH_REQUEST", lambda *_: HealthMessage.unpack(b"\xff" * HealthMessage.LAYOUT.size)
    ),
    "PONG of any time": spoils_answer(
        "PING",
        lambda device, one: one._replace(time_us=random.randrange(2**32)),  # type: ignore[attr-defined]
    ),
    # its clock
    "tick backwards": spoils_state(tick=lambda device, tick: 2 * device.armed_tick + 10 - tick),
    "tick stands still": spoils_state(tick=freezes("tick")),
    "tick jumps by 2^31": spoils_state(tick=lambda _, tick: tick + 2**31 - 1),
    "tick and time jump by a minute": spoils_state(
        tick=lambda _, tick: tick + 3000, time_us=lambda _, time_us: time_us + 60_000_000
    ),
    "time stands still": spoils_state(time_us=freezes("time_us")),
    "time backwards": spoils_state(time_us=lambda device, time_us: 20_000 * (2 * device.armed_tick + 10) - time_us),
    "time at half speed": spoils_state(time_us=lambda _, time_us: time_us // 2),
    "a twentieth of its pace": Crawls,
    # its motion
    "cart counts flip by 1500": spoils_state(cart_counts=flipping(1500)),
    "pole counts flip by 700": spoils_state(pole_counts=flipping(700)),
    "cart far away": spoils_state(cart_counts=2**30 - 1),
    "cart farther than any track": spoils_state(cart_counts=2**31 - 1),
    "pole beyond half a turn": spoils_state(pole_counts=-(2**31)),
    "cart's speed extreme": spoils_state(cart_speed=2**31 - 1),
    "pole's speed extreme": spoils_state(pole_speed=-(2**31)),
    # frames
    "wrong CRC": on_line(lambda _, frame: broken(frame)),
    "wrong CRC from the start": on_line(lambda _, frame: broken(frame), when_armed=False),
    "frames cut short": on_line(lambda _, frame: frame[: len(frame) // 2]),
    "frames doubled": on_line(lambda _, frame: frame * 2),
    "frames too long": on_line(lambda _, frame: b"\0" + bytes([200]) * 300 + b"\0"),
    "garbage between frames": on_line(lambda _, frame: b"\0" + frame + random.Random(7).randbytes(30) + b"\0\0"),
    "one byte at a time": Dribbles,
    "boot text at first": Boots,
    "text for ever": NeverBoots,
    "echo": Echoes,
    "cart and echo": EchoesToo,
    # the line and the device go
    **{f"port gone at {stage}": vanishes_at(stage) for stage in ("HELLO", "CFG", "HOME", "ARM", "CMD", "DISARM")},
    "reads nothing once armed": Deaf,
    "restarts": Restarts,
    "restarts by every cause": RestartsByAll,
    "restarts and keeps its session": RestartsSecretly,
    "STATEs of another session": spoils_state(session=9),
    # answers just in time, and just too late
    "ACK of CFG after 0.3 s": late("CFG", 0.3),
    "ACK of CFG after 2 s": late("CFG", 2.0),
    "ACK of ARM after 2 s": late("ARM", 2.0),
    "PONG after 0.03 s": late("PING", 0.03),
    "PONG after 3 s": late("PING", 3.0),
}
