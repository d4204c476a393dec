"""The page's cart moves as the native engine's does, and its host sends what the Python host sends, byte by byte."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.page_runs import TrafficBoard, in_node, random_outputs
from cartpole_robot import task
from cartpole_robot.cart.params import CartParams
from cartpole_robot.page.contents import page_contents
from cartpole_robot.policy.lqr import Lqr, LqrController
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from cartpole_robot.simulation.native_cart import NativeBoardCart
from cartpole_robot.simulation.virtual_cart import VirtualCart
from tests.page_contents import CARTS, contents_of, designs, diy, needs_node

STEPS = 5000
COMMANDS = 300


@needs_node
@pytest.mark.parametrize("name", CARTS)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_plant_moves_exactly_as_the_native_engine(name: str, seed: int) -> None:
    cart, _, _ = designs(name)
    rng = np.random.default_rng(seed)
    start = rng.uniform((-0.3, -1.0, -3.0, -5.0), (0.3, 1.0, 3.0, 5.0)).tolist()
    duties = random_outputs(cart, rng, STEPS)
    body = NativeBoardCart(cart).body
    body.place(State(*start))
    expected = []
    for duty in duties:
        body.step(duty)
        expected.append(list(body.state()))
    assert in_node(contents_of(name), "plant", start=start, duties=duties) == expected


def balanced(
    cart: CartParams, lqr: Lqr, start_rad: float, prepare: Callable[[VirtualCart], object]
) -> tuple[int, str, State]:
    """Milliseconds, traffic and true state of the virtual rig with its host, after it has homed, armed and balanced."""
    board = TrafficBoard(cart.drive)
    rig = VirtualRig(cart, board=board)
    prepare(rig.virtual_cart)
    controller = LqrController(lqr, cart.commanded_motor)
    measured = rig.reset(State(0.0, 0.0, start_rad, 0.0), np.random.default_rng(0))
    for _ in range(COMMANDS):
        measured = rig.step(controller.duty(task.observation(measured)))
    rig.command(controller.duty(task.observation(measured)))  # the page's host has answered by the end of a millisecond
    true = rig.true_state()
    time_ms, traffic = rig.virtual_cart.time_ms, board.traffic
    rig.close()
    wrapped = true._replace(
        pole_angle_rad=math.remainder(true.pole_angle_rad, 2.0 * math.pi)
    )  # it may come up either way
    return time_ms, traffic, wrapped


def on_the_page(contents: dict[str, Any], time_ms: int, *prepare: list[Any]) -> tuple[str, State]:
    """The same on the page, after so many milliseconds."""
    steps = [*prepare, ["setController", "lqr"], ["arm"], ["advance", time_ms], ["traffic"], ["see"]]
    traffic, seen = in_node(contents, "visit", steps=steps)
    assert seen["state"] == "ARMED"
    return traffic, State(*(seen[key] for key in ("position_m", "speed_m_s", "angle_rad", "rate_rad_s")))


@needs_node
@pytest.mark.parametrize("name", CARTS)
def test_page_homes_arms_and_balances_as_the_virtual_rig_does_to_the_byte(name: str) -> None:
    cart, lqr, _ = designs(name)
    contents = contents_of(name)
    time_ms, *expected = balanced(cart, lqr, contents["numbers"]["host.start_rad"], lambda _: None)
    assert list(on_the_page(contents, time_ms)) == expected


@needs_node
def test_added_delay_is_that_of_a_late_host() -> None:
    cart, lqr, _ = designs("as shipped")
    contents = contents_of("as shipped")
    late = dataclasses.replace(cart, delay=dataclasses.replace(cart.delay, latency_s=0.013))
    time_ms, *expected = balanced(late, lqr, contents["numbers"]["host.start_rad"], lambda _: None)
    assert list(on_the_page(contents, time_ms, ["setDelayMs", 13])) == expected
    assert list(on_the_page(contents, time_ms)) != expected


@needs_node
def test_supply_drives_the_motor_as_on_the_virtual_rig() -> None:
    cart, lqr, _ = designs("as shipped")
    contents = contents_of("as shipped")
    start_rad = contents["numbers"]["host.start_rad"]
    time_ms, *expected = balanced(cart, lqr, start_rad, lambda virtual: setattr(virtual, "supply_mv", 10_500))
    assert list(on_the_page(contents, time_ms, ["setSupplyV", 10.5])) == expected
    assert list(on_the_page(contents, time_ms)) != expected


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
