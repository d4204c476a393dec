"""What the bridge's pins did on an emulated chip, edge by edge, and how two emulators differ in it.

Cycles of 62.5 ns count from the chip's first tick: the two emulators take different times to start.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_bridge._host import PULSE_PERIOD

PINS = ("PB0", "PB1", "PB2")  # the bridge's enable, forwards, backwards
TIMERS_CYCLES = 16  # 1 us: an edge that the timer makes
MILLISECOND_CYCLES, LATE_CYCLES = 16_000, 1500  # the world's milliseconds begin so long before the chip's
PROGRAMS_CYCLES = PULSE_PERIOD  # 50 us: one that the program makes, whenever its interrupts let it
_RECORD = np.dtype([("cycle", "<u8"), ("what", "u1"), ("kind", "u1")])  # as firmware_bridge/simavr/pin_events.h
_TICK, _BYTE, _CONNECT = 3, 5, 6
_RISING, _TIMERS = 1, 2

Cycles = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PinEvents:
    """One run of a chip, in order: edges by pin, sent bytes, ticks, and when Timer1 was given other pins to drive.

    `edges` has the cycle of each edge and its kind: bit 0 it rises, bit 1 the timer made it.
    """

    edges: dict[str, tuple[Cycles, NDArray[np.uint8]]]
    sent: bytes
    sent_cycles: Cycles
    tick_cycles: Cycles
    connect_cycles: Cycles
    start_cycle: int  # of the first tick, since the chip was switched on

    @property
    def pulse_phase(self) -> int:
        """When the PWM periods begin, in cycles after a tick, modulo their length. Raises ValueError without pulses."""
        cycles = np.concatenate([cycles[kinds == _RISING | _TIMERS] for cycles, kinds in self.edges.values()])
        if not len(cycles):
            raise ValueError("the timer made no edge")
        return int(np.bincount(cycles % PULSE_PERIOD, minlength=PULSE_PERIOD).argmax())

    def driven_after_strike_cycles(self, struck_cycle: int) -> int:
        """How long the bridge drove the motor, enabled and one half bridge high, after a strike; 0 if no more.

        It counts from the beginning of the world's millisecond after the one in which `struck_cycle` lies, a cycle
        since the chip was switched on. Raises ValueError for one before the first tick: nothing was struck.
        """
        ticks = self.tick_cycles + self.start_cycle
        if struck_cycle < ticks[0]:
            raise ValueError(f"a strike at cycle {struck_cycle}, expected one after the first tick, at {ticks[0]}")
        before = int(ticks[np.searchsorted(ticks, struck_cycle, side="right") - 1])
        begin = before + MILLISECOND_CYCLES - LATE_CYCLES - self.start_cycle
        now, coming = [], []
        for pin, (cycles, kinds) in enumerate(self.edges.values()):
            at = int(np.searchsorted(cycles, begin))
            now.append(bool(kinds[at - 1] & _RISING) if at else False)
            later = zip(cycles[at:].tolist(), kinds[at:].tolist(), strict=True)
            coming += [(cycle, pin, bool(kind & _RISING)) for cycle, kind in later]
        last, is_driven = begin, now[0] and (now[1] or now[2])
        for cycle, pin, is_high in sorted(coming):
            now[pin] = is_high
            was_driven, is_driven = is_driven, now[0] and (now[1] or now[2])
            if was_driven and not is_driven:
                last = cycle
        return last - begin


def read_pin_events(path: Path) -> PinEvents:
    """What an emulator has recorded in `path`. Raises ValueError if the chip never came to a tick."""
    records = np.fromfile(path, _RECORD)
    records = records[np.argsort(records["cycle"], kind="stable")]
    what = records["what"]
    ticks = records["cycle"][what == _TICK]
    if not len(ticks):
        raise ValueError(f"{path}: the chip never came to its first tick")
    cycles = records["cycle"].astype(np.int64) - np.int64(ticks[0])
    return PinEvents(
        edges={name: (cycles[what == pin], records["kind"][what == pin]) for pin, name in enumerate(PINS)},
        sent=records["kind"][what == _BYTE].tobytes(),
        sent_cycles=cycles[what == _BYTE],
        tick_cycles=cycles[what == _TICK],
        connect_cycles=cycles[what == _CONNECT],
        start_cycle=int(ticks[0]),
    )


@dataclass(frozen=True, kw_only=True)
class PinDifference:
    """How the pins of two runs differ.

    `edges` is how many each has in common with the other; `apart_cycles` are the largest differences in time, of the
    timer's edges measured against each one's own PWM periods, which begin `phase_cycles` apart. `other_cycles` are
    edges that only one of the two has, and `unexplained` those of them that are not within one PWM period of a change
    of what the timer drives, or of a pulse of a new width: the run whose period begins later takes it a period earlier.
    """

    edges: int
    timers_apart_cycles: int
    programs_apart_cycles: int
    bytes_apart_cycles: int
    phase_cycles: int
    other_cycles: tuple[int, ...]
    unexplained: int


def compare_pins(first: PinEvents, second: PinEvents) -> PinDifference:
    """How the second run differs from the first. Raises ValueError where one has no pulses."""
    phase = (second.pulse_phase - first.pulse_phase + PULSE_PERIOD // 2) % PULSE_PERIOD - PULSE_PERIOD // 2
    pairs, timers, programs = 0, 0, 0
    others: list[int] = []
    unexplained = 0
    for pin in PINS:
        found = _pair(first.edges[pin], second.edges[pin], phase)
        new_widths = np.concatenate([_new_widths(*run.edges[pin]) for run in (first, second)])
        pairs += len(found.timers_apart) + len(found.programs_apart)
        timers = max([timers, *(abs(apart) for apart in found.timers_apart)])
        programs = max([programs, *(abs(apart) for apart in found.programs_apart)])
        for run, alone in ((first, found.first_alone), (second, found.second_alone)):
            others += alone
            causes = np.concatenate([run.connect_cycles, new_widths])
            unexplained += sum(not _is_near(causes, cycle) for cycle in alone)
    length = min(len(first.sent), len(second.sent))
    apart = np.abs(first.sent_cycles[:length] - second.sent_cycles[:length])
    return PinDifference(
        edges=pairs,
        timers_apart_cycles=timers,
        programs_apart_cycles=programs,
        bytes_apart_cycles=int(apart.max(initial=0)),
        phase_cycles=phase,
        other_cycles=tuple(sorted(others)),
        unexplained=unexplained,
    )


def _new_widths(cycles: Cycles, kinds: NDArray[np.uint8]) -> Cycles:
    """The ends of the pulses that are not as wide as the one before on this pin."""
    ends = np.flatnonzero(kinds[1:] & _RISING == 0) + 1
    is_new = np.diff(cycles[ends] - cycles[ends - 1]) != 0
    new: Cycles = cycles[ends[1:]][is_new]
    return new


def _is_near(causes: Cycles, cycle: int) -> bool:
    """Whether one of the causes lies within a PWM period of `cycle`."""
    return bool(np.abs(causes - cycle).min(initial=PULSE_PERIOD + 1) <= PULSE_PERIOD)


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    timers_apart: list[int]
    programs_apart: list[int]
    first_alone: list[int]
    second_alone: list[int]


def _pair(first: tuple[Cycles, NDArray[np.uint8]], second: tuple[Cycles, NDArray[np.uint8]], phase: int) -> _Pairs:
    """Each edge with the other run's edge of the same level that is near enough, in order."""
    (a, kinds_a), (b, kinds_b) = ((cycles.tolist(), kinds.tolist()) for cycles, kinds in (first, second))
    found = _Pairs(timers_apart=[], programs_apart=[], first_alone=[], second_alone=[])
    i = k = 0
    while i < len(a) and k < len(b):
        apart = b[k] - a[i]
        are_timers = kinds_a[i] & kinds_b[k] & _TIMERS
        is_near = abs(apart - phase) <= TIMERS_CYCLES if are_timers else abs(apart) <= PROGRAMS_CYCLES
        if is_near and (kinds_a[i] ^ kinds_b[k]) & _RISING == 0:
            (found.timers_apart if are_timers else found.programs_apart).append(apart - phase if are_timers else apart)
            i, k = i + 1, k + 1
        elif apart >= 0:
            found.first_alone.append(a[i])
            i += 1
        else:
            found.second_alone.append(b[k])
            k += 1
    found.first_alone.extend(a[i:])
    found.second_alone.extend(b[k:])
    return found
