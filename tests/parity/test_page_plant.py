"""The page's cart moves as the native engine's does, and its host sends what the Python host sends, byte by byte."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks.page_runs import TrafficBoard, in_node
from cartpole_robot import task
from cartpole_robot.page.contents import page_contents
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from cartpole_robot.simulation.native_cart import NativeBoardCart
from tests.page_contents import CARTS, contents_of, designs, diy, needs_node

STEPS = 5000
COMMANDS = 300


@needs_node
@pytest.mark.parametrize("name", CARTS)
@pytest.mark.parametrize("seed", range(3))
def test_plant_moves_exactly_as_the_native_engine(name: str, seed: int) -> None:
    cart, _, _ = designs(name)
    rng = np.random.default_rng(seed)
    start = rng.uniform((-0.3, -1.0, -3.0, -5.0), (0.3, 1.0, 3.0, 5.0)).tolist()
    duties = [
        None if rng.random() < 0.1 else float(duty) for duty in np.repeat(rng.uniform(-1.0, 1.0, STEPS // 20), 20)
    ]
    body = NativeBoardCart(cart).body
    body.place(State(*start))
    expected = []
    for duty in duties:
        body.step(duty)
        expected.append(list(body.state()))
    assert in_node(contents_of(name), "plant", start=start, duties=duties) == expected


@needs_node
@pytest.mark.parametrize("name", CARTS)
def test_page_homes_arms_and_balances_as_the_virtual_rig_does_to_the_byte(name: str) -> None:
    cart, lqr, _ = designs(name)
    contents = contents_of(name)
    board = TrafficBoard()
    rig = VirtualRig(cart, board=board)
    controller = LqrController(lqr, cart.commanded_motor)
    start = State(contents["numbers"]["host.start_m"], 0.0, contents["numbers"]["host.start_rad"], 0.0)
    measured = rig.reset(start, np.random.default_rng(0))
    for _ in range(COMMANDS):
        measured = rig.step(controller.duty(task.observation(measured)))
    rig.command(controller.duty(task.observation(measured)))  # the page's host has answered by the end of a millisecond
    steps = [["setController", "lqr"], ["arm"], ["advance", rig.virtual_cart.time_ms], ["traffic"], ["see"]]
    traffic, seen = in_node(contents, "visit", steps=steps)
    state = tuple(seen[key] for key in ("position_m", "speed_m_s", "angle_rad", "rate_rad_s"))
    assert traffic == board.traffic
    assert seen["state"] == "ARMED"
    true = rig.true_state()  # its pole may have come up the other way round
    assert state == true._replace(pole_angle_rad=math.remainder(true.pole_angle_rad, 2.0 * math.pi))
    rig.close()


@needs_node
def test_end_of_the_track_stops_the_cart_as_in_the_native_engine() -> None:
    cart = diy()
    body = NativeBoardCart(cart).body
    body.place(State(0.4, 2.0, 0.1, 0.0))
    expected = []
    for _ in range(500):
        body.step(1.0)
        expected.append(list(body.state()))
    assert cart.limits.end_stop_m is not None
    assert max(state[0] for state in expected) > cart.limits.end_stop_m
    found = in_node(page_contents(cart, {}), "plant", start=[0.4, 2.0, 0.1, 0.0], duties=[1.0] * 500)
    assert found == expected


@needs_node
def test_endless_track_has_no_end() -> None:
    cart = diy()
    cart = dataclasses.replace(cart, limits=dataclasses.replace(cart.limits, end_stop_m=None))
    (*_, last) = in_node(page_contents(cart, {}), "plant", start=[0.4, 2.0, 0.1, 0.0], duties=[1.0] * 500)
    assert last[0] > 0.6
