"""What must go on working: balancing for long, the same counts on both boards, the same bytes in every process."""

from __future__ import annotations

import itertools
import os
import random
import time
from pathlib import Path
from typing import NamedTuple

from cartpole_robot.campaign.bench import Bench, Subject
from cartpole_robot.campaign.trials import Outcome, Trial
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

EPISODE_TURNS = 500
LONG_TURNS = 15_000
EQUAL_TICKS = 50
TIMES_REAL_TIME = 50.0
SPEED_TURNS = 2000
ENDURANCE_H = 2.0
LEAK_KB = 256  # in two hours, after the first minutes
_BYTES_TURNS = 100


def endurance_trials() -> list[Trial]:
    """Every trial of this kind, in order."""
    return [
        Trial(
            group="balance",
            name=f"{EPISODE_TURNS} turns",
            must="survived",
            unit="turns",
            count=20,
            short_count=2,
            run=lambda bench, rng: _survive(bench, rng, EPISODE_TURNS),
            is_more_better=True,
        ),
        Trial(
            group="balance",
            name=f"{LONG_TURNS} turns",
            must="survived",
            unit="turns",
            count=1,
            short_count=0,
            run=lambda bench, rng: _survive(bench, rng, LONG_TURNS),
            is_more_better=True,
        ),
        Trial(
            group="balance",
            name="chip beside virtual rig",
            must=f"the same counts for {EQUAL_TICKS} control ticks of the same start, both survive {EPISODE_TURNS}",
            unit="ticks",
            count=20,
            short_count=1,
            run=_beside_virtual,
            is_more_better=True,
        ),
        Trial(
            group="balance",
            name="two processes",
            must="the same telemetry for the same seed, byte by byte",
            unit="turns",
            count=1,
            short_count=1,
            run=_in_two_processes,
            is_more_better=True,
        ),
        Trial(
            group="balance",
            name="speed",
            must=f"at least {TIMES_REAL_TIME:g} times real time, plant included",
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


def _survive(bench: Bench, rng: random.Random, turns: int) -> Outcome:
    bench.begin(rng.randrange(1_000_000))
    survived, told = bench.survive(turns)
    return Outcome(is_good=told is None, told=told or "goes on", figure=float(survived))


# ---- beside the virtual rig ----


class _Turn(NamedTuple):
    """What one turn showed: the counts, and the duty in force until then."""

    cart_counts: int
    pole_counts: int
    applied_duty: float


def _turns_of(rig: VirtualRig, controller: Controller, seed: int, turns: int) -> list[_Turn]:
    """The turns until the end of the episode, at most so many. Raises `RigError`."""
    found: list[_Turn] = []

    def note(measured: Measurement) -> None:
        found.append(_Turn(measured.cart_counts, measured.pole_counts, measured.applied_duty))

    _turns_run(rig, controller, seed, turns, StepLog(on_step=note))
    return found


def _beside_virtual(bench: Bench, rng: random.Random) -> Outcome:
    """Both carts switched on and homed for it: whatever happened before is no part of the start."""
    seed = rng.randrange(1_000_000)
    cart, controller = bench.subject.open()
    rigs = (VirtualRig(cart), AvrRig(cart, image=bench.subject.image))
    try:
        virtual, chip = (_turns_of(rig, controller, seed, EPISODE_TURNS) for rig in rigs)
    finally:
        for rig in rigs:
            rig.close()
    pairs = zip(virtual, chip, strict=False)
    equal = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return Outcome(
        is_good=equal >= EQUAL_TICKS and len(virtual) == len(chip) == EPISODE_TURNS,
        told="equal" if virtual == chip else "both survive" if len(virtual) == len(chip) else "one falls",
        figure=float(equal),
    )


# ---- the same bytes ----


def _turns_run(
    rig: VirtualRig, controller: Controller, seed: int, turns: int, log: StepLog = NO_LOG
) -> tuple[int, float]:
    """The turns of an episode that lasts so many unless it falls, and the seconds they took.

    Raises `RigError` where the rig failed.
    """
    first = start_rollout(rig, seed)
    began = time.perf_counter()
    done = run_rollout(rig, SinglePilot(controller), first, max_turns=turns, log=log)
    took_s = time.perf_counter() - began
    if done.end is RolloutEnd.STOPPED:  # Ctrl-C: what is half done is not kept
        raise KeyboardInterrupt
    if done.end is RolloutEnd.FAULT:
        raise RigError(done.reason or "the rig failed")
    return done.turns, took_s


def telemetry_of(subject: Subject, seed: int) -> tuple[str, int]:
    """SHA-256 of all that the chip sends from switching on to the end of a short episode, and its turns."""
    cart, controller = subject.open()
    rig = AvrRig(cart, image=subject.image)
    try:
        turns, _ = _turns_run(rig, controller, seed, _BYTES_TURNS)
        return rig.telemetry_sha256, turns
    finally:
        rig.close()


def _in_two_processes(bench: Bench, rng: random.Random) -> Outcome:
    seed = rng.randrange(1_000_000)
    found = []
    for _ in range(2):
        with WorkerPool(1) as process:
            found.append(process.submit(telemetry_of, bench.subject, seed).result())
    (bytes_of_one, turns), (bytes_of_other, other_turns) = found
    told = "other bytes" if bytes_of_one != bytes_of_other else "same bytes"
    least = min(turns, other_turns)
    if least < _BYTES_TURNS:
        told += ", fell"
    return Outcome(is_good=told == "same bytes", told=told, figure=float(least))


# ---- speed, and hours ----


def _speed(bench: Bench, rng: random.Random) -> Outcome:
    cart, controller = bench.subject.open()
    rig = AvrRig(cart, image=bench.subject.image)
    try:
        turns, took_s = _turns_run(rig, controller, rng.randrange(1_000_000), SPEED_TURNS)
    finally:
        rig.close()
    times = turns * cart.timing.control_period_s / took_s
    is_whole = turns == SPEED_TURNS
    told = "measured" if is_whole else f"fell after {turns} turns"
    return Outcome(is_good=is_whole and times >= TIMES_REAL_TIME, told=told, figure=times)


def _resident_kb(process_id: int) -> int:
    pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _hours(bench: Bench, rng: random.Random) -> Outcome:
    """One episode on a cart of its own; memory is compared with that after the first of many parts."""
    parts = 24
    with Bench(bench.subject) as own, progress_bar(parts, f"{ENDURANCE_H:g} hours", "part", quiet=True) as bar:
        turns = round(3600.0 * ENDURANCE_H / own.cart_params.timing.control_period_s / parts)
        processes = (os.getpid(), own.chip.process_id)
        before, missed = own.begin_counted(rng.randrange(1_000_000)), own.link.health()["missed_ticks"]
        first_kb = [0, 0]
        survived, told = 0, None
        for part in range(parts):
            more, told = own.survive(turns)
            survived += more
            if told is not None:
                break
            if part == 0:
                first_kb = [_resident_kb(process) for process in processes]
            bar.update()
        grown_kb = [_resident_kb(process) - first for process, first in zip(processes, first_kb, strict=True)]
        missed = own.link.health()["missed_ticks"] - missed
        moved = tuple(now - then for now, then in zip(own.count_offsets(), before, strict=True))
        hours = survived * own.cart_params.timing.control_period_s / 3600.0
    return Outcome(
        is_good=told is None and missed == 0 and moved == (0, 0) and max(grown_kb) <= LEAK_KB,
        told=f"{told or 'goes on'}, {missed} missed, {grown_kb[0]:+d} and {grown_kb[1]:+d} kB, zeros moved by {moved}",
        figure=hours,
    )
