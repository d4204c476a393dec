"""Stage `train`: a policy for the identified cart, tried within the intervals and behind a simulated firmware."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cartpole_robot.bring_up.intervals import ranges_of
from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.work import Work
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.files.run_folder import SUMMARY_FILE
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.policy.controllers import Controller, policy_controller
from cartpole_robot.policy.swing_up import SwingUpController
from cartpole_robot.recording.metadata import RolloutEnd
from cartpole_robot.rigs.engine_choice import rig_engine
from cartpole_robot.rigs.swing_start import SwingStart
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.evaluation import VERDICT_SEED, evaluate
from cartpole_robot.rollout.loop import run_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.signals import State
from cartpole_robot.start import swing_up_driver
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.job import TrainingJob
from cartpole_robot.training.run import resume_training, start_training
from firmware_bridge.constants import HOMING_DUTY_MOST

PRESET = "recommended"
MINUTE_S = 60.0
_CARTS, _STEPS = 40, 500
_ATTEMPTS = ((0, False), (1, False), (2, True))  # seed, and whether each episode of training draws another cart


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A policy in its run folder: how many of the drawn carts it balanced, and what of a minute behind the firmware."""

    folder: Path
    survived: int
    rehearsed_s: float
    reason: str | None

    @property
    def is_good(self) -> bool:
        """Whether it balanced all that it was tried on."""
        return self.survived == _CARTS and self.rehearsed_s >= MINUTE_S

    @property
    def rank(self) -> tuple[float, int]:
        return self.rehearsed_s, self.survived


def train(work: Work) -> StageResult:
    """The best policy of up to three trainings, the first that passes every trial. Raises `StageFailedError`."""
    cart = work.identified_cart
    ranges = ranges_of(cart, work.figures(StageName.IDENTIFY)["estimates"])
    driver = _driver(cart)
    tried: list[Trained] = []
    for number, (seed, draws) in enumerate(_ATTEMPTS, 1):
        if draws and ranges is None:
            continue
        folder = work.path(StageName.TRAIN) / str(number)
        _trained(cart, folder, work.seed + seed, ranges if draws else None)
        tried.append(_tried(cart, folder, ranges, driver))
        if tried[-1].is_good:
            break
        work.say(f"training {number}: {_text(tried[-1])}")
    best = max(tried, key=lambda each: each.rank)
    if best.rehearsed_s < MINUTE_S and not best.survived:
        raise StageFailedError(
            f"no policy of {len(tried)} trainings balances the identified cart: {_text(best)}",
            "train with another preset or more steps (cartpole-robot train), or use the regulator (lqr)",
            {"trainings": [_text(each) for each in tried]},
        )
    return StageResult(
        name=StageName.TRAIN,
        line=f"{PRESET}, training {len(tried)}: {_text(best)}",
        figures={
            "policy": str(best.folder.relative_to(work.folder.path)),
            "trainings": len(tried),
            "carts_survived": best.survived,
            "carts": _CARTS,
            "rehearsed_s": best.rehearsed_s,
            "ranges": None if ranges is None else ranges.as_dict(),
        },
        notes=() if best.is_good else (f"the policy did not pass every trial: {_text(best)}",),
    )


def _driver(cart: CartParams) -> SwingUpController:
    try:
        return swing_up_driver(cart)
    except UsageError as error:
        raise StageFailedError(str(error), "") from None


def _trained(cart: CartParams, folder: Path, seed: int, randomization: Randomization | None) -> None:
    """The finished run folder, trained or resumed. Raises KeyboardInterrupt where a signal stopped it."""
    if (folder / SUMMARY_FILE).exists():
        return
    if folder.exists():
        outcome = resume_training(folder)
    else:
        choice = rig_engine("sim", cart, None, randomization)
        outcome = start_training(
            TrainingJob(
                # Without an extension: the stage has trials of its own, and other trainings to try.
                config=dataclasses.replace(load_preset(PRESET), extension_steps=0),
                cart=cart,
                rig="sim",
                engine=choice.engine,
                engine_note=choice.note,
                seed=seed,
                folder=folder,
                tensorboard=False,
                randomization=randomization,
            )
        )
    if outcome.summary is None:
        raise KeyboardInterrupt


def _tried(cart: CartParams, folder: Path, ranges: Randomization | None, driver: SwingUpController) -> Trained:
    controller = policy_controller(load_policy(folder / "policy.npz"), Backend.C)
    env = balancing_env(cart, "sim", _STEPS, ranges, engine=rig_engine("sim", cart, None, ranges).engine)
    with contextlib.closing(env):
        found = evaluate(
            load_policy(folder / "policy.npz").action_function(Backend.C),
            env,
            episodes=_CARTS,
            first_seed=VERDICT_SEED,
            max_steps=_STEPS,
        )
    survived = sum(steps >= _STEPS for steps in found.steps)
    rehearsed_s, reason = rehearsed(cart, controller, driver)
    return Trained(folder=folder, survived=survived, rehearsed_s=rehearsed_s, reason=reason)


def rehearsed(cart: CartParams, controller: Controller, driver: SwingUpController) -> tuple[float, str | None]:
    """How long `controller` balances the simulated cart behind its firmware, a minute at most, and what ended it."""
    steps = round(MINUTE_S / cart.timing.control_period_s)
    driver.reset()
    try:
        with contextlib.closing(VirtualRig(_easily_homing(cart))) as rig:
            rig.takes_any_pole_period = True
            swung = SwingStart(rig, driver)
            first = swung.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
            done = run_rollout(swung, SinglePilot(controller), first, max_steps=steps)
    except RigError as error:
        return 0.0, str(error)
    reason = done.reason if done.end is not RolloutEnd.FALL else "it fell"
    return done.steps * cart.timing.control_period_s, reason


def _easily_homing(cart: CartParams) -> CartParams:
    """`cart` with the most homing duty that a firmware allows: whether it homes is for the cart itself to show."""
    _, firmware = encoders_and_settings(cart)
    return dataclasses.replace(cart, firmware=dataclasses.replace(firmware, homing_duty=HOMING_DUTY_MOST))


def _text(trained: Trained) -> str:
    minute = "a whole minute" if trained.rehearsed_s >= MINUTE_S else f"{trained.rehearsed_s:.1f} s ({trained.reason})"
    return f"balances {trained.survived} of {_CARTS} carts within the intervals, and {minute} behind the firmware"
