"""How a controller compares with the regulator of its cart on the same rig and starts, as plain records."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.controllers import Controller, choose_controller
from cartpole_robot.rigs.engine_choice import rig_engine
from cartpole_robot.rollout.evaluation import VERDICT_SEED, Evaluation, evaluate_controller
from cartpole_robot.training.precision import FIGURES

Figures = dict[str, Any]  # numbers by name, and the rig's faults
NAMES = ("RMS position", "RMS angle", "motor power", "reversals")
UNITS = (("mm", 1000.0), ("mrad", 1000.0), ("W", 1.0), ("/s", 1.0))
SHOWN = ("rms_position_m", "rms_angle_rad", "mean_power_w", "reversals_per_s")


@functools.cache
def engine_of(rig: str, cart: CartParams) -> str | None:
    """The engine of that rig for `cart`, None where a rig has no choice; once in a process."""
    return rig_engine(rig, cart).engine


def judged(
    controller: Controller,
    cart: CartParams,
    rig: str,
    *,
    episodes: int = 100,
    first_seed: int = VERDICT_SEED,
    max_steps: int = MAX_EPISODE_STEPS,
) -> Figures:
    """The figures of a controller over those starts; `figures_of` says which."""
    with closing(CartPoleEnv(rig, cart, engine=engine_of(rig, cart))) as env:
        found = evaluate_controller(controller, env, episodes=episodes, first_seed=first_seed, max_steps=max_steps)
        return figures_of(found)


def figures_of(found: Evaluation) -> Figures:
    """The figures that are compared and shown, the episodes, how many survived, and the rig's faults."""
    names = {*FIGURES, *SHOWN}
    figures: Figures = {name: float(getattr(found, name)) for name in sorted(names)}
    survived = sum(steps >= found.max_steps for steps in found.steps)
    return {**figures, "episodes": len(found.steps), "survived": survived, "faults": [*found.faults]}


def ratios(found: Mapping[str, Any], reference: Mapping[str, Any]) -> tuple[float, ...]:
    """`FIGURES` of `found` divided by those of `reference`.

    Infinite where only the latter is 0, and where a rig's fault leaves the power unknown; 1 where both are 0. NaN
    where the regulator's is unknown, as the power of a stepper is.
    """
    return tuple(_ratio(found[name], reference[name]) for name in FIGURES)


def _ratio(found: float, reference: float) -> float:
    if math.isnan(reference):
        return math.nan
    if math.isnan(found):
        return math.inf
    if reference:
        return found / reference
    return math.inf if found else 1.0


def known(values: Sequence[float]) -> list[float]:
    """Those ratios that are numbers."""
    return [value for value in values if not math.isnan(value)]


def beats(found: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    """Whether it survives every episode, and every known ratio is below 1."""
    return found["survived"] == found["episodes"] and max(known(ratios(found, reference))) < 1.0


def ratio_text(values: Sequence[float]) -> str:
    """The four ratios in two decimals, "-" for an unknown one."""
    return "".join(f"{_number(value, '.2f'):>14}" for value in values)


def absolute_text(figures: Mapping[str, Any]) -> str:
    """The four figures in the units of `UNITS`, "-" for an unknown one."""
    values = zip(SHOWN, UNITS, strict=True)
    return "".join(f"{_number(figures[name] * factor, '.3g', f' {unit}'):>14}" for name, (unit, factor) in values)


def _number(value: float, form: str, unit: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{form}}{unit}"


def policies_in(folder: Path) -> list[Path]:
    """The policies in a folder: its .npz files and the policy.npz of each folder in it. Raises `UsageError`."""
    found = sorted([*folder.glob("*.npz"), *folder.glob("*/policy.npz")])
    if not found:
        raise UsageError(f"{folder}: holds no policy.npz; expected a folder that --policies of precise_seeds filled")
    return found


def policy_on(path: Path, cart: CartParams) -> tuple[Controller, CartParams, str]:
    """A policy's controller, `cart` with the action table it uses, and its hash.

    Raises `UsageError` for one that was trained on other parameters.
    """
    chosen = choose_controller(path, cart, "c")
    if chosen.note is not None:
        raise UsageError(f"{path}: {chosen.note}; choose another policy, or another cart")
    return chosen.controller, chosen.cart, str(chosen.record["policy_hash"])
