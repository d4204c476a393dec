"""Command lines, each in a process of its own that is forked from one with the heavy packages imported already.

The fork runs the module `cartpole_robot` as `python -m cartpole_robot` does, but without the second or two of imports.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).parent.parent
STARTS_WITHIN_S = 600.0  # with all imports, on a busy machine too
IMPORTED_BEFORE = (  # by most verbs; one that is not installed is left out
    *("torch", "stable_baselines3", "gymnasium", "scipy.optimize", "scipy.linalg", "scipy.signal"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "pyarrow.parquet", "plotly.graph_objects", "jinja2"),
    *("cartpole_robot.commands.cli", "cartpole_robot.training.run", "cartpole_robot.training.export"),
    *("cartpole_robot.rollout.judging", "cartpole_robot.rollout.record", "cartpole_robot.compare.html_report"),
    *("cartpole_robot.identify.identification", "cartpole_robot.campaign.run"),
)


class CommandServer:
    """Forks a process per command line. A context manager; it is not for several threads at a time."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.command_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=_environment(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(10.0)
        self._folder.cleanup()

    def run(self, words: list[str], cwd: Path | None, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """The exit code and the text of one command line. Raises `subprocess.TimeoutExpired` after killing it."""
        out, err = (Path(self._folder.name) / name for name in ("out", "err"))
        request = {"words": words, "cwd": str(cwd or Path.cwd()), "environment": _environment()}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps({**request, "out": str(out), "err": str(err)}).encode() + b"\n")
        self._server.stdin.flush()
        pid = self._answer()
        try:
            code = self._answer(timeout_s)
        except TimeoutError:
            os.kill(pid, 9)
            self._answer()
            raise subprocess.TimeoutExpired(words, timeout_s, out.read_bytes(), err.read_bytes()) from None
        return subprocess.CompletedProcess(words, code, *(path.read_text("utf-8") for path in (out, err)))

    def _answer(self, timeout_s: float = STARTS_WITHIN_S) -> int:
        answers = self._server.stdout
        assert answers is not None
        if not select.select([answers], [], [], timeout_s)[0]:
            raise TimeoutError
        line = answers.readline()
        assert line, f"the server of command lines has ended with {self._server.wait()}"
        return int(line)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer each request with the id of its process, then with its exit code; its forks never return."""
    while line := requests.readline():
        request: dict[str, Any] = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(_run(request))
        answers.write(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        answers.write(b"%d\n" % os.waitstatus_to_exitcode(status))


def _run(request: dict[str, Any]) -> int:
    """The exit code of that command line. The process must end at once: to free all that it imported takes a second."""
    _become(request)
    sys.argv[1:] = request["words"]
    code: Any = 1
    try:
        runpy.run_module("cartpole_robot", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code if isinstance(code, int) else int(code is not None)


def _become(request: dict[str, Any]) -> None:
    """Have the folder, the environment and the streams that a new process of that request would have."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, request["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(name, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    for each in IMPORTED_BEFORE:
        with contextlib.suppress(ImportError):
            importlib.import_module(each)
    gc.collect()
    gc.freeze()  # so that a fork shares this memory
    own = os.dup(0), os.dup(1)
    serve(os.fdopen(own[0], "rb", buffering=0), os.fdopen(own[1], "wb", buffering=0))
