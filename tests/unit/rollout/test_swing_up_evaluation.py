from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from cartpole_robot import swing_up_task
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.policy.swing_up_design import swing_up_of
from cartpole_robot.rigs.native_rig import NativeSimRig
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.drive_limits import DriveLimits
from cartpole_robot.rollout.swing_up_evaluation import evaluate_swing_up
from cartpole_robot.rollout.unattended import NO_LIMITS, UnattendedRun
from cartpole_robot.signals import Measurement, State

CART = load_cart("diy_arduino")


class Constant:
    """A controller of one duty."""

    def __init__(self, duty: float) -> None:
        self.duty = lambda observation: duty

    def reset(self) -> None:
        """Nothing to forget."""


def judged(duty: float, rig: Any = None) -> Any:
    return evaluate_swing_up(
        Constant(duty), rig or NativeSimRig(CART), episodes=3, first_seed=5, hold_steps=50, up_steps=100
    )


def test_cart_that_rests_never_gets_the_pole_up() -> None:
    found = judged(0.0)
    assert [(one.end, one.up_step, one.held_steps) for one in found.episodes] == [("not up", None, 0)] * 3
    assert found.successes == 0
    assert math.isnan(found.up_s[0])
    assert found.as_dict()["ends"] == {"not up": 3}
    assert found.as_dict()["median_up_s"] is None


def test_cart_at_full_speed_is_stopped_before_the_limit_as_its_firmware_would() -> None:
    found = judged(1.0)
    assert {one.end for one in found.episodes} == {"TRAVEL_LIMIT"}
    assert 0.33 < found.largest_position_m < 0.40
    assert found.faults == ()


def test_rig_fault_does_not_count_as_a_fall() -> None:
    class Failing(NativeSimRig):
        def step(self, duty: float) -> Measurement:
            raise RigError("the wire is cut")

    found = judged(0.0, Failing(CART))
    assert found.faults[0] == "episode 0: the wire is cut"
    assert found.as_dict()["ends"] == {"fault": 3}


def test_third_equal_fault_in_a_row_stops_the_evaluation_and_says_why() -> None:
    with contextlib.closing(VirtualRig(CART)) as rig:
        rig.virtual_cart.is_estop_pressed = True
        found = evaluate_swing_up(
            Constant(0.0), rig, episodes=10, first_seed=5, hold_steps=50, unattended=UnattendedRun(rig, NO_LIMITS)
        )
    assert found.as_dict()["ends"] == {"fault": 3}
    assert found.as_dict()["stopped"] == found.stopped
    assert "3 equal faults in a row" in str(found.stopped)
    assert "ESTOP" in str(found.stopped)
    assert found.text() == "0 of 3 swung up and held for 1 s, 3 fault; never up"


class SwingsUpThenRests:
    """The swing-up controller, until the pole has been upright for 30 steps; from then on the motor gets nothing."""

    def __init__(self) -> None:
        self._driver = swing_up_of(CART)
        self.reset()

    def reset(self) -> None:
        self._driver.reset()
        self._upright = 0

    def duty(self, observation: Any) -> float:
        duty = self._driver.duty(observation)
        self._upright += abs(math.remainder(observation[2], 2.0 * math.pi)) < 0.2
        return duty if self._upright < 30 else 0.0


def test_behind_a_firmware_each_episode_begins_hanging_and_a_fall_is_the_firmwares_to_see() -> None:
    with contextlib.closing(VirtualRig(CART)) as rig:
        found = evaluate_swing_up(SwingsUpThenRests(), rig, episodes=2, first_seed=5, hold_steps=500)
        assert rig.fault == "POLE_ANGLE"
        begun = rig.begin_hanging(State(0.1, 0.0, math.pi - 0.5, 0.0), np.random.default_rng(0))
        assert begun.cart_position_m == pytest.approx(0.1, abs=0.02)
        assert abs(math.remainder(begun.pole_angle_rad, 2.0 * math.pi)) > 0.5 * math.pi
    assert [one.end for one in found.episodes] == ["fell", "fell"]
    assert all(one.up_step is not None and one.up_step > 20 for one in found.episodes)
    assert all(one.held_steps >= 25 for one in found.episodes)
    assert found.faults == ()


def test_pole_that_stands_is_not_taken_for_one_that_hangs() -> None:
    with contextlib.closing(VirtualRig(CART)) as rig:
        rig.make_ready_to_swing()
        rig.virtual_cart.grab(State(0.0, 0.0, 0.0, 0.0))
        while not rig.virtual_cart.has_hand_arrived():
            rig.watch()
        rig.place = lambda start: None  # type: ignore[method-assign]
        with pytest.raises(RigError, match="did not come to rest with its pole below the horizontal"):
            rig.begin_hanging(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))


def test_rig_that_cannot_begin_hanging_is_refused() -> None:
    class Upright:
        cart = CART

    with pytest.raises(UsageError, match="cannot begin a swing-up"):
        judged(0.0, Upright())


def progress(angles: list[float]) -> tuple[swing_up_task.SwingUp, list[bool]]:
    swing_up = swing_up_task.SwingUp(CART)
    return swing_up, [swing_up.observe(Measurement(pole_angle_rad=angle)) for angle in angles]


def test_pole_that_passes_through_is_not_up_and_half_a_second_is() -> None:
    passing, ended = progress([math.pi] * 5 + [0.1] * 24 + [0.5] + [2.0 * math.pi] * 24)
    assert passing.up_step is None
    assert not any(ended)
    assert progress([math.pi] * 5 + [0.1] * 25)[0].up_step == 5


def test_pole_that_was_up_has_fallen_past_the_firmwares_limit() -> None:
    _, ended = progress([0.0] * 25 + [0.349, 0.351])
    assert ended == [False] * 26 + [True]


def limits_of(**firmware: Any) -> DriveLimits:
    assert CART.firmware is not None
    return DriveLimits(dataclasses.replace(CART, firmware=dataclasses.replace(CART.firmware, **firmware)))


def test_motor_is_hot_after_eight_seconds_at_four_fifths_and_never_at_half() -> None:
    """The heat follows duty² with 16.4 s, and 0.5 may last: 0.64 (1 - exp(-t / 16.4 s)) passes 0.25 after 8.1 s."""
    hot, warm = DriveLimits(CART), DriveLimits(CART)
    ends = [hot.passed(0.01 * (step % 2), 0.0, math.pi - 0.1 * step, 0.8) for step in range(500)]
    assert 400 <= ends.index("MOTOR_HOT") <= 412
    assert not any(warm.passed(0.01 * (step % 2), 0.0, math.pi - 0.1 * step, 0.499) for step in range(5000))


def test_cart_that_is_pushed_and_does_not_move_is_stuck_after_a_tenth_of_a_second_and_a_fifth_while_swinging() -> None:
    limits = DriveLimits(CART)
    assert [limits.passed(0.0, 0.0, math.pi, -0.2) for _ in range(10)] == [None] * 9 + ["CART_STUCK"]
    limits.begin(0.0)
    assert not any(limits.passed(0.0, 0.0, 0.0, 0.0) for _ in range(50))
    assert [limits.passed(0.0, 0.0, 0.0, -0.2) for _ in range(5)] == [None] * 4 + ["CART_STUCK"]
    limits.begin(0.0)
    assert not any(limits.passed(0.0, 0.0, 0.0, 0.0) for _ in range(50))
    both_ways = [limits.passed(0.0, 0.0, 0.008 * (step > 0), 0.2 * (-1) ** step) for step in range(15)]
    assert both_ways == [None] * 14 + ["CART_STUCK"], "the pole has moved three counts"
    limits.begin(0.0)
    assert not any(limits.passed(0.0, 0.0, 0.1, 0.0) for _ in range(50))
    both_ways = [limits.passed(0.0, 0.0, 0.1 + 0.006 * (step > 0), 0.2 * (-1) ** step) for step in range(100)]
    assert both_ways == [None] * 99 + ["CART_STUCK"], "the pole stands still too"
    limits.begin(0.0)
    assert not any(limits.passed(0.0, 0.0, math.pi, 0.1) for _ in range(50)), "too weak a push to expect motion"
    limits.begin(0.0)
    assert [limits.passed(0.0, 0.0, math.pi, -0.3) for _ in range(5)] == [None] * 4 + ["CART_STUCK"], "a strong push"


def test_pole_that_stands_while_the_cart_travels_looks_like_a_cut_wire() -> None:
    """4 cm once it has been upright for half a second, 16 cm before; an encoder that flickers by a count stands."""
    limits = DriveLimits(CART)
    away = [limits.passed(0.0101 * step, 0.0, 3.0 + 0.002 * (step % 2), 0.0) for step in range(30)]
    assert away.index("POLE_STILL") == 16
    limits.begin(0.0)
    assert not any(limits.passed(0.0, 0.0, 0.1, 0.0) for _ in range(50))
    assert [limits.passed(0.0101 * step, 0.0, 0.1, 0.0) for step in range(5)] == [None] * 4 + ["POLE_STILL"]
    limits.begin(0.0)
    assert not any(limits.passed(0.0101 * step, 0.0, 0.1 + 0.006 * (step % 2), 0.0) for step in range(30))


def test_reversals_are_counted_within_a_second() -> None:
    often, seldom = limits_of(reversals_per_s=20), limits_of(reversals_per_s=60)
    pushes = [0.3 * (-1) ** step for step in range(50)]
    assert [often.passed(0.01 * (step % 2), 0.0, math.pi - 0.1 * step, duty) for step, duty in enumerate(pushes)][
        -1
    ] == "REVERSALS"
    assert not any(
        seldom.passed(0.01 * (step % 2), 0.0, math.pi - 0.1 * step, duty) for step, duty in enumerate(pushes)
    )


def test_cart_without_firmware_has_no_such_limits(gym_cart: Any) -> None:
    limits = DriveLimits(gym_cart)
    assert not any(limits.passed(9.0, 9.0, 0.0, 1.0) for _ in range(1000))
