"""The whole way in one go."""

from __future__ import annotations

import itertools
from pathlib import Path

import gymnasium

from cartpole_robot.animation import save_animation
from cartpole_robot.cart_files import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.evaluation import VERDICT_SEED, evaluate
from cartpole_robot.policy import load_policy
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.run import TrainingJob, start_training, summary_text


def demo(out: Path | None) -> int:
    """Train on the `gym` cart, export, evaluate, animate; prints a summary, returns the exit code."""
    folder = out or next(path for n in itertools.count(1) if not (path := Path("runs", f"demo-{n}")).exists())
    if folder.exists():
        raise UsageError(f"{folder}: exists already; choose another --out")
    cart = load_cart("gym")
    config = load_preset("recommended")
    print(f"1. Training a DQN on the cart {cart.name!r} in PyBullet, {config.steps} turns.")
    job = TrainingJob(config=config, cart=cart, rig="sim", seed=0, folder=folder, tensorboard=True)
    outcome = start_training(job)
    if outcome.summary is None:
        print(f"Stopped. Go on with: cartpole-robot train --resume {folder}")
        return 1
    print(summary_text(outcome.summary))

    print("2. The exported policy in Gymnasium's own CartPole-v1.")
    act = load_policy(folder / "policy.npz").action_function()
    with gymnasium.make("CartPole-v1") as env:
        result = evaluate(act, env, episodes=100, first_seed=VERDICT_SEED, max_turns=500)
    print(f"  {result.mean_turns:.1f} mean turns over 100 episodes, {result.turns.count(500)} survived all 500")

    print("3. Ten seconds of it as an animation.")
    with balancing_env(cart, "sim", 500) as env:
        save_animation(act, env, cart, folder / "balancing.gif", duration_s=10.0, seed=VERDICT_SEED)

    print(f"Everything is in {folder}:")
    for name, what in (
        ("learning_curve.png", "turns survived while training"),
        ("balancing.gif", "the trained policy at work"),
        ("policy.npz", "the policy bundle; policy.onnx and policy_weights.h hold the same"),
        ("summary.json", "every figure above"),
    ):
        print(f"  {name:<20} {what}")
    return 0 if result.mean_turns >= 475.0 else 1
