from __future__ import annotations

import math

import pytest

from benchmarks.against_regulator import absolute_text, beats, known, ratio_text, ratios

REGULATOR = {
    "rms_position_m": 0.01,
    "rms_angle_rad": 0.005,
    "mean_power_w": 2.0,
    "reversals_per_step": 0.5,
    "reversals_per_s": 25.0,
}
BETTER = {name: 0.5 * value for name, value in REGULATOR.items()} | {"survived": 100, "episodes": 100}
OF_STEPPER = {"mean_power_w": math.nan}


def test_the_unknown_power_of_a_stepper_counts_neither_for_nor_against_it() -> None:
    found = ratios(BETTER | OF_STEPPER, REGULATOR | OF_STEPPER)
    assert known(found) == pytest.approx([0.5, 0.5, 0.5])
    assert ratio_text(found).split() == ["0.50", "0.50", "-", "0.50"]
    assert "nan" not in absolute_text(REGULATOR | OF_STEPPER)
    assert beats(BETTER | OF_STEPPER, REGULATOR | OF_STEPPER)
    assert not beats(BETTER | OF_STEPPER | {"rms_angle_rad": 0.006}, REGULATOR | OF_STEPPER)


def test_a_policy_whose_power_a_fault_hides_is_worse_than_a_regulator_with_a_known_one() -> None:
    assert ratios(BETTER | OF_STEPPER, REGULATOR)[2] == math.inf
    assert not beats(BETTER | OF_STEPPER, REGULATOR)
