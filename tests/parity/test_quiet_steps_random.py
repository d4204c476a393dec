"""Random trainings, stopped and resumed, leave the same whether C or Python takes the steps between callbacks."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization, load_randomization
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training import precision
from cartpole_robot.training.averaging import Averaging
from cartpole_robot.training.callbacks import Checkpointing, EpisodeLogging
from cartpole_robot.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from cartpole_robot.training.config import (
    EpsilonClock,
    GuardAction,
    LearnerReward,
    Loss,
    Optimizer,
    Symmetry,
    TrainingConfig,
    cart_to_learn,
    extended_to,
    load_preset,
)
from cartpole_robot.training.environment import judging_env
from cartpole_robot.training.greedy_evaluation import GreedyEvaluation
from cartpole_robot.training.learning import run_learner
from cartpole_robot.training.log import LearningLog
from tests.parity.test_quiet_steps import RolloutWitness, Witness, compensating, everything, learner, with_delay
from tests.stop_at import StopAt

TRAININGS = 10


def drawn_config(rng: random.Random) -> TrainingConfig:
    preset = load_preset(rng.choice(["precise", "recommended", "blog", "robust"]))
    changes: dict[str, Any] = {
        "steps": rng.choice([233, 500, 777]),
        "extension_steps": 0,
        "episodes": None,
        "epsilon_clock": EpsilonClock.STEPS,
        "history_length": rng.choice([1, 1, 2, 3, 6]),
        "n_steps": rng.choice([1, 2, 3, 5, 7]),
        "train_every_steps": rng.choice([1, 2, 3, 4, 7, 16, 60, 251, 300]),
        "gradient_steps": rng.choice([1, 1, 2, 3]),
        "target_update_every_steps": rng.choice([1, 3, 4, 7, 50]),
        "tau": rng.choice([0.005, 0.3, 1.0]),
        "replay_memory": rng.choice([7, 20, 64, 300, 1000, 5000]),
        "learning_starts": rng.choice([0, 1, 5, 30, 200]),
        "max_steps": rng.choice([1, 2, 5, 10, 37, 100, 300]),
        "batch_size": rng.choice([1, 2, 31, 32, 33, 64]),
        "hidden_units": rng.choice([2, 4, 16, 18, 40]),
        "epsilon_start": rng.choice([1.0, 0.5, 0.1]),
        "epsilon_end": rng.choice([0.0, 0.01, 0.1]),
        "epsilon_fraction": rng.choice([0.1, 0.5, 1.0]),
        "symmetry": rng.choice(list(Symmetry)),
        "optimizer": rng.choice(list(Optimizer)),
        "loss": rng.choice(list(Loss)),
        "averaged_steps": rng.choice([None, 500]),
        "evaluate_every_steps": rng.choice([125, 250, 333]),
        "evaluation_episodes": 1,
        "checkpoint_every_steps": rng.choice([61, 100, 5000]),
        "learning_rate_end": rng.choice([None, 0.1 * preset.learning_rate]),
    }
    if rng.random() < 0.25:
        changes["extension_steps"] = rng.choice([200, 400])
    elif rng.random() < 0.35:
        changes["episodes"] = rng.choice([5, 20, 60])
        changes["epsilon_clock"] = rng.choice(list(EpsilonClock))
    if preset.cost is not None:
        adapts_from, reversal = rng.choice([None, 0.0, 0.3]), rng.choice([0.0, 0.02, 1.0])
        changes["cost"] = dataclasses.replace(preset.cost, adapts_from=adapts_from, reversal=reversal)
        changes["wide_start_share"] = rng.choice([0.0, 0.15, 0.9])
        changes["collapse_guard"] = rng.choice([GuardAction.OFF, GuardAction.WATCH])
    else:
        changes["learner_reward"] = rng.choice([LearnerReward.FALL, LearnerReward.STEP])
        changes["collapse_guard"] = rng.choice(list(GuardAction))
    return dataclasses.replace(preset, **changes)


def drawn_cart(rng: random.Random) -> tuple[CartParams, Randomization | None]:
    if rng.random() < 0.2:
        cart = with_actions(load_cart("diy_arduino"), (-0.4, -0.2, 0.2, 0.4), given="the test")
        return cart, load_randomization(Path("diy_arduino"), cart)
    cart = rng.choice(
        [
            *(load_cart(name) for name in ("gym", "diy_arduino", "quanser_ip02", "sensorsini")),
            with_delay(load_cart("diy_arduino")),
            compensating(),
        ]
    )
    if cart.encoders is not None and rng.random() < 0.25:
        cart = dataclasses.replace(cart, motor=dataclasses.replace(cart.motor, gain_asymmetry=0.07))
    return cart, None


def left_by(seed: int, folder: Path, *, in_c: bool) -> dict[str, Any]:
    """What the training of that seed shows, writes and leaves; it may stop at an odd step, to be resumed."""
    rng = random.Random(seed)
    config = drawn_config(rng)
    cart, randomization = drawn_cart(rng)
    stop, witness = rng.choice([None, 91, 250, 400]), rng.choice([Witness, RolloutWitness])()
    judging = judging_env(config, cart_to_learn(config, cart), "sim", 500, engine=Engine.NATIVE)

    def train(state: TrainingState, stop: int | None) -> bool:
        callbacks = [
            EpisodeLogging(state, config.episodes),
            *([Averaging(state, config.averaged_steps)] if config.averaged_steps else []),
            GreedyEvaluation(state, config, judging, randomization),
            witness,
            *([StopAt(stop)] if stop else []),
            Checkpointing(state, folder, config.checkpoint_every_steps),
        ]
        ends = run_learner(state, config, callbacks, name="random")
        if ends and config.extension_steps:
            until = extended_to(config, state.model.num_timesteps)
            ends = run_learner(state, config, callbacks, name="random", until=until)
        return ends

    model = learner(config, cart, randomization, in_c=in_c)
    state = TrainingState(model, LearningLog())
    if not train(state, stop):
        checkpoint = save_checkpoint(folder / "stopped", state)
        model = learner(config, cart, randomization, in_c=in_c)
        np.random.seed(1)  # what the checkpoint restores
        state = load_checkpoint(checkpoint, model)
        train(state, None)
    left = everything(model)
    left["moments"] = [numbers for numbers in left["moments"] if any(numbers)]  # C begins them before an update
    written = [path for path in folder.rglob("*") if path.suffix in (".csv", ".npz") and path.name != "learner.npz"]
    networks = (state.averaged, state.selected and state.selected.network)
    return {
        "seen": witness.seen,
        **left,
        "log": repr((state.log.episodes, state.log.evaluations, state.log.guard)),
        "networks": [network and network.hidden_weight.tobytes() for network in networks],
        "files": {str(path.relative_to(folder)): path.read_bytes() for path in written},
    }


@pytest.mark.parametrize("seed", range(TRAININGS))
def test_random_training(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_PUSHED_STARTS", 2)
    expected, found = (left_by(seed, tmp_path / str(in_c), in_c=in_c) for in_c in (False, True))
    for name, value in expected.items():
        assert found[name] == value, name
