"""A terminal that is closed: what the program still has to say goes nowhere, and its exit code stays its own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

CLOSED_BEFORE_THE_END = """
import sys
from cartpole_robot.__main__ import main
from cartpole_robot.commands import cli
cli.main = lambda: (sys.stdout.write("unread"), sys.stdin.read(), 0)[-1]
sys.exit(main())
"""


def test_exit_code_is_the_verbs_own_when_the_terminal_is_gone() -> None:
    master, slave = pty.openpty()
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    program = subprocess.Popen(
        [sys.executable, "-c", CLOSED_BEFORE_THE_END],
        **{"stdin": subprocess.PIPE, "stdout": slave, "stderr": subprocess.PIPE, "text": True, "env": buffered},
    )
    os.close(slave)
    os.close(master)
    _, said = program.communicate(timeout=60)
    assert (program.returncode, said) == (0, "")
