"""The controllers of the page decide as those of the package do: networks and regulator, and whole swing-ups."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks.page_runs import in_node, visited
from cartpole_robot import task
from cartpole_robot.page.contents import page_contents
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.controllers import policy_controller
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.history import input_gain
from cartpole_robot.policy.host_network import Activation, HostNetwork, Output
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.policy.network import Network
from cartpole_robot.policy.swing_up import Phase, SwingUpController
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from cartpole_robot.swing_up_task import observation_scale
from cartpole_robot.task import Task
from tests.host_policies import FORMS, random_host_network
from tests.page_contents import CARTS, contents_of, designs, diy, needs_node
from tests.policy_on_board import regulating_policy

START = State(0.01, 0.0, 0.03, 0.0)
SEEN = 2000


def random_observations(seed: int, angle_rad: float = 0.5) -> list[list[float]]:
    """(N, 4) as a controller sees them, in single precision."""
    high = (0.4, 1.5, angle_rad, 4.0)
    drawn = np.random.default_rng(seed).uniform([-h for h in high], high, (SEEN, 4)).astype(np.float32)
    found: list[list[float]] = drawn.tolist()
    return found


def expected_duties(bundle: PolicyBundle, observations: list[list[float]]) -> list[float]:
    controller = policy_controller(bundle)
    controller.reset()
    return [controller.duty(np.array(seen, np.float32)) for seen in observations]


@needs_node
@pytest.mark.parametrize("history_length", [*(pytest.param(length, marks=pytest.mark.long) for length in (1, 6)), 3])
def test_policy_chooses_the_actions_of_the_c_on_visited_states(history_length: int) -> None:
    cart = diy()
    bundle = regulating_policy(cart, history_length=history_length)
    controller = policy_controller(bundle)
    controller.reset()
    rig = VirtualRig(cart)
    observations, duties = visited(rig, controller.duty, START, 400)
    rig.close()
    contents = page_contents(cart, {"regulating": bundle})
    assert in_node(contents, "answers", controller="policy:regulating", observations=observations) == duties
    assert len(set(duties)) > 1
    wild = random_observations(history_length)
    found = in_node(contents, "answers", controller="policy:regulating", observations=wild)
    assert found == expected_duties(bundle, wild)


@pytest.mark.long
@needs_node
def test_every_form_of_a_host_network_decides_as_the_c_does() -> None:
    cart = dataclasses.replace(diy(), action_duties=(-0.6, 0.0, 0.6))
    networks = {f"form-{number}": random_host_network(*form) for number, form in enumerate(FORMS)}
    bundles = {
        name: bundle_of(network, cart, np.array(random_observations(0)[:40], np.float32), {})
        for name, network in networks.items()
    }
    observations = random_observations(7)
    names = list(bundles)
    for at in range(0, len(names), 8):  # as many as a page takes
        chosen = {name: bundles[name] for name in names[at : at + 8]}
        contents = page_contents(cart, chosen)
        for name, bundle in chosen.items():
            found = in_node(contents, "answers", controller=f"policy:{name}", observations=observations)
            assert found == expected_duties(bundle, observations), (name, FORMS[names.index(name)])


@needs_node
def test_swing_up_policy_sees_sine_and_cosine() -> None:
    cart = diy()
    rng = np.random.default_rng(5)
    network = Network(
        input_gain=(1.0 / np.array(observation_scale(cart))).astype(np.float32),
        hidden_weight=rng.normal(size=(64, 5)).astype(np.float32),
        hidden_bias=rng.normal(size=64).astype(np.float32),
        output_weight=rng.normal(size=(len(cart.swing_up_table), 64)).astype(np.float32),
        output_bias=np.zeros(len(cart.swing_up_table), np.float32),
    )
    visited_inputs = rng.normal(size=(50, 5)).astype(np.float32)
    bundle = bundle_of(network, cart, visited_inputs, {}, task=Task.SWING_UP)
    observations = random_observations(6, angle_rad=3.0)
    found = in_node(page_contents(cart, {"up": bundle}), "answers", controller="policy:up", observations=observations)
    assert found == expected_duties(bundle, observations)
    assert len(set(found)) > 2


@needs_node
@pytest.mark.parametrize("name", CARTS)
def test_regulator_asks_for_the_same_duties(name: str) -> None:
    cart, lqr, _ = designs(name)
    controller = LqrController(lqr, cart.commanded_motor)
    rig = VirtualRig(cart)
    observations, duties = visited(rig, controller.duty, START, 500)
    rig.close()
    found = in_node(contents_of(name), "answers", controller="lqr", observations=observations)
    assert np.abs(np.subtract(found, duties)).max() < 1e-14
    assert [round(duty * 32767) for duty in found] == [round(duty * 32767) for duty in duties]


@needs_node
@pytest.mark.parametrize("name", CARTS)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_swing_up_asks_for_the_same_duties_from_hanging_to_balance(name: str, seed: int) -> None:
    cart, _, design = designs(name)
    driver = SwingUpController(cart, design)
    rng = np.random.default_rng(seed)
    start = State(rng.uniform(-0.1, 0.1), 0.0, math.pi + rng.uniform(-0.6, 0.6), rng.uniform(-1.0, 1.0))
    rig = VirtualRig(cart)
    measured = rig.begin_hanging(start, rng)
    driver.reset()
    observations, duties, phases = [], [], []
    for _ in range(round(8.0 / cart.timing.control_period_s)):
        seen = task.observation(measured)
        observations.append([float(number) for number in seen])
        duties.append(driver.duty(seen))
        phases.append(driver.phase)
        measured = rig.step(duties[-1])
    rig.close()
    assert set(phases) == {Phase.PUMP, Phase.CATCH, Phase.BALANCE}
    found = in_node(contents_of(name), "answers", controller="swing-up", observations=observations)
    assert np.abs(np.subtract(found, duties)).max() < 1e-12, (seed, phases.count(Phase.PUMP))


@needs_node
def test_two_networks_of_one_page_do_not_mix() -> None:
    cart = diy()
    bundles = {f"seed-{seed}": regulating_policy(cart, seed) for seed in range(2)}
    squashed = HostNetwork(
        input_gain=input_gain(cart, 1),
        weights=(np.eye(4, dtype=np.float32), np.ones((1, 4), np.float32)),
        biases=(np.zeros(4, np.float32), np.zeros(1, np.float32)),
        activation=Activation.TANH,
        output=Output.SQUASHED,
    )
    bundles["duty"] = bundle_of(squashed, cart, np.array(random_observations(0)[:40], np.float32), {})
    observations = random_observations(9)
    contents = page_contents(cart, bundles)
    for name, bundle in bundles.items():
        found = in_node(contents, "answers", controller=f"policy:{name}", observations=observations)
        assert found == expected_duties(bundle, observations)
    assert dataclasses.replace(bundles["seed-0"]).policy_hash() == contents["networks"][0]["hash"]
