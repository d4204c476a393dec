from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cartpole_robot import swing_up_task as task
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.signals import Measurement, wrap_angle_rad


def seen(x: float = 0.0, angle: float = 0.0, rate: float = 0.0) -> Measurement:
    return Measurement(cart_position_m=x, cart_speed_m_s=0.5, pole_angle_rad=angle, pole_speed_rad_s=rate)


def test_observation_is_the_same_after_a_whole_turn() -> None:
    found = task.observation(seen(0.1, 2.0, 3.0))
    assert found.dtype == np.float32
    assert found == pytest.approx([0.1, 0.5, math.sin(2.0), math.cos(2.0), 3.0])
    assert task.observation(seen(0.1, 2.0 - 4.0 * math.pi, 3.0)) == pytest.approx(found)


@pytest.mark.parametrize("turns", [-2, 0, 1])
def test_upright_is_within_the_pole_limit_whatever_the_turns(turns: int, gym_cart: CartParams) -> None:
    """As literals, moving a limit takes two edits: 0.35 rad of the firmware, else 12 degrees as in CartPole-v1."""
    for cart, limit_rad in ((load_cart("diy_arduino"), 0.35), (gym_cart, math.radians(12.0))):
        for side in (-1.0, 1.0):
            at = 2.0 * math.pi * turns + side * limit_rad
            assert task.is_upright(at - side * 1e-6, cart)
            assert not task.is_upright(at + side * 1e-6, cart)
        assert not task.is_upright(math.pi, cart)


def test_only_the_cart_ends_an_episode() -> None:
    limits = load_cart("diy_arduino").limits
    assert not task.is_terminated(seen(0.40, math.pi, 30.0), limits)
    assert task.is_terminated(seen(np.nextafter(0.40, 1.0)), limits)
    assert task.is_terminated(seen(-np.nextafter(0.40, 1.0)), limits)


def test_reward_is_dm_controls_on_a_cart_of_its_size(gym_cart: CartParams) -> None:
    """Its pole is 1 m long, its margins are 2 m and 5 rad/s; written out here from its formula."""
    cart = dataclasses.replace(gym_cart, limits=dataclasses.replace(gym_cart.limits, cart_position_m=2.0))
    rng = np.random.default_rng(0)
    for x, angle, rate, duty in rng.uniform([-2.0, -4.0, -8.0, -1.0], [2.0, 4.0, 8.0, 1.0], (50, 4)).tolist():
        nearness_x, nearness_rate = 10.0 ** -((x / 2.0) ** 2), 10.0 ** -((rate / 5.0) ** 2)
        expected = (1 + math.cos(angle)) / 2 * (1 + nearness_x) / 2 * (4 + 1 - duty**2) / 5 * (1 + nearness_rate) / 2
        assert task.reward(seen(x, angle, rate), duty, cart) == pytest.approx(expected, abs=0.005)


def test_reward_is_between_nothing_and_one_and_best_at_rest_upright(gym_cart: CartParams) -> None:
    assert task.reward(Measurement(), 0.0, gym_cart) == 1.0
    assert task.reward(seen(angle=math.pi), 0.0, gym_cart) == pytest.approx(0.0)
    assert 0.0 <= task.reward(seen(99.0, 0.1, 99.0), 7.0, gym_cart) <= 0.2


def test_starts_hang_and_half_swing_widely() -> None:
    cart = load_cart("diy_arduino")
    rng = np.random.default_rng(1)
    starts = np.array([task.start_state(cart, rng) for _ in range(2000)])
    assert np.abs(starts[:, 0]).max() <= 0.2
    assert not starts[:, 1].any()
    from_hanging = np.abs([wrap_angle_rad(angle - math.pi) for angle in starts[:, 2]])
    assert from_hanging.max() <= math.pi / 2.0, "a firmware arms a pole below the horizontal"
    hangs = from_hanging <= 0.1
    assert 0.47 < hangs.mean() < 0.6  # a few of the wide ones too
    assert np.abs(starts[~hangs, 3]).max() > 7.0
    assert np.array_equal(task.start_state(cart, np.random.default_rng(1)), starts[0])
