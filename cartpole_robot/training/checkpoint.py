"""Checkpoints of a training: everything needed to resume it, written atomically.

A checkpoint holds arrays, JSON and CSV, and no code: `learner.json` has the counters and random generators,
`learner.npz` the weights and the optimizer's moments, `replay_memory.npz` the stored steps. They are restored into a
learner that the run's own record describes.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv

from cartpole_robot.errors import UsageError
from cartpole_robot.files.arrays import read_arrays
from cartpole_robot.files.atomic_file import atomic_folder
from cartpole_robot.files.plain_data import parse_json, read_bounded
from cartpole_robot.files.records import record_from_table, require
from cartpole_robot.policy.network import Network
from cartpole_robot.policy.network_file import read_network, write_network
from cartpole_robot.signals import State
from cartpole_robot.training.cart_progress import CartProgress
from cartpole_robot.training.dqn.collecting import end_stored_episode
from cartpole_robot.training.generators import global_state, restore_generator, restore_global
from cartpole_robot.training.log import EvaluationRow, LearningLog

_FORMAT = 2  # before, a checkpoint held pickles
_LEARNER, _ARRAYS, _MEMORY = "learner.json", "learner.npz", "replay_memory.npz"
_SELECTED, _SELECTED_ROW = "selected.npz", "selected.json"
_AVERAGED = "averaged.npz"
_MOST_HARD_STARTS = 10_000
_LARGEST_BYTES = 1 << 30  # a memory of a million steps takes 50 MB, with a history of 16 steps 600 MB
_COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_COUNTERS = ("num_timesteps", "_n_updates", "_n_calls", "_episode_num")
_SHARES = {"exploration_rate": 0.0, "_current_progress_remaining": -1e9}  # least values; an extension counts below 0
_MOMENTS = {torch.optim.AdamW: ("step", "exp_avg", "exp_avg_sq"), torch.optim.Adagrad: ("step", "sum")}
_LARGEST_COUNTER = 1 << 53


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
    averaged: Network | None = None  # the running mean of the network, if the preset asks for it
    hard_starts: list[State] = field(default_factory=list)  # from which a swing-up has failed
    _counted_s: float = field(default_factory=time.monotonic, init=False)

    def count_time(self) -> float:
        """Add the time since the last call, or since this state was created, to `elapsed_s`; returns the sum."""
        now_s = time.monotonic()
        self.elapsed_s += now_s - self._counted_s
        self._counted_s = now_s
        return self.elapsed_s


def save_checkpoint(folder: Path, state: TrainingState) -> Path:
    """Write a checkpoint, named by its step, into `folder`; returns its path. A crash leaves no partial checkpoint."""
    model = state.model
    target = folder / f"step_{model.num_timesteps:08d}"
    memory = model.replay_buffer
    assert memory is not None
    record = {
        "format": _FORMAT,
        **{name: int(getattr(model, name)) for name in _COUNTERS},
        **{name: float(getattr(model, name)) for name in _SHARES},
        "are_updates_held": model.gradient_steps == 0,
        "memory_at": memory.pos,
        "is_memory_full": memory.full,
        "recent_episodes": [[float(one["r"]), int(one["l"])] for one in model.ep_info_buffer or ()],
        "generators": global_state(),
        "starts_and_actions": [generator.bit_generator.state for generator in _generators(model)],
        "elapsed_s": state.elapsed_s,
        "hard_starts": [list(start) for start in state.hard_starts],
    }
    with atomic_folder(target) as partial:
        (partial / _LEARNER).write_text(json.dumps(record), encoding="utf-8")
        np.savez(partial / _ARRAYS, allow_pickle=False, **_learner_arrays(model))
        count = memory.size()
        stored = {name: getattr(memory, name)[:count] for name in _COLUMNS}
        np.savez(partial / _MEMORY, allow_pickle=False, **stored)
        state.log.save(partial)
        if state.selected is not None:
            with (partial / _SELECTED).open("wb") as file:
                write_network(file, state.selected.network)
            row = json.dumps(dataclasses.asdict(state.selected.row))
            (partial / _SELECTED_ROW).write_text(row, encoding="utf-8")
        if state.averaged is not None:
            with (partial / _AVERAGED).open("wb") as file:
                write_network(file, state.averaged)
        if state.on_cart is not None:
            state.on_cart.save(partial)
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in `folder`, or None."""
    return max(folder.glob("step_*"), default=None)


def load_checkpoint(path: Path, model: DQN) -> TrainingState:
    """Restore learner, replay memory, random generators, log and selected network into `model`.

    `model` is a new learner, made as the one of the checkpoint was, and unusable if this fails. The unfinished episode
    is dropped; the next step begins a new one. Raises `UsageError`.
    """
    if not (path / _LEARNER).exists() and (path / "generators.pkl").exists():
        raise UsageError(
            f"{path}: an earlier version wrote this checkpoint, in a form that may run code, and it is not opened; "
            "resume it with that version, or train again"
        )
    try:
        record = parse_json(read_bounded(path / _LEARNER))
        require(record["format"] == _FORMAT, f"{_LEARNER} has format {record['format']!r}, expected {_FORMAT}")
        _restore_counters(model, record)
        if path.name.startswith("step_"):
            steps = path.name.removeprefix("step_").lstrip("0") or "0"
            require(str(model.num_timesteps) == steps, f"num_timesteps = {model.num_timesteps}, expected {steps}")
        _restore_arrays(model, read_arrays(path / _ARRAYS, _learner_names(model), most_bytes=_LARGEST_BYTES))
        _restore_memory(model, record, read_arrays(path / _MEMORY, _COLUMNS, most_bytes=_LARGEST_BYTES))
        end_stored_episode(model)
        cast(DummyVecEnv, model.env)._reset_seeds()  # a new learner would repeat the run's starts
        restore_global(record["generators"])
        for generator, stored in zip(_generators(model), record["starts_and_actions"], strict=True):
            restore_generator(generator, stored)
        selected, hard_starts = _load_selected(path), _hard_starts(record.get("hard_starts", []))
        averaged = read_network(path / _AVERAGED) if (path / _AVERAGED).exists() else None
        elapsed_s = float(record["elapsed_s"])
        require(math.isfinite(elapsed_s) and elapsed_s >= 0.0, f"elapsed_s = {elapsed_s}, expected at least 0")
        log, on_cart = LearningLog.load(path), CartProgress.load(path)
        require((selected is None) == (not log.evaluations), f"only one of {_SELECTED} and an evaluation is there")
        require(
            selected is None or any(row.step == selected.row.step for row in log.evaluations),
            f"the step of {_SELECTED_ROW} is not in evaluations.csv",
        )
    except (OSError, ValueError, TypeError, KeyError, IndexError, RuntimeError, ArithmeticError) as error:
        raise UsageError(
            f"{path}: this checkpoint is damaged ({type(error).__name__}: {error}); "
            "delete it and resume from the one before"
        ) from None
    return TrainingState(model, log, selected, elapsed_s, on_cart, averaged, hard_starts)


def _hard_starts(rows: Any) -> list[State]:
    require(isinstance(rows, list) and len(rows) <= _MOST_HARD_STARTS, "hard_starts is not a list of starts")
    starts = [State(*(float(number) for number in row)) for row in rows]
    require(all(map(math.isfinite, itertools.chain(*starts))), "a hard start is not finite")
    return starts


def _restore_counters(model: DQN, record: Mapping[str, Any]) -> None:
    for name in _COUNTERS:
        value = record[name]
        require(type(value) is int and 0 <= value < _LARGEST_COUNTER, f"{name} = {value!r}, expected a count")
        setattr(model, name, value)
    for name, least in _SHARES.items():
        value = float(record[name])
        require(least <= value <= 1.0, f"{name} = {value}, expected {least:g} to 1")
        setattr(model, name, value)
    is_held = record["are_updates_held"]
    require(type(is_held) is bool, f"are_updates_held = {is_held!r}, expected true or false")
    if is_held:
        model.gradient_steps = 0
    model.ep_info_buffer = deque(maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    for reward, length in record["recent_episodes"]:
        model.ep_info_buffer.append({"r": float(reward), "l": int(length), "t": 0.0})


def _learner_arrays(model: DQN) -> dict[str, NDArray[Any]]:
    """Both networks' tensors and the optimizer's, by a name for each."""
    weights = {f"weights/{name}": tensor for name, tensor in model.policy.state_dict().items()}
    moments = {
        f"moments/{index}/{name}": tensor
        for index, state in model.policy.optimizer.state_dict()["state"].items()
        for name, tensor in state.items()
    }
    return {name: tensor.detach().numpy() for name, tensor in {**weights, **moments}.items()}


def _learner_names(model: DQN) -> list[str]:
    """Every name that `_learner_arrays` can give to an array of this model."""
    count = len(list(model.q_net.parameters()))
    moments = [f"moments/{index}/{name}" for index in range(count) for name in _moments_of(model)]
    return [*(f"weights/{name}" for name in model.policy.state_dict()), *moments]


def _moments_of(model: DQN) -> tuple[str, ...]:
    return next(names for kind, names in _MOMENTS.items() if isinstance(model.policy.optimizer, kind))


def _restore_arrays(model: DQN, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Copy the weights into the model's own tensors and hand the optimizer its moments."""
    for name, array in arrays.items():
        require(array.dtype == np.float32 and bool(np.isfinite(array).all()), f"{name} is not of finite float32")
    weights = {}
    for name, own in model.policy.state_dict().items():
        array = arrays[f"weights/{name}"]
        require(array.shape == tuple(own.shape), f"{name} has shape {array.shape}, expected {tuple(own.shape)}")
        weights[name] = torch.from_numpy(array)
    model.policy.load_state_dict(weights)
    optimizer = model.policy.optimizer
    states: dict[int, dict[str, torch.Tensor]] = {}
    if any(name.startswith("moments/") for name in arrays):  # none before the first update
        for index, parameter in enumerate(model.q_net.parameters()):
            for moment in _moments_of(model):
                array = arrays[f"moments/{index}/{moment}"]
                shape = () if moment == "step" else tuple(parameter.shape)
                require(array.shape == shape, f"moments/{index}/{moment} has shape {array.shape}, expected {shape}")
                states.setdefault(index, {})[moment] = torch.from_numpy(array)
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def _restore_memory(model: DQN, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    memory = model.replay_buffer
    assert memory is not None
    at, is_full = record["memory_at"], record["is_memory_full"]
    require(type(at) is int and 0 <= at < memory.buffer_size, f"memory_at = {at!r}, expected less than its size")
    require(type(is_full) is bool, f"is_memory_full = {is_full!r}, expected true or false")
    memory.pos, memory.full = at, is_full
    count = memory.size()
    for name in _COLUMNS:
        own, array = getattr(memory, name), arrays[name]
        require(
            array.dtype == own.dtype and array.shape == (count, *own.shape[1:]),
            f"{name} is {array.dtype} of shape {array.shape}, expected {own.dtype} of {(count, *own.shape[1:])}",
        )
        require(bool(np.isfinite(array).all()), f"{name} has a number that is not finite")
        own[:count] = array
    actions, space = memory.actions[:count], model.action_space
    most = int(cast(gymnasium.spaces.Discrete, space).n)
    require(bool(((actions >= 0) & (actions < most)).all()), f"an action is not among the {most}")


def _generators(model: DQN) -> tuple[np.random.Generator, np.random.Generator]:
    """The generators of the episodes' starts and of random actions."""
    return cast(DummyVecEnv, model.env).envs[0].unwrapped.np_random, model.action_space.np_random


def _load_selected(path: Path) -> Selected | None:
    if not (path / _SELECTED).exists():
        return None
    row = record_from_table(EvaluationRow, parse_json(read_bounded(path / _SELECTED_ROW)), where=_SELECTED_ROW)
    return Selected(read_network(path / _SELECTED), row)
