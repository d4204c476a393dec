"""A stepper's cart on the virtual rig: homing, wrong wires, lost steps, and every way out of driving."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rigs.firmware_rig import FirmwareOptions, FirmwareRig
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rigs.virtual import LockstepTransport, SimulatedHand, VirtualRig
from cartpole_robot.rollout.evaluation import evaluate_controller
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.imperfections.imperfect import spoil
from cartpole_robot.simulation.imperfections.profile import WORKBENCH, fitting, load_profile
from cartpole_robot.simulation.virtual_cart import ALARM_HIGH, VirtualCart
from firmware_bridge import _host, _stepper
from firmware_bridge.link import Link
from firmware_bridge.protocol import read_protocol

STEPS_PER_M, SWITCH_M, TRAVEL_LIMIT_M = 20_000, 0.47, 0.43
LEFT, RIGHT, LATE_BRAKES, SWING_UP = 1, 2, 1, 32
ENUMS = read_protocol().enums
HANGING = State(0.0, 0.0, math.pi, 0.0)


class Wired:
    """A board behind wires: what the plant gets of its count, and what it gets of the plant's inputs.

    From `is_stalled` on the motor stands; from `is_backwards` on the pole's encoder counts the other way.
    """

    def __init__(
        self,
        pulses: Callable[[float | None], float | None] = lambda count: count,
        inputs: Callable[[int], int] = lambda inputs: inputs,
    ) -> None:
        self._board = _stepper.Firmware()
        self._pulses, self._inputs = pulses, inputs
        self.is_stalled = self.is_backwards = False
        self._count: float | None = None
        self._pole = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._board, name)

    def tick(self, cart_counts: int, pole_counts: int, inputs: int, supply_mv: int, /) -> float | None:
        if not self.is_backwards:
            self._pole = pole_counts
        seen = 2 * self._pole - pole_counts
        count = self._pulses(self._board.tick(cart_counts, seen, self._inputs(inputs), supply_mv))
        if not self.is_stalled:
            self._count = count
        return self._count


def rig_on(virtual: VirtualCart, cart: CartParams | None = None) -> FirmwareRig:
    hand = SimulatedHand(virtual, 20, brings_cart=False)
    return FirmwareRig(cart or load_cart("diy_stepper"), Link(LockstepTransport(virtual)), hand)


def fault_at_start(virtual: VirtualCart, cart: CartParams | None = None) -> str:
    with contextlib.closing(rig_on(virtual, cart)) as rig:
        with pytest.raises(RigError) as failure:
            start_rollout(rig, 0)
        for _ in range(600):
            virtual.pass_ms()
        assert virtual.true_state().cart_speed_m_s == pytest.approx(0.0, abs=1e-6)
        assert abs(virtual.true_state().cart_position_m) < 0.4801
        return str(failure.value)


def state_of(rig: FirmwareRig) -> Any:
    state = rig.link.newest_state(rig.link.clock() + 0.1)
    assert state is not None
    return state


# ---- homing ----


@pytest.mark.parametrize("position_m", [0.0, -0.3, 0.3, 0.44, -0.474, 0.474])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_cart_finds_both_zeros_wherever_it_is_switched_on(position_m: float, is_reversed: bool) -> None:
    cart = load_cart("diy_stepper")
    assert cart.firmware is not None
    cart = dataclasses.replace(cart, firmware=dataclasses.replace(cart.firmware, is_motor_reversed=is_reversed))
    board = Wired(pulses=lambda count: -count if count is not None and is_reversed else count)
    virtual = VirtualCart(cart, start=HANGING._replace(cart_position_m=position_m), board=board)
    with contextlib.closing(rig_on(virtual, cart)) as rig:
        measured, true = start_rollout(rig, 1), virtual.true_state()
        assert abs(true.cart_position_m) <= 0.03
        assert measured.cart_position_m == pytest.approx(true.cart_position_m, abs=0.0002)
        off_rad = math.remainder(measured.pole_angle_rad - true.pole_angle_rad, 2.0 * math.pi)
        assert off_rad == pytest.approx(0.0, abs=0.004)


class IdleHand(SimulatedHand):
    """One that does not stop the pole's swing before the cart homes."""

    def let_hang(self) -> None: ...


@pytest.mark.parametrize(("angle_rad", "speed_rad_s"), [(0.3, 0.0), (math.pi, 12.0), (math.pi, -25.0)])
def test_pole_that_swings_or_rotates_is_braked_before_it_homes(angle_rad: float, speed_rad_s: float) -> None:
    """The cart stays within an eighth of its travel limit of its place, but for what a pole threw it before."""
    virtual = VirtualCart(load_cart("diy_stepper"), start=State(0.0, 0.0, angle_rad, speed_rad_s))
    transport = Link(LockstepTransport(virtual))
    with contextlib.closing(FirmwareRig(load_cart("diy_stepper"), transport, IdleHand(virtual, 20))) as rig:
        rig.make_ready()
        assert virtual.time_ms < 120_000
        measured_rad = state_of(rig).pole_counts * 2.0 * math.pi / 2400
        off_rad = math.remainder(measured_rad - virtual.true_state().pole_angle_rad, 2.0 * math.pi)
        assert off_rad == pytest.approx(0.0, abs=0.02)
        assert abs(round(virtual.true_state().cart_position_m * STEPS_PER_M) - state_of(rig).cart_counts) <= 2


def once(steps: float, after: int) -> Callable[[float | None], float | None]:
    """Wires that lose `steps` once the cart has passed a count going right."""
    lost, before = 0.0, 0.0

    def pulses(count: float | None) -> float | None:
        nonlocal lost, before
        if count is None:
            return None
        if before < after <= count:
            lost = steps
        before = count
        return count - lost

    return pulses


@pytest.mark.parametrize(
    ("wires", "fault"),
    [
        ({"pulses": lambda count: None if count is None else -count}, "POLARITY"),  # DIR inverted
        ({"inputs": lambda inputs: inputs & ~3 | (inputs & 1) << 1 | (inputs & 2) >> 1}, "POLARITY"),
        ({"pulses": lambda _: None}, "HOMING_TRAVEL"),  # the driver is not enabled
        ({"inputs": lambda inputs: inputs | LEFT}, "HOMING_SWITCH"),  # its wire is cut
        ({"inputs": lambda inputs: inputs | RIGHT}, "HOMING_SWITCH"),
        ({"inputs": lambda inputs: inputs & ~LEFT}, "HOMING_TRAVEL"),
        ({"pulses": once(16, 0)}, "STEPS_LOST"),  # an electrical period
        ({"pulses": once(-16, 0)}, "STEPS_LOST"),
    ],
)
def test_wrong_wires_and_lost_steps_are_named_while_homing(wires: dict[str, Any], fault: str) -> None:
    cart = load_cart("diy_stepper")
    assert fault_at_start(VirtualCart(cart, board=Wired(**wires))).startswith(f"{fault} at ")


@pytest.mark.parametrize("seed", range(4))
def test_contacts_that_bounce_cost_no_steps(seed: int) -> None:
    cart = load_cart("diy_stepper")
    with contextlib.closing(VirtualRig(cart)) as rig:
        spoil(rig.virtual_cart, cart, fitting(load_profile(WORKBENCH), cart.motor)[0], seed)
        rig.make_ready()
        assert abs(lost_steps(rig)) <= 8


@pytest.mark.parametrize("steps", [3, -3])
def test_steps_within_the_tolerance_are_no_fault(steps: int) -> None:
    with contextlib.closing(rig_on(VirtualCart(load_cart("diy_stepper"), board=Wired(pulses=once(steps, 0))))) as rig:
        start_rollout(rig, 1)


def stalled(leg: int) -> Callable[[float | None], float | None]:
    """A motor that stalls for good in the middle of that leg of homing: 0 to the left, 1 to the right, 2 back."""
    at, before, turns, side = None, 0.0, 0, 0

    def pulses(count: float | None) -> float | None:
        nonlocal at, before, turns, side
        if count is None:
            return None
        now = 0 if abs(count - before) < 0.5 else 1 if count > before else -1
        if now == -side != 0:
            turns += 1
        side, before = now or side, count
        if at is None and turns == leg and side == (1 if leg == 1 else -1) and abs(count) > 1000 and count * side > 0:
            at = count
        return count if at is None else at

    return pulses


@pytest.mark.parametrize(("leg", "fault"), [(0, "HOMING_TRAVEL"), (1, "HOMING_TRAVEL"), (2, "STEPS_LOST")])
def test_motor_that_stalls_while_homing_is_named(leg: int, fault: str) -> None:
    assert fault_at_start(VirtualCart(load_cart("diy_stepper"), board=Wired(pulses=stalled(leg)))).startswith(fault)


def test_drive_of_the_firmware_and_of_the_cart_file_must_agree() -> None:
    stepper, dc = load_cart("diy_stepper"), load_cart("diy_arduino")
    with pytest.raises(RigError, match="the cart's firmware drives a DC motor, the cart file has a stepper"):
        rig_on(VirtualCart(stepper, board=_host.Firmware()))
    virtual = VirtualCart(dc, board=_stepper.Firmware())
    with pytest.raises(RigError, match="the cart's firmware drives a stepper, the cart file has a DC motor"):
        FirmwareRig(dc, Link(LockstepTransport(virtual)), SimulatedHand(virtual, 20))


# ---- at work ----


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


def drive_on(rig: VirtualRig, duty: float) -> None:
    for _ in range(100):
        rig.step(duty)


def lost_steps(rig: VirtualRig) -> int:
    return round(rig.true_state().cart_position_m * STEPS_PER_M) - int(state_of(rig).cart_counts)


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
