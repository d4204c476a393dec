"""Endurance and repeatability: long balancing, equal counts on both boards, equal bytes in every process."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cartpole_robot.campaign.bench import CONTINUES, Bench, Subject
from cartpole_robot.campaign.trials import Outcome, Trial
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.errors import RigError
from cartpole_robot.policy.controllers import Controller
from cartpole_robot.recording.metadata import RolloutEnd
from cartpole_robot.rigs.avr import AvrRig
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import NO_LOG, StepLog, run_rollout, start_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.signals import Measurement
from cartpole_robot.simulation.workers import WorkerPool
from cartpole_robot.terminal.progress import progress_bar

LONG_STEPS = 15_000
EQUAL_TICKS = 50
TIMES_REAL_TIME = 50.0
SPEED_STEPS = 2000
MOST_WAITED = 0.02  # of the time, for a processor: with more, a slow run says nothing of the emulator
ENDURANCE_H = 2.0
LEAK_KB = 256  # in two hours, after the first minutes
_BYTES_STEPS = 100


def endurance_trials() -> list[Trial]:
    """All endurance trials, in order."""
    return [
        Trial(
            group="balance",
            name=f"{MAX_EPISODE_STEPS} steps",
            must="survived",
            unit="steps",
            count=20,
            short_count=1,
            run=lambda bench, rng: _survive(bench, rng, MAX_EPISODE_STEPS),
            is_more_better=True,
        ),
        Trial(
            group="balance",
            name=f"{LONG_STEPS} steps",
            must="survived",
            unit="steps",
            count=1,
            short_count=0,
            run=lambda bench, rng: _survive(bench, rng, LONG_STEPS),
            is_more_better=True,
        ),
        Trial(
            group="balance",
            name="chip against virtual rig",
            must=f"the same counts for {EQUAL_TICKS} control ticks of the same start, both survive {MAX_EPISODE_STEPS}",
            unit="ticks",
            count=20,
            short_count=1,
            run=_against_virtual,
            is_more_better=True,
        ),
        Trial(
            group="balance",
            name="two processes",
            must="the same telemetry for the same seed, byte by byte",
            unit="steps",
            count=1,
            short_count=1,
            run=_in_two_processes,
            is_more_better=True,
        ),
        Trial(
            group="balance",
            name="speed",
            must=f"at least {TIMES_REAL_TIME:g} times real time, plant included; on a busy machine not judged",
            unit="x",
            count=5,
            short_count=0,
            run=_speed,
            is_more_better=True,
        ),
        Trial(
            group="balance",
            name=f"{ENDURANCE_H:g} hours",
            must="no fall, no missed tick, no leak, no zero moved",
            unit="h",
            count=1,
            short_count=0,
            run=_hours,
            is_more_better=True,
        ),
    ]


def _survive(bench: Bench, rng: random.Random, steps: int) -> Outcome:
    bench.begin(rng.randrange(1_000_000))
    survived, message = bench.survive(steps)
    return Outcome(is_good=message is None, message=message or CONTINUES, figure=float(survived))


# ---- against the virtual rig ----


class _Step(NamedTuple):
    """The counts at one step, and the duty in force until then."""

    cart_counts: int
    pole_counts: int
    applied_duty: float


def _steps_of(rig: VirtualRig, controller: Controller, seed: int, steps: int) -> list[_Step]:
    """The steps of an episode, at most `steps`. Raises `RigError`."""
    found: list[_Step] = []

    def note(measured: Measurement) -> None:
        found.append(_Step(measured.cart_counts, measured.pole_counts, measured.applied_duty))

    _steps_run(rig, controller, seed, steps, StepLog(on_step=note))
    return found


def _against_virtual(bench: Bench, rng: random.Random) -> Outcome:
    """Both carts are switched on and homed for this trial, so nothing before it affects the start."""
    seed = rng.randrange(1_000_000)
    cart, controller = bench.subject.open()
    rigs = (VirtualRig(cart), AvrRig(cart, image=bench.subject.image))
    try:
        virtual, chip = (_steps_of(rig, controller, seed, MAX_EPISODE_STEPS) for rig in rigs)
    finally:
        for rig in rigs:
            rig.close()
    pairs = zip(virtual, chip, strict=False)
    equal = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return Outcome(
        is_good=equal >= EQUAL_TICKS and len(virtual) == len(chip) == MAX_EPISODE_STEPS,
        message="equal" if virtual == chip else "both survive" if len(virtual) == len(chip) else "one falls",
        figure=float(equal),
    )


# ---- the same bytes ----


def _steps_run(
    rig: VirtualRig, controller: Controller, seed: int, steps: int, log: StepLog = NO_LOG
) -> tuple[int, float]:
    """The number of steps until the cart falls, at most `steps`, and the seconds they took.

    Raises `RigError` if the rig failed.
    """
    first = start_rollout(rig, seed)
    began = time.perf_counter()
    done = run_rollout(rig, SinglePilot(controller), first, max_steps=steps, log=log)
    took_s = time.perf_counter() - began
    if done.end is RolloutEnd.STOPPED:  # Ctrl-C: an unfinished trial is not saved
        raise KeyboardInterrupt
    if done.end is RolloutEnd.FAULT:
        raise RigError(done.reason or "the rig failed")
    return done.steps, took_s


def telemetry_of(subject: Subject, seed: int) -> tuple[str, int]:
    """SHA-256 of all bytes that the chip sends from power-on to the end of a short episode, and its steps."""
    cart, controller = subject.open()
    rig = AvrRig(cart, image=subject.image)
    try:
        steps, _ = _steps_run(rig, controller, seed, _BYTES_STEPS)
        return rig.telemetry_sha256, steps
    finally:
        rig.close()


def _in_two_processes(bench: Bench, rng: random.Random) -> Outcome:
    seed = rng.randrange(1_000_000)
    found = []
    for _ in range(2):
        with WorkerPool(1) as process:
            found.append(process.submit(telemetry_of, bench.subject, seed).result())
    (bytes_of_one, steps), (bytes_of_other, other_steps) = found
    message = "other bytes" if bytes_of_one != bytes_of_other else "same bytes"
    least = min(steps, other_steps)
    if least < _BYTES_STEPS:
        message += ", fell"
    return Outcome(is_good=message == "same bytes", message=message, figure=float(least))


# ---- speed, and hours ----


def _speed(bench: Bench, rng: random.Random) -> Outcome:
    cart, controller = bench.subject.open()
    rig = AvrRig(cart, image=bench.subject.image)
    try:
        processes = (os.getpid(), rig.chip.process_id)
        waited_s, began_s = _waited_s(processes), time.perf_counter()
        steps, took_s = _steps_run(rig, controller, rng.randrange(1_000_000), SPEED_STEPS)
        waited = (_waited_s(processes) - waited_s) / (time.perf_counter() - began_s)
    finally:
        rig.close()
    times = steps * cart.timing.control_period_s / took_s
    is_whole, is_fast = steps == SPEED_STEPS, times >= TIMES_REAL_TIME
    is_judged = is_fast or waited <= MOST_WAITED or not is_whole
    message = "measured" if is_judged else f"not judged, the machine is busy: load {os.getloadavg()[0]:.0f}"
    if not is_whole:
        message = f"fell after {steps} steps"
    return Outcome(is_good=is_whole and is_fast, message=message, figure=times, is_judged=is_judged)


def _waited_s(process_ids: Sequence[int]) -> float:
    """How long the processes' first threads have waited for a processor; 0 where the kernel does not count it."""
    waited_ns = 0
    for process_id in process_ids:
        with contextlib.suppress(FileNotFoundError):
            waited_ns += int(Path(f"/proc/{process_id}/schedstat").read_text(encoding="ascii").split()[1])
    return waited_ns * 1e-9


def _resident_kb(process_id: int) -> int:
    pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _hours(bench: Bench, rng: random.Random) -> Outcome:
    """One episode on a cart of its own; memory growth counts from the end of the first of many parts."""
    parts = 24
    with Bench(bench.subject) as own, progress_bar(parts, f"{ENDURANCE_H:g} hours", "part", quiet=True) as bar:
        steps = round(3600.0 * ENDURANCE_H / own.cart_params.timing.control_period_s / parts)
        processes = (os.getpid(), own.chip.process_id)
        before, missed = own.begin_counted(rng.randrange(1_000_000)), own.link.health().missed_ticks
        first_kb = [0, 0]
        survived, message = 0, None
        for part in range(parts):
            more, message = own.survive(steps)
            survived += more
            if message is not None:
                break
            if part == 0:
                first_kb = [_resident_kb(process) for process in processes]
            bar.update()
        grown_kb = [_resident_kb(process) - first for process, first in zip(processes, first_kb, strict=True)]
        missed = own.link.health().missed_ticks - missed
        moved = tuple(now - then for now, then in zip(own.count_offsets(), before, strict=True))
        hours = survived * own.cart_params.timing.control_period_s / 3600.0
    return Outcome(
        is_good=message is None and missed == 0 and moved == (0, 0) and max(grown_kb) <= LEAK_KB,
        message=f"{message or CONTINUES}, {missed} missed, {grown_kb[0]:+d} and {grown_kb[1]:+d} kB, "
        f"zeros moved by {moved}",
        figure=hours,
    )
