"""A learner that knows its cart's mirror image: odd networks stay odd, in C and in PyTorch alike."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.network import Network
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.averaging import _between
from cartpole_robot.training.config import Symmetry, TrainingConfig, cart_to_learn, load_preset
from cartpole_robot.training.dqn.lean_dqn import LeanDQN
from cartpole_robot.training.dqn.learner import network_of, new_learner, symmetry_of
from cartpole_robot.training.environment import training_env

CART = load_cart("diy_arduino")


def preset(symmetry: Symmetry, history_length: int = 2) -> TrainingConfig:
    return dataclasses.replace(load_preset("precise"), symmetry=symmetry, history_length=history_length, steps=2000)


def learner(config: TrainingConfig, cart: CartParams = CART, *, is_native: bool = True) -> LeanDQN:
    drawn = cart_to_learn(config, cart)
    env = training_env(drawn, "sim", config, engine=Engine.NATIVE)
    model = new_learner(config, drawn, env, seed=3, tensorboard=None)
    assert isinstance(model, LeanDQN)
    model.is_native = is_native
    return model


def oddness(network: Network, inputs: int) -> float:
    """The largest difference between the values of a state and those of its mirror image in reverse order."""
    states = np.random.default_rng(0).normal(scale=0.2, size=(200, inputs)).astype(np.float32)
    return float(np.abs(network.values(states) - network.values(-states)[:, ::-1]).max())


@pytest.mark.parametrize("history_length", [1, 3])
@pytest.mark.parametrize("is_native", [True, False])
def test_odd_network_stays_odd_while_it_learns(history_length: int, is_native: bool) -> None:
    model = learner(preset(Symmetry.ODD, history_length), is_native=is_native)
    before = network_of(model)
    model.learn(600)
    after = network_of(model)
    assert model._n_updates >= 90
    assert np.abs(after.hidden_weight - before.hidden_weight).max() > 1e-3, "it learned"
    inputs = 5 * history_length - 1
    assert oddness(before, inputs) < 1e-5
    assert oddness(after, inputs) < 1e-5
    assert oddness(_between(before, after, 0.3), inputs) < 1e-5


def test_network_without_symmetry_does_not_stay_odd() -> None:
    model = learner(preset(Symmetry.NONE))
    model.learn(600)
    assert oddness(network_of(model), 9) > 1e-3


@pytest.mark.parametrize("symmetry", list(Symmetry))
def test_update_in_c_and_in_pytorch_agree(symmetry: Symmetry) -> None:
    networks = [trained_on_the_same_steps(symmetry, is_native=is_native) for is_native in (True, False)]
    native, in_pytorch = networks
    for field in dataclasses.fields(Network):
        np.testing.assert_allclose(getattr(native, field.name), getattr(in_pytorch, field.name), atol=1e-4)


def test_each_symmetry_learns_something_else() -> None:
    plain, mirrored, odd = (trained_on_the_same_steps(symmetry, is_native=True) for symmetry in Symmetry)
    for one, other in ((plain, mirrored), (plain, odd), (mirrored, odd)):
        assert np.abs(one.output_weight - other.output_weight).max() > 1e-4


def trained_on_the_same_steps(symmetry: Symmetry, *, is_native: bool) -> Network:
    """The network after 20 updates on 300 steps of random actions."""
    model = learner(dataclasses.replace(preset(symmetry), learning_starts=300), is_native=is_native)
    model.learn(300)
    np.random.seed(5)
    model.train(20, 100)
    return network_of(model)


def test_asymmetric_table_is_refused_and_an_asymmetric_motor_uses_no_symmetry() -> None:
    config = preset(Symmetry.ODD)
    with pytest.raises(UsageError, match=r"\[-0.3, -0.1, 0.2, 0.3\], expected each duty's opposite"):
        symmetry_of(config, with_actions(CART, (-0.3, -0.1, 0.2, 0.3), given="test"))
    weaker_to_the_right = dataclasses.replace(CART.motor, gain_asymmetry=-0.1)
    assert symmetry_of(config, dataclasses.replace(CART, motor=weaker_to_the_right)) is Symmetry.NONE
    assert symmetry_of(config, cart_to_learn(config, CART)) is Symmetry.ODD


def test_update_refuses_an_odd_number_of_units_for_an_odd_network() -> None:
    with pytest.raises(ValueError, match="hidden_units = 99 with symmetry = 'odd', expected an even number"):
        dataclasses.replace(preset(Symmetry.ODD), hidden_units=99)
    model = learner(dataclasses.replace(preset(Symmetry.NONE), hidden_units=99))
    model.symmetry = Symmetry.ODD
    with pytest.raises(ValueError, match="symmetry 2 of 99 hidden units"):
        model._native_update()
