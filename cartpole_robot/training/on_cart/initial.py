"""The exported policy that a training begins with, checked against the cart and the configuration."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.controllers import open_policy, own_cart
from cartpole_robot.policy.history import input_gain
from cartpole_robot.policy.host_network import HostNetwork
from cartpole_robot.policy.network import Network
from cartpole_robot.task import Task
from cartpole_robot.training.config import LearnerReward, TrainingConfig


def initial_policy(
    policy: Path, cart: str | None, config: TrainingConfig
) -> tuple[PolicyBundle, Path, CartParams, TrainingConfig]:
    """The bundle of `policy` (a file or a run folder), its path, the cart, and `config` with the policy's history.

    The default cart is the one the policy was trained on. The physics of `cart` may differ from it, the interface must
    not. A preset with a history must have the policy's. Raises `UsageError`, naming both values, if policy, cart and
    configuration do not fit each other.
    """
    bundle, path = open_policy(policy)
    chosen = own_cart(bundle, path) if cart is None else load_cart(cart)
    if chosen is None:
        raise UsageError(f"{path}: does not say which cart it was trained on; name one with --cart")
    chosen = bundle.fitted(chosen)
    bundle.check_fits(chosen, name=str(path))
    if config.history_length == 1:
        config = dataclasses.replace(config, history_length=bundle.interface.history_length)
    _check_fits_config(bundle, path, chosen, config)
    return bundle, path, chosen, config


def network_of_dqn(bundle: PolicyBundle) -> Network:
    """The network of a policy that `initial_policy` accepted."""
    assert isinstance(bundle.network, Network)
    return bundle.network


def _check_is_dqn(bundle: PolicyBundle, path: Path) -> None:
    """Raise `UsageError` for a policy that no DQN can continue: of another form, or of another algorithm."""
    if isinstance(bundle.network, HostNetwork):
        raise UsageError(
            f"{path}: a training continues a DQN of one hidden layer of ReLU, and the policy's network has "
            f"{', '.join(bundle.network.differences)}; use a policy of cartpole-robot train"
        )
    learner = bundle.provenance.get("learner")
    if learner is not None:
        name = learner.get("algorithm") if isinstance(learner, dict) else learner
        raise UsageError(
            f"{path}: a training continues a DQN, and the policy is of {str(name)[:40]!r}, whose outputs are no values "
            "of actions; use a policy of cartpole-robot train"
        )


def _check_fits_config(bundle: PolicyBundle, path: Path, cart: CartParams, config: TrainingConfig) -> None:
    for name, task in ((str(path), bundle.interface.task), (f"preset {config.name}", config.task)):
        if task is not Task.BALANCE:
            raise UsageError(f"{name}: is for the task {task}; only a policy that balances can learn on the cart")
    trained = bundle.provenance.get("config")
    reward = trained.get("learner_reward") if isinstance(trained, dict) else None
    for name, rewarded in ((str(path), reward), (f"preset {config.name}", config.learner_reward)):
        if rewarded == LearnerReward.PRECISION:
            raise UsageError(
                f"{name}: learner_reward = 'precision', expected 'fall' or 'step': on the cart a step has no cost; use "
                "policy and preset of another reward, such as recommended and on_cart"
            )
    _check_is_dqn(bundle, path)
    hidden = network_of_dqn(bundle).hidden_weight.shape[0]
    if hidden != config.hidden_units:
        raise UsageError(
            f"{path}: the policy's network has {hidden} hidden units, preset {config.name} has {config.hidden_units}; "
            "use a preset with the same"
        )
    past = bundle.interface.history_length
    if past != config.history_length:
        raise UsageError(
            f"{path}: the policy's history_length is {past}, preset {config.name} has {config.history_length}; "
            "use a preset with the same, or with none"
        )
    own_gain = network_of_dqn(bundle).input_gain
    gain = input_gain(cart, past, scale_observations=config.scale_observations, gain=config.input_gain)
    if not np.array_equal(own_gain, gain):
        raise UsageError(
            f"{path}: the policy's input gain is {_shown(own_gain)}, that of preset {config.name} "
            f"(scale_observations = {str(config.scale_observations).lower()}, input_gain = {config.input_gain:g}) is "
            f"{_shown(gain)}; "
            "use a preset that scales observations as the policy's did"
        )
    if reward is not None and reward != config.learner_reward:
        raise UsageError(
            f"{path}: the policy was trained with learner_reward = {reward!r}, preset {config.name} has "
            f"{str(config.learner_reward)!r}, and the values it learned mean something else; use a preset with the same"
        )


def _shown(numbers: object) -> str:
    return "[" + ", ".join(f"{number:.4g}" for number in np.asarray(numbers)) + "]"
