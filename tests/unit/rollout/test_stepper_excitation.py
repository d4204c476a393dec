"""The motion that reveals a stepper's cart: from rest to rest, within its speed, acceleration and track."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.hanging import HangingRequest, excite_hanging
from cartpole_robot.rollout.stepper_excitation import StepperExcitation
from cartpole_robot.simulation.engine import Engine


@pytest.fixture(scope="module")
def cart() -> CartParams:
    return load_cart("diy_stepper")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("latency_s", [0.0, 0.03])
def test_moves_stay_within_track_speed_and_acceleration_and_rest(
    seed: int, latency_s: float, cart: CartParams, tmp_path: Path
) -> None:
    plant = dataclasses.replace(cart, delay=dataclasses.replace(cart.delay, latency_s=latency_s))
    rig = VirtualRig(cart, plant=plant)
    try:
        found = excite_hanging(rig, HangingRequest(out=tmp_path / "a", rig="virtual", seed=seed))
    finally:
        rig.close()
    rows = found.recording.rows[:600]
    assert np.abs(rows["cart_position_m"]).max() < 0.26  # 0.6 of 0.4 m, and what a late command adds
    assert np.abs(rows["cart_speed_m_s"]).max() < 0.9  # of 1 m/s
    assert np.nanmax(np.abs(rows["requested_duty"])) <= 0.96
    assert np.ptp(rows["cart_position_m"]) > 0.2
    assert np.mean(np.abs(rows["cart_speed_m_s"]) < 0.02) > 0.1  # rests
    assert 0.7 < found.largest_swing_rad < 2.3
    assert found.pieces == 1


def test_same_seed_does_the_same_in_pieces_too(cart: CartParams, tmp_path: Path) -> None:
    duties = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        rig = simulated_rig(cart, engine=Engine.NATIVE)
        request = HangingRequest(out=tmp_path / name, rig="sim", seed=seed, motion_s=3.0)
        duties.append(excite_hanging(rig, request).recording.column("requested_duty"))
        rig.close()
    assert np.array_equal(duties[0], duties[1], equal_nan=True)
    assert not np.array_equal(duties[0], duties[2], equal_nan=True)
    assert cart.firmware is not None
    brief = dataclasses.replace(cart, firmware=dataclasses.replace(cart.firmware, swing_timeout_s=4.0))
    rig = VirtualRig(brief)
    try:
        found = excite_hanging(rig, HangingRequest(out=tmp_path / "d", rig="virtual", motion_s=7.0, swing_s=1.0))
    finally:
        rig.close()
    assert found.pieces == 3
    assert found.driven_s == pytest.approx(7.0)


def test_motor_without_steps_has_another_excitation() -> None:
    with pytest.raises(ValueError, match="cart 'diy_arduino' has no stepper"):
        StepperExcitation(load_cart("diy_arduino"), 0)
