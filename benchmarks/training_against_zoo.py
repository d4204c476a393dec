"""Time and steps to a verified policy: the recommended preset against SB3 and SBX with rl-zoo3's values for CartPole.

    python -m benchmarks.training_against_zoo --seeds 5

All learn on this package's `gym` cart, on one thread, one after the other. Every 1,000 steps the greedy policy is
checked as in a training: it is verified when it survives ten episodes of 500 steps, the corners of the start spread and
one episode of 5,000 steps. Learning time excludes these checks. Last models are evaluated on 100 fresh episodes. The
zoo's values (rl-baselines3-zoo, hyperparams/dqn.yml, CartPole-v1) have a replay memory of 100,000; a second row has the
blog's 1000. SBX (`pip install sbx-rl`, JAX) takes part where it is installed.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.policy.network import ActionFunction
from cartpole_robot.rollout.evaluation import SELECTION_SEED, evaluate
from cartpole_robot.task import SUCCESS_STEPS
from cartpole_robot.training.checkpoint import TrainingState
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.dqn.learner import new_learner
from cartpole_robot.training.environment import balancing_env, training_env
from cartpole_robot.training.learners import Learner
from cartpole_robot.training.learning import run_learner, verdict
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.trials import TRIAL_STEPS, trials_of

ZOO_STEPS = 50_000
CHECK_EVERY_STEPS = 1000
Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass
class Course:
    """The result of one training; times in seconds, without the checks of the policy."""

    last_steps: float
    whole_s: float
    verified_s: float | None
    verified_step: int | None


class PolicyCheck(BaseCallback):
    """Checks the greedy policy until one is verified; its own time is not counted as learning."""

    def __init__(self, act_of: Callable[[Any], ActionFunction]) -> None:
        super().__init__()
        self._act_of = act_of
        self._env = balancing_env(load_cart("gym"), "sim", TRIAL_STEPS)
        self._trials = trials_of(load_preset("recommended"), self._env)
        self._due_step = CHECK_EVERY_STEPS
        self._began_s = time.monotonic()
        self._away_s = 0.0
        self.verified_s: float | None = None
        self.verified_step: int | None = None

    def learning_s(self) -> float:
        return time.monotonic() - self._began_s - self._away_s

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._due_step and self.verified_step is None:
            self._due_step += CHECK_EVERY_STEPS
            spent_s, begin_s = self.learning_s(), time.monotonic()
            if self._survives(self._act_of(self.model)):
                self.verified_s, self.verified_step = spent_s, self.num_timesteps
            self._away_s += time.monotonic() - begin_s
        return True

    def _survives(self, act: ActionFunction) -> bool:
        found = evaluate(act, self._env, episodes=10, first_seed=SELECTION_SEED, max_steps=500)
        return found.mean_steps >= 500.0 and self._trials.survived(act) == len(self._trials)

    def course(self, model: Any) -> Course:
        whole_s = self.learning_s()
        last = verdict(self._act_of(model), self._env)
        self._env.close()
        return Course(last.mean_steps, whole_s, self.verified_s, self.verified_step)


def greedy(layers: Layers) -> ActionFunction:
    """The greedy action of a network of ReLU layers, in NumPy."""
    *hidden, (last_weight, last_bias) = layers

    def act(observation: NDArray[Any]) -> int:
        signal = np.asarray(observation, np.float32)
        for weight, bias in hidden:
            signal = np.maximum(weight @ signal + bias, np.float32(0.0))
        return int((last_weight @ signal + last_bias).argmax())

    return act


def sb3_action(model: DQN) -> ActionFunction:
    """The greedy action of an SB3 network, its input gain included."""
    linear = [layer for layer in model.q_net.q_net.children() if isinstance(layer, torch.nn.Linear)]
    layers = [(layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()) for layer in linear]
    gain = getattr(model.q_net.features_extractor, "gain", None)
    if gain is not None:
        layers[0] = (layers[0][0] * gain.numpy(), layers[0][1])
    return greedy(layers)


def sbx_action(model: Any) -> ActionFunction:
    """The greedy action of an SBX network; Flax has weights as (inputs, outputs)."""
    parameters = model.policy.qf_state.params["params"]
    dense = sorted((name for name in parameters if name.startswith("Dense_")), key=lambda name: int(name[6:]))
    return greedy([(np.asarray(parameters[n]["kernel"]).T, np.asarray(parameters[n]["bias"])) for n in dense])


def train_recommended(seed: int, learner: Learner) -> Course:
    """Train the preset's 25,000 steps, its collapse guard included."""
    cart, config = load_cart("gym"), load_preset("recommended").changed(learner=learner)
    env = training_env(cart, "sim", config)
    model = new_learner(config, cart, env, seed=seed, tensorboard=None)
    check = PolicyCheck(sb3_action)
    run_learner(TrainingState(model, LearningLog()), config, [check], name="recommended")
    env.close()
    return check.course(model)


def train_zoo(seed: int, replay_memory: int, kind: Any, act_of: Callable[[Any], ActionFunction]) -> Course:
    """Train the zoo's values for 50,000 steps."""
    env = balancing_env(load_cart("gym"), "sim", 500)
    model = kind(
        "MlpPolicy",
        env,
        learning_rate=2.3e-3,
        batch_size=64,
        buffer_size=replay_memory,
        learning_starts=1000,
        gamma=0.99,
        target_update_interval=10,
        train_freq=256,
        gradient_steps=128,
        exploration_fraction=0.16,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [256, 256]},
        seed=seed,
        **({"device": "cpu"} if kind is DQN else {}),
    )
    check = PolicyCheck(act_of)
    model.learn(ZOO_STEPS, callback=check)
    env.close()
    return check.course(model)


def ways_to_train() -> dict[str, Callable[[int], Course]]:
    """By name; SBX's where it is installed."""
    ways: dict[str, Callable[[int], Course]] = {
        "recommended": lambda seed: train_recommended(seed, Learner.LEAN),
        "recommended, stock DQN": lambda seed: train_recommended(seed, Learner.STOCK),
        "zoo, memory 100,000": lambda seed: train_zoo(seed, 100_000, DQN, sb3_action),
        "zoo, memory 1000": lambda seed: train_zoo(seed, 1000, DQN, sb3_action),
    }
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    try:
        import sbx
    except ImportError:
        print("SBX is not installed (pip install sbx-rl) and is skipped")
    else:
        ways["zoo in SBX, 100,000"] = lambda seed: train_zoo(seed, 100_000, sbx.DQN, sbx_action)
    return ways


def row(name: str, courses: list[Course], first: Course) -> str:
    """One line of the table; `first` has the medians to compare with."""
    successes = sum(course.last_steps >= SUCCESS_STEPS for course in courses)
    verified = [course for course in courses if course.verified_s is not None]
    middle = median(courses)
    line = (
        f"{name:<24}{f'{successes} of {len(courses)}':>12}{middle.whole_s:>10.2f}{middle.whole_s / first.whole_s:>8.1f}"
    )
    line += f"{f'{len(verified)} of {len(courses)}':>12}"
    if middle.verified_s is None or middle.verified_step is None or first.verified_s is None:
        return line
    return line + f"{middle.verified_step:>11,}{middle.verified_s:>10.2f}{middle.verified_s / first.verified_s:>8.1f}"


def median(courses: list[Course]) -> Course:
    """The medians; of the verified ones where there are any."""
    verified = [course for course in courses if course.verified_step is not None]
    return Course(
        float(np.median([course.last_steps for course in courses])),
        float(np.median([course.whole_s for course in courses])),
        float(np.median([course.verified_s for course in verified])) if verified else None,  # type: ignore[type-var,arg-type]
        int(np.median([course.verified_step for course in verified])) if verified else None,  # type: ignore[type-var,arg-type]
    )


def main() -> None:
    """Print one row per way of training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N-1 (default: 5)")
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    ways = ways_to_train()
    courses: dict[str, list[Course]] = {name: [] for name in ways}
    for seed in range(seeds):
        for name, way in ways.items():
            course = way(seed)
            courses[name].append(course)
            verified = "never verified"
            if course.verified_step is not None:
                verified = f"verified at {course.verified_step:,} after {course.verified_s:.2f} s"
            print(
                f"seed {seed}: {name}: last model {course.last_steps:.1f}, {course.whole_s:.2f} s, {verified}",
                flush=True,
            )
    first = median(courses["recommended"])
    heads = (
        ("last>=475", 12),
        ("whole s", 10),
        ("ratio", 8),
        ("verified", 12),
        ("at step", 11),
        ("after s", 10),
        ("ratio", 8),
    )
    print(" " * 24 + "".join(head.rjust(width) for head, width in heads))
    for name, found in courses.items():
        print(row(name, found, first))
    print(machine_line())


if __name__ == "__main__":
    main()
