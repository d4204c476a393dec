"""A default of the command line and that of the Python interface behind it are the same number."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from cartpole_robot.cart.randomization import ranges_names
from cartpole_robot.commands.cli import _parsed
from cartpole_robot.commands.options import RANGES
from cartpole_robot.compare.open_loop import Tube
from cartpole_robot.deployment.run import DeployRequest
from cartpole_robot.experiments.stability.stability_map import Conditions
from cartpole_robot.identify.identification import IdentifyRequest
from cartpole_robot.training.learning import VERDICT_EPISODES


def default_of(kind: type, name: str) -> Any:
    (field,) = (field for field in dataclasses.fields(kind) if field.name == name)
    return field.default


@pytest.mark.parametrize(
    ("words", "kind", "names"),
    [
        (("deploy", "x"), DeployRequest, ("rig", "cart", "backend", "seed", "duration_s", "late", "record")),
        (("stability-map", "x"), Conditions, ("rig", "episodes", "backend")),
        (("identify", "x", "--out", "y"), IdentifyRequest, ("held_out", "window_s")),
    ],
)
def test_request_has_the_defaults_of_its_verb(words: Sequence[str], kind: type, names: Sequence[str]) -> None:
    arguments = _parsed(words)
    assert {name: getattr(arguments, name) for name in names} == {name: default_of(kind, name) for name in names}


def test_numbers_that_go_by_other_names() -> None:
    arguments = _parsed(("compare", "x", "y"))
    assert Tube() == Tube(position_m=arguments.tube_mm / 1000.0, angle_rad=arguments.tube_rad)
    assert _parsed(("stability-map", "x")).steps == default_of(Conditions, "max_steps")
    assert _parsed(("evaluate", "x")).episodes == VERDICT_EPISODES


def test_help_names_all_ranges_of_the_package() -> None:
    assert ranges_names() == RANGES
