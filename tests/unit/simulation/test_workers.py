"""Worker processes: they do not run the caller's script, have one thread, and end when they should."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from cartpole_robot.simulation.workers import MainlessProcess, WorkerPool
from cartpole_robot.terminal.interrupts import sigterm_stops
from tests.cell_folders import ROOT

SCRIPT = """
import os
import sys
from cartpole_robot.simulation.workers import MainlessProcess, WorkerPool

before = {name: globals().get(name) for name in ("__file__", "__spec__")}
print("script", __name__)
with WorkerPool(2) as pool:
    print(sum(pool.map(abs, range(-9, 1))))
process = MainlessProcess(target=print, args=("process",))
process.start()
process.join()
print("end", before == {name: globals().get(name) for name in before}, process.exitcode)
"""
NOTEBOOK = """
import sys, types
cell = open("unguarded.py").read()
sys.modules["__main__"] = kernel = types.ModuleType("__main__")  # as IPython's: it has no file and no spec
exec(compile(cell, "<cell>", "exec"), vars(kernel))
"""
FORMS = {
    "file": ["unguarded.py"],
    "module": ["-m", "unguarded"],
    "command": ["-c", SCRIPT],
    "stdin": ["-"],
    "notebook": ["-c", NOTEBOOK],
}


@pytest.mark.parametrize("form", FORMS)
def test_script_without_a_main_guard_runs_once(tmp_path: Path, form: str) -> None:
    (tmp_path / "unguarded.py").write_text(SCRIPT)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    words = [sys.executable, *FORMS[form]]
    done = subprocess.run(words, cwd=tmp_path, env=env, input=SCRIPT, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["script __main__", "45", "process", "end True 0"]


WHOLE = """
import matplotlib
import numpy as np
from pathlib import Path
from typing import Any

print("begin", np.arange(3).sum())

from cartpole_robot.experiments.stability.run import MapRequest, stability_map

cells = stability_map(
    MapRequest(policies=["lqr"], cart="diy_arduino", grid=Path("grid.toml"), folder=Path("map"), workers=2)
)
print(len(cells.records), "cells")
"""
GRID = """
format = 1
[[map]]
title = "gain"
x = { axis = "motor.stall_force_n", factors = [1.0, 1.1] }
y = { axis = "delay.latency_s", values = [0.0, 0.01] }
"""


@pytest.mark.long
def test_stability_map_runs_from_an_unguarded_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(WHOLE)
    (tmp_path / "grid.toml").write_text(GRID)
    words = [sys.executable, "script.py"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()  # without PyBullet a note stands in between
    assert (lines[0], lines[-1], done.stdout.count("begin")) == ("begin 3", "4 cells", 1)
    assert "Traceback" not in done.stderr


def test_every_process_of_the_package_starts_without_the_callers_script() -> None:
    """A fork runs nothing of it either; every other way to start a process imports `__main__`."""
    others = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "cartpole_robot").rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"ProcessPoolExecutor\(|SpawnProcess\(|\.Process\(|\.Pool\(|get_context\(|forkserver", line)
    }
    allowed = ("cartpole_robot/simulation/workers.py: class", "cartpole_robot/campaign/killed_host.py: host = ")
    assert [line for line in others if not line.startswith(allowed)] == []


def test_workers_have_one_thread_and_are_deaf_to_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with WorkerPool(1) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
        assert pool.submit(os.getenv, "OPENBLAS_NUM_THREADS").result() == "1"
        assert pool.submit(signal.getsignal, signal.SIGINT).result() is signal.SIG_IGN
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_block_that_raises_ends_the_workers_at_once() -> None:
    under_way: list[Future[None]] = []

    def interrupted() -> None:
        with WorkerPool(2) as pool:
            pool.submit(os.getpid).result()
            under_way.extend(pool.submit(time.sleep, 600.0) for _ in range(5))
            raise KeyboardInterrupt

    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began_s < 60.0
    assert len(under_way) == 5
    assert all(one.done() for one in under_way)


def test_workers_killed_while_they_send_a_result_are_not_awaited() -> None:
    for delay_s in (0.05, 0.1, 0.15, 0.2):
        pool = WorkerPool(1)
        pool.submit(abs, 1).result()
        pool.submit(bytes, 1 << 27)
        time.sleep(delay_s)
        ending = threading.Thread(target=pool.end, daemon=True)
        ending.start()
        ending.join(20.0)
        assert not ending.is_alive(), f"killed after {delay_s} s"


CANCELLED = """
import time
from cartpole_robot.simulation.workers import MainlessProcess, WorkerPool
from cartpole_robot.terminal.interrupts import sigterm_stops
pool = WorkerPool(1)
pool.submit(abs, 1).result()
futures = [pool.submit(time.sleep, 30.0) for _ in range(6)]
assert [future.cancel() for future in futures][-1]
pool.end()
"""


def test_end_after_a_cancellation_prints_no_traceback() -> None:
    """As when a signal ends a `map`, which cancels what has not begun."""
    words = [sys.executable, "-c", CANCELLED]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_exit_codes_say_how_a_worker_ended() -> None:
    for function, argument, code in ((os._exit, 7, 7), (os.abort, None, -signal.SIGABRT)):
        pool = WorkerPool(1)
        future = pool.submit(function, *([] if argument is None else [argument]))
        assert isinstance(future.exception(), BrokenProcessPool)
        assert pool.end() == [code]
        assert pool.end() == [code]


def test_signal_that_comes_while_a_process_starts_waits_until_it_has_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SpawnProcess._Popen

    def struck(process: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return plain(process)

    monkeypatch.setattr(SpawnProcess, "_Popen", staticmethod(struck))
    process = MainlessProcess(target=time.sleep, args=(0.01,))
    with pytest.raises(KeyboardInterrupt), sigterm_stops():
        process.start()
    process.join()
    assert process.exitcode == 0
