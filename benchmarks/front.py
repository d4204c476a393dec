"""Non-dominated points of two figures, both better when smaller, and where a point lies against them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

Point = tuple[float, float]


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is at least as good in both figures, and better in one."""
    return one[0] <= other[0] and one[1] <= other[1] and one != other


def front_of(points: Sequence[Point]) -> list[int]:
    """The indices of the points that no other dominates, by the first figure; of equal points the first."""
    order = sorted(range(len(points)), key=lambda index: (*points[index], index))
    found: list[int] = []
    least = math.inf
    for index in order:
        if points[index][1] < least:
            found.append(index)
            least = points[index][1]
    return found


def second_at(first: float, front: Sequence[Point]) -> float:
    """The second figure of the front at that value of the first.

    `front` is in order of the first figure. Between neighbours both logarithms are interpolated linearly, as if a
    design lay there; beyond the last point it is that point's, and before the first infinite: no design gets there.
    """
    if first < front[0][0]:
        return math.inf
    for (x0, y0), (x1, y1) in itertools.pairwise(front):
        if first <= x1:
            share = math.log(first / x0) / math.log(x1 / x0)
            return math.exp((1.0 - share) * math.log(y0) + share * math.log(y1))
    return front[-1][1]
