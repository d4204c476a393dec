"""One suite over every rig: what the environment and the runtime rely on."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from cartpole_robot import task
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.randomization import Randomization
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.recording.metadata import RolloutEnd
from cartpole_robot.rig import Rig
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rollout.loop import run_rollout, start_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.signals import NO_COUNT, TIME_MASK
from tests.virtual_cart_process import quick_cart

RIGS = ("sim gym", "sim", "virtual", "avr", pytest.param("serial", marks=pytest.mark.realtime))


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "sim gym":
        made = open_rig("sim", load_cart("gym"))
    elif request.param == "serial":
        made = open_rig(f"serial:{request.getfixturevalue('port')}", quick_cart())
    else:
        if request.param == "avr":
            request.getfixturevalue("chip_tools")
        made = open_rig(request.param, quick_cart())
    yield made
    made.close()


def test_first_measurement_is_near_the_start_at_tick_0(rig: Rig) -> None:
    measured = start_rollout(rig, 3)
    cart = rig.cart
    assert measured.tick == 0
    assert abs(measured.pole_angle_rad) <= cart.limits.arming_angle_rad
    assert abs(measured.cart_position_m) < cart.limits.cart_position_m
    assert abs(measured.cart_speed_m_s) < 0.1
    assert measured.applied_duty == 0.0


def test_ticks_and_the_carts_clock_count_control_periods(rig: Rig) -> None:
    first = start_rollout(rig, 3)
    begin_us = first.mcu_time_us
    period_us = rig.cart.timing.control_period_us
    for k in range(1, 6):
        measured = rig.step(0.0)
        assert measured.tick == k
        assert (measured.mcu_time_us - begin_us) & TIME_MASK == pytest.approx(k * period_us, abs=0)


def test_counts_are_the_state_in_the_encoders_units(rig: Rig) -> None:
    start_rollout(rig, 3)
    measured = rig.step(0.1)
    encoders = rig.cart.encoders
    if encoders is None:
        assert measured.cart_counts == NO_COUNT
        return
    assert measured.cart_position_m == pytest.approx(measured.cart_counts / encoders.cart_counts_per_m)
    assert measured.pole_angle_rad == pytest.approx(measured.pole_counts / encoders.pole_counts_per_rad)


def test_duty_works_one_period_later_and_is_reported_then(rig: Rig) -> None:
    start_rollout(rig, 3)
    asked = [0.2, -0.15, 0.1, -0.2]
    applied = [rig.step(duty).applied_duty for duty in asked]
    expected = asked if rig.cart.encoders is None else [0.0, *asked[:-1]]
    assert applied == pytest.approx(expected, abs=1e-4)


def test_duty_beyond_full_drive_is_full_drive(rig: Rig) -> None:
    start_rollout(rig, 3)
    rig.step(7.0)
    assert rig.step(-math.inf).applied_duty == pytest.approx(1.0 if rig.cart.encoders else -1.0)


@pytest.mark.smoke
def test_regulator_balances_and_every_tick_is_there(rig: Rig) -> None:
    first = start_rollout(rig, 5)
    rollout = run_rollout(rig, SinglePilot(regulator_of(rig.cart)), first, max_steps=150)
    assert (rollout.steps, rollout.end, rollout.reason) == (150, RolloutEnd.DURATION, None)


def test_fall_ends_the_episode_and_the_next_one_starts(rig: Rig) -> None:
    env = CartPoleEnv(rig=rig)
    for seed in range(2):
        env.reset(seed=seed)
        action = 0
        steps = 0
        terminated = False
        while not terminated and steps < 100:
            _, reward, terminated, truncated, info = env.step(action)
            steps += 1
        assert (terminated, truncated, reward) == (True, False, 1.0), info
        assert 3 < steps < 60
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(0)


def test_closed_rig_raises_and_closes_twice(rig: Rig) -> None:
    start_rollout(rig, 3)
    rig.close()
    rig.close()
    with pytest.raises(RigError):
        rig.step(0.1)
    with pytest.raises(RigError):
        start_rollout(rig, 3)


def test_simulated_carts_start_exactly_where_they_are_placed_episode_after_episode() -> None:
    cart = quick_cart()
    for name in ("sim", "virtual"):
        rig: Any = open_rig(name, cart)
        for seed in range(4):
            rng = np.random.default_rng(seed)
            start = task.start_state(cart.start, rng)
            measured = rig.reset(start, rng)
            true = rig.true_state()
            assert math.remainder(true.pole_angle_rad - start.pole_angle_rad, 2.0 * math.pi) == pytest.approx(
                0.0, abs=1e-9
            )
            assert (true.cart_position_m, true.pole_speed_rad_s) == (start.cart_position_m, start.pole_speed_rad_s)
            assert measured.pole_angle_rad == pytest.approx(start.pole_angle_rad, abs=0.003)
            for _ in range(150):
                rig.step(0.0 if abs(rig.true_state().cart_position_m) > 0.2 else 0.05)
                if abs(rig.true_state().pole_angle_rad - start.pole_angle_rad) > 0.1:
                    break
        rig.close()


def test_same_seed_same_rollout_on_a_new_rig() -> None:
    """On the simulated rigs, where no operator raises the pole: bit-identical."""
    for name in ("sim", "virtual"):
        runs: list[list[Any]] = []
        for _ in range(2):
            rig = open_rig(name, quick_cart())
            controller = regulator_of(rig.cart)
            measured = start_rollout(rig, 9)
            states = []
            for _ in range(50):
                measured = rig.step(controller.duty(np.array(measured.state())))
                states.append((measured.state(), measured.cart_counts, measured.applied_duty))
            runs.append(states)
            rig.close()
        assert runs[0] == runs[1], name


def test_hidden_cart_is_driven_by_what_is_known_of_another(tmp_path: Path) -> None:
    known = quick_cart()
    stronger = dataclasses.replace(known.motor, stall_force_n=2.0 * known.motor.stall_force_n)
    file = tmp_path / "hidden.toml"
    write_cart(file, dataclasses.replace(known, motor=stronger, action_duties=(-0.1, 0.1)))
    went = []
    for name in ("virtual", f"virtual:{file}"):
        with contextlib.closing(open_rig(name, known)) as rig:
            assert rig.cart == rig.episode_cart == known
            begin_m = start_rollout(rig, 3).cart_position_m
            for _ in range(5):
                measured = rig.step(0.3)
            went.append(measured.cart_position_m - begin_m)
    assert went[1] > 1.5 * went[0] > 0.0
    randomization = Randomization(known, {}, where="here")
    with pytest.raises(UsageError, match="no parameters are drawn here, its cart is the one it names"):
        open_rig(f"virtual:{file}", known, randomization)
