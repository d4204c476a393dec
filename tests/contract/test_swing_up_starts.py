"""Episodes that start with a swing-up, on every rig: no hand helps, and each failure has its name."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.policy.swing_up import SwingUpController
from cartpole_robot.rig import Rig, Start, SwingRig
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.rigs.swing_start import SwingStart
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from cartpole_robot.simulation.line import Line, LineFaults
from cartpole_robot.start import swing_up_driver
from cartpole_robot.vector_env import CartPoleVectorEnv
from tests.faults.test_virtual_cart import Tampered
from tests.virtual_cart_process import quick_cart, serve

RIGS = ("sim", "virtual", "avr", pytest.param("serial", marks=pytest.mark.realtime))
NOWHERE = State(0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def made_driver() -> SwingUpController:
    return swing_up_driver(quick_cart())


@pytest.fixture
def driver(made_driver: SwingUpController) -> SwingUpController:
    made_driver.rest(math.inf)  # whatever the test before did to its motor
    return made_driver


@contextlib.contextmanager
def handless_port() -> Iterator[tuple[str, BaseProcess]]:
    """The port of a virtual cart whose pole nobody raises, and its process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(quick_cart(), theirs, False))
    process.start()
    yield ours.recv(), process
    with contextlib.suppress(BrokenPipeError):
        ours.send("enough")
    process.join(10.0)


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    name = request.param
    with contextlib.ExitStack() as stack:
        if name == "serial":
            name = f"serial:{stack.enter_context(handless_port())[0]}"
        elif name == "avr":
            request.getfixturevalue("chip_tools")
        made = open_rig(name, quick_cart())
        stack.callback(made.close)
        yield made


def test_each_episode_starts_upright_settled_and_in_step_and_can_be_left_to_fall(
    rig: SwingRig, driver: SwingUpController
) -> None:
    env = CartPoleEnv(SwingStart(rig, driver))
    cart, regulator = rig.cart, regulator_of(rig.cart)
    for seed in range(2):
        observation, info = env.reset(seed=seed)
        assert info["swing_ups"] == 1
        assert 0.5 < info["swing_up_s"] < 10.0
        assert info["swing_up_farthest_m"] <= cart.limits.cart_position_m
        assert abs(observation[0]) <= cart.start.cart_position_m
        assert abs(observation[2]) <= cart.start.pole_angle_rad
        regulator.reset()
        for _ in range(40):
            observation, _, terminated, truncated, info = env.step_duty(regulator.duty(observation))
            assert (terminated, truncated) == (False, False), info
        assert 41 <= env.rig.measure().tick < 60  # it counts from the hand-over, and a late answer is no fault
        for _ in range(60):
            _, _, terminated, truncated, info = env.step_duty(0.3)
            if terminated:
                break
        assert (terminated, truncated) == (True, False), info


@dataclasses.dataclass
class Striking:
    """Drives as `driver` does; something happens at its step `at`."""

    driver: SwingUpController
    strike: Callable[[], object]
    at: int = 30

    def __post_init__(self) -> None:
        self._steps = itertools.count()
        self.reset, self.is_settled, self.rest = self.driver.reset, self.driver.is_settled, self.driver.rest

    def duty(self, observation: NDArray[Any]) -> float:
        if next(self._steps) == self.at:
            self.strike()
        return self.driver.duty(observation)


@pytest.fixture
def virtual() -> Iterator[VirtualRig]:
    made = VirtualRig(quick_cart())
    yield made
    made.close()


def begun(rig: VirtualRig, driver: SwingUpController, strike: Callable[[], object]) -> SwingStart:
    """One start, in the middle of which something happens."""
    starting = SwingStart(rig, Striking(driver, strike))
    starting.reset(NOWHERE, np.random.default_rng(5))
    return starting


def test_start_reports_its_stages_and_how_it_went(virtual: VirtualRig, driver: SwingUpController) -> None:
    stages: list[str] = []
    starting = SwingStart(virtual, driver, on_stage=stages.append)
    starting.reset(NOWHERE, np.random.default_rng(5))
    assert starting.newest is not None
    assert stages == ["swinging up, attempt 1 of 3 ...", f"up after {starting.newest.swing_up_s:.1f} s"]
    assert starting.newest.text.startswith(f"upright and settled after {starting.newest.swing_up_s:.1f} s, attempt 1, ")
    failed = dataclasses.replace(starting.newest, swing_ups=2, swing_up_failures=("REVERSALS",))
    assert ", attempt 2, " in failed.text
    assert dataclasses.replace(starting.newest, swing_ups=0).text == "not needed: the pole stood upright"


def test_second_attempt_is_reported_as_such(virtual: VirtualRig, driver: SwingUpController) -> None:
    stages: list[str] = []

    def sleep_once() -> None:
        if len(stages) == 1:
            raise RigError("COMMAND_TIMEOUT: as if the host had slept")

    starting = SwingStart(virtual, Striking(driver, sleep_once), on_stage=stages.append)
    starting.reset(NOWHERE, np.random.default_rng(5))
    assert [stage for stage in stages if "attempt" in stage] == [
        "swinging up, attempt 1 of 3 ...",
        "swinging up, attempt 2 of 3 ...",
    ]


def test_estop_in_mid_swing_ends_the_start_named_with_the_motor_off(
    virtual: VirtualRig, driver: SwingUpController
) -> None:
    def press() -> None:
        virtual.virtual_cart.is_estop_pressed = True

    with pytest.raises(RigError, match=r"^ESTOP at "):
        begun(virtual, driver, press)
    assert virtual.virtual_cart.drive in (None, 0.0)


def test_lost_line_in_mid_swing_ends_the_start_named_with_the_motor_off(
    virtual: VirtualRig, driver: SwingUpController
) -> None:
    def cut() -> None:
        virtual.virtual_cart.line = Line(LineFaults(is_dead_to_cart=True, is_dead_to_host=True))

    with pytest.raises(RigError, match="the link is lost"):
        begun(virtual, driver, cut)
    assert virtual.virtual_cart.drive in (None, 0.0)


@pytest.mark.realtime
def test_port_lost_in_mid_swing_ends_the_start_named(driver: SwingUpController) -> None:
    with handless_port() as (port, process), contextlib.closing(SerialRig(quick_cart(), port)) as rig:
        starting = SwingStart(rig, Striking(driver, process.kill))
        with pytest.raises(RigError, match=r"port|link|measurement"):
            starting.reset(NOWHERE, np.random.default_rng(5))
        assert not rig.is_running


def test_end_switch_in_mid_swing_is_named_in_each_attempt(virtual: VirtualRig, driver: SwingUpController) -> None:
    def close() -> None:
        virtual.virtual_cart.inputs_set = 1

    with pytest.raises(RigError, match=r"\(1\) END_SWITCH at .*\(2\) "):
        begun(virtual, driver, close)
    assert virtual.virtual_cart.drive in (None, 0.0)


def test_host_that_slept_in_mid_swing_begins_again_and_reports_it(
    virtual: VirtualRig, driver: SwingUpController, capsys: pytest.CaptureFixture[str]
) -> None:
    def sleep() -> None:
        for _ in range(400):
            virtual.virtual_cart.pass_ms()

    newest = begun(virtual, driver, sleep).newest
    assert newest is not None
    assert newest.swing_ups == 2
    assert newest.swing_up_failures[0].startswith("COMMAND_TIMEOUT at ")
    assert "swing-up 1 of 3 failed: COMMAND_TIMEOUT" in capsys.readouterr().err


def test_blocked_pole_is_named_with_the_motor_off(virtual: VirtualRig, driver: SwingUpController) -> None:
    virtual.virtual_cart.grab(State(0.0, 0.0, 2.5, 0.0))
    with pytest.raises(RigError, match=r"^(POLE|HOMING|CART)_[A-Z]+"):
        begun(virtual, driver, lambda: None)
    assert virtual.virtual_cart.drive in (None, 0.0)


def test_motor_stronger_than_the_file_says_ends_at_the_travel_limit_with_what_may_be_wrong(
    driver: SwingUpController,
) -> None:
    cart = quick_cart()
    motor = dataclasses.replace(cart.motor, stall_force_n=2.5 * cart.motor.stall_force_n)
    with contextlib.closing(VirtualRig(cart, plant=dataclasses.replace(cart, motor=motor))) as rig:
        starting = SwingStart(rig, driver, attempts=1)
        with pytest.raises(RigError, match=r"^TRAVEL_LIMIT .*the motor may be stronger"):
            starting.reset(NOWHERE, np.random.default_rng(1))
        assert rig.virtual_cart.drive in (None, 0.0)
        assert abs(rig.true_state().cart_position_m) < 0.43  # the track's


def shorter(cart: CartParams) -> CartParams:
    limits, settings = cart.limits, cart.firmware
    assert settings is not None
    return dataclasses.replace(
        cart,
        limits=dataclasses.replace(limits, cart_position_m=0.04, end_stop_m=0.2),
        firmware=dataclasses.replace(settings, travel_limit_m=0.06, switch_m=0.15),
    )


def test_pole_that_fell_with_the_zeros_lost_dies_down_before_the_next_attempt(
    virtual: VirtualRig, driver: SwingUpController, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[int] = []

    def held(x: int, pole: int, inputs: int, supply_mv: int) -> tuple[int, int, int, int]:
        read.append(pole)
        return x, read[0] if len(read) < 600 else pole, inputs, supply_mv

    def hold() -> None:
        virtual.virtual_cart.board = Tampered(virtual.virtual_cart.board, held)

    newest = begun(virtual, driver, hold).newest
    assert newest is not None
    assert newest.swing_up_failures[0].startswith("POLE_STILL at ")
    assert "tried again after 8 s" in capsys.readouterr().err


def test_cart_without_delay_or_with_weak_actions_swings_up_too() -> None:
    assert swing_up_driver(load_cart("gym")).is_settled()
    weak = dataclasses.replace(load_cart("diy_arduino"), action_duties=(-0.12, 0.12))
    assert swing_up_driver(weak).is_settled()


def test_track_that_is_too_short_is_refused_with_the_length_needed() -> None:
    with pytest.raises(UsageError, match=r"limits of \+-0\.04 m are too short.*needs about \+-0\.\d+ m"):
        swing_up_driver(shorter(load_cart("diy_arduino")))


def test_cart_file_that_forbids_a_swing_up_is_refused(driver: SwingUpController) -> None:
    settings = quick_cart().firmware
    assert settings is not None
    forbidden = dataclasses.replace(quick_cart(), firmware=dataclasses.replace(settings, swing_timeout_s=0.0))
    with contextlib.closing(VirtualRig(forbidden)) as rig, pytest.raises(UsageError, match="swing_timeout_s = 0"):
        SwingStart(rig, driver).reset(NOWHERE, np.random.default_rng(0))


def test_unknown_start_and_many_carts_are_refused() -> None:
    with pytest.raises(UsageError, match="expected by_hand or swing_up"):
        CartPoleEnv(start="thrown")
    with pytest.raises(UsageError, match="placed upright"):
        CartPoleVectorEnv(2, start=Start.SWING_UP)


def test_simulated_cart_swings_up_from_where_the_episode_before_left_it() -> None:
    with contextlib.closing(CartPoleEnv("sim", "diy_arduino", start="swing_up")) as env:
        env.reset(seed=2)
        for _ in range(20):
            fallen = env.step_duty(0.4)[0]
            if abs(fallen[2]) > 0.2:
                break
        assert isinstance(env.rig, SwingStart)
        assert isinstance(env.rig.rig, LockstepRig)
        env.rig.rig.begin_swing(np.random.default_rng(2))
        began = env.rig.rig.true_state()
    assert 0.0 < began.cart_position_m - fallen[0] < 0.3  # it has rolled on
    assert began.cart_speed_m_s == 0.0
    assert began.pole_speed_rad_s != 0.0
