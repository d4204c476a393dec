"""Makes a Stable-Baselines3 model that balances, for the pages that export one: `python docs/prepared_ppo.py FILE`.

The Python snippet of docs/guides/other_learners.md trains for a minute; this takes a third of it.
"""

from __future__ import annotations

import sys

import gymnasium
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from cartpole_robot.training.vec_env import CartPoleVecEnv

envs = gymnasium.make_vec(
    "cartpole_robot.env:cartpole_robot/CartPole-v1", num_envs=64, cart="diy_arduino", autoreset_mode="SameStep"
)
torch.set_num_threads(1)
model = PPO("MlpPolicy", VecMonitor(CartPoleVecEnv(envs)), n_steps=32, batch_size=256, device="cpu", seed=0)
model.learn(300_000)
model.save(sys.argv[1])
