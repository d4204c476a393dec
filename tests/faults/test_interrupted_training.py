"""A training that is interrupted: by Ctrl-C, by SIGTERM, by SIGKILL."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cartpole_robot.files.run_folder import locked_run
from cartpole_robot.training.checkpoint import latest_checkpoint
from cartpole_robot.training.log import LearningLog
from tests.conftest import Completed
from tests.unit.training.test_learning_on_cart import FALLING, bundle, pushing

ROOT = Path(__file__).parent.parent.parent


def start_training(folder: Path, *, steps: int = 8000) -> subprocess.Popen[str]:
    words = ["train", "--steps", str(steps), "--seed", "0", "--out", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder.parent,
    )


def wait_for(path: Path, process: subprocess.Popen[str], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_signal_saves_a_checkpoint_says_where_and_resume_finishes(
    tmp_path: Path, command_line: Callable[..., Completed], number: signal.Signals
) -> None:
    run = tmp_path / "run"
    process = start_training(run)
    wait_for(run / "checkpoints" / "step_00005000", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    checkpoint = latest_checkpoint(run / "checkpoints")
    assert checkpoint is not None
    assert f"stopped; the training so far is in {checkpoint}" in err
    assert f"cartpole-robot train --resume {run}" in err
    assert out == ""
    stopped_at = int(checkpoint.name.removeprefix("step_"))
    assert stopped_at % 4 == 0, "between two updates, the last step stored and learned from"
    assert 5000 <= stopped_at < 8000
    assert not (run / "summary.json").exists()

    done = command_line("train", "--resume", run, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["steps"] == 8000
    log = LearningLog.load(run)
    steps = [row.step for row in log.episodes]
    assert steps == sorted(set(steps))
    assert steps[0] < 100, "the episodes from before the stop are in the log"
    assert [row.step for row in log.evaluations] == list(range(1000, 8001, 1000))
    assert {"policy.npz", "learning_curve.png", "model_last.zip"} <= {path.name for path in run.iterdir()}


@pytest.mark.long
def test_ctrl_c_after_the_last_step_names_the_command_that_finishes(
    tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    """While the policy is chosen, tried and exported, a second or two."""
    run = tmp_path / "run"
    process = start_training(run)
    wait_for(run / "model_selected.npz", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert f"cartpole-robot train --resume {run}" in err
    assert not (run / "summary.json").exists()
    done = command_line("train", "--resume", run, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 8000


@pytest.mark.long
def test_killed_training_resumes_from_its_last_checkpoint(
    tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    run = tmp_path / "run"
    process = start_training(run)
    wait_for(run / "checkpoints" / "step_00005000", process)
    process.kill()
    process.communicate()
    (run / "checkpoints" / ".step_00006000.partial").mkdir()
    done = command_line("train", "--resume", run, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 8000


@pytest.mark.long
def test_run_stopped_before_its_first_checkpoint_begins_again(
    tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    run = tmp_path / "run"
    process = start_training(run, steps=400)
    wait_for(run / "run.json", process)
    process.kill()
    process.communicate()
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
    done = command_line("train", "--resume", run, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 400


def test_damaged_checkpoint_is_named(tmp_path: Path, trained_run: Path, command_here: Callable[..., Completed]) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    (run / "summary.json").unlink()
    checkpoint = latest_checkpoint(run / "checkpoints")
    assert checkpoint is not None
    for name in ("learner.json", "learner.npz", "replay_memory.npz", "selected.npz"):
        whole = (checkpoint / name).read_bytes()
        (checkpoint / name).write_bytes(whole[: len(whole) // 2])
        done = command_here("train", "--resume", run)
        assert done.returncode == 2
        assert f"{checkpoint}: this checkpoint is damaged" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        (checkpoint / name).write_bytes(whole)


@pytest.mark.long
def test_signal_ends_a_learning_on_the_cart_with_a_checkpoint(tmp_path: Path) -> None:
    policy, run = tmp_path / "policy.npz", tmp_path / "run"
    bundle(pushing(FALLING)).save(policy)
    words = ["train", "--init", policy, "--rig", "virtual", "--episodes", 100_000, "--out", run]
    process = subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    wait_for(run / "checkpoints", process)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    checkpoint = latest_checkpoint(run / "checkpoints")
    assert f"stopped; the training so far is in {checkpoint}" in err
    assert out == ""
    assert len(LearningLog.load(checkpoint).episodes) > 0


@pytest.mark.long
def test_run_that_was_moved_resumes_into_its_own_folder_and_only_once(
    tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    run = tmp_path / "run"
    process = start_training(run)
    wait_for(run / "checkpoints" / "step_00005000", process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    run.rename(moved)
    before = set((moved / "tensorboard").rglob("events*"))
    with locked_run(moved):
        refused = command_line("train", "--resume", moved)
        assert refused.returncode == 2
        assert "another training works in it" in refused.stderr
    assert command_line("train", "--resume", moved).returncode == 0
    assert set((moved / "tensorboard").rglob("events*")) > before
    assert not run.exists()
