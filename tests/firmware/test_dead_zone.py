"""The dead zone that the firmware adds to commands, through the whole firmware on the virtual rig."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization, Range
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.open_loop.series import series_of
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.rigs.cfg_message import cfg_message
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.rollout.native_episodes import episodes_in_c
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine, is_installed
from cartpole_robot.vector_env import CartPoleVectorEnv
from firmware_bridge._host import PULSE_PERIOD
from tests.virtual_cart_process import quick_cart

ONE = 32767
DUTIES = (0.2, -0.2, 0.0, -0.05, 0.05, 1.0, -1.0)


def compensating(asymmetry: float) -> CartParams:
    cart = quick_cart()
    assert cart.firmware is not None
    return dataclasses.replace(
        cart,
        motor=dataclasses.replace(cart.motor, dead_zone_duty=0.1, dead_zone_asymmetry_duty=asymmetry),
        firmware=dataclasses.replace(cart.firmware, compensates_dead_zone=True, moving_duty=0.45),
        action_duties=(-0.5, 0.5),
    )


@pytest.mark.parametrize(("asymmetry", "left", "right"), [(0.0, 0.1, 0.1), (0.05, 0.05, 0.15), (-0.1, 0.2, 0.0)])
def test_each_side_is_compensated_by_its_own_dead_zone(asymmetry: float, left: float, right: float) -> None:
    cart = compensating(asymmetry)
    limits = cfg_message(cart)
    assert (limits.dead_zone_left_q15, limits.dead_zone_right_q15) == (round(left * ONE), round(right * ONE))
    with contextlib.closing(open_rig("virtual", cart)) as rig:
        start_rollout(rig, 3)
        rig.step(DUTIES[0])
        found = [rig.step(duty).applied_duty for duty in (*DUTIES[1:], 0.0)]
    for duty, applied in zip(DUTIES, found, strict=True):
        zone = left if duty < 0.0 else right
        expected = 0.0 if duty == 0.0 else (zone + (1.0 - zone) * abs(duty)) * (1.0 if duty > 0.0 else -1.0)
        assert applied == pytest.approx(expected, abs=2.0 / ONE), duty


def test_recording_is_read_with_the_compensation_of_each_side(tmp_path: Path) -> None:
    cart, out = compensating(0.05), tmp_path / "run.parquet"
    write_cart(tmp_path / "cart.toml", cart)
    record_rollout(
        RolloutRequest(
            policy=Path("lqr"),
            cart=str(tmp_path / "cart.toml"),
            rig="virtual",
            backend="c",
            seed=0,
            duration_s=2.0,
            out=out,
        )
    )
    recording = read_recording(out)
    duty = series_of(recording).duty[:-2]  # each takes effect a period after its tick, and shows one later
    applied = recording.column("applied_duty").astype(float)[2:]
    assert min(duty.min(), -duty.max()) < -0.2
    np.testing.assert_allclose(duty, applied, atol=1.0 / PULSE_PERIOD)


@pytest.mark.parametrize("engine", [engine for engine in Engine if is_installed(engine)])
def test_simulation_compensates_as_the_firmware_does(engine: Engine) -> None:
    cart = compensating(0.05)
    cart = dataclasses.replace(cart, motor=dataclasses.replace(cart.motor, gain_asymmetry=-0.12, saturation=0.1))
    ranges = Randomization(cart, {"motor.dead_zone_duty": Range(low=0.6, high=0.6, is_factor=True)}, where="here")
    duties = np.random.default_rng(1).uniform(-0.5, 0.5, 20)
    for randomization in (None, ranges):
        paths, applied = [], []
        for name in ("virtual", "sim"):
            rig = open_rig(name, cart, randomization, engine=engine if name == "sim" else None)
            with contextlib.closing(rig):
                rig.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
                found = [dataclasses.replace(rig.step(duty)) for duty in duties]
            paths.append([(one.cart_counts, one.pole_counts) for one in found])
            applied.append([one.applied_duty for one in found])
        np.testing.assert_allclose(applied[0], applied[1], atol=1.0 / PULSE_PERIOD)
        np.testing.assert_allclose(paths[0], paths[1], atol=2)
        assert np.ptp(paths[0], axis=0).min() > 10


def test_many_carts_and_episodes_in_c_move_as_one_cart_does() -> None:
    cart = compensating(0.05)
    vector = CartPoleVectorEnv(1, cart=cart)
    single = CartPoleEnv(cart=cart, rig="sim", engine="native")
    with contextlib.closing(vector), contextlib.closing(single):
        vector.reset(seed=3)
        single.reset(seed=3)
        for action in (1, 0, 1, 1, 0):
            many, one = vector.step(np.array([action]))[0], single.step(action)[0]
            np.testing.assert_array_equal(many[0], one)
        assert episodes_in_c(regulator_of(cart).duty, single, take_step=single.step_duty) is None


def test_regulator_leaves_the_dead_zone_to_a_firmware_that_compensates() -> None:
    cart = compensating(0.05)
    assert regulator_of(cart).duty(np.array([0.0, 0.0, 1e-6, 0.0])) == pytest.approx(0.0, abs=1e-3)
    plain = dataclasses.replace(cart, firmware=quick_cart().firmware)
    assert regulator_of(plain).duty(np.array([0.0, 0.0, 1e-6, 0.0])) == pytest.approx(0.15, abs=1e-3)


def test_cart_without_compensation_gets_the_duty_as_it_is() -> None:
    cart = dataclasses.replace(compensating(0.05), firmware=quick_cart().firmware)
    assert (cfg_message(cart).dead_zone_left_q15, cfg_message(cart).dead_zone_right_q15) == (0, 0)
