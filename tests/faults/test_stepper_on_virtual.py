"""A stepper's cart at work on the virtual rig: every way out of driving, and what goes wrong meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rigs.firmware_rig import FirmwareOptions, FirmwareRig
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.evaluation import evaluate_controller
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.signals import Measurement
from cartpole_robot.simulation.virtual_cart import ALARM_HIGH, VirtualCart
from firmware_bridge import _stepper
from tests.faults.stepper_wires import (
    ENUMS,
    LATE_BRAKES,
    RIGHT,
    TRAVEL_LIMIT_M,
    Wired,
    drive_on,
    lost_steps,
    rig_on,
    state_of,
)


def test_virtual_and_sim_move_alike_under_the_same_duties() -> None:
    """To four steps of 0.05 mm in a second: each has its timer's phase, and rounds the duties itself."""
    cart, rng = load_cart("diy_stepper"), np.random.default_rng(3)
    with contextlib.closing(open_rig("virtual", cart)) as virtual, contextlib.closing(open_rig("sim", cart)) as sim:
        begun = (virtual.begin_swing(rng).cart_counts, sim.reset(virtual.true_state(), rng).cart_counts)
        for duty in np.clip(rng.normal(0.0, 0.4, 50), -1.0, 1.0).tolist():
            counts = (virtual.step(duty).cart_counts, sim.step(duty).cart_counts)
            assert counts[0] - begun[0] == pytest.approx(counts[1] - begun[1], abs=4)
            first, second = virtual.true_state(), sim.true_state()
            assert first.cart_position_m == pytest.approx(second.cart_position_m, abs=0.0003)
            assert first.pole_angle_rad == pytest.approx(second.pole_angle_rad, abs=0.002)
            assert first.cart_speed_m_s == pytest.approx(second.cart_speed_m_s, abs=0.005)


def test_regulator_balances_for_five_minutes() -> None:
    cart = load_cart("diy_stepper")
    with contextlib.closing(CartPoleEnv(rig="virtual", cart="diy_stepper")) as env:
        result = evaluate_controller(regulator_of(cart), env, episodes=1, first_seed=0, max_steps=15_000)
    assert result.steps == (15_000,)


def swinging(seed: int) -> tuple[VirtualRig, np.random.Generator]:
    rng = np.random.default_rng(seed)
    rig = VirtualRig(load_cart("diy_stepper"))
    rig.begin_swing(rng)
    return rig, rng


def test_silent_host_at_full_speed_leaves_the_cart_at_rest_before_its_limit_with_every_step() -> None:
    """A hundred starts in one session: fast, slow, either way, in the middle and far out."""
    rig, rng = swinging(7)
    speeds = []
    with contextlib.closing(rig):
        for _ in range(100):
            rig.begin_swing(rng)
            virtual, side = rig.virtual_cart, float(rng.choice([-1.0, 1.0]))
            with contextlib.suppress(RigError):  # its travel limit may come first
                for _ in range(int(rng.integers(0, 6))):
                    rig.step(-side * rng.uniform(0.0, 0.5))
                for _ in range(int(rng.integers(1, 9))):
                    rig.step(side)
            speeds.append(abs(virtual.true_state().cart_speed_m_s))
            farthest_m = 0.0
            for _ in range(400):
                virtual.pass_ms()
                farthest_m = max(farthest_m, abs(virtual.true_state().cart_position_m))
            assert virtual.true_state().cart_speed_m_s == pytest.approx(0.0, abs=1e-5), "but for the pole's pull"
            state = state_of(rig)
            assert ENUMS["fault"](state.fault).name in ("COMMAND_TIMEOUT", "TRAVEL_LIMIT")
            assert farthest_m < TRAVEL_LIMIT_M + 0.001
            assert abs(lost_steps(rig)) <= 1
            assert state.applied_q15 == 0
    assert max(speeds) > 0.9
    assert np.median(speeds) > 0.3


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_cart_driven_at_its_limit_rests_just_before_it(side: float) -> None:
    rig, _ = swinging(3)
    with contextlib.closing(rig):
        for _ in range(2):
            rig.step(-side)
        with pytest.raises(RigError, match="TRAVEL_LIMIT"):
            drive_on(rig, side)
        for _ in range(400):
            rig.virtual_cart.pass_ms()
        at = side * rig.true_state().cart_position_m
        assert TRAVEL_LIMIT_M - 0.008 < at < TRAVEL_LIMIT_M
        assert abs(lost_steps(rig)) <= 1


def test_disarmed_cart_comes_to_rest_is_held_and_goes_on_without_homing() -> None:
    rig, rng = swinging(4)
    with contextlib.closing(rig):
        for _ in range(4):
            rig.step(1.0)
        assert rig.true_state().cart_speed_m_s > 0.5
        rig.disarm()
        assert rig.true_state().cart_speed_m_s == pytest.approx(0.0, abs=0.05)
        state = state_of(rig)
        assert (ENUMS["cart_state"](state.state).name, state.applied_q15) == ("READY", 0)
        before_ms = rig.virtual_cart.time_ms
        rig.begin_swing(rng)
        assert rig.virtual_cart.time_ms - before_ms < 5_000
        assert abs(lost_steps(rig)) <= 1


def test_estop_cuts_at_once_and_takes_the_zeros() -> None:
    rig, rng = swinging(5)
    with contextlib.closing(rig):
        rig.step(1.0)
        rig.virtual_cart.is_estop_pressed = True
        rig.virtual_cart.pass_ms()
        assert rig.virtual_cart.drive is None
        with pytest.raises(RigError, match="ESTOP"):
            rig.step(1.0)
        state = state_of(rig)
        assert not state.inputs & ENUMS["input_flag"]["HOMED"]
        rig.virtual_cart.is_estop_pressed = False
        before_ms = rig.virtual_cart.time_ms
        rig.begin_swing(rng)
        assert rig.virtual_cart.time_ms - before_ms > 10_000, "it has homed again"
        assert abs(lost_steps(rig)) <= 1


@pytest.mark.parametrize("is_low", [True, False])
def test_driver_s_alarm_cuts_and_forbids_to_go_on_until_it_ends(is_low: bool) -> None:
    cart = load_cart("diy_stepper")
    assert cart.stepper is not None
    cart = dataclasses.replace(cart, stepper=dataclasses.replace(cart.stepper, alarm_is_low=is_low))
    rng = np.random.default_rng(2)
    with contextlib.closing(VirtualRig(cart)) as rig:
        rig.begin_swing(rng)
        rig.step(1.0)
        rig.virtual_cart.inputs_set ^= ALARM_HIGH
        with pytest.raises(RigError, match=r"DRIVER_ALARM at .*: the stepper's driver reports a fault"):
            drive_on(rig, 0.0)
        assert rig.virtual_cart.drive is None
        with pytest.raises(RigError, match="refuses CLEAR: UNHEALTHY: DRIVER_ALARM"):
            rig.begin_swing(rng)
        rig.virtual_cart.inputs_set ^= ALARM_HIGH
        rig.begin_swing(rng)
        assert abs(lost_steps(rig)) <= 1


@pytest.mark.parametrize("fails", ["is_stalled", "is_backwards"])
@pytest.mark.parametrize("after", [5, 40, 111])
def test_motor_that_stalls_and_pole_that_counts_backwards_are_seen_while_it_balances(fails: str, after: int) -> None:
    """Within three seconds: a calm regulator moves little before the pole leans."""
    wires, cart = Wired(), load_cart("diy_stepper")
    virtual, regulator = VirtualCart(cart, board=wires), regulator_of(cart)
    with contextlib.closing(rig_on(virtual)) as rig:
        measured = start_rollout(rig, after)
        for _ in range(after):
            measured = rig.step(regulator.duty(np.array(observation_of(measured))))
        setattr(wires, fails, True)
        with pytest.raises(RigError):
            balance_on(rig, regulator, measured, 150)
        fault = ENUMS["fault"](state_of(rig).fault).name
        has_fallen = abs(measured.pole_angle_rad) > 0.2  # the host saw it, and disarmed the cart
        assert fault in ("POLE_SIGN", "POLE_ANGLE", "POLE_STILL", "TRAVEL_LIMIT", *(["NONE"] if has_fallen else []))
        for _ in range(300):
            virtual.pass_ms()
        assert virtual.true_state().cart_speed_m_s == pytest.approx(0.0, abs=1e-4)


def balance_on(rig: FirmwareRig, regulator: Any, measured: Measurement, steps: int) -> None:
    for _ in range(steps):
        measured = rig.step(regulator.duty(np.array(observation_of(measured))))


def observation_of(measured: Measurement) -> tuple[float, ...]:
    return (
        measured.cart_position_m,
        measured.cart_speed_m_s,
        math.remainder(measured.pole_angle_rad, 2.0 * math.pi),
        measured.pole_speed_rad_s,
    )


def test_supply_that_fails_while_held_takes_the_zeros() -> None:
    rig, _ = swinging(6)
    with contextlib.closing(rig):
        rig.disarm()
        rig.virtual_cart.supply_mv = 0
        for _ in range(100):
            rig.virtual_cart.pass_ms()
        state = state_of(rig)
        assert ENUMS["fault"](state.fault).name == "SUPPLY_LOW"
        assert not state.inputs & ENUMS["input_flag"]["HOMED"]


def test_late_command_brakes_to_rest_where_it_is_asked_for() -> None:
    """A DC motor's duty is 0 then; a stepper's cart would roll on at duty 0."""
    rng = np.random.default_rng(1)
    rig = VirtualRig(load_cart("diy_stepper"), options=FirmwareOptions(arm=LATE_BRAKES))
    with contextlib.closing(rig):
        rig.begin_swing(rng)
        for _ in range(2):
            rig.step(0.5)
        board = rig.virtual_cart.board
        assert isinstance(board, _stepper.Firmware)
        speed = board.speed
        assert speed > 2000
        for _ in range(45):
            rig.virtual_cart.pass_ms()
        assert board.speed < speed - 3000


def test_lost_steps_are_named_at_the_next_passage_of_a_switch() -> None:
    """A switch that closes near the middle, as if the cart had lost all the steps to there."""
    virtual = VirtualCart(load_cart("diy_stepper"))
    with contextlib.closing(rig_on(virtual)) as rig:
        start_rollout(rig, 1)
        virtual.inputs_set = RIGHT
        with pytest.raises(RigError, match="STEPS_LOST"):
            rig.step(0.0)
