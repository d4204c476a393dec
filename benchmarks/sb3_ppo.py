"""How Stable-Baselines3's own algorithms do on a cart with delay, through this package's policy bundle.

    python -m benchmarks.sb3_ppo --seeds 3
    python -m benchmarks.sb3_ppo --learner ppo-duty --seeds 3

PPO learns on the vector environment with the cart's action table; with -duty, it commands any duty. Each last
model is exported with `export_model`, failed trials or not, and then judged on the rig virtual: the firmware's C in
front of the simulated cart. Seeds count from 0; the settings were chosen on seed 1000.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from benchmarks.machine_load import machine_line
from cartpole_robot.env import MAKE_ID
from cartpole_robot.rollout.judging import JudgingRequest, judge
from cartpole_robot.training.sb3_export import export_model
from cartpole_robot.training.vec_env import CartPoleVecEnv

_EPISODES = 100
_STEPS = 500


def falling(rate: float) -> Callable[[float], float]:
    """A learning rate that falls to 0 over the training."""
    return lambda left: rate * left


def ppo(cart: str, seed: int) -> Any:
    """A trained PPO with two layers of 64 tanh units over the cart's action table."""
    return learned(cart, seed, action="table", num_envs=32, n_steps=64)


def ppo_duty(cart: str, seed: int) -> Any:
    """A trained PPO with two layers of 64 tanh units that commands the duty."""
    return learned(cart, seed, action="duty", num_envs=16, n_steps=128, policy_kwargs={"log_std_init": -0.7})


def learned(cart: str, seed: int, *, action: str, num_envs: int, **settings: Any) -> Any:
    """A PPO with those settings after 300,000 steps on the vector environment."""
    envs = gymnasium.make_vec(MAKE_ID, num_envs=num_envs, cart=cart, action=action, autoreset_mode="SameStep")
    model = PPO(
        "MlpPolicy",
        VecMonitor(CartPoleVecEnv(envs)),
        seed=seed,
        device="cpu",
        batch_size=512,
        n_epochs=10,
        learning_rate=falling(1e-3),
        **settings,
    )
    return model.learn(300_000)


LEARNERS: dict[str, Callable[[str, int], Any]] = {"ppo": ppo, "ppo-duty": ppo_duty}


def row(learner: str, cart: str, seed: int, folder: Path) -> str:
    """The trials and the verdict on the rig virtual of one training, as a line."""
    begin_s = time.perf_counter()
    model = LEARNERS[learner](cart, seed)
    trained_s = time.perf_counter() - begin_s
    out = folder / f"{learner}-{seed}"
    done = export_model(model, cart=cart, out=out, may_fail_trials=True)
    verdict = judge(
        JudgingRequest(
            policy=out,
            env_id=None,
            rig="virtual",
            cart=None,
            backend="c",
            episodes=_EPISODES,
            max_steps=_STEPS,
            first_seed=None,
        )
    )
    return (
        f"{learner} on {cart}, seed {seed}: {model.num_timesteps} steps in {trained_s:.0f} s; "
        f"virtual {verdict['episodes_survived']} of {verdict['episodes']} episodes, "
        f"RMS position {1e3 * verdict['rms_position_m']:.1f} mm, {verdict['reversals_per_s']:.1f} reversals a second; "
        f"trials {done.tried.trials.text}; as PyTorch {done.agreement['c']} of {done.agreement['states']} states"
    )


def main() -> None:
    """Print a line for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learner", default="ppo", choices=LEARNERS)
    parser.add_argument("--cart", default="diy_arduino")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine_line(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            print(row(arguments.learner, arguments.cart, seed, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
