"""Pipes and devices under a file's name: every reader refuses them at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.urdf_file import read_urdf_file
from cartpole_robot.datasets.column_map import load_map
from cartpole_robot.datasets.csv_shape import find_shape
from cartpole_robot.deployment.black_box import load_black_box
from cartpole_robot.errors import UsageError
from cartpole_robot.files.run_folder import locked_run, read_run
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.recording.journal import journal_of
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.training.log import LearningLog

READERS: dict[str, Callable[[Path], object]] = {
    "cart.toml": load_cart,
    "cart.urdf": read_urdf_file,
    "map.toml": load_map,
    "rows.csv": lambda path: find_shape(path, set()),
    "box.npz": load_black_box,
    "policy.npz": load_policy,
    "rollout.parquet": read_recording,
    "left.parquet.journal": read_recording,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipe_or_device_under_a_files_name_is_refused_at_once(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=f"{re.escape(str(path))}.*is a pipe or a device, not a file"):
        READERS[name](path)


def test_journal_of_a_recording_may_not_be_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(journal_of(tmp_path / "rollout.parquet"))
    with pytest.raises(UsageError, match="is a pipe"):
        read_recording(tmp_path / "rollout.parquet")


def test_run_folder_with_pipes_is_refused_at_once(tmp_path: Path) -> None:
    for name in ("run.json", "lock", "episodes.csv"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match="is not a run folder"):
        read_run(tmp_path)
    with pytest.raises(UsageError, match=r"episodes\.csv: .*is a pipe"):
        LearningLog.load(tmp_path)
    with pytest.raises(UsageError, match="cannot be written"), locked_run(tmp_path):
        pass


def test_lock_that_is_a_link_makes_no_file_elsewhere(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "lock").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="cannot be written"), locked_run(folder):
        pass
    assert not elsewhere.exists()


def test_log_with_a_cell_that_csv_cannot_hold_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "episodes.csv").write_text("step,length,epsilon\n1," + "9" * 200_000 + ",0.1\n", encoding="ascii")
    with pytest.raises(UsageError, match=r"episodes\.csv: row 2 is damaged"):
        LearningLog.load(tmp_path)
