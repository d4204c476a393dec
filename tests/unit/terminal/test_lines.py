from __future__ import annotations

import subprocess
import sys

import pytest

from cartpole_robot.terminal.lines import say
from cartpole_robot.terminal.progress import progress_bar

WITH_NUMPY_AND_PYSERIAL = """
import sys

class OnlyThese:
    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        if package not in {"cartpole_robot", "firmware_bridge", "numpy", "serial", *sys.stdlib_module_names}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, OnlyThese())
import cartpole_robot.deployment.run, cartpole_robot.rigs.open_rig
from cartpole_robot.rigs.swing_start import say
say("swinging up\\x1b[2J")
"""


def test_deployment_is_imported_and_prints_its_lines_with_numpy_and_pyserial_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITH_NUMPY_AND_PYSERIAL], capture_output=True, text=True, timeout=60.0, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.startswith("cartpole-robot: swinging up")
    assert "\x1b" not in done.stderr


def test_line_stands_above_a_bar(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar(10, "working", " steps") as bar:
        say("a line")
        bar.update(10)
    shown = capfd.readouterr().err.replace("\r", "\n").splitlines()
    assert "cartpole-robot: a line" in [line.strip() for line in shown]
    assert any("100%" in line for line in shown)


def test_line_begins_with_what_it_is_about(capfd: pytest.CaptureFixture[str]) -> None:
    say("no fall is left\x1b[2J", about="training")
    say("a note")
    assert capfd.readouterr().err.splitlines() == ["training: no fall is left\\x1b[2J", "cartpole-robot: a note"]
