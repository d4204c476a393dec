"""SIGTERM during a long command: it stops in one line with exit code 1, and leaves no file and no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed

ROOT = Path(__file__).parent.parent.parent
COMMANDS = {
    "evaluate": "evaluate lqr --cart diy_arduino --episodes 1000000",
    "compare": "compare diy_arduino {recording} --engine pybullet --out report.html",
    "identify": "identify {recording} --cart diy_arduino --engine pybullet --out identified.toml",
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, command_line: Callable[..., Completed]) -> Path:
    path = tmp_path_factory.mktemp("recording") / "long.parquet"
    done = command_line("record", "lqr", "--cart", "diy_arduino", "--duration-s", 60, "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def has_handler(process_id: int, number: int) -> bool:
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def descendants(process_id: int) -> list[int]:
    try:
        words = Path(f"/proc/{process_id}/task/{process_id}/children").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []
    return [found for word in words for found in (int(word), *descendants(int(word)))]


STOPPED_WHILE_IMPORTING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it

class Sender:
    def find_spec(self, name, path=None, target=None):
        if name == "cartpole_robot.commands.extras":
            exec(f"import os; os.kill(os.getpid(), {sys.argv[1]})")  # a dataclass is the text of an exec, too

sys.meta_path.insert(0, Sender())
from cartpole_robot.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_before_the_command_line_is_imported_stops_it_in_one_line(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_WHILE_IMPORTING, str(int(number))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "cartpole-robot: stopped\n")


def test_console_script_handles_signals_before_it_imports_the_command_line() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"cartpole-robot": "cartpole_robot.__main__:main"}


@pytest.mark.pybullet
@pytest.mark.parametrize("pause_s", [0.2, 3.0], ids=["importing", "at work"])
@pytest.mark.parametrize(
    "verb", ["evaluate", *(pytest.param(verb, marks=pytest.mark.long) for verb in ("compare", "identify"))]
)
def test_sigterm_stops_it_cleanly(verb: str, pause_s: float, recording: Path, tmp_path: Path) -> None:
    words = COMMANDS[verb].format(recording=recording).split()
    with subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for _ in range(600):
            if has_handler(process.pid, signal.SIGTERM):
                break
            time.sleep(0.1)
        time.sleep(pause_s)
        workers = descendants(process.pid)
        assert process.poll() is None, "it was to take longer"
        for _ in range(2):  # as `timeout` does: to the process, and to its group
            process.send_signal(signal.SIGTERM)
        try:
            printed, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # it prints where each of its threads stands
            pytest.fail(f"it did not stop: {process.communicate(timeout=60)[1]}")
    assert process.returncode == 1, errors
    assert errors.splitlines()[-1] == "cartpole-robot: stopped"
    assert "Traceback" not in errors
    assert printed == ""
    assert list(tmp_path.iterdir()) == []
    deadline_s = time.monotonic() + 20.0
    while (left := [one for one in workers if Path(f"/proc/{one}").exists()]) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert left == []
