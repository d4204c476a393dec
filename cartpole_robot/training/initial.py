"""The exported policy that a training begins with, held against the cart and the configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cartpole_robot.cart_files import load_cart
from cartpole_robot.controllers import open_policy, own_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.params import CartParams
from cartpole_robot.policy import PolicyBundle
from cartpole_robot.training.config import TrainingConfig


def initial_policy(policy: Path, cart: str | None, config: TrainingConfig) -> tuple[PolicyBundle, Path, CartParams]:
    """The bundle of `policy` (a file or a run folder), its path, and the cart: by default the one it was trained on.

    The cart's physics may differ from that of the training, its interface must not. Raises `UsageError`, naming both
    values, where policy, cart and configuration do not fit each other.
    """
    bundle, path = open_policy(policy)
    chosen = own_cart(bundle, path) if cart is None else load_cart(cart)
    if chosen is None:
        raise UsageError(f"{path}: does not say which cart it was trained on; name one with --cart")
    bundle.check_fits(chosen, name=str(path))
    _check_fits_config(bundle, path, chosen, config)
    return bundle, path, chosen


def _check_fits_config(bundle: PolicyBundle, path: Path, cart: CartParams, config: TrainingConfig) -> None:
    hidden = bundle.network.hidden_weight.shape[0]
    if hidden != config.hidden_units:
        raise UsageError(
            f"{path}: the policy's network has {hidden} hidden units, preset {config.name} has {config.hidden_units}; "
            "use a preset with the same"
        )
    gain = np.ones(4, np.float32)
    if config.scale_observations:
        gain = np.array([1.0 / size for size in cart.observation_scale.as_tuple()], np.float32)
    if not np.array_equal(bundle.network.input_gain, gain):
        raise UsageError(
            f"{path}: the policy's input gain is {_shown(bundle.network.input_gain)}, that of preset {config.name} "
            f"(scale_observations = {str(config.scale_observations).lower()}) is {_shown(gain)}; "
            "use a preset that scales observations as the policy's did"
        )
    trained = bundle.provenance.get("config")
    reward = trained.get("learner_reward") if isinstance(trained, dict) else None
    if reward is not None and reward != config.learner_reward:
        raise UsageError(
            f"{path}: the policy was trained with learner_reward = {reward!r}, preset {config.name} has "
            f"{str(config.learner_reward)!r}, and the values it learned mean something else; use a preset with the same"
        )


def _shown(numbers: object) -> str:
    return "[" + ", ".join(f"{number:.4g}" for number in np.asarray(numbers)) + "]"
