"""What needs Linux reports that in one line elsewhere, and the extensions need nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from cartpole_robot.commands.cli import main
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.errors import BridgeError


def test_deploy_reports_that_it_needs_linux(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert main(["deploy", "lqr", "--cart", "diy_arduino", "--record", str(tmp_path / "rollout.parquet")]) == 2
    assert capsys.readouterr().err.startswith("cartpole-robot: deploy runs on Linux only")
    assert list(tmp_path.iterdir()) == []


def test_emulated_chip_reports_that_it_needs_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(BridgeError, match=r"the emulated chip runs on Linux only; use the rig virtual"):
        EmulatedChip()


def test_mailbox_compiles_without_linux(tmp_path: Path) -> None:
    source = resources.files("firmware_bridge.simavr").joinpath("mailbox.c")
    words = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-U__linux__", "-E", str(source)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "linux/futex.h" not in done.stdout
    words[words.index("-E")] = "-c"
    subprocess.run([*words, "-o", str(tmp_path / "mailbox.o")], check=True)
