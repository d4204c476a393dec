"""One interval from several recordings."""

from __future__ import annotations

import numpy as np
import pytest

from cartpole_robot.identify.across import combined


def test_recordings_that_agree_have_the_interval_of_their_mean() -> None:
    found = combined(np.array([10.0, 10.1, 9.95]), np.array([0.2, 0.2, 0.2]), 60)
    assert found.tau == 0.0
    assert found.p > 0.5
    assert found.mean == pytest.approx(10.017, abs=1e-3)
    assert found.high - found.low == pytest.approx(2 * 2.0 * 0.2 / 3**0.5, rel=0.01)


def test_recordings_that_disagree_widen_the_interval_to_their_spread() -> None:
    values = np.array([2.0, 2.7, 2.9, 3.4])
    found = combined(values, np.full(4, 0.05), 60)
    assert found.p < 1e-6
    assert found.tau == pytest.approx(float(np.std(values, ddof=1)), rel=0.02)
    assert found.low < 2.0
    assert found.high > 3.4


def test_exact_values_and_one_that_says_little_are_combined() -> None:
    assert combined(np.array([1.0, 1.0]), np.zeros(2), 10).mean == 1.0
    found = combined(np.array([5.0, 80.0]), np.array([0.1, 100.0]), 20)
    assert found.mean == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize(("count", "spread"), [(3, 0.0), (3, 3.0), (10, 0.5), (10, 3.0)])
def test_interval_holds_the_mean_of_all_recordings(count: int, spread: float) -> None:
    """`spread` is in units of the recordings' own errors, which differ by a factor of four."""
    rng = np.random.default_rng(count)
    held = 0
    for _ in range(400):
        errors = rng.uniform(0.5, 2.0, count)
        found = combined(spread * rng.standard_normal(count) + errors * rng.standard_normal(count), errors, 30)
        held += found.low <= 0.0 <= found.high
    assert held >= 0.9 * 400
