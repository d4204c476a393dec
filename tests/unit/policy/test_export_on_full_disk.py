"""An export that fails leaves no part of itself behind, and everything else as it was."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.policy import export
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.network import Network
from tests.conftest import writes_no_bytecode


@pytest.fixture
def bundle(random_network: Network) -> PolicyBundle:
    visited = np.random.default_rng(2).normal(scale=0.3, size=(50, 4)).astype(np.float32)
    return export.bundle_of(random_network, load_cart("gym"), visited, {})


def full(*_: object) -> bytes:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_new_folder_is_removed_again(bundle: PolicyBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "onnx_model", full)
    with pytest.raises(UsageError, match=r"cannot be written \(No space left on device\)"):
        export.write_export(bundle, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_was_there_keeps_its_files(
    bundle: PolicyBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.json").write_text("precious")
    monkeypatch.setattr(export, "onnx_model", full)
    with pytest.raises(UsageError, match=r"cannot be written \(No space left on device\)"):
        export.write_export(bundle, tmp_path)
    assert (tmp_path / "run.json").read_text() == "precious"
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_stopped_export_removes_its_folder(
    bundle: PolicyBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "onnx_model", stopped)
    with pytest.raises(KeyboardInterrupt):
        export.write_export(bundle, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from cartpole_robot.commands.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.long
def test_picture_that_does_not_fit_is_removed(tmp_path: Path) -> None:
    """No file may grow beyond 20 kB here; the picture of a recording takes more."""
    words = ["record", "lqr", "--cart", "gym", "--duration-s", "2", "--out", str(tmp_path / "a.parquet")]
    env = {**writes_no_bytecode(), "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, "-m", "cartpole_robot", *words], check=True, capture_output=True, env=env)
    before = set(tmp_path.iterdir())
    show = ["show", str(tmp_path / "a.parquet"), "--out", str(tmp_path / "a.png")]
    done = subprocess.run([sys.executable, "-c", LIMITED, *show], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 2, done.stderr
    assert "a.png: cannot be written (File too large)" in done.stderr
    assert set(tmp_path.iterdir()) == before
