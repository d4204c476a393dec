"""One run of a cart on an emulated chip with a record of its pins, and the same again on another emulator's chip."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

from cartpole_robot.campaign.bench import OBSERVED_MS, Subject
from cartpole_robot.campaign.pin_events import PinEvents, read_pin_events
from cartpole_robot.errors import RigError
from cartpole_robot.policy.controllers import Controller
from cartpole_robot.rigs.firmware_rig import FirmwareOptions
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.task import observation
from firmware_bridge.errors import BridgeError
from firmware_bridge.second_emulator import Chip

STEPS = 50
_FIRST_US = 30_000  # both chips have started by then, and run up to here before the cart's time begins
_SUPPLY_MV = 12_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Millisecond:
    """What a chip is given for one millisecond, and what its bridge then drives: pulses, None if it is open.

    Of a stepper's chip, where the pulses stand on the mean, None if the driver is off.
    """

    cart_counts: int
    pole_counts: int
    inputs: int
    supply_mv: int
    received: bytes
    pulses: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PinRun:
    """A run: its milliseconds, its pins, and how long the bridge drove after the e-stop was pressed at `estop_ms`."""

    estop_ms: int
    milliseconds: list[Millisecond]
    events: PinEvents
    off_cycles: int


class _Recorder:
    """The chip as a `Board`, with a record of every millisecond."""

    def __init__(self, chip: Chip) -> None:
        self.milliseconds: list[Millisecond] = []
        self.take, self.has_sent, self.restart = chip.take, chip.has_sent, chip.restart
        self._chip = chip
        self._received = b""

    @property
    def time_us(self) -> int:
        return self._chip.time_us

    def feed(self, received: bytes, /) -> None:
        self._received += bytes(received)
        self._chip.feed(received)

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> float | None:
        pulses = self._chip.tick(cart_counts, pole_counts, inputs, supply_mv)
        self.milliseconds.append(
            Millisecond(
                cart_counts=cart_counts,
                pole_counts=pole_counts,
                inputs=inputs,
                supply_mv=supply_mv,
                received=self._received,
                pulses=pulses,
            )
        )
        self._received = b""
        return pulses


def record_run(subject: Subject, options: FirmwareOptions, make_chip: Callable[[Path], Chip], seed: int) -> PinRun:
    """Homing, `STEPS` steps of the policy, on the chip or on the host as the options say, then the e-stop.

    `make_chip` is given the file for the chip's events. Raises `RigError`, also if the policy does not survive,
    `UsageError`, `BridgeError`.
    """
    cart, controller = subject.open()
    with tempfile.TemporaryDirectory(prefix="pins-") as folder:
        path = Path(folder, "events")
        with make_chip(path) as chip:
            _start(chip)
            board = _Recorder(chip)
            with contextlib.closing(VirtualRig(cart, board=board, options=options)) as rig:
                _drive(rig, controller, seed)
                estop_ms, struck_cycle = len(board.milliseconds), chip.figures()["cycles"]
                rig.virtual_cart.is_estop_pressed = True
                for _ in range(OBSERVED_MS):
                    rig.virtual_cart.pass_ms()
        events = read_pin_events(path)
    return PinRun(
        estop_ms=estop_ms,
        milliseconds=board.milliseconds,
        events=events,
        off_cycles=events.driven_after_strike_cycles(struck_cycle),
    )


def repeat_run(run: PinRun, make_chip: Callable[[Path], Chip]) -> PinRun:
    """The same counts, contacts, supply and bytes at the same milliseconds on another chip. Raises `BridgeError`."""
    milliseconds, struck_cycle = [], 0
    with tempfile.TemporaryDirectory(prefix="pins-") as folder:
        path = Path(folder, "events")
        with make_chip(path) as chip:
            _start(chip)
            for k, given in enumerate(run.milliseconds):
                if k == run.estop_ms:
                    struck_cycle = chip.figures()["cycles"]
                chip.feed(given.received)
                pulses = chip.tick(given.cart_counts, given.pole_counts, given.inputs, given.supply_mv)
                chip.take()
                milliseconds.append(dataclasses.replace(given, pulses=pulses))
        events = read_pin_events(path)
    off_cycles = events.driven_after_strike_cycles(struck_cycle)
    return dataclasses.replace(run, milliseconds=milliseconds, events=events, off_cycles=off_cycles)


def _start(chip: Chip) -> None:
    """Raises `BridgeError` if it does not start."""
    for _ in range(1000):
        if chip.time_us == _FIRST_US:
            return
        chip.tick(0, 0, 0, _SUPPLY_MV)
    raise BridgeError("the emulated chip does not count its milliseconds; is this an image of this program?")


def _drive(rig: VirtualRig, controller: Controller, seed: int) -> None:
    measured = start_rollout(rig, seed)
    controller.reset()
    for step in range(STEPS):
        is_host = rig.options.arm == 0
        measured = rig.step(controller.duty(observation(measured))) if is_host else rig.measure()
        if not rig.is_running:
            raise RigError(f"the policy fell after {step + 1} steps, expected {STEPS}; choose one that balances")
