"""Weights of a precise reward that follow the evaluations: what lags behind the regulator costs more, the rest less.

One set of weights does not fit every cart: each has another figure to spare.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.training.config import StepCost, TrainingConfig
from cartpole_robot.training.log import EvaluationRow

_EFFORT_RATE = 0.7  # exponent of effort / precision, by which duty costs more
_REVERSALS_SHARE = 0.9  # reversals count less than power
_SPARED = 0.92  # effort is to be this share of precision: the regulator's power is no aim
_MOST_BALANCE, _MOST_EFFORT = 2.0, 4.0  # how far a weight may be from the preset's, as a factor
_LEAST_RATIO = 0.01


def cost_after(config: TrainingConfig, rows: Iterable[EvaluationRow]) -> StepCost:
    """The weights after the evaluations `rows` of a training: those of `config`, adapted by one row at a time.

    `config.cost` must be given. An evaluation before the share `adapts_from` of the steps, or in which a pole fell,
    changes nothing.
    """
    planned = config.cost
    assert planned is not None
    cost = planned
    if planned.adapts_from is not None:
        first = planned.adapts_from * config.steps
        for row in rows:
            if row.step >= first and row.mean_steps >= MAX_EPISODE_STEPS:
                cost = _adapted(cost, planned, row)
    return cost


def _adapted(cost: StepCost, planned: StepCost, row: EvaluationRow) -> StepCost:
    if row.position_ratio is None or row.angle_ratio is None:
        return cost
    position, angle = max(_LEAST_RATIO, row.position_ratio), max(_LEAST_RATIO, row.angle_ratio)
    changed = dataclasses.replace(
        cost,
        position=_within(cost.position * position / angle, planned.position, _MOST_BALANCE),
        angle=_within(cost.angle * angle / position, planned.angle, _MOST_BALANCE),
    )
    efforts = []
    if row.power_ratio is not None:
        efforts.append(row.power_ratio)
    if row.reversals_ratio is not None:
        efforts.append(_REVERSALS_SHARE * row.reversals_ratio)
    if not efforts:
        return changed
    effort = max(_LEAST_RATIO, *efforts) / (_SPARED * math.sqrt(position * angle))
    return dataclasses.replace(changed, duty=_within(cost.duty * effort**_EFFORT_RATE, planned.duty, _MOST_EFFORT))


def _within(weight: float, planned: float, factor: float) -> float:
    return min(factor * planned, max(planned / factor, weight))
