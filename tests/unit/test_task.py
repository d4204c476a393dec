from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from cartpole_robot import task
from cartpole_robot.cart.params import CartParams
from cartpole_robot.signals import Measurement, State, wrap_angle_rad


def test_observation_is_ordered_and_float32() -> None:
    found = task.observation(
        Measurement(cart_position_m=1.0, cart_speed_m_s=2.0, pole_angle_rad=3.0, pole_speed_rad_s=4.0)
    )
    assert found.dtype == np.float32
    assert found.tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_episode_ends_past_the_limits_and_not_at_them(gym_cart: CartParams, side: float) -> None:
    angle = 0.20943951023931953  # 12 degrees, as a literal: moving the limit takes two edits
    inside = Measurement(cart_position_m=side * 2.4, pole_angle_rad=side * angle)
    assert not task.is_terminated(inside, gym_cart.limits)
    assert task.is_terminated(Measurement(cart_position_m=side * np.nextafter(2.4, 3.0)), gym_cart.limits)
    assert task.is_terminated(Measurement(pole_angle_rad=side * np.nextafter(angle, 1.0)), gym_cart.limits)


def test_start_is_within_the_spread_and_repeats_by_seed(gym_cart: CartParams) -> None:
    rng = np.random.default_rng(3)
    starts = np.array([task.start_state(gym_cart.start, rng) for _ in range(1000)])
    assert np.abs(starts).max() <= 0.05
    assert np.abs(starts).max(axis=0).min() > 0.049
    assert task.start_state(gym_cart.start, np.random.default_rng(3)) == State(*starts[0])


def test_no_episode_leaves_the_observation_space(env: gymnasium.Env) -> None:
    """The hardest pushes: full drive one way, or the way in which pole or cart already move."""
    pushers = (
        lambda obs: 1,
        lambda obs: 0,
        lambda obs: int(obs[1] > 0),
        lambda obs: int(obs[3] < 0),
        lambda obs: int(obs[2] + 0.2 * obs[3] > 0),
    )
    for seed, pusher in enumerate(pushers * 20):
        observation, _ = env.reset(seed=seed)
        ended = False
        while not ended:
            assert env.observation_space.contains(observation), f"seed {seed}: {observation}"
            observation, _, terminated, truncated, _ = env.step(pusher(observation))
            ended = terminated or truncated
        assert env.observation_space.contains(observation), f"seed {seed}: {observation}"


def test_observation_bounds_are_twice_the_limits_and_none_for_speeds(gym_cart: CartParams) -> None:
    assert task.observation_bound(gym_cart).tolist() == pytest.approx([4.8, np.inf, 2 * 0.20943951, np.inf])


@pytest.mark.parametrize(
    ("angle", "wrapped"),
    [(0.0, 0.0), (np.pi, -np.pi), (-np.pi, -np.pi), (3 * np.pi / 2, -np.pi / 2), (7.0, 7.0 - 2 * np.pi)],
)
def test_angle_wraps_into_one_revolution(angle: float, wrapped: float) -> None:
    assert wrap_angle_rad(angle) == pytest.approx(wrapped)
