"""The rig sim takes the same carts for stuck as the firmware, at the same control step."""

from __future__ import annotations

import math
import random
from collections import Counter

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.rollout.drive_limits import DriveLimits
from tests.firmware.c_core import FAULT, STATE, Core

CART = load_cart("diy_arduino")
STEPS, STEP_MS, MOVING_Q15 = 150, 20, 4915  # 0.15, as in the cart file
UP_STEPS = 50  # with the pole upright: then it no longer swings


def drawn_steps(rng: random.Random) -> list[tuple[int, int, float]]:
    """Counts of the cart, counts of the pole, and the duty in each control step: none where the cart moves.

    There the firmware counts the rest of the step, the rig sim the next one.
    """
    reverses, moves, leaves = rng.choice((0.8, 0.95, 1.0)), rng.choice((0.0, 0.05, 0.2)), rng.choice((0.0, 0.02, 0.1))
    cart_counts, pole_counts, duty = 0, rng.randint(-20, 20), 0.2
    steps = []
    for _ in range(STEPS):
        moved = rng.choice((-2, -1, 1, 2)) if rng.random() < moves else 0
        cart_counts += moved
        pole_counts += rng.choice((-3, -1, 1, 3)) if rng.random() < leaves else 0
        duty = -duty if rng.random() < reverses else duty
        steps.append((cart_counts, pole_counts, 0.0 if moved or rng.random() < 0.05 else duty))
    return steps


def stuck_in_firmware(core: Core, steps: list[tuple[int, int, float]]) -> int:
    """The step in which the firmware ends by CART_STUCK, `STEPS` where it does not."""
    core.to_armed(moving_duty_q15=MOVING_Q15, reversals_per_s=500)
    for number, (core.inputs.cart_counts, core.inputs.pole_counts, duty) in enumerate(steps):
        core.run(STEP_MS, round(duty * 32768))
        if core.state == STATE.FAULT:
            assert core.fault == FAULT.CART_STUCK
            return number
    return STEPS


def stuck_on_sim(steps: list[tuple[int, int, float]]) -> int:
    """The same of the rig sim."""
    assert CART.encoders is not None
    limits = DriveLimits(CART)
    assert not any(limits.passed(0.0, 0.0, 0.0, 0.0) for _ in range(UP_STEPS))
    for number, (cart_counts, pole_counts, duty) in enumerate(steps):
        position_m = 1.000001 * cart_counts / CART.encoders.cart_counts_per_m
        angle_rad = 2.0 * math.pi * pole_counts / CART.encoders.pole_counts_per_turn
        fault = limits.passed(position_m, 0.0, angle_rad, duty)
        assert fault in (None, "CART_STUCK")
        if fault is not None:
            return number
    return STEPS


def test_rig_sim_takes_the_same_carts_for_stuck_as_the_firmware(core: Core) -> None:
    rng, found = random.Random(5), Counter[str]()
    for draw in range(300):
        steps = drawn_steps(rng)
        expected = stuck_in_firmware(core, steps)
        assert stuck_on_sim(steps) == expected, f"draw {draw}"
        found["early" if expected < 20 else "late" if expected < STEPS else "never"] += 1
        core = Core(core.library)
    assert min(found.values()) > 20, found
    assert len(found) == 3
