"""One deployment: a policy drives a cart in real time; the run is displayed, recorded, timed, and saved on a fault."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.black_box import BlackBox, samples_of, traces_kept
from cartpole_robot.deployment.browser_feed import DRIVERS, BrowserFeed
from cartpole_robot.deployment.late import Late
from cartpole_robot.deployment.latency_report import LatencyReport, figures_of
from cartpole_robot.deployment.live_view import LiveView
from cartpole_robot.deployment.pilots import Envelope, FallbackPilot, OnBoardPilot, ShadowPilot
from cartpole_robot.deployment.realtime import Setting, punctual
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.files.new_file import check_is_new
from cartpole_robot.files.run_folder import unused_folder, write_json
from cartpole_robot.page.live.view import BrowserView, Shown
from cartpole_robot.policy.backend import LQR, Backend
from cartpole_robot.policy.controllers import Chosen, choose_controller, policy_controller
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.recording.metadata import DeploymentRecord, Outcome, RecordingMetadata, RolloutEnd, SwingUpRecord
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.recording.writer import check_is_free
from cartpole_robot.rig import Rig, Start
from cartpole_robot.rigs.firmware_rig import FirmwareOptions
from cartpole_robot.rigs.open_rig import HIDDEN, SERIAL, check_rig_name
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.rollout.loop import Rollout, StepLog, disarmed, rollout_metadata, run_rollout, start_rollout
from cartpole_robot.rollout.pilot import Pilot, SinglePilot
from cartpole_robot.rollout.step_times import StepTimes
from cartpole_robot.signals import Measurement
from cartpole_robot.simulation.imperfections.profile import WORKBENCH, fitting, load_profile
from cartpole_robot.start import check_start_of, starting, swing_up_of_episode
from cartpole_robot.task import Task
from cartpole_robot.terminal.interrupts import stopped_by_signals
from firmware_bridge.answers import reset_cause_name
from firmware_bridge.errors import BridgeError
from firmware_bridge.protocol import read_protocol

_POLL_SHARE = 0.15  # of a control period, before a measurement is due
_POLL_MOST_S = 300e-6
_SLACK_STEPS = 100
_STOPPED_IN_BROWSER = "the emergency stop was pressed in the browser"


@dataclass(frozen=True, kw_only=True)
class DeployRequest:
    """Which policy, on which rig and cart, for how long, into which recording, and what happens without a command.

    `has_fallback`: the regulator takes over outside the policy's envelope; `is_shadow`: the regulator drives and the
    policy only computes; `is_on_board`: the policy in the firmware drives, and continues without a host if
    `host_may_leave`. `browser_port` is where a live view is served on loopback, 0 for a free port, None for no view.
    `profile` says what is imperfect about a simulated cart, by default what a workbench has.
    """

    policy: Path
    rig: str = "virtual"
    cart: str | None = None
    start: Start = Start.BY_HAND
    backend: str = "c"
    seed: int = 0
    duration_s: float = 60.0
    record: Path | None = None
    late: Late = Late.HOLD
    has_fallback: bool = False
    is_shadow: bool = False
    is_on_board: bool = False
    host_may_leave: bool = False
    is_viewed: bool = True
    browser_port: int | None = None
    profile: str | Path | None = None

    def __post_init__(self) -> None:
        """Raises `UsageError` for options that contradict each other."""
        check_rig_name(self.rig)
        if self.rig == "sim":
            raise UsageError("deploy needs a cart with a firmware; use --rig virtual, avr or serial:PORT")
        if self.profile is not None and self.rig.startswith(SERIAL):
            raise UsageError(f"rig {self.rig!r} is as imperfect as it is; leave out --profile")
        if self.profile is not None:
            load_profile(self.profile)
        if self.has_fallback and self.is_shadow:
            raise UsageError("with --shadow the regulator drives already; leave out --fallback")
        if self.is_on_board and (self.has_fallback or self.is_shadow or str(self.policy) == LQR):
            raise UsageError("on board the policy in the firmware drives alone; leave out --fallback, --shadow and lqr")
        if self.is_on_board and self.start is not Start.BY_HAND:
            raise UsageError("the policy in the firmware drives as soon as it is armed; leave out --start swing-up")
        if self.host_may_leave and not self.is_on_board:
            raise UsageError("only a policy on board can drive without a host; add --on-board")
        if (self.has_fallback or self.is_shadow) and str(self.policy) == LQR:
            raise UsageError("the regulator drives already; name a policy, or leave out --fallback and --shadow")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """How the deployment ended, its latencies, and the files it wrote.

    `black_box` is None without a fault, `latency_file` where the disk was full, `swing_up` for a start by hand.
    """

    rollout: Rollout
    report: LatencyReport
    recording: Path
    latency_file: Path | None
    black_box: Path | None
    fault: str | None
    handovers: int
    times: StepTimes
    note: str | None
    swing_up: SwingUpRecord | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "steps": self.rollout.steps,
            "end": self.rollout.end.value,
            "reason": self.rollout.reason,
            "fault": self.fault,
            "handovers": self.handovers,
            "note": self.note,
            "swing_up": None if self.swing_up is None else dataclasses.asdict(self.swing_up),
            "latency_us": self.report.as_dict(),
            "recording": str(self.recording),
            "black_box": None if self.black_box is None else str(self.black_box),
        }


def deploy(request: DeployRequest) -> Deployment:
    """Run a deployment; the motor is off at the end in every case.

    Raises `UsageError`, and `RigError` if it could not begin.
    """
    if sys.platform != "linux":
        raise UsageError("deploy runs on Linux only, whose scheduler and clocks it uses to keep a cart's real time")
    chosen = choose_controller(request.policy, request.cart, request.backend)
    check_start_of(chosen, request.start)
    if chosen.task is Task.SWING_UP and (request.has_fallback or request.is_shadow or request.is_on_board):
        raise UsageError(
            f"{chosen.record['policy']}: swings the pole up, which no regulator does and the firmware's own policy "
            "cannot see; leave out --fallback, --shadow and --on-board"
        )
    path = request.record or _free_place()
    if (request.has_fallback or request.is_shadow) and (chosen.bundle is None or chosen.bundle.lqr is None):
        raise UsageError(
            f"{chosen.record['policy']}: has no regulator, its cart has none; leave out --fallback and --shadow"
        )
    check_is_free(path, option="--record")
    for companion in (_box_of(path), latency_of(path)):
        check_is_new(companion, option="--record")
    known = dataclasses.replace(
        rollout_metadata(chosen, rig=request.rig, seed=request.seed, duration_s=request.duration_s),
        deployed=DeploymentRecord(
            late=request.late.value,
            has_fallback=request.has_fallback,
            is_shadow=request.is_shadow,
            is_on_board=request.is_on_board,
            profile=None if request.rig.startswith(SERIAL) else load_profile(request.profile or WORKBENCH).name,
        ),
    )
    with contextlib.ExitStack() as stack:
        view = _browser_view(request, chosen, stack)
        port = stack.enter_context(_port(request, chosen))
        options = _firmware_options(request, chosen.cart.timing.control_period_s)
        rig = SerialRig(chosen.cart, port, options, is_virtual=not request.rig.startswith(SERIAL))
        stack.callback(rig.close)
        starts = starting(rig, request.start, chosen.swing_up, _print_stage)
        pilot = _pilot(request, chosen, rig)
        return _Run(request, chosen, (rig, starts), pilot, path, known, view).run()


def _browser_view(request: DeployRequest, chosen: Chosen, stack: contextlib.ExitStack) -> BrowserView | None:
    """The live view in a browser, where one was requested; prints its address. Raises `UsageError`."""
    if request.browser_port is None:
        return None
    who = "policy" if chosen.bundle is not None else "controller"
    shown = Shown(
        cart=chosen.cart,
        title=chosen.cart.name,
        lead=f"A running cart: {who} {chosen.record['policy']} on rig {request.rig}.",
        drivers=(_driver(request, chosen), *DRIVERS),
        has_lateness=True,
    )
    view = stack.enter_context(BrowserView(shown, port=request.browser_port))
    print(f"live view: {view.address}", file=sys.stderr, flush=True)
    return view


def _print_stage(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _driver(request: DeployRequest, chosen: Chosen) -> str:
    if request.is_shadow:
        return "regulator; the policy only computes"
    if request.is_on_board:
        return "policy on board"
    path = Path(str(chosen.record["policy"]))
    return str(path.parent if path.name == "policy.npz" else path)


class _Run:
    def __init__(
        self,
        request: DeployRequest,
        chosen: Chosen,
        rigs: tuple[SerialRig, Rig],
        pilot: Pilot,
        path: Path,
        known: RecordingMetadata,
        browser: BrowserView | None = None,
    ) -> None:
        """`rigs` are the one on the port, and the same as it starts its episodes."""
        self._request, self._chosen, self._pilot, self._path = request, chosen, pilot, path
        rig, self._starting = rigs
        self._rig = rig
        self._known = known
        self._period_s = chosen.cart.timing.control_period_s
        self._traces = rig.options.traces
        self._browser = browser

    def run(self) -> Deployment:
        """Home, drive and write the files. Raises `RigError` if it could not begin."""
        rig, cart = self._rig, self._chosen.cart
        max_steps = max(1, round(self._request.duration_s / self._period_s))
        times = StepTimes(max_steps + _SLACK_STEPS)
        startup_s, late_before = _since_start_s(), rig.link.health().late_commands
        self._begin_session = rig.link.session
        recorder = Recorder(self._path, self._known)
        feed = None if self._browser is None else BrowserFeed(self._browser.ring, rig, self._pilot)
        try:
            with stopped_by_signals(), punctual() as settings:
                self._traces.clear()
                first = self._start(feed)
                armed = samples_of(tuple(self._traces)[:1])
                self._armed_us = armed.first_us if len(armed.samples) else first.mcu_time_us
                if self._request.start is Start.SWING_UP:
                    self._traces.clear()  # a black box is replayed as armed upright
                if feed is not None:
                    feed.begin()
                with self._shown(cart, first, times):
                    log = StepLog(
                        recorder=recorder,
                        times=times,
                        arrival_s=rig.arrival_s,
                        on_step=None if feed is None else feed.note,
                    )
                    rollout = run_rollout(
                        self._starting, self._pilot, first, max_steps=max_steps, log=log, task=self._chosen.task
                    )
                    fault = self._fault() if rollout.end is RolloutEnd.FAULT else None
                    rollout = disarmed(rig, rollout)
                    if feed is not None:
                        feed.finish()
                        if feed.has_stopped and fault == "ESTOP":
                            rollout = dataclasses.replace(rollout, reason=_STOPPED_IN_BROWSER)
                resident_mb = _resident_mb()
        except BaseException:
            recorder.discard()
            raise
        missed = self._late_since(late_before, times)
        box = self._save_box(fault, rollout.reason) if fault is not None else None
        rig.close()
        handovers, swing_up = self._pilot.handovers, swing_up_of_episode(self._starting)
        recording = recorder.close(
            Outcome(
                end=rollout.end,
                steps=rollout.steps,
                reason=rollout.reason,
                handovers=handovers,
                swing_up=swing_up,
            )
        )
        if recorder.failure is not None and rollout.end is RolloutEnd.DURATION:
            rollout = Rollout(steps=rollout.steps, end=RolloutEnd.DISK, reason=recorder.failure)
        fit = rig.link.clock_fit
        report = LatencyReport(
            steps=times.steps,
            missed=missed,
            skipped=max(0, first.tick - rollout.steps),
            control_period_us=round(1e6 * self._period_s, 3),
            line_us=round(1e6 * fit.delay_s, 1) if fit is not None else 0.0,
            figures=figures_of(times, without=self._not_timed()) if times.steps else {},
            settings=_settings_text(settings),
            startup_s=round(startup_s, 3),
            resident_mb=round(resident_mb, 1),
        )
        deployment = Deployment(
            rollout=rollout,
            report=report,
            recording=recording,
            latency_file=latency_of(self._path),
            black_box=box,
            fault=fault,
            handovers=handovers,
            times=times,
            note=self._chosen.note,
            swing_up=swing_up,
        )
        try:
            write_json(latency_of(self._path), deployment.as_dict())
        except OSError:  # the disk is full: the run is reported nevertheless
            return dataclasses.replace(deployment, latency_file=None)
        return deployment

    def _start(self, feed: BrowserFeed | None) -> Measurement:
        try:
            return start_rollout(self._starting, self._request.seed, self._chosen.task)
        except RigError as error:
            estop = self._rig.link.protocol.enums["fault"]["ESTOP"]
            if feed is not None and feed.has_stopped and self._rig.state.fault == estop:
                raise RigError(_STOPPED_IN_BROWSER) from error
            raise

    def _shown(
        self, cart: CartParams, first: Measurement, times: StepTimes
    ) -> contextlib.AbstractContextManager[object]:
        if not self._request.is_viewed:
            return contextlib.nullcontext()
        view = LiveView(cart, first, times, self._who)
        if self._browser is not None:
            self._browser.warn = view.add_line
        return view

    def _who(self) -> str:
        if self._request.is_shadow:
            return "regulator, policy watches"
        if self._request.is_on_board:
            return "policy on board"
        return "REGULATOR HAS CAUGHT IT" if self._pilot.flags else str(self._chosen.record["policy"])[-24:]

    def _not_timed(self) -> tuple[str, ...]:
        """Latencies that say nothing about this run: the policy on board decides on the chip, not on this host."""
        return ("inference",) if self._request.is_on_board else ()

    def _late_since(self, before: int, times: StepTimes) -> int:
        """Control ticks without a new command: by the cart's own count, else by the command ages in the STATEs."""
        if self._rig.link.session == self._begin_session:
            with contextlib.suppress(BridgeError):
                return max(0, self._rig.link.health(0.1).late_commands - before)
        ages = times.columns()["command_age"]
        return int((ages > self._period_s + 0.5e-3).sum())

    def _fault(self) -> str:
        """The name of what ended the run: the firmware's fault, IMPLAUSIBLE, a reset with its cause, or LINK."""
        if self._rig.fault is not None:
            return self._rig.fault
        link = self._rig.link
        try:
            hello = link.open()
        except BridgeError:
            return "LINK"
        if hello.session != self._begin_session:
            return f"RESET {reset_cause_name(link.protocol, hello.reset_cause)}"
        return str(link.protocol.enums["fault"](hello.fault).name) if hello.fault else "LINK"

    def _save_box(self, fault: str, message: str | None) -> Path | None:
        """Write the black box; None if it cannot be written."""
        traced = samples_of(self._traces)
        box = BlackBox(
            samples=traced.samples,
            cart=self._chosen.cart,
            fault=fault,
            message=message or "",
            warmth=traced.warmth,
            options=self._rig.options.arm,
            since_armed_ms=((traced.first_us - self._armed_us) & 0xFFFF_FFFF) // 1000,
            counts_before=traced.counts_before,
            provenance={**_without_cart(self._known), "recording": self._path.name},
        )
        try:
            box.save(_box_of(self._path))
        except UsageError:
            return None
        return _box_of(self._path)


def _without_cart(known: RecordingMetadata) -> dict[str, Any]:
    """The metadata of a rollout, for a file that has its cart elsewhere."""
    return {name: value for name, value in dataclasses.asdict(known).items() if name != "cart"}


def _firmware_options(request: DeployRequest, period_s: float) -> FirmwareOptions:
    option = read_protocol().enums["arm_option"]
    arm = {Late.HOLD: 0, Late.BRAKE: int(option["LATE_BRAKES"]), Late.DISARM: int(option["LATE_DISARMS"])}[request.late]
    if request.is_on_board:
        arm |= option["ON_BOARD"]
    if request.host_may_leave:
        arm |= option["HOST_MAY_LEAVE"]
    if period_s > 0.0015:  # next to a STATE each millisecond the line has no room for traces
        arm |= option["TRACE"]
    return FirmwareOptions(
        arm=arm, traces=deque(maxlen=traces_kept(period_s)), poll_s=min(_POLL_MOST_S, _POLL_SHARE * period_s)
    )


def latency_of(recording: Path) -> Path:
    """The path of the latency report that belongs to the recording."""
    return recording.with_name(f"{recording.stem}.latency.json")


def _box_of(recording: Path) -> Path:
    return recording.with_name(f"{recording.stem}.blackbox.npz")


def _free_place() -> Path:
    return unused_folder("deploy") / "rollout.parquet"


@contextlib.contextmanager
def _port(request: DeployRequest, chosen: Chosen) -> Iterator[str]:
    """The serial port to open; for a virtual or emulated cart, that of a process which runs meanwhile."""
    rig, cart, policy = request.rig, chosen.cart, None
    if rig.startswith(SERIAL):
        yield rig.removeprefix(SERIAL)
        return
    plant = cart
    if rig.startswith(HIDDEN):
        plant, rig = load_cart(rig.removeprefix(HIDDEN)), "virtual"
    if plant.drive is not cart.drive:
        raise UsageError(
            f"rig {request.rig!r}: its cart has another drive than {cart.name!r}, and needs another firmware; give a "
            "cart with the same drive"
        )
    profile, note = fitting(
        load_profile(request.profile or WORKBENCH), plant.motor, has_stepper=plant.stepper is not None
    )
    if note is not None:
        print(note, file=sys.stderr)
    from cartpole_robot.deployment.cart_process import cart_process

    if request.is_on_board and chosen.bundle is not None:
        from cartpole_robot.deployment.firmware_image import policy_image_bytes
        from cartpole_robot.deployment.on_board import on_board_image

        if rig == "avr":
            rig = f"avr:{on_board_image(chosen.bundle, cart)}"
        elif rig == "virtual":
            policy = policy_image_bytes(chosen.bundle, cart)
    has_hand = request.start is Start.BY_HAND and chosen.task is not Task.SWING_UP
    with cart_process(rig, plant, policy, profile=profile, seed=request.seed, has_hand=has_hand) as port:
        yield port


def _remedy(request: DeployRequest) -> str:
    what = ["--policy", request.policy, *([] if request.cart is None else ["--cart", request.cart])]
    if request.rig.startswith(SERIAL):
        words = ["flash", "--port", request.rig.removeprefix(SERIAL), *what]
    else:
        words = ["build", *what]
    return shlex.join(["cartpole-robot", "firmware", *map(str, words)])


def _pilot(request: DeployRequest, chosen: Chosen, rig: SerialRig) -> Pilot:
    """The pilot that was requested. Raises `UsageError` if the connected cart has another policy on board."""
    bundle = chosen.bundle
    if request.is_on_board and bundle is not None:
        from cartpole_robot.deployment.on_board import check_on_board, on_board_policy

        check_on_board(rig.link, bundle, chosen.cart, remedy=_remedy(request))
        return OnBoardPilot(on_board_policy(bundle, chosen.cart), lambda: rig.state)
    if bundle is None or bundle.lqr is None or not (request.has_fallback or request.is_shadow):
        return SinglePilot(chosen.controller)
    regulator = LqrController(bundle.lqr, chosen.cart.commanded_motor)
    policy = policy_controller(bundle, Backend(request.backend))
    if request.is_shadow:
        return ShadowPilot(regulator, policy)
    return FallbackPilot(policy, regulator, Envelope.of(bundle, chosen.cart), chosen.cart.timing.control_period_s)


def _settings_text(settings: list[Setting]) -> dict[str, str]:
    return {setting.name: "on" if setting.is_on else f"off: {setting.why_not}" for setting in settings}


def _since_start_s() -> float:
    """The age of this process."""
    ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
