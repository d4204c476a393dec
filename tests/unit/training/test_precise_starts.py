"""A precise training on a cart whose starts leave its regulator nothing to do."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.parts import StartSpread
from cartpole_robot.errors import UsageError
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.config import cart_to_learn, load_preset
from cartpole_robot.training.environment import training_env
from cartpole_robot.training.job import TrainingJob
from cartpole_robot.training.run import start_training

PRECISE = load_preset("precise")


def beginning_at(name: str, angle_rad: float) -> StartSpread:
    zeros = dict.fromkeys((field.name for field in dataclasses.fields(load_cart(name).start)), 0.0)
    return StartSpread(**{**zeros, "pole_angle_rad": angle_rad})


@pytest.mark.parametrize("name", ["gym", "diy_arduino"])
def test_cart_that_begins_at_rest_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    cart = cart_to_learn(PRECISE, dataclasses.replace(load_cart(name), start=beginning_at(name, 0.0)))
    job = TrainingJob(
        config=PRECISE, cart=cart, rig="sim", engine=Engine.NATIVE, seed=1, folder=tmp_path / "run", tensorboard=False
    )
    with pytest.raises(UsageError, match=r"from its \[start\] the regulator need not move.* widen \[start\]"):
        start_training(job)
    assert not job.folder.exists()


def test_starts_narrower_than_a_count_of_the_encoders_are_refused() -> None:
    cart = dataclasses.replace(load_cart("diy_arduino"), start=beginning_at("diy_arduino", 1e-12))
    with pytest.raises(UsageError, match="the regulator need not move"):
        training_env(cart_to_learn(PRECISE, cart), "sim", PRECISE, engine=Engine.NATIVE)


def test_narrow_starts_are_enough() -> None:
    cart = dataclasses.replace(load_cart("diy_arduino"), start=beginning_at("diy_arduino", 0.01))
    with closing(training_env(cart_to_learn(PRECISE, cart), "sim", PRECISE, engine=Engine.NATIVE)) as env:
        env.reset(seed=0)
        assert env.step(0)[1] < 0.0
