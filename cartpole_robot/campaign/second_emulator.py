"""simavr against a second emulator: the same image, cart and host on both, compared pin by pin and fault by fault."""

from __future__ import annotations

import dataclasses
import functools
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from cartpole_robot.campaign.bench import Bench, Subject
from cartpole_robot.campaign.onboard import ON_BOARD_ALONE, on_board_subject
from cartpole_robot.campaign.pin_events import (
    PROGRAMS_CYCLES,
    TIMERS_CYCLES,
    PinDifference,
    PinEvents,
    compare_pins,
    read_pin_events,
)
from cartpole_robot.campaign.pin_runs import STEPS, PinRun, record_run, repeat_run
from cartpole_robot.campaign.trials import Outcome, Trial, fault_trials
from cartpole_robot.rigs.firmware_rig import NO_OPTIONS, FirmwareOptions
from firmware_bridge._host import FrameDecoder
from firmware_bridge.build import CLOCK_HZ
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.protocol import Message, read_protocol
from firmware_bridge.second_emulator import Chip, SecondChip

SECOND = "second"
# Times are measured in steps of 4 us; `time_us` of a tick is a whole number of milliseconds. The supply is measured in
# steps of 32 mV, and a falling one meets their edges: of 5 V simavr's converter makes 1023 steps, the other's 1024.
_MEASURED = {
    **{"command_age_ms": 1, "longest_tick_us": 8, "longest_interrupt_us": 4, "time_us": 8, "longest_us": 100},
    "supply_mv": 32,
}
_FAULT_GROUPS = ("stop", "encoder", "switch")
_WITHOUT_STRIKE = ("1 a ms", "never closes")  # in the names of trials that harm the cart from the beginning
_US = 1e6 / CLOCK_HZ


@dataclasses.dataclass(frozen=True, kw_only=True)
class PinComparison:
    """Both emulators' runs, and how their pins and messages differ.

    `other_messages` differ in what is not measured, or in that by more than `_MEASURED` allows; `other_measured` are
    those that differ in such a measurement alone. In `other_pulses` milliseconds the bridge drove otherwise.
    """

    first: PinRun
    second: PinRun
    pins: PinDifference
    other_pulses: int
    messages: int
    other_messages: int
    other_measured: int

    @property
    def is_good(self) -> bool:
        """Whether both sent the same messages and made the same edges, each within its limit, or for a known reason."""
        return (
            self.other_messages == self.other_pulses == 0
            and self.pins.timers_apart_cycles <= TIMERS_CYCLES
            and self.pins.programs_apart_cycles <= PROGRAMS_CYCLES
            and self.pins.unexplained == 0
            and abs(self.first.off_cycles - self.second.off_cycles) <= PROGRAMS_CYCLES
        )


def _messages(events: PinEvents) -> list[Message]:
    protocol = read_protocol()
    return [protocol.unpack(message) for message in FrameDecoder().feed(events.sent)]


def _differ(first: Message, second: Message) -> tuple[bool, bool]:
    """Whether two messages differ in more than their measurements, and whether they differ in one of those."""
    if type(first) is not type(second):
        return True, False
    fields = zip(first.FIELDS, first, second, strict=True)
    apart = {name: abs(one - other) for name, one, other in fields if one != other}
    measured = [name for name, much in apart.items() if much <= _MEASURED.get(name, 0)]
    return len(measured) < len(apart), bool(measured)


def compare_emulators(
    subject: Subject, options: FirmwareOptions = NO_OPTIONS, seed: int = 0, *, is_aligned: bool = True
) -> PinComparison:
    """One run on simavr, and the same again on avr8js: raises as `record_run`.

    With `is_aligned` the second's PWM periods begin where the first's do.
    """
    image = subject.image
    first = record_run(subject, options, lambda path: EmulatedChip(image, path), seed)
    phase = first.events.pulse_phase if is_aligned else None
    second = repeat_run(first, lambda path: SecondChip(image, path, phase))
    messages = _messages(first.events), _messages(second.events)
    found = [_differ(one, other) for one, other in zip(*messages, strict=False)]
    return PinComparison(
        first=first,
        second=second,
        pins=compare_pins(first.events, second.events),
        other_pulses=sum(
            one.pulses != other.pulses for one, other in zip(first.milliseconds, second.milliseconds, strict=True)
        ),
        messages=len(messages[0]),
        other_messages=sum(is_other for is_other, _ in found) + abs(len(messages[0]) - len(messages[1])),
        other_measured=sum(is_measured for _, is_measured in found),
    )


def second_emulator_trials(*, has_policy: bool) -> list[Trial]:
    """Every comparison, in order; with a policy that a microcontroller can carry, on board too."""
    return [
        _pins("pins, policy on the host", on_board=False, is_aligned=True),
        *([_pins("pins, policy on board", on_board=True, is_aligned=True)] if has_policy else []),
        _pins("pins, each from its own start", on_board=False, is_aligned=False),
        *(
            _off(trial)
            for trial in fault_trials()
            if trial.group in _FAULT_GROUPS and not any(words in trial.name for words in _WITHOUT_STRIKE)
        ),
    ]


def _pins(name: str, *, on_board: bool, is_aligned: bool) -> Trial:
    def run(bench: Bench, rng: random.Random) -> Outcome:
        subject = on_board_subject(bench.subject) if on_board else bench.subject
        options = FirmwareOptions(arm=ON_BOARD_ALONE) if on_board else NO_OPTIONS
        found = compare_emulators(subject, options, rng.randrange(1_000_000), is_aligned=is_aligned)
        pins = found.pins
        others = len(pins.other_cycles)
        equal = found.messages - found.other_messages
        message = (
            f"{found.other_pulses} ms with another duty; {pins.edges} edges and {equal} of {found.messages} messages "
            f"in common; the timer's edges at most {pins.timers_apart_cycles * _US:.4g} us apart, the program's "
            f"{pins.programs_apart_cycles * _US:.4g}, bytes {pins.bytes_apart_cycles * _US:.4g}; off "
            f"{found.first.off_cycles * _US:.4g} and {found.second.off_cycles * _US:.4g} us after the e-stop"
        )
        if found.other_measured:
            message += f"; {found.other_measured} messages with another measured time or supply"
        if not is_aligned:
            message += f"; PWM periods {pins.phase_cycles * _US:.4g} us apart"
        is_good = found.is_good and (others == 0 or not is_aligned)
        return Outcome(is_good=is_good, message=message, figure=float(others))

    at_changes = "" if is_aligned else ", but next to a change of direction or width"
    return Trial(
        group=SECOND,
        name=name,
        must=f"homing, {STEPS} steps, e-stop: the same messages, the same edges of PB0 to PB2{at_changes}, the timer's "
        f"within {TIMERS_CYCLES * _US:g} us, the program's within {PROGRAMS_CYCLES * _US:g}",
        unit="other edges",
        count=1,
        short_count=0,
        run=run,
    )


# ---- the motor off after each fault ----


def _struck(
    subject: Subject, trial: Trial, rng: random.Random, make_chip: Callable[..., Chip]
) -> tuple[Outcome, PinEvents, float]:
    """One trial on a bench of its own: its outcome, its pins, and how long the bridge drove after the strike, in us."""
    with tempfile.TemporaryDirectory(prefix="pins-") as folder:
        path = Path(folder, "events")
        with Bench(subject, make_chip=functools.partial(make_chip, events=path)) as own:
            outcome = trial.run(own, rng)
            struck_cycle = own.board.struck_cycle
        events = read_pin_events(path)
    return outcome, events, events.driven_after_strike_cycles(struck_cycle) * _US


def _off(trial: Trial) -> Trial:
    """The same trial on both emulators, at the same moment of the same episode."""

    def run(bench: Bench, rng: random.Random) -> Outcome:
        state = rng.getstate()
        first, events, first_us = _struck(bench.subject, trial, rng, EmulatedChip)
        rng.setstate(state)
        second_chip = functools.partial(SecondChip, pulse_phase=events.pulse_phase)
        second, _, second_us = _struck(bench.subject, trial, rng, second_chip)
        apart_us = abs(second_us - first_us)
        is_same = first.message == second.message and first.is_good and second.is_good
        message = first.message if is_same else f"{first.message} / {second.message}"
        return Outcome(
            is_good=is_same and apart_us <= PROGRAMS_CYCLES * _US,
            message=f"{message}, off after {first_us / 1000:.2f} and {second_us / 1000:.2f} ms",
            figure=apart_us,
        )

    return Trial(
        group=SECOND,
        name=f"off: {trial.name}",
        must=f"the same fault, and off at the same time within {PROGRAMS_CYCLES * _US:g} us, on both emulators",
        unit="us apart",
        count=2 if trial.group == "stop" else 1,
        short_count=0,
        run=run,
    )
