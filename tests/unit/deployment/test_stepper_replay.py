"""A stepper's black box begins at a speed and at a count that the replay has to begin with, too."""

from __future__ import annotations

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.deployment.black_box import SAMPLE, BlackBox
from cartpole_robot.deployment.replay import replay
from cartpole_robot.deployment.stepper_speed import first_speed
from cartpole_robot.errors import UsageError
from firmware_bridge._stepper import Firmware
from firmware_bridge.protocol import read_protocol

CART = load_cart("diy_stepper")  # 20,000 steps a metre, 15 m/s^2, travel limit 0.43 m


def moving_box(duties: tuple[float, ...], *, at_steps: float, speed: float, since_armed_ms: int = 12_345) -> BlackBox:
    """A box of 20 ms for each duty; `speed` is that before it, in steps a second."""
    flag = read_protocol().enums["trace_flag"]
    samples = np.zeros(20 * len(duties), SAMPLE)
    samples["time_ms"] = np.arange(len(samples))
    samples["supply_mv"] = 24_000
    for k, row in enumerate(samples):
        row["duty_q15"] = round(32767 * duties[k // 20])
        row["flags"] = flag["CONTROL_TICK"] * (k % 20 == 0) | flag["COMMAND"] * (k % 20 == 10)
        row["pole_counts"] = 3 * (k // 20 % 2)
        row["cart_counts"] = round(at_steps)
        at_steps += 1e-3 * speed
        speed += 300.0 * duties[k // 20]  # 15 m/s^2 for a millisecond
    return BlackBox(
        samples=samples,
        cart=CART,
        fault="TRAVEL_LIMIT",
        message="",
        warmth=0,
        options=0,
        since_armed_ms=since_armed_ms,
        counts_before=(int(samples["cart_counts"][0]), int(samples["pole_counts"][0])),
        provenance={},
    )


@pytest.mark.parametrize("speed", [-12_000.0, 0.0, 3_000.0])
def test_speed_of_the_first_sample_follows_from_counts_and_duties(speed: float) -> None:
    box = moving_box((0.2, -0.1, 0.05, -0.3, 0.0, 0.1), at_steps=-500.0, speed=speed)
    assert first_speed(box) == pytest.approx(speed, abs=10.0)


def test_box_that_begins_at_speed_ends_with_the_same_fault_in_the_same_millisecond() -> None:
    """At 0.5 m/s it brakes within 8.33 mm, 167 steps, and 4 ms are 40 steps."""
    box = moving_box((0.0,) * 18, at_steps=5_000.0, speed=10_000.0)
    found = replay(box, "virtual")
    assert (found.fault, found.duty_differences) == ("TRAVEL_LIMIT", 0)
    assert found.fault_ms == pytest.approx(0.1 * (8_600 - 207 - 5_000), abs=3)


def test_chip_is_refused_a_box_that_begins_at_speed() -> None:
    box = moving_box((0.0,) * 18, at_steps=5_000.0, speed=10_000.0)
    with pytest.raises(UsageError, match="begins 12345 ms after the stepper was armed"):
        replay(box, "avr")


def test_steps_and_speed_of_the_simulated_board_are_checked() -> None:
    board = Firmware()
    board.steps = -70_000
    assert board.steps == -70_000
    with pytest.raises(OverflowError, match="2147483648 steps"):
        board.steps = 1 << 31
    with pytest.raises(ValueError, match="beyond the largest"):
        board.speed = 1.0
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del board.steps
