"""The demo's part in real time: on a machine that is too busy for it, and with a policy that falls."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.commands import demo
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.recording.journal import journal_of
from tests.policy_on_board import regulating_policy

pytestmark = pytest.mark.realtime
ENOUGH_BYTES = 10_000  # of the journal: the cart is driving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    regulating_policy(load_cart("diy_arduino")).save(tmp_path / "policy.npz")
    return tmp_path


def falling_policy() -> PolicyBundle:
    """Pushes the wrong way."""
    cart = load_cart("diy_arduino")
    good = regulating_policy(cart).network
    wrong = dataclasses.replace(good, output_weight=-good.output_weight)
    visited = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32) * 0.3 / good.input_gain
    return bundle_of(wrong, cart, visited, {}, history_length=1)


def stopping(times: int, cart_file: Path, port: str) -> Callable[[Path], int]:
    """As `deploy_to_virtual` for three seconds, on a virtual cart that homes once for all tests.

    The first `times` hosts are stopped for half a second on the way.
    """
    left = times

    def deploy(folder: Path) -> int:
        nonlocal left
        recording = folder / "virtual.parquet"
        words = ["deploy", folder, "--rig", f"serial:{port}", "--arm", "--no-view", "--duration-s", 3]
        words += ["--cart", cart_file, "--record", recording]
        with subprocess.Popen([sys.executable, "-m", "cartpole_robot", *map(str, words)]) as process:
            journal = journal_of(recording)
            while left and process.poll() is None:
                if journal.exists() and journal.stat().st_size > ENOUGH_BYTES:
                    left -= 1
                    process.send_signal(signal.SIGSTOP)
                    time.sleep(0.5)
                    process.send_signal(signal.SIGCONT)
                    break
                time.sleep(0.01)
            return process.wait(60.0)

    return deploy


@pytest.mark.long
def test_late_machine_is_tried_again(
    folder: Path, quick_cart_file: Path, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "deploy_to_virtual", stopping(1, quick_cart_file, port))
    assert demo._drives(folder)
    printed = capsys.readouterr().out
    assert "This machine is too busy for real time: COMMAND_TIMEOUT after " in printed
    assert "Trying again (2 of 3)." in printed
    assert "continues with what was recorded" not in printed or printed.count("too busy") == 3
    assert (folder / "virtual.parquet").exists()


def test_machine_that_stays_late_is_no_failure(
    folder: Path, quick_cart_file: Path, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "ATTEMPTS", 1)
    monkeypatch.setattr(demo, "deploy_to_virtual", stopping(1, quick_cart_file, port))
    assert demo._drives(folder)
    printed = capsys.readouterr().out
    assert printed.count("This machine is too busy for real time") == 1
    assert "The demo continues with what was recorded" in printed
    demo._draw(folder)
    assert (folder / "virtual.png").exists()
    assert len(list(folder.glob("virtual.*blackbox.npz"))) == 1


def test_policy_that_falls_is_a_failure_at_once(
    folder: Path, quick_cart_file: Path, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "policy.npz").unlink()
    falling_policy().save(folder / "policy.npz")
    monkeypatch.setattr(demo, "deploy_to_virtual", stopping(0, quick_cart_file, port))
    assert not demo._drives(folder)
    assert "Trying again" not in capsys.readouterr().out
