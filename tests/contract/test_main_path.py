"""A short main path: train, export, record, compare, each in its own process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cartpole_robot.policy.bundle import load_policy
from tests.conftest import Completed

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, command_line: Callable[..., Completed]) -> Path:
    """The run folder of a training of 300 steps."""
    folder = tmp_path_factory.mktemp("main_path") / "run"
    result(command_line("train", "--cart", "diy_arduino", "--steps", 300, "--out", folder, "--json"))
    return folder


def result(done: Completed) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_short_training_leaves_a_policy_that_is_judged(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert summary["policy_hash"] == load_policy(run / "policy.npz").policy_hash()
    assert (summary["exported"]["episodes"], summary["exported"]["faults"]) == (100, [])


def test_export_writes_that_policy_again(run: Path, tmp_path: Path, command_line: Callable[..., Completed]) -> None:
    result(command_line("export", run, "--out", tmp_path / "out", "--json"))
    policies = [load_policy(folder / "policy.npz") for folder in (run, tmp_path / "out")]
    assert policies[0].policy_hash() == policies[1].policy_hash()


def test_comparison_finds_firmware_and_simulation_close_together(
    tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    recordings = [tmp_path / f"{rig}.parquet" for rig in ("sim", "virtual")]
    for path in recordings:
        words = ("--cart", "diy_arduino", "--rig", path.stem, "--duration-s", 4, "--out", path, "--json")
        assert result(command_line("record", "lqr", *words))["steps"] == 200
    report = tmp_path / "report.html"
    found = result(command_line("compare", *recordings, "--no-attribution", "--out", report, "--json"))
    horizon = found["open_loop"]["horizons"][0]
    assert (horizon["horizon_s"], horizon["windows"]) == (0.1, 37)
    assert 0.0 < horizon["rmse"]["cart_position_m"]["value"] < 1e-3
    assert 0.0 < horizon["rmse"]["pole_angle_rad"]["value"] < 5e-3
    assert "<html" in report.read_text()[:200]
