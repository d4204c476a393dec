"""From a wired cart to a balanced one, stage by stage, each of which is done once in a folder."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot.bring_up.cart_line import CartLine
from cartpole_robot.bring_up.folder import BringUpFolder, Identity, open_folder
from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.stages.accelerate import accelerate
from cartpole_robot.bring_up.stages.balance import balance
from cartpole_robot.bring_up.stages.brake import measure_brake
from cartpole_robot.bring_up.stages.check import check
from cartpole_robot.bring_up.stages.compare import compare_cart
from cartpole_robot.bring_up.stages.excite import excite
from cartpole_robot.bring_up.stages.home import home
from cartpole_robot.bring_up.stages.home_stepper import home_stepper
from cartpole_robot.bring_up.stages.identify import identify_cart
from cartpole_robot.bring_up.stages.identify_stepper import identify_stepper
from cartpole_robot.bring_up.stages.swing_up import swing_up
from cartpole_robot.bring_up.stages.train import train
from cartpole_robot.bring_up.work import Work
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import FirmwareSettings
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.files.run_folder import locked_folder
from cartpole_robot.rigs.open_rig import check_may_move
from cartpole_robot.start import swing_up_driver
from firmware_bridge.errors import BridgeError

STAGES: Mapping[StageName, Callable[[Work], StageResult]] = {
    StageName.CHECK: check,
    StageName.HOME: home,
    StageName.BRAKE: measure_brake,
    StageName.EXCITE: excite,
    StageName.IDENTIFY: identify_cart,
    StageName.TRAIN: train,
    StageName.SWING_UP: swing_up,
    StageName.BALANCE: balance,
    StageName.COMPARE: compare_cart,
}
STEPPER_STAGES: Mapping[StageName, Callable[[Work], StageResult]] = {
    StageName.CHECK: check,
    StageName.HOME: home_stepper,
    StageName.ACCELERATION: accelerate,
    StageName.EXCITE: excite,
    StageName.IDENTIFY: identify_stepper,
    StageName.TRAIN: train,
    StageName.SWING_UP: swing_up,
    StageName.BALANCE: balance,
    StageName.COMPARE: compare_cart,
}


def stages_of(cart: CartParams) -> Mapping[StageName, Callable[[Work], StageResult]]:
    """The stages of a cart with that drive, in their order."""
    return STAGES if cart.stepper is None else STEPPER_STAGES


@dataclass(frozen=True, kw_only=True)
class BringUpRequest:
    """What to bring up: the cart on `rig`, which the cart file describes as well as it can, into the folder `out`.

    It ends after the stage `until`, None for the last one. `is_checked` leaves out the steps that need a person.
    """

    rig: str
    cart: CartParams
    out: Path
    may_move: bool
    until: StageName | None = None
    is_checked: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Callbacks that report progress: a stage begins, a stage ends with its result, a line in between."""

    begins: Callable[[StageName], object] = lambda _: None
    ends: Callable[[StageResult, bool], object] = lambda *_: None
    says: Callable[[str], object] = lambda _: None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The stage that failed, what happened with its figure, and what to do."""

    stage: StageName
    message: str
    remedy: str
    figures: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class BringUp:
    """How far it came: the results so far, and the failure that ended it, None without one."""

    folder: BringUpFolder
    failure: Failure | None
    work: Work

    @property
    def results(self) -> list[StageResult]:
        """In order."""
        return list(self.folder.results.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **dataclasses.asdict(self.folder.identity),
            "folder": str(self.folder.path),
            "stages": [dataclasses.asdict(result) for result in self.results],
            "failure": None if self.failure is None else dataclasses.asdict(self.failure),
        }


@contextlib.contextmanager
def _folder(request: BringUpRequest) -> Iterator[BringUpFolder]:
    identity = Identity(
        rig=request.rig, cart=request.cart.name, fingerprint=request.cart.fingerprint(), seed=request.seed
    )
    folder = open_folder(request.out, identity)
    busy = "another bring-up works in it; wait for its end, or stop it"
    with locked_folder(request.out, busy=busy, unwritable="check its permissions"):
        if not folder.results:
            folder.write()
        yield folder


def bring_up(
    request: BringUpRequest,
    listener: Listener = Listener(),
    *,
    line: CartLine | None = None,
) -> BringUp:
    """Do the stages that the folder does not have yet; the motor is off at the end in every case.

    `line` is that to the cart, by default the one that the rig's name opens; it is closed here.
    A stage that fails is the `failure`. Raises `UsageError` for options, files and folders that do not fit, and
    KeyboardInterrupt, with the finished stages kept.
    """
    check_request(request)
    with _folder(request) as folder:
        line = line or CartLine(request.rig, request.cart)
        work = Work(
            line=line,
            folder=folder,
            cart=request.cart,
            seed=request.seed,
            is_checked=request.is_checked,
            say=listener.says,
        )
        failure: Failure | None = None
        try:
            failure = _stages(work, request.until, listener)
        finally:
            problem = _closed(line)
        if problem is not None and failure is None:
            failure = Failure(
                stage=request.until or list(stages_of(request.cart))[-1],
                message=problem,
                remedy="switch the cart off",
                figures={},
            )
        return BringUp(folder=folder, failure=failure, work=work)


def check_request(request: BringUpRequest) -> None:
    """Raise `UsageError` for what cannot begin: permission, a cart file without firmware, or one that forbids it."""
    check_may_move(request.rig, may_move=request.may_move)
    cart = request.cart
    stages = stages_of(cart)
    if request.until is not None and request.until not in stages:
        drive = "a DC motor" if cart.stepper is None else "a stepper"
        raise UsageError(
            f"--until {request.until}: the cart {cart.name!r} has {drive}, whose bring-up has the stages "
            f"{', '.join(stages)}; choose one of them"
        )
    if cart.firmware is None:
        needed = [field.name for field in dataclasses.fields(FirmwareSettings) if field.default is dataclasses.MISSING]
        raise UsageError(
            f"cart {cart.name!r} has no [firmware] section, without which nothing limits its motor; add "
            f"{', '.join(f'firmware.{name}' for name in needed)} (cartpole-robot carts new asks for them)"
        )
    _, firmware = encoders_and_settings(cart)
    if firmware.swing_timeout_s <= 0.0:
        raise UsageError(
            f"cart {cart.name!r}: firmware.swing_timeout_s = 0 forbids driving with the pole hanging; set it"
        )
    swing_up_driver(cart)  # on a track, or with a motor, that does not do by the file itself, nothing else would


def _closed(line: CartLine) -> str | None:
    """What keeps the motor from being known as off, None once it is."""
    try:
        line.close()
    except RigError as error:
        return str(error)
    return None


def _stages(work: Work, until: StageName | None, listener: Listener) -> Failure | None:
    for name, stage in stages_of(work.cart).items():
        if name in work.folder.results:
            listener.ends(work.folder.results[name], True)
        else:
            listener.begins(name)
            try:
                result = _timed(work, name, stage)
            except StageFailedError as error:
                return Failure(stage=name, message=error.message, remedy=error.remedy, figures=error.figures)
            except (RigError, BridgeError) as error:
                return Failure(stage=name, message=str(error), remedy="run the same command again", figures={})
            listener.ends(result, False)
        if name is until:
            break
    return None


def _timed(work: Work, name: StageName, stage: Callable[[Work], StageResult]) -> StageResult:
    """The result of a stage that has finished, kept in the folder with the time it took."""
    meter = work.line.meter
    began_s, armed_s, homing_s = time.monotonic(), meter.armed_s, meter.homing_s
    if name not in (StageName.TRAIN,):  # which resumes what it finds
        work.folder.clear(name)
    result = dataclasses.replace(
        stage(work),
        wall_s=round(time.monotonic() - began_s, 3),
        armed_s=round(meter.armed_s - armed_s, 3),
        homing_s=round(meter.homing_s - homing_s, 3),
    )
    work.folder.keep(result)
    return result
