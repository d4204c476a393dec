from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path

import pytest

from cartpole_robot.errors import UsageError
from cartpole_robot.training.config import TrainingConfig, check_seed, load_preset, preset_names
from cartpole_robot.training.learners import Learner

RECOMMENDED = resources.files("cartpole_robot.training.presets").joinpath("recommended.toml").read_text()


@pytest.mark.parametrize("name", ["blog", "recommended"])
def test_every_preset_keeps_the_blogs_memory_batch_network_and_epsilon(name: str) -> None:
    config = load_preset(name)
    assert (config.replay_memory, config.batch_size, config.hidden_units) == (1000, 100, 100)
    assert (config.epsilon_start, config.epsilon_end, config.epsilon_fraction) == (1.0, 0.01, 0.5)


def test_blog_preset_is_literal() -> None:
    config = load_preset("blog")
    assert config.gamma == 0.5
    assert (config.optimizer, config.learning_rate) == ("adagrad", 0.00025)
    assert config.loss == "mse"
    assert (config.tau, config.target_update_every_steps) == (1.0, 1)
    assert (config.episodes, config.max_steps) == (10_000, 10)
    assert config.steps >= 10_000 * 10
    assert config.learner_reward == "step"


def test_there_are_six_presets() -> None:
    assert preset_names() == ("blog", "on_cart", "precise", "recommended", "robust", "swing_up")


def test_preset_for_drawn_carts_is_recommended_but_for_memory_rate_length_and_evaluations() -> None:
    ours, recommended = (dataclasses.asdict(load_preset(name)) for name in ("robust", "recommended"))
    changed = {name for name in ours if ours[name] != recommended[name]}
    assert changed == {
        *("name", "description", "steps", "extension_steps", "replay_memory", "learning_rate_end"),
        *("evaluate_every_steps", "evaluation_episodes", "checkpoint_every_steps"),
    }


def test_preset_for_the_cart_is_recommended_but_for_epsilon_updates_and_what_it_counts() -> None:
    ours, recommended = (dataclasses.asdict(load_preset(name)) for name in ("on_cart", "recommended"))
    changed = {name for name in ours if ours[name] != recommended[name]}
    assert changed == {
        *("name", "description", "steps", "extension_steps", "episodes", "learning_starts", "train_every_steps"),
        *("target_update_every_steps", "epsilon_start", "epsilon_clock", "evaluate_every_steps"),
        *("evaluation_episodes", "checkpoint_every_steps", "collapse_guard"),
    }
    assert (ours["episodes"], ours["replay_memory"], ours["epsilon_start"]) == (100, 1000, 0.05)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gamma = 0.99", "gamma = 1.99", "gamma = 1.99, expected 0 to 1"),
        ("gamma = 0.99", "discount = 0.99", "unknown key 'discount'"),
        ("replay_memory = 1000", "replay_memory = 0", "replay_memory = 0, expected"),
        ("replay_memory = 1000", "replay_memory = 10.5", "replay_memory = 10.5, expected a whole number"),
        ('optimizer = "adamw"', 'optimizer = "sgd"', "optimizer = 'sgd', expected one of 'adamw', 'adagrad'"),
        ("hidden_units = 100", "hidden_units = 300", "hidden_units = 300, expected at most 256"),
        ("weight_decay = 0.1", "weight_decay = inf", "weight_decay = inf, expected a finite number"),
        ("learning_rate = 1e-3", "learning_rate = 1e11", "learning_rate = 1e+11, expected at most 1"),
        (
            "learning_rate = 1e-3",
            "learning_rate = 1e-3\nlearning_rate_end = 2e-3",
            "learning_rate_end = 0.002 is above learning_rate = 0.001",
        ),
        ("learning_rate = 1e-3", "learning_rate = 1e-3\nlearning_rate_end = 0", "learning_rate_end = 0, expected"),
        ("learning_rate = 1e-3", "learning_rate = 1e30", "learning_rate is beyond 1e+12"),
        ("replay_memory = 1000", "replay_memory = 100_000_000_000", "replay_memory = 1e+11, expected at most 1e+07"),
        ("gradient_steps = 1", "gradient_steps = 1_000_000", "gradient_steps = 1e+06, expected at most 10000"),
        (
            "evaluation_episodes = 10",
            "evaluation_episodes = 1_000_000",
            "evaluation_episodes = 1e+06, expected at most 10000",
        ),
        (
            "learning_starts = 200",
            "learning_starts = -1",
            "learning_starts = -1, expected a finite number of at least 0",
        ),
        ("gamma = 0.99", 'gamma = 0.99\nname = "../../up"', "name = '../../up': a preset is named after its file"),
        ("n_steps = 5", "n_steps = 1001", "n_steps = 1001 is more than replay_memory = 1000 holds"),
        ('epsilon_clock = "steps"', 'epsilon_clock = "episodes"', "needs episodes = a number"),
        ("epsilon_end = 0.01", "epsilon_end = 1.0\nepsilon_start = 0.5", "is not valid TOML"),
        ("gamma = 0.99", "gamma = 0.99\nhistory_length = 0", "history_length = 0, expected 1 to 6"),
        ("gamma = 0.99", "gamma = 0.99\nhistory_length = 7", "history_length = 7, expected 1 to 6"),
        ("gamma = 0.99", "gamma = 0.99\nhistory_length = 1.5", "history_length = 1.5, expected a whole number"),
        ('loss = "huber"', 'loss = "mse"\nlearner = "stock"', "learner = 'stock' has the Huber loss"),
    ],
)
def test_bad_preset_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RECOMMENDED.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        load_preset(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_unknown_preset_lists_the_known() -> None:
    with pytest.raises(UsageError, match="'best' is not known; expected one of blog, on_cart, precise, recommended"):
        load_preset("best")


def test_stock_learner_cannot_run_the_blog() -> None:
    with pytest.raises(UsageError, match="preset blog: learner = 'stock'"):
        load_preset("blog").changed(learner=Learner.STOCK)


def test_changed_copy_keeps_the_rest() -> None:
    config = load_preset("recommended")
    assert isinstance(config, TrainingConfig)
    assert config.changed(steps=100).steps == 100
    assert config.changed(steps=100).gamma == 0.99


@pytest.mark.parametrize("seed", [-1, 1_000_000, 2_000_000])
def test_seed_of_an_evaluation_is_refused_for_training(seed: int) -> None:
    with pytest.raises(UsageError, match=f"seed {seed}, expected 0 to 999999"):
        check_seed(seed)
