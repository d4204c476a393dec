from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from benchmarks.front import dominates, front_of, second_at


def test_front_is_every_point_that_no_other_dominates_by_the_first_figure() -> None:
    points = [tuple(row) for row in np.random.default_rng(3).integers(0, 12, (80, 2)).tolist()]
    expected = {point for point in points if not any(dominates(other, point) for other in points)}
    front = [points[index] for index in front_of(points)]
    assert front == sorted(expected)
    assert 1 < len(front) < len(points)


def test_equal_points_are_on_a_front_once() -> None:
    assert front_of([(2.0, 1.0), (1.0, 2.0), (2.0, 1.0), (1.0, 2.0)]) == [1, 0]


def test_front_lies_between_designs_on_a_line_of_the_logarithms() -> None:
    front = [(1.0, 8.0), (4.0, 2.0), (8.0, 1.0)]
    assert second_at(2.0, front) == pytest.approx(4.0)
    assert [second_at(x, front) for x, _ in front] == pytest.approx([y for _, y in front])
    assert second_at(100.0, front) == 1.0
    assert second_at(0.99, front) == math.inf
    values = [second_at(x, front) for x in np.linspace(1.0, 9.0, 50)]
    assert all(one >= other for one, other in itertools.pairwise(values))
