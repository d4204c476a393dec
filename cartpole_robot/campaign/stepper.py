"""The campaign of a stepper's cart: what can be wrong with its driver, motor and wires, on the emulated chip."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Iterator

from cartpole_robot.campaign.bench import CONTINUES, FELL, Bench, Subject, in_short
from cartpole_robot.campaign.trials import Outcome, Trial
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.errors import RigError
from cartpole_robot.rigs.avr import AvrRig, driver_wiring
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.task import observation
from firmware_bridge.emulator import EmulatedChip

STEPPER = "stepper"
_STRUCK_STEPS = (20, 60)  # control steps before a strike
_REST_MS, _RESTING_MS = 2000, 500  # observed after an episode; at its end no pulse comes
_MISSED_EVERY, _MOST_MISSED_MM = 1000, 2.0
_LOST = ("POLE_ANGLE", "POLE_SIGN", "POLE_STILL", "STEPS_LOST", "TRAVEL_LIMIT", FELL)
_LET_GO = 0  # enum chip_enable


class StepperBench(Bench):
    """A subject whose every trial switches on a cart of its own."""

    def __init__(self, subject: Subject) -> None:
        """Raises `UsageError`."""
        self.subject = subject
        self.cart_params, self.controller = subject.open()

    @contextlib.contextmanager
    def new_rig(self) -> Iterator[AvrRig]:
        """A cart that has just been switched on. Raises `RigError`."""
        self.controller.reset()
        with contextlib.closing(AvrRig(self.cart_params, image=self.subject.image)) as rig:
            yield rig

    def restart_first(self) -> None:
        """Do nothing: every trial begins so."""

    def close(self) -> None:
        """Do nothing: no cart is on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Episode:
    """How an episode ended: the message, milliseconds from the strike to it, and what came of the cart.

    `off_mm` is how far the cart stands from where its count has it, `is_resting` whether the pulses have ended.
    """

    message: str
    after_ms: float
    off_mm: float
    is_resting: bool


def _chip(rig: AvrRig) -> EmulatedChip:
    assert isinstance(rig.chip, EmulatedChip)
    return rig.chip


def _wire(bench: StepperBench, rig: AvrRig, **wrong: bool | int) -> None:
    driver = driver_wiring(bench.cart_params)
    assert driver is not None
    _chip(rig).wire_driver(dataclasses.replace(driver, **wrong))  # type: ignore[arg-type]


def _episode(
    bench: StepperBench, rig: AvrRig, rng: random.Random, steps: int = MAX_EPISODE_STEPS, **strike: bool | int
) -> _Episode:
    """Home and balance; `strike` is what the wiring of the driver becomes on the way."""
    message, cart = CONTINUES, rig.virtual_cart
    struck_ms, at_step = cart.time_ms, rng.randrange(*_STRUCK_STEPS)
    off_mm = 0.0
    try:
        measured = start_rollout(rig, rng.randrange(1_000_000))
        for step in range(steps):
            if strike and step == at_step:
                _wire(bench, rig, **strike)
                struck_ms = cart.time_ms
            measured = rig.step(bench.controller.duty(observation(measured)))
            if not rig.is_running:
                message = FELL
                break
        encoders, _ = encoders_and_settings(bench.cart_params)
        counted_m = measured.cart_counts / encoders.cart_counts_per_m
        off_mm = 1000.0 * abs(cart.true_state().cart_position_m - counted_m)
    except RigError as error:
        message = in_short(str(error))
    after_ms = float(cart.time_ms - struck_ms)
    for _ in range(_REST_MS - _RESTING_MS):
        cart.pass_ms()
    counted = _chip(rig).steps()[0]
    for _ in range(_RESTING_MS):
        cart.pass_ms()
    is_resting = _chip(rig).steps()[0] == counted
    return _Episode(message=message, after_ms=after_ms, off_mm=off_mm, is_resting=is_resting)


def _named(bench: StepperBench, rng: random.Random, faults: tuple[str, ...], **wrong: bool | int) -> Outcome:
    """Wrong from the start: homing names it."""
    with bench.new_rig() as rig:
        _wire(bench, rig, **wrong)
        found = _episode(bench, rig, rng, 1)
    is_good = found.message in faults and found.is_resting
    return Outcome(is_good=is_good, message=found.message, figure=found.after_ms)


def _lost(bench: StepperBench, rng: random.Random, **wrong: bool | int) -> Outcome:
    """Wrong while it balances: the episode ends, and so do the pulses."""
    with bench.new_rig() as rig:
        found = _episode(bench, rig, rng, **wrong)
    is_good = found.message in _LOST and found.is_resting
    return Outcome(is_good=is_good, message=found.message, figure=found.after_ms)


def _missed(bench: StepperBench, rng: random.Random) -> Outcome:
    with bench.new_rig() as rig:
        _wire(bench, rig, misses_every=_MISSED_EVERY)
        found = _episode(bench, rig, rng)
    is_good = found.message == CONTINUES and found.off_mm <= _MOST_MISSED_MM
    return Outcome(is_good=is_good, message=found.message, figure=found.off_mm)


def _cut(bench: StepperBench, rng: random.Random, *, is_reset: bool) -> Outcome:
    """The e-stop, or a reset, at a random millisecond: how long ENABLE is still driven."""
    with bench.new_rig() as rig:
        measured = start_rollout(rig, rng.randrange(1_000_000))
        for _ in range(rng.randrange(*_STRUCK_STEPS)):
            measured = rig.step(bench.controller.duty(observation(measured)))
        cart = rig.virtual_cart
        for _ in range(rng.randrange(20)):
            cart.pass_ms()
        was_driven = _chip(rig).steps()[3] != _LET_GO
        if is_reset:
            rig.chip.restart(int(rig.link.protocol.enums["reset_cause"]["EXTERNAL"]))
        else:
            cart.is_estop_pressed = True
        driven_ms = 0
        for millisecond in range(1, _RESTING_MS):
            cart.pass_ms()
            if _chip(rig).steps()[3] != _LET_GO:
                driven_ms = millisecond
    return Outcome(is_good=was_driven and driven_ms == 0, message="off", figure=float(driven_ms))


def stepper_trials() -> list[Trial]:
    """All trials of a stepper's cart, in order."""

    def trial(name: str, must: str, unit: str, count: int, run: object) -> Trial:
        return Trial(group=STEPPER, name=name, must=must, unit=unit, count=count, short_count=1, run=run)  # type: ignore[arg-type]

    ends = "the episode ends with a fault or by its limits, at rest"
    travel = "homing reports HOMING_TRAVEL, at rest"
    return [
        trial("balance", f"{MAX_EPISODE_STEPS} steps, the count true to 2 mm", "mm", 20, _balance),
        trial(
            "driver without supply", travel, "ms", 5, lambda b, r: _named(b, r, ("HOMING_TRAVEL",), is_powered=False)
        ),
        trial("inverted ENABLE", travel, "ms", 5, _inverted_enable),
        trial(
            *("inverted DIR", "homing reports POLARITY, at rest", "ms", 5),
            lambda b, r: _named(b, r, ("POLARITY",), is_reversed=True),
        ),
        trial("driver loses its supply", ends, "ms", 20, lambda b, r: _lost(b, r, is_powered=False)),
        trial("motor stalls", ends, "ms", 20, lambda b, r: _lost(b, r, misses_every=1)),
        trial("one pulse in 1000 missed", "survives, the count true to 2 mm", "mm", 20, _missed),
        trial(
            *("e-stop lets go of ENABLE", "with the next safety tick (0 ms)", "ms", 20),
            lambda b, r: _cut(b, r, is_reset=False),
        ),
        trial("reset lets go of ENABLE", "at once (0 ms)", "ms", 20, lambda b, r: _cut(b, r, is_reset=True)),
    ]


def _balance(bench: StepperBench, rng: random.Random) -> Outcome:
    with bench.new_rig() as rig:
        found = _episode(bench, rig, rng)
    is_good = found.message == CONTINUES and found.off_mm <= _MOST_MISSED_MM
    return Outcome(is_good=is_good, message=found.message, figure=found.off_mm)


def _inverted_enable(bench: StepperBench, rng: random.Random) -> Outcome:
    driver = driver_wiring(bench.cart_params)
    assert driver is not None
    return _named(bench, rng, ("HOMING_TRAVEL",), is_enable_low=not driver.is_enable_low)
