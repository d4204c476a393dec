"""Checkpoints of a training: everything needed to resume it, written atomically."""

from __future__ import annotations

import dataclasses
import pickle
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv

from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_folder
from cartpole_robot.policy.network import Network
from cartpole_robot.training.cart_progress import CartProgress
from cartpole_robot.training.config import TrainingConfig
from cartpole_robot.training.dqn.learner import MODEL_FILE_ERRORS, load_learner
from cartpole_robot.training.log import EvaluationRow, LearningLog


@dataclass(frozen=True)
class Selected:
    """The best network so far by greedy evaluation, with that evaluation."""

    network: Network
    row: EvaluationRow


@dataclass
class TrainingState:
    """The complete state of a training; `elapsed_s` is its learning time at the last call of `count_time`."""

    model: DQN
    log: LearningLog
    selected: Selected | None = None
    elapsed_s: float = 0.0
    on_cart: CartProgress | None = None  # set when learning on the real cart
    _counted_s: float = field(default_factory=time.monotonic, init=False)

    def count_time(self) -> float:
        """Add the time since the last call, or since this state was created, to `elapsed_s`; returns the sum."""
        now_s = time.monotonic()
        self.elapsed_s += now_s - self._counted_s
        self._counted_s = now_s
        return self.elapsed_s


def save_checkpoint(folder: Path, state: TrainingState) -> Path:
    """Write a checkpoint, named by its step, into `folder`; returns its path. A crash leaves no partial checkpoint."""
    target = folder / f"step_{state.model.num_timesteps:08d}"
    generators = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state().numpy(),
        "starts_and_actions": [generator.bit_generator.state for generator in _generators(state.model)],
        "elapsed_s": state.elapsed_s,
    }
    with atomic_folder(target) as partial:
        state.model.save(partial / "model.zip")
        state.model.save_replay_buffer(partial / "replay_memory.pkl")
        state.log.save(partial)
        if state.selected is not None:
            network = {f.name: getattr(state.selected.network, f.name) for f in dataclasses.fields(Network)}
            np.savez(partial / "selected.npz", **network, row=np.array(dataclasses.astuple(state.selected.row)))
        if state.on_cart is not None:
            state.on_cart.save(partial)
        (partial / "generators.pkl").write_bytes(pickle.dumps(generators))
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in `folder`, or None."""
    return max(folder.glob("step_*"), default=None)


def load_checkpoint(path: Path, config: TrainingConfig, env: gymnasium.Env[Any, Any]) -> TrainingState:
    """Restore learner, replay memory, random generators, log and selected network.

    The unfinished episode is dropped; the next step begins a new one. Raises `UsageError`.
    """
    try:
        model = load_learner(path / "model.zip", config, env)
        model.load_replay_buffer(path / "replay_memory.pkl")
        generators = pickle.loads((path / "generators.pkl").read_bytes())
        end_stored_episode(model)
        cast(DummyVecEnv, model.env)._reset_seeds()  # SB3's load would repeat the run's starts
        random.setstate(generators["python"])
        np.random.set_state(generators["numpy"])
        torch.set_rng_state(torch.from_numpy(generators["torch"]))
        selected = _load_selected(path / "selected.npz")
        for generator, stored in zip(_generators(model), generators["starts_and_actions"], strict=True):
            generator.bit_generator.state = stored
        elapsed_s = float(generators["elapsed_s"])
    except (*MODEL_FILE_ERRORS, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise UsageError(
            f"{path}: this checkpoint is damaged ({type(error).__name__}: {error}); "
            "delete it and resume from the one before"
        ) from None
    return TrainingState(model, LearningLog.load(path), selected, elapsed_s, CartProgress.load(path))


def _generators(model: DQN) -> tuple[np.random.Generator, np.random.Generator]:
    """The generators of the episodes' starts and of random actions."""
    return cast(DummyVecEnv, model.env).envs[0].unwrapped.np_random, model.action_space.np_random


def end_stored_episode(model: DQN) -> None:
    """Mark the last stored step as the end of its episode, so that the next stored step begins another.

    Without the mark an n-step return would run from one episode into the other.
    """
    memory = model.replay_buffer
    assert memory is not None
    last = memory.pos - 1
    if memory.size() > 0 and not memory.dones[last].any():
        memory.dones[last] = memory.timeouts[last] = 1.0


def _load_selected(path: Path) -> Selected | None:
    if not path.exists():
        return None
    with np.load(path) as archive:
        step, mean_steps, rms_position_m, *trials = archive["row"].tolist()
        network = Network(**{f.name: archive[f.name] for f in dataclasses.fields(Network)})
    return Selected(network, EvaluationRow(int(step), mean_steps, rms_position_m, *map(int, trials)))
