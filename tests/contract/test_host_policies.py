"""Policies that only a host computes work with every verb that runs one, or are refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.policy.export import bundle_of, write_export
from cartpole_robot.policy.host_network import Activation, Output
from cartpole_robot.recording.reader import read_recording
from tests.conftest import Completed
from tests.host_policies import balancing_network

CART = load_cart("diy_arduino")


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[Output, Path]:
    """A policy of each output that balances the DIY cart."""
    seen = np.random.default_rng(0).normal(size=(500, 4)) * (0.05, 0.1, 0.03, 0.2)
    found = {}
    for output in Output:
        network = balancing_network(CART, Activation.TANH, output)
        bundle = bundle_of(network, CART, seen.astype(np.float32), {"cart": CART.as_dict()})
        folder = tmp_path_factory.mktemp("policy") / output.value
        write_export(bundle, folder)
        found[output] = folder
    return found


@pytest.fixture
def policy(policies: dict[Output, Path]) -> Path:
    """The policy that commands a duty."""
    return policies[Output.CLIPPED]


@pytest.mark.parametrize("rig", ["sim", "virtual"])
@pytest.mark.parametrize("output", list(Output))
def test_evaluate(
    policies: dict[Output, Path], command_here: Callable[..., Completed], output: Output, rig: str
) -> None:
    for backend in ("c", "numpy"):
        words = ("--rig", rig, "--episodes", 2, "--steps", 300, "--backend", backend, "--json")
        done = command_here("evaluate", policies[output], *words)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["episodes_survived"] == 2


def test_recording_has_the_duties_of_the_network(
    policy: Path, tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    file = tmp_path / "rollout.parquet"
    done = command_here("record", policy, "--rig", "virtual", "--duration-s", 2, "--out", file)
    assert done.returncode == 0, done.stderr
    duties = read_recording(file).column("requested_duty")[:-1]
    assert len(set(duties.tolist())) > 50, "more than an action table has"
    assert np.abs(duties).max() <= 1.0
    other = tmp_path / "simulated.parquet"
    done = command_here("record", policy, "--rig", "sim", "--duration-s", 2, "--out", other)
    assert done.returncode == 0, done.stderr
    done = command_here("compare", other, file, "--policy", policy, "--no-attribution", "--json")
    assert done.returncode == 0, done.stderr
    agreement = json.loads(done.stdout)["closed_loop"]["agreement"]
    assert (agreement["simulated"], agreement["recorded"]) == (1.0, 1.0), "asked again it commands the same duties"
    done = command_here("convert", file, "--to", "csv", "--out", tmp_path / "rollout.csv")
    assert done.returncode == 0, done.stderr


@pytest.mark.realtime
def test_deploy_drives_with_it_and_watches_it(
    policy: Path, port: str, quick_cart_file: Path, tmp_path: Path, new_interpreter: Callable[..., Completed]
) -> None:
    for number, option in enumerate(((), ("--shadow",), ("--fallback", "lqr"))):
        file = tmp_path / f"rollout-{number}.parquet"
        rig = ("--cart", quick_cart_file, "--rig", f"serial:{port}", "--arm")
        done = new_interpreter("deploy", policy, *rig, "--duration-s", 1, "--record", file, *option)
        assert done.returncode == 0, done.stderr
        assert len(read_recording(file).rows) > 40


@pytest.mark.long
def test_stability_map_gives_it_every_duty(
    policies: dict[Output, Path], tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text(
        'format = 1\n[[map]]\ntitle = "Small"\nx = { axis = "friction", factors = [1.0, 1.2] }\n'
        'y = { axis = "pole_cart.pole_half_length_m", factors = [1.0, 1.1] }\n'
    )
    words = (policies[Output.CLIPPED], policies[Output.TABLE], "--grid", grid, "--episodes", 1, "--steps", 100)
    done = command_line("stability-map", *words, "--workers", 1, "--out", tmp_path / "map", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "map" / "stability_map.json").read_text())
    assert [one["actions"] for one in record["of"]["policies"]] == [None, list(CART.action_duties)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("evaluate", "POLICY", "--backend", "int16"),
            "backend int16: its network has two hidden",
        ),
        (
            ("record", "POLICY", "--backend", "int16", "--out", "OUT"),
            "backend int16: its network has two hidden",
        ),
        (("deploy", "POLICY", "--rig", "virtual", "--on-board", "--record", "OUT"), "on board: its network has two"),
        (("firmware", "build", "--policy", "POLICY", "--out", "OUT"), "on board: its network has two hidden layers"),
        (("train", "--init", "POLICY", "--out", "OUT"), "a training continues a DQN of one hidden layer of ReLU"),
        (("evaluate", "POLICY", "--env", "CartPole-v1"), "commands a duty, which no other environment knows"),
    ],
)
def test_what_needs_another_form_says_why(
    policy: Path, tmp_path: Path, command_here: Callable[..., Completed], words: tuple[Any, ...], message: str
) -> None:
    paths = {"POLICY": policy, "OUT": tmp_path / "out.parquet"}
    done = command_here(*(paths.get(word, word) for word in words))
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert list(tmp_path.iterdir()) == []
