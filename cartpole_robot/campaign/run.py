"""The whole campaign: every trial and curve in order, each saved on completion, so that it can be continued."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from cartpole_robot.campaign.bench import Bench, Subject, in_short
from cartpole_robot.campaign.curves import EPISODES, Curve, all_curves
from cartpole_robot.campaign.edges import edge_trials
from cartpole_robot.campaign.endurance import endurance_trials
from cartpole_robot.campaign.killed_host import KilledStarts, kill_hosts
from cartpole_robot.campaign.killed_outcome import HOMING_OFF_MS
from cartpole_robot.campaign.onboard import ON_BOARD, on_board_bench, on_board_subject, on_board_trials
from cartpole_robot.campaign.report import (
    CurveResult,
    Row,
    curve_of,
    curve_text,
    draw_curves,
    from_record,
    point_of,
    row_of,
    row_text,
    to_record,
)
from cartpole_robot.campaign.second_emulator import SECOND, second_emulator_trials
from cartpole_robot.campaign.stepper import STEPPER, StepperBench, stepper_trials
from cartpole_robot.campaign.swing import SWING, SwingBench, swing_trials
from cartpole_robot.campaign.trials import Kind, Outcome, Trial, fault_trials
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.files.new_file import not_written
from cartpole_robot.files.provenance import commit, machine, versions
from cartpole_robot.files.records import record_from_table
from cartpole_robot.files.run_folder import read_json, write_json
from cartpole_robot.policy.backend import LQR
from cartpole_robot.policy.controllers import choose_controller
from cartpole_robot.terminal.printable import counted
from cartpole_robot.terminal.progress import progress_bar
from firmware_bridge.build import read_image_mark
from firmware_bridge.emulator import check_image, current_image
from firmware_bridge.errors import BridgeError
from firmware_bridge.second_emulator import check_node, installed_packages

CAMPAIGN_FILE = "campaign.json"
CURVES_FILE = "curves.png"
KILLED, KILLED_HOMING = "killed host", "host killed while homing"
_CODE = {
    "the campaign": ("cartpole_robot.campaign",),
    "the cart around the chip": ("cartpole_robot.simulation", "cartpole_robot.rigs"),
    "the emulator": ("firmware_bridge.simavr", "firmware_bridge"),
    "the second emulator": ("firmware_bridge.avr8js",),
}  # what a result depends on besides the image
_SOURCES = (".py", ".c", ".h", ".js", ".json")
_KILLED_STARTS = {KILLED: 1000, KILLED_HOMING: 100}
_KILLED_SHORT = {KILLED: 2, KILLED_HOMING: 1}
_KILLED_STEPPER = {KILLED: 100}
_KILLED_KEPT = 120  # starts per save
_CARTS_SIDE_BY_SIDE = 3  # per core: they run in real time and mostly wait


@dataclass(frozen=True, kw_only=True)
class CampaignRequest:
    """What to test, how thoroughly, and where to save the results.

    `only` has groups or beginnings of names; empty is everything. `out` may be the folder of a campaign to continue.
    """

    subject: Subject
    out: Path
    is_short: bool = False
    only: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class CampaignResult:
    """The results, and their folder."""

    folder: Path
    rows: list[Row]
    curves: list[CurveResult]

    @property
    def is_good(self) -> bool:
        """Whether every trial and every curve is good."""
        return all(row.is_good for row in self.rows) and all(curve.is_good for curve in self.curves)


class _Kept:
    """The campaign's folder: its saved results, and those added to it."""

    def __init__(self, request: CampaignRequest) -> None:
        self.record = _identity(request)
        self.rows: list[Row] = []
        self.curves: list[CurveResult] = []
        self.killed: list[Outcome] = []  # of a trial that is not finished
        self.folder = request.out
        if self.folder.exists():
            self._continue()
        else:
            try:
                self.folder.mkdir(parents=True)
            except OSError as error:
                raise UsageError(not_written(self.folder, error)) from None

    def _continue(self) -> None:
        where = str(self.folder / CAMPAIGN_FILE)
        found = read_json(self.folder / CAMPAIGN_FILE, f"{where}: is not there; choose another --out")
        of = found.get("of")
        kept = of if isinstance(of, dict) else {}
        for name, value in self.record["of"].items():
            if kept.get(name) != value:
                raise UsageError(
                    f"{where}: has {name} {str(kept.get(name))[:80]}, this would be {value}; choose another --out"
                )
        self.rows, self.curves = from_record(found, where)
        killed = found.get("killed", [])
        if not isinstance(killed, list):
            raise UsageError(f"{where}: killed is no list; choose another --out")
        self.killed = [record_from_table(Outcome, outcome, where=f"{where}: [killed]") for outcome in killed]

    def keep(self) -> None:
        killed = [dataclasses.asdict(outcome) for outcome in self.killed]
        write_json(self.folder / CAMPAIGN_FILE, {**self.record, **to_record(self.rows, self.curves), "killed": killed})

    def has(self, name: str) -> bool:
        """Whether a trial or curve of that name is done."""
        return name in {row.name for row in self.rows} | {curve.name for curve in self.curves}


def _identity(request: CampaignRequest) -> dict[str, Any]:
    """What a result depends on ("of"), and where it comes from. Raises `UsageError`, `BridgeError`."""
    subject = request.subject
    chosen = choose_controller(subject.policy, subject.cart, "c")
    image = subject.image or current_image(drive=chosen.cart.drive)
    check_image(image, chosen.cart.drive)
    has_carrier = _has_policy(request) and chosen.cart.stepper is None
    carrier = on_board_subject(subject).image if has_carrier else None
    return {
        "of": {
            "on_board_id": None if carrier is None else f"{read_image_mark(carrier).firmware_id:08x}",
            "firmware_id": f"{read_image_mark(image).firmware_id:08x}",
            "policy": chosen.record["policy_hash"] or chosen.record["policy"],
            "cart": chosen.cart.fingerprint(),
            "seed": request.seed,
            "short": request.is_short,
            **{f"code of {name}": _digest(folders) for name, folders in _CODE.items()},
        },
        "cart_name": chosen.cart.name,
        "versions": versions(),
        "commit": commit(),
        "machine": machine(),
    }


def _digest(folders: Sequence[str]) -> str:
    """A hash over the sources in `folders`."""
    found = []
    for name in folders:
        entries = sorted(resources.files(name).iterdir(), key=lambda entry: entry.name)
        found += [(entry.name, entry.read_text("utf-8")) for entry in entries if entry.name.endswith(_SOURCES)]
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def run_campaign(
    request: CampaignRequest, say: Callable[[str], object], on_group: Callable[[str], object] = lambda _: None
) -> CampaignResult:
    """Run all trials and curves that are not done yet, and pass the text of each result to `say`.

    `on_group` receives a line before the first trial of each group that is not done yet.
    Ctrl-C ends the campaign; finished results stay saved. Raises `UsageError`, `RigError`, `BridgeError`.
    """
    is_stepper = request.subject.open()[0].stepper is not None
    if is_stepper:
        trials = stepper_trials()
    else:
        trials = [*endurance_trials(), *fault_trials(), *swing_trials(), *edge_trials()]
        if _has_policy(request):
            trials += on_board_trials()
        trials += second_emulator_trials(has_policy=_has_policy(request))
    _check_words(request, trials)
    wanted = [trial for trial in trials if _is_wanted(request, trial.group, trial.name) and _count(request, trial)]
    curves = [curve for curve in all_curves() if not is_stepper and _is_wanted(request, "curve", curve.name)]
    kept = _Kept(request)
    kept.keep()
    for row in kept.rows:
        say(row_text(row))
    for result in kept.curves:
        say(curve_text(result))
    if any(trial.group == SECOND and not kept.has(trial.name) for trial in wanted):
        wanted = _if_installed(request, wanted, say)
    with contextlib.ExitStack() as stack:
        makers: dict[str, Callable[[Subject], Bench]] = {
            ON_BOARD: on_board_bench,
            SWING: SwingBench,
            STEPPER: StepperBench,
        }
        benches: dict[Callable[[Subject], Bench], Bench] = {}

        def bench(group: str = "") -> Bench:
            make = makers.get(group, Bench)
            if make not in benches:
                benches[make] = stack.enter_context(make(request.subject))
            return benches[make]

        left = [(trial.group, trial.name) for trial in wanted] + [("curve", curve.name) for curve in curves]
        left = [each for each in left if not kept.has(each[1])]
        announced: set[str] = set()

        def announce(group: str) -> None:
            if group not in announced:
                announced.add(group)
                on_group(f"group {group}: {counted(sum(each[0] == group for each in left), 'trial')}")

        for trial in wanted:
            if not kept.has(trial.name):
                announce(trial.group)
                kept.rows.append(_run_trial(request, trial, bench(trial.group)))
                kept.keep()
                say(row_text(kept.rows[-1]))
        for curve in curves:
            if not kept.has(curve.name):
                announce("curve")
                kept.curves.append(_run_curve(request, curve, bench()))
                kept.keep()
                say(curve_text(kept.curves[-1]))
    for name in _KILLED_STEPPER if is_stepper else _KILLED_STARTS:
        if _is_wanted(request, "stop", name) and not kept.has(name):
            on_group(f"group stop: {name}")
            kept.rows.append(_run_killed(request, kept, name))
            kept.keep()
            say(row_text(kept.rows[-1]))
    if kept.curves and not request.is_short:
        episodes = f"{EPISODES} episodes of {MAX_EPISODE_STEPS} steps at each size"
        title = f"{kept.record['cart_name']} on the emulated chip, {episodes}"
        draw_curves(kept.curves, kept.folder / CURVES_FILE, title)
    return CampaignResult(folder=kept.folder, rows=kept.rows, curves=kept.curves)


def _if_installed(request: CampaignRequest, trials: list[Trial], say: Callable[[str], object]) -> list[Trial]:
    """The trials without those of the second emulator if it is missing, which `say` is told.

    Raises `BridgeError` if `only` names them.
    """
    try:
        check_node()
        installed_packages(say)
    except BridgeError as error:
        if request.only:
            raise
        say(f"  --   {SECOND:<8} left out: {error}")
        return [trial for trial in trials if trial.group != SECOND]
    return trials


def _is_wanted(request: CampaignRequest, group: str, name: str) -> bool:
    return not request.only or any(_is_meant(word, group, name) for word in request.only)


def _is_meant(word: str, group: str, name: str) -> bool:
    return word == group or name.startswith(word)


def _check_words(request: CampaignRequest, trials: Sequence[Trial]) -> None:
    """Raises `UsageError` for a word of `only` that matches no trial, or none in the short form."""
    others = [*(("curve", curve.name) for curve in all_curves()), ("stop", KILLED), ("stop", KILLED_HOMING)]
    for word in request.only:
        meant = [trial for trial in trials if _is_meant(word, trial.group, trial.name)]
        if any(_count(request, trial) for trial in meant) or any(_is_meant(word, *other) for other in others):
            continue
        if meant:
            raise UsageError(f"--only {word}: is not in the short form; leave out --short")
        groups = ", ".join(dict.fromkeys([*(trial.group for trial in trials), "curve"]))
        raise UsageError(f"--only {word}: no such trial; groups are {groups}")


def _has_policy(request: CampaignRequest) -> bool:
    """Whether the subject has a policy for a microcontroller; the regulator is not one."""
    return str(request.subject.policy) != LQR


def _count(request: CampaignRequest, trial: Trial) -> int:
    return trial.short_count if request.is_short else trial.count


def _outcomes(name: str, bench: Bench, runs: Sequence[Callable[[], Outcome]]) -> tuple[list[Outcome], float]:
    """The outcome of each run, and the seconds they took; after a rig error the cart restarts for the next.

    Raises the rig's error if the emulator has ended.
    """
    began = time.monotonic()
    outcomes = []
    with progress_bar(len(runs), name, "trial", quiet=True) as bar:
        for run in runs:
            try:
                outcomes.append(run())
            except (RigError, BridgeError) as error:
                if not isinstance(bench, StepperBench) and not bench.chip.is_running:
                    raise
                outcomes.append(Outcome(is_good=False, message=in_short(str(error)), figure=None, struck=0))
                bench.restart_first()
            bar.update()
    return outcomes, time.monotonic() - began


def _run_trial(request: CampaignRequest, trial: Trial, bench: Bench) -> Row:
    rng = random.Random(f"{request.seed} {trial.name}")
    runs = [functools.partial(trial.run, bench, rng)] * _count(request, trial)
    return row_of(trial, *_outcomes(trial.name, bench, runs))


def _run_curve(request: CampaignRequest, curve: Curve, bench: Bench) -> CurveResult:
    rng = random.Random(f"{request.seed} {curve.name}")
    sizes = curve.sizes
    episodes = EPISODES
    if request.is_short:
        sizes, episodes = (curve.must_bear, max(curve.sizes)), 1
    seeds = [rng.randrange(1_000_000) for _ in range(episodes)]
    bench.restart_first()  # nothing that was tried before may affect it
    runs = [functools.partial(curve.run, bench, seed, size) for size in sizes for seed in seeds]
    outcomes, _ = _outcomes(curve.name, bench, runs)
    points = [point_of(size, outcomes[k * episodes : (k + 1) * episodes]) for k, size in enumerate(sizes)]
    return curve_of(curve, points)


def _run_killed(request: CampaignRequest, kept: _Kept, name: str) -> Row:
    cart, _ = request.subject.open()
    must = {
        KILLED: "SIGKILL at full drive: off within the command timeout, stands and never reaches the end stop"
        if cart.stepper is None
        else "SIGKILL at full drive: at rest after the command timeout and a ramp, before the end stop, no step lost",
        KILLED_HOMING: f"SIGKILL while the motor homes: off within {HOMING_OFF_MS} ms of the last frame that arrived",
    }
    kind = Kind(group="stop", name=name, must=must[name], unit="ms")
    of = KilledStarts(cart=cart, seed=request.seed, image=request.subject.image, is_homing=name == KILLED_HOMING)
    of_all = _KILLED_STARTS if cart.stepper is None else _KILLED_STEPPER
    count = (_KILLED_SHORT if request.is_short else of_all)[name]
    carts = 1 if request.is_short else _CARTS_SIDE_BY_SIDE * (os.cpu_count() or 1)
    began = time.monotonic()
    with progress_bar(count, name, "trial", quiet=True) as bar:
        bar.update(len(kept.killed))
        while len(kept.killed) < count:
            starts = range(len(kept.killed), min(count, len(kept.killed) + _KILLED_KEPT))
            some = []
            for one in kill_hosts(of, starts, carts=carts):
                is_good = one.has_stopped(cart) and one.is_off_in_time(cart) and one.has_kept_count()
                message = one.message(cart)
                if of.is_homing:
                    is_good = one.is_homing_off_in_time()
                    message = "off" if one.is_off else "never off"
                figure, speed_m_s = float(one.off_after_ms), one.speed_m_s
                some.append(
                    Outcome(is_good=is_good, message=message, figure=figure, speed_m_s=speed_m_s, repeats=one.repeats)
                )
                bar.update()
            kept.killed += some
            kept.keep()
    row = row_of(kind, kept.killed, time.monotonic() - began)
    kept.killed = []
    return row
