"""Worker processes: they do not run the caller's script, have one thread, and end when they should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from cartpole_robot.simulation.workers import WorkerPool
from tests.cell_folders import ROOT

SCRIPT = """
import os
import sys
from cartpole_robot.simulation.workers import MainlessProcess, WorkerPool

print("script", __name__, os.path.basename(__file__))
with WorkerPool(2) as pool:
    print(sum(pool.map(abs, range(-9, 1))))
process = MainlessProcess(target=print, args=("process",))
process.start()
process.join()
print("end", os.path.basename(sys.modules["__main__"].__file__), process.exitcode)
"""


@pytest.mark.parametrize("words", [["unguarded.py"], ["-m", "unguarded"]])
def test_script_without_a_main_guard_runs_once(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "unguarded.py").write_text(SCRIPT)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "script __main__ unguarded.py",
        "45",
        "process",
        "end unguarded.py 0",
    ]


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


def test_exit_codes_say_how_a_worker_ended() -> None:
    for function, argument, code in ((os._exit, 7, 7), (os.abort, None, -signal.SIGABRT)):
        pool = WorkerPool(1)
        future = pool.submit(function, *([] if argument is None else [argument]))
        assert isinstance(future.exception(), BrokenProcessPool)
        assert pool.end() == [code]
        assert pool.end() == [code]
