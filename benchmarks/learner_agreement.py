"""How far this package's DQN update is from Stable-Baselines3's, from the same weights and the same batch.

    python -m benchmarks.learner_agreement --updates 500

Before each update the learner gets the stock learner's weights, target network and optimizer state; both then draw the
same batch from one replay memory, which has wrapped around and holds falls and truncated episodes. The table has the
largest differences of loss, parameters and optimizer state over all updates, for both optimizers, both losses (the
stock class has Huber's only and is made to call the other), returns over one and five steps, gradients clipped or not.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import itertools
import json
from contextlib import closing
from typing import Any
from unittest import mock

import numpy as np
import stable_baselines3.dqn.dqn
import torch
from stable_baselines3 import DQN

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.training.config import Loss, Optimizer, load_preset
from cartpole_robot.training.dqn.lean_dqn import LeanDQN
from cartpole_robot.training.dqn.learner import new_learner
from cartpole_robot.training.environment import training_env
from cartpole_robot.training.learners import Learner

CLIPPED, UNCLIPPED = 0.003, 10.0
CUT_STEPS = 25


def begun(kind: Learner, optimizer: Optimizer, n_steps: int) -> DQN:
    """A learner after 1,500 steps; its replay memory of 1,000 steps has wrapped around."""
    cart = load_cart("gym")
    config = dataclasses.replace(
        load_preset("recommended"), learner=kind, optimizer=optimizer, n_steps=n_steps, max_steps=CUT_STEPS
    )
    with closing(training_env(cart, "sim", config)) as env:
        model = new_learner(config, cart, env, seed=0, tensorboard=None)
        return model.learn(1500)


def tensors(model: DQN) -> torch.Tensor:
    """The parameters of both networks in one vector."""
    return torch.cat([p.detach().flatten() for p in (*model.q_net.parameters(), *model.q_net_target.parameters())])


def state(model: DQN) -> torch.Tensor:
    """The optimizer's state in one vector."""
    found = model.policy.optimizer.state_dict()["state"].values()
    return torch.cat([tensor.flatten() for entry in found for tensor in entry.values()])


def differences(optimizer: Optimizer, loss: Loss, n_steps: int, most: float, updates: int) -> dict[str, Any]:
    """The largest differences over that many updates."""
    stock, lean = begun(Learner.STOCK, optimizer, n_steps), begun(Learner.LEAN, optimizer, n_steps)
    assert isinstance(lean, LeanDQN)
    lean.loss, lean.replay_buffer = loss, stock.replay_buffer
    stock.max_grad_norm = lean.max_grad_norm = most
    huber = torch.nn.functional.smooth_l1_loss
    chosen = torch.nn.functional.mse_loss if loss is Loss.MSE else huber
    largest = {"loss": 0.0, "parameters": 0.0, "optimizer_state": 0.0}
    for update in range(updates):
        lean.policy.load_state_dict(stock.policy.state_dict())
        lean.policy.optimizer.load_state_dict(copy.deepcopy(stock.policy.optimizer.state_dict()))
        losses = []
        with mock.patch.object(stable_baselines3.dqn.dqn.F, "smooth_l1_loss", chosen):
            for model in (stock, lean):
                np.random.seed(update)
                model.train(gradient_steps=1, batch_size=100)
                model._on_step()
                losses.append(float(model.logger.name_to_value["train/loss"]))
        found = {
            "loss": abs(losses[1] - losses[0]) / max(abs(losses[0]), 1e-12),
            "parameters": float((tensors(lean) - tensors(stock)).abs().max()),
            "optimizer_state": float((state(lean) - state(stock)).abs().max()),
        }
        largest = {name: max(largest[name], found[name]) for name in largest}
    memory = stock.replay_buffer
    assert memory is not None
    return {
        "optimizer": str(optimizer),
        "loss_function": str(loss),
        "n_steps": n_steps,
        "max_grad_norm": most,
        "updates": updates,
        "ends_stored": int(memory.dones.sum()),
        "cuts_stored": int(memory.timeouts.sum()),
        **largest,
    }


def main() -> None:
    """Print one row per way of updating."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=500, help="consecutive updates of each (default: 500)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        differences(*way, arguments.updates) for way in itertools.product(Optimizer, Loss, (1, 5), (UNCLIPPED, CLIPPED))
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print("optimizer   loss    n   clipped at   ends (cuts)   loss, relative   parameters   optimizer state")
    for row in rows:
        print(
            f"{row['optimizer']:<12}{row['loss_function']:<7}{row['n_steps']:>2}{row['max_grad_norm']:>13g}"
            f"{row['ends_stored']:>9} ({row['cuts_stored']})"
            f"{row['loss']:>17.1e}{row['parameters']:>13.1e}{row['optimizer_state']:>18.1e}"
        )
    print(f"{arguments.updates} updates in a row, each from the stock learner's weights")
    print(machine_line())


if __name__ == "__main__":
    main()
