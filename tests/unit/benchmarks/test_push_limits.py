"""Which cart each policy of a table of pushes drives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.push_limits import contenders
from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.network import Network

CART = load_cart("diy_arduino")


def saved(folder: Path, cart: CartParams) -> Path:
    """An untrained policy for that cart."""
    random, actions = np.random.default_rng(3), len(cart.action_duties)
    network = Network(
        input_gain=np.ones(4, np.float32),
        hidden_weight=random.normal(size=(8, 4)).astype(np.float32),
        hidden_bias=np.zeros(8, np.float32),
        output_weight=random.normal(size=(actions, 8)).astype(np.float32),
        output_bias=np.zeros(actions, np.float32),
    )
    visited = random.normal(scale=0.01, size=(100, 4)).astype(np.float32)
    path = folder / f"{actions}.npz"
    bundle_of(network, cart, visited, {}).save(path)
    return path


def test_a_policy_drives_the_cart_with_the_table_it_was_trained_with(tmp_path: Path) -> None:
    four = with_actions(CART, (-0.4, -0.2, 0.2, 0.4), given="--actions")
    carts = {"own": CART, "precise": CART.with_table(CART.precise_table), "four": four}
    policies = [f"{name}={saved(tmp_path, cart)}" for name, cart in carts.items()]
    found = {each.name: each for each in contenders(CART, CART, policies)}
    assert list(found) == ["own", "precise", "four", "LQR"]
    assert found["four"].designed_for.action_duties == four.action_duties
    assert all(found[name].designed_for is CART for name in ("own", "precise", "LQR"))
