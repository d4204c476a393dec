"""Fuzz readers of policies for hosts alone, and of Stable-Baselines3's model files."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cartpole_robot.cart.cart_file import load_cart

Files = dict[str, bytes]
_CART = load_cart("diy_arduino")


def host_policies() -> list[Files]:
    """One over a table, one with a bound that commands a duty."""
    from cartpole_robot.policy.export import bundle_of
    from cartpole_robot.policy.host_network import Activation, Output
    from tests.host_policies import balancing_network, random_host_network

    visited = np.random.default_rng(2).normal(scale=0.1, size=(200, 4)).astype(np.float32)
    found: list[Files] = []
    for network in (
        balancing_network(_CART, Activation.TANH, Output.TABLE),
        random_host_network(Activation.RELU, Output.SQUASHED, (6,), True),
    ):
        bundle = bundle_of(network, _CART, visited, {"cart": _CART.as_dict()})
        with tempfile.TemporaryDirectory() as name:
            bundle.save(Path(name, "policy.npz"))
            found.append({"policy.npz": Path(name, "policy.npz").read_bytes()})
    return found


def seal_host_policy(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Make the checksums right, as far as there is something to sum up."""
    from cartpole_robot.files.records import record_from_table
    from cartpole_robot.policy import host_arrays
    from cartpole_robot.policy.bundle import _digest
    from cartpole_robot.policy.interface import Interface
    from cartpole_robot.policy.network import arrays_digest

    try:
        interface = record_from_table(Interface, header["interface"], where="")
        network = host_arrays.network_of(arrays, header["host_network"])
        texts = [
            np.frombuffer(json.dumps(table, sort_keys=True).encode(), np.uint8)
            for table in (interface.as_dict(), host_arrays.form_of(network))
        ]
        header["policy_hash"] = arrays_digest(*texts, *host_arrays.arrays_of(network).values()).hex()
        header.pop("digest", None)
        header["digest"] = _digest(header, arrays)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return


def read_host_policy(folder: Path) -> None:
    """Open it and ask it for a duty."""
    from cartpole_robot.policy.bundle import load_policy
    from cartpole_robot.policy.controllers import own_cart, policy_controller

    path = folder / "policy.npz"
    bundle = load_policy(path)
    duty = policy_controller(bundle).duty(np.zeros(4, np.float32))
    assert -1.0 <= duty <= 1.0
    cart = own_cart(bundle, path)
    if cart is not None:
        bundle.check_fits(cart, name=str(path))


@functools.cache
def models() -> list[Files]:
    """One of PPO with an action table, one of SAC."""
    from stable_baselines3 import PPO, SAC

    from tests.host_policies import balancing_model

    makers: tuple[Callable[[], Any], ...] = (
        lambda: balancing_model(PPO, _CART, commands_duty=False),
        lambda: balancing_model(SAC, _CART, commands_duty=True, buffer_size=10),
    )
    found: list[Files] = []
    for make in makers:
        with tempfile.TemporaryDirectory() as name:
            make().save(Path(name, "model.zip"))
            found.append({"model.zip": Path(name, "model.zip").read_bytes()})
    return found


def read_sb3_model(folder: Path) -> None:
    """Describe it and look for its network."""
    from cartpole_robot.training.sb3_form import actor_of
    from cartpole_robot.training.sb3_model import read_model

    actor_of(read_model(folder / "model.zip"), _CART)
