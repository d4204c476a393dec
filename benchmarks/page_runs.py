"""Runs of the page's module under Node, and the same runs of its twins in Python."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot import task
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.stepper import Drive
from cartpole_robot.errors import RigError
from cartpole_robot.page.module import module_bytes
from cartpole_robot.page.module_build import MODULES, ROOT
from cartpole_robot.policy.lqr import Lqr, LqrController
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from cartpole_robot.simulation.line import Line, LineFaults
from cartpole_robot.simulation.virtual_cart import ALARM_HIGH
from firmware_bridge._host import Firmware, encode_frame
from firmware_bridge._stepper import Firmware as StepperFirmware
from firmware_bridge.constants import TICK_S
from firmware_bridge.messages import (
    CfgMessage,
    CmdMessage,
    HealthRequestMessage,
    HelloMessage,
    ModeMessage,
    PingMessage,
    PolicyRequestMessage,
    StepperMessage,
)
from firmware_bridge.protocol import Message, read_protocol

_SCRIPT = "cartpole_robot/page/assets/simulation.js"
_LIMIT_S = 600.0
_FALLING_MS, _RISING_MS = 2000, 300
_COUNTS, _SPEED_PER_STEP = 2000, 256  # of a stepper's timer in a tick; of the ramp's unit of speed
_INPUTS = read_protocol().enums["input_flag"]
Call = list[Any]


def has_node() -> bool:
    """Whether Node is installed."""
    return shutil.which("node") is not None


def in_node(contents: dict[str, Any], job: str, **given: Any) -> Any:
    """The answer of that job of page_driver.js. Raises RuntimeError with what Node reports."""
    drive = Drive(contents["cart"]["drive"])
    module_bytes(drive)  # compiles it if need be
    order = {
        "script": str(ROOT / _SCRIPT),
        "module": str(ROOT / MODULES[drive.value]),
        "contents": contents,
        "job": job,
        "given": given,
    }
    words = ["node", str(Path(__file__).parent / "page_driver.js")]
    done = subprocess.run(words, input=json.dumps(order), capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    if done.returncode != 0:
        raise RuntimeError(f"{job}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


class RecordingBoard:
    """The firmware of that drive built for this machine, with every call to it in `calls`; implements `Board`."""

    def __init__(self, drive: Drive = Drive.DC) -> None:
        self.calls: list[Call] = []
        self.ticks = 0
        self._firmware = firmware_of(drive)

    @property
    def time_us(self) -> int:
        return self._firmware.time_us

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> float | None:
        self.calls.append(["tick", cart_counts, pole_counts, inputs, supply_mv])
        self.ticks += 1
        return self._firmware.tick(cart_counts, pole_counts, inputs, supply_mv)

    def feed(self, received: bytes, /) -> None:
        self.calls.append(["feed", received.hex()])
        self._firmware.feed(received)

    def take(self) -> bytes:
        self.calls.append(["take"])
        return self._firmware.take()

    def has_sent(self) -> bool:
        return self._firmware.has_sent()

    def disturb(self, cart: int, pole: int, missed: int) -> None:
        """As `Firmware.disturb`."""
        self.calls.append(["disturb", cart, pole, missed])
        self._firmware.disturb(cart, pole, missed)

    def restart(self, cause: int, /) -> None:
        raise NotImplementedError(f"a restart ({cause}) is no part of these runs")


class TrafficBoard(RecordingBoard):
    """As `RecordingBoard`; `traffic` is a hash as `host_t.traffic` of page/native/host.h: every byte and its time."""

    def __init__(self, drive: Drive = Drive.DC) -> None:
        super().__init__(drive)
        self._hash = 0xCBF29CE484222325

    @property
    def traffic(self) -> str:
        """The hash so far, in 16 digits."""
        return f"{self._hash:016x}"

    def feed(self, received: bytes, /) -> None:
        self._note(0, received)
        super().feed(received)

    def take(self) -> bytes:
        sent = super().take()
        self._note(1, sent)
        return sent

    def _note(self, direction: int, data: bytes) -> None:
        time = (self.time_us // 1000).to_bytes(4, "big")[1:]
        for byte in data:
            for part in (*time, direction, byte):
                self._hash = (self._hash ^ part) * 0x100000001B3 & 0xFFFF_FFFF_FFFF_FFFF


def firmware_of(drive: Drive) -> Firmware | StepperFirmware:
    """The firmware of that drive built for this machine, switched on."""
    return Firmware(session=1) if drive is Drive.DC else StepperFirmware(session=1)


def _driven(firmware: Firmware | StepperFirmware, drive: float | None) -> str:
    """What the motor gets until the next tick, as page_driver.js has it."""
    if isinstance(firmware, Firmware):
        return "open" if drive is None else f"{drive}"
    steps = "open" if drive is None else f"{round(_COUNTS * drive)}"
    return f"{steps} {round(_SPEED_PER_STEP * firmware.speed)}"


def firmware_lines(calls: list[Call], drive: Drive = Drive.DC) -> Iterator[str]:
    """What the firmware built for this machine answers to those calls, a line each as page_driver.js has it."""
    firmware = firmware_of(drive)
    for what, *given in calls:
        match what:
            case "tick":
                driven = firmware.tick(*given)
                yield f"{_driven(firmware, driven)} {firmware.duty_q15}"
            case "feed":
                firmware.feed(bytes.fromhex(given[0]))
            case "take":
                yield firmware.take().hex()
            case _:
                firmware.disturb(*given)


def digest_of(lines: list[str]) -> str:
    """SHA-256 (hex) of lines."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


class RandomRun:
    """A cart under its firmware and a host, to which random things happen; `faults` counts what came of them."""

    def __init__(self, cart: CartParams, lqr: Lqr, seed: int) -> None:
        self.board = RecordingBoard(cart.drive)
        self.faults: dict[str, int] = {}
        self._rng = np.random.default_rng(seed)
        self._cart, self._lqr = cart, LqrController(lqr, cart.commanded_motor)
        self._rig = VirtualRig(cart, board=self.board)
        self._inputs = self._rig.virtual_cart.inputs_set
        self._line_seed = seed

    def run(self, least_ticks: int) -> None:
        """Continue until the firmware has ticked so often since its cart was armed, over all episodes."""
        ticks = 0
        while ticks < least_ticks:
            try:
                measured = self._rig.reset(State(0.0, 0.0, 0.5 * self._cart.start.pole_angle_rad, 0.0), self._rng)
                self._lqr.reset()
                begun = self.board.ticks
                for _ in range(int(self._rng.integers(5, 60))):
                    measured = self._rig.step(self._lqr.duty(task.observation(measured)))
                self._happen()
                for _ in range(30):
                    measured = self._rig.step(self._lqr.duty(task.observation(measured)))
            except RigError as error:
                name = self._rig.fault or ("fell" if "not armed" in str(error) else str(error).partition(":")[0])
                self.faults[name] = self.faults.get(name, 0) + 1
            ticks += self.board.ticks - begun
            self._calm()
        self._rig.close()

    def _happen(self) -> None:
        """One of the things that happen."""
        virtual, rng, inputs = self._rig.virtual_cart, self._rng, self._inputs
        happenings: list[Callable[[], object]] = [
            lambda: setattr(virtual, "is_estop_pressed", True),
            lambda: setattr(virtual, "inputs_set", inputs | int(_INPUTS["LEFT_SWITCH"])),
            lambda: setattr(virtual, "inputs_set", inputs | int(_INPUTS["RIGHT_SWITCH"])),
            lambda: setattr(virtual, "supply_mv", int(rng.integers(3000, 40000))),
            lambda: virtual.push(float(rng.normal(0.0, 4.0))),
            lambda: self.board.disturb(int(rng.integers(0, 20)), 0, 0),
            lambda: self.board.disturb(0, int(rng.integers(0, 20)), 0),
            lambda: self.board.disturb(0, 0, int(rng.integers(1, 30))),
            lambda: [virtual.pass_ms() for _ in range(int(rng.integers(10, 200)))],
            lambda: virtual.receive(rng.bytes(int(rng.integers(1, 200)))),
            lambda: setattr(virtual, "line", Line(LineFaults(flipped=0.02, dropped=0.02), self._line_seed)),
            lambda: [self._rig.step(float(rng.choice((-1.0, 1.0)))) for _ in range(20)],
        ]
        if self._cart.stepper is not None:
            happenings.append(lambda: setattr(virtual, "inputs_set", inputs ^ ALARM_HIGH))
        happenings[int(rng.integers(len(happenings)))]()

    def _calm(self) -> None:
        virtual = self._rig.virtual_cart
        for _ in range(_FALLING_MS if virtual.is_estop_pressed else 0):
            virtual.pass_ms()  # the firmware wants to see the supply fall
        virtual.is_estop_pressed, virtual.inputs_set = False, self._inputs
        virtual.supply_mv, virtual.line = virtual.nominal_mv, None
        for _ in range(_RISING_MS):
            virtual.pass_ms()


def noise(limits: CfgMessage, seed: int, ticks: int, stepper: StepperMessage | None = None) -> list[Call]:
    """Calls to a board at which everything is random: motion, contacts, supply, noise on the wires, and frames.

    The frames are those of a host that has a session and asks for anything, some of them damaged. A stepper's board
    gets its own limits too, and an alarm.
    """
    rng = np.random.default_rng(seed)
    modes = [int(mode) for mode in read_protocol().enums["mode"]]
    cart = pole = seq = 0
    nominal_mv, calm = (12000, 0) if stepper is None else (24000, ALARM_HIGH)
    calls: list[Call] = [["feed", encode_frame(HelloMessage(nonce=1, protocol_hash=read_protocol().hash).pack()).hex()]]
    for tick in range(ticks):
        if tick % 50 == 0:
            speeds = rng.normal(0.0, 3.0, 2) * rng.choice((0, 1, 5))
            inputs = int(rng.choice((calm, calm, calm, calm, rng.integers(8 + calm))))
            supply_mv = int(rng.choice((nominal_mv, nominal_mv, nominal_mv, rng.integers(40000))))
        cart, pole = cart + round(speeds[0] + rng.normal()), pole + round(speeds[1] + rng.normal())
        if rng.random() < 0.01:
            calls.append(["disturb", *rng.integers(0, (4, 4, 12)).tolist()])
        if rng.random() < 0.1:
            seq = (seq + 1) % 256
            messages: list[Message] = [
                ModeMessage(session=1, seq=seq, mode=int(rng.choice(modes)), options=int(rng.integers(64))),
                CmdMessage(session=1, tick=tick // 20, duty_q15=int(rng.integers(-32767, 32768)), valid_ms=60),
                limits._replace(session=1, seq=seq, flags=int(rng.integers(64)) if stepper is None else limits.flags),
                PingMessage(host_us=int(rng.integers(2**32))),
                HealthRequestMessage(),
                PolicyRequestMessage(),
            ]
            if stepper is not None:
                messages.append(stepper._replace(session=1, seq=seq))
            message = messages[int(rng.integers(len(messages)))]
            frame = bytearray(encode_frame(message.pack()))
            if rng.random() < 0.2:
                frame[int(rng.integers(len(frame)))] ^= 1 << int(rng.integers(8))
            calls.append(["feed", bytes(frame).hex()])
        calls += [["tick", cart, pole, inputs, supply_mv], ["take"]]
    return calls


def random_outputs(cart: CartParams, rng: np.random.Generator, steps: int) -> list[float | None]:
    """What a board may put out in each millisecond: duties, or a stepper's counts; None where it drives nothing.

    Each rate lasts for 20 ms; some of them are more than a stepper can follow.
    """
    rates = np.repeat(rng.uniform(-1.0, 1.0, steps // 20), 20)
    if cart.stepper is not None:
        most = cart.stepper.steps_per_m * cart.stepper.maximum_speed_m_s * TICK_S
        rates = np.cumsum(np.round(_COUNTS * most * np.cumsum(0.1 * rates))) / _COUNTS
    return [None if rng.random() < 0.1 else float(rate) for rate in rates]


def visited(
    rig: VirtualRig, duty: Callable[[NDArray[np.float32]], float], start: State, steps: int
) -> tuple[list[list[float]], list[float]]:
    """The observations of an episode on the virtual rig, and the duties that answered them."""
    observations, duties = [], []
    measured = rig.reset(start, np.random.default_rng(0))
    for _ in range(steps):
        seen = task.observation(measured)
        observations.append([float(number) for number in seen])
        duties.append(duty(seen))
        measured = rig.step(duties[-1])
    return observations, duties
