"""Many rollouts recorded into one folder without an operator; a series that was stopped can be continued."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files.run_folder import read_json, write_json
from cartpole_robot.recording.journal import journal_of
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.rollout.record import RolloutRequest, Rollouts, RolloutStoppedError
from cartpole_robot.rollout.unattended import NO_LIMITS, RunLimits, UnattendedRun, disk_problem
from cartpole_robot.terminal.lines import say

SERIES_FILE = "series.json"


@dataclass(frozen=True, kw_only=True)
class Series:
    """What a folder of recordings holds: its episodes, those of this run, and why it stopped before the last.

    `is_disk_full` where that is for lack of space.
    """

    folder: Path
    episodes: int
    recorded: int
    faults: tuple[str, ...]
    stopped: str | None
    is_disk_full: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**dataclasses.asdict(self), "folder": str(self.folder), "faults": list(self.faults)}


def record_series(request: RolloutRequest, episodes: int, limits: RunLimits = NO_LIMITS) -> Series:
    """Record `episodes` rollouts into the folder `request.out`, with seeds from `request.seed`.

    Episodes that the folder holds are not repeated, but one that the user stopped is. An episode that a fault ended is
    kept and the next begins; the series stops at the limits, after equal faults in a row, and when the disk is nearly
    full. Raises `UsageError` for a folder that another cart, policy or rig has begun, and `RolloutStoppedError`.
    """
    folder = request.out
    with Rollouts(request) as rollouts:
        unattended = UnattendedRun(rollouts.rig, limits)
        _begin(folder, request, rollouts)
        recorded, faults = 0, []
        stopped: str | None = None
        is_disk_full = False
        for number in range(1, episodes + 1):
            path = folder / f"{number:04d}.parquet"
            if path.exists() or journal_of(path).exists():
                read_recording(path if path.exists() else journal_of(path))  # completes one that was cut off
                continue
            stopped = disk_problem(folder, rollouts.steps)
            if stopped is not None:
                is_disk_full = True
                break
            fault = None
            try:
                rollouts.record(path, request.seed + number - 1)
            except RolloutStoppedError as error:
                raise RolloutStoppedError(f"{error}{_set_aside(path)}; the same command continues the series") from None
            except RunError as error:
                fault = str(error)
                faults.append(f"episode {number}: {fault}")
                say(faults[-1])
            recorded += path.exists()
            stopped = unattended.reason_to_stop(fault)
            if stopped is not None:
                break
    held = sum((folder / f"{n:04d}.parquet").exists() for n in range(1, episodes + 1))
    return Series(
        folder=folder,
        episodes=held,
        recorded=recorded,
        faults=tuple(faults),
        stopped=stopped,
        is_disk_full=is_disk_full,
    )


def _begin(folder: Path, request: RolloutRequest, rollouts: Rollouts) -> None:
    """Make the folder, or check that this series began it. Raises `UsageError`."""
    known = {
        "rig": request.rig,
        "start": str(request.start),
        "policy": str(request.policy),
        "policy_hash": rollouts.policy_hash,
        "cart": rollouts.cart.name,
        "cart_sha256": _cart_hash(rollouts.cart),
        "seed": request.seed,
        "duration_s": request.duration_s,
    }
    path = folder / SERIES_FILE
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder}: is not empty and has no {SERIES_FILE}; choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, known)
        return
    before = read_json(path, f"{folder}: is no series of recordings; choose another --out")
    for name, value in known.items():
        if before.get(name) != value:
            raise UsageError(
                f"{path}: {name} = {before.get(name)!r}, this run has {value!r}; continue with the same, or choose "
                "another --out"
            )


def _set_aside(path: Path) -> str:
    """Give the recording of an episode that the user stopped another name: the series is to have it whole."""
    if not path.exists():
        return ""
    target, number = path.with_name(f"{path.stem}-stopped.parquet"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.stem}-stopped-{number}.parquet")
    path.rename(target)
    return f", now {target.name}"


def _cart_hash(cart: CartParams) -> str:
    return hashlib.sha256(json.dumps(cart.as_dict(), sort_keys=True).encode()).hexdigest()
