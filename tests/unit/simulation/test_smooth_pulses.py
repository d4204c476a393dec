"""Pulses divided at will, by which a model runs through a recording, against the pulses of the timer."""

from __future__ import annotations

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.simulation._native import StepperDrive

STEPS_PER_M = 20_000.0


def differences(duties: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """The board's count less the smooth place, in steps, and the speed in m/s, after each millisecond from rest."""
    drive = StepperDrive(load_cart("diy_stepper"))
    drive.place(0.0, 0.0)
    drive.trail(0.0, 0.0, 0.0)
    found, speeds = [], []
    for duty in duties:
        _, _, steps = drive.tick(duty, 0.0, 0.0)
        _, _, place_m, speed_m_s = drive.glide(duty, 0.0, 0.0)
        found.append(steps - STEPS_PER_M * place_m)
        speeds.append(speed_m_s)
    return np.array(found), np.array(speeds)


@pytest.mark.parametrize("duty", [-0.8, -0.3, -0.1, 0.1, 0.3, 0.8])
def test_a_count_that_speeds_up_and_brakes_is_half_a_step_from_its_smooth_place(duty: float) -> None:
    """On the mean of phases; the timer rounds its periods, so single counts are a few steps off."""
    means, most = [], []
    for phase in range(20):
        each = duty * (1.0 + 0.005 * phase)
        ticks = int(900.0 / (15.0 * abs(each)))
        found, speeds = differences([each] * ticks + [-each] * ticks)
        fast = np.abs(speeds) > 0.15
        means.append(found[fast].mean())
        most.append(np.abs(found).max())
    assert abs(np.mean(means)) < 0.4
    assert max(most) < 4.0


def test_smooth_places_depend_smoothly_on_the_start_and_end_at_the_largest_speed() -> None:
    drive = StepperDrive(load_cart("diy_stepper"))
    ends = []
    for speed_m_s in (0.3, 0.3001, 0.3002):
        drive.trail(0.0, speed_m_s, 0.0)
        ends.append([drive.glide(0.0, 0.0, 0.0)[2] for _ in range(100)][-1])
    assert np.diff(ends) == pytest.approx([1e-5, 1e-5], rel=0.02)  # 0.1 mm/s for 0.1 s: a fifth of a step
    for _ in range(200):
        *_, speed_m_s = drive.glide(1.0, 0.0, 0.0)
    assert speed_m_s == pytest.approx(1.0)


def test_a_trailing_cart_lags_by_twice_its_settling() -> None:
    drive = StepperDrive(load_cart("diy_stepper"))
    position_m, speed_m_s = drive.trail(0.1, 0.5, 0.0)
    assert (position_m, speed_m_s) == pytest.approx((0.1 - 2.0 * 0.004 * 0.5, 0.5))
    _, speed_m_s = drive.trail(0.1, 0.5, 1.0)
    assert speed_m_s == pytest.approx(0.5 - 2.0 * 0.004 * 15.0, rel=1e-3)


def test_duties_beyond_full_are_refused() -> None:
    drive = StepperDrive(load_cart("diy_stepper"))
    for call in (lambda: drive.trail(0.0, 0.0, 1.1), lambda: drive.glide(-1.1, 0.0, 0.0)):
        with pytest.raises(ValueError, match="a duty outside -1 to 1"):
            call()
