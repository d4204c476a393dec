from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from cartpole_robot.recording.journal import journal_of
from cartpole_robot.recording.metadata import RolloutEnd
from cartpole_robot.recording.reader import read_recording
from tests.conftest import writes_no_bytecode

pytestmark = pytest.mark.realtime  # its limits on the clock need processors that are mostly free

ROOT = Path(__file__).parent.parent.parent
ENOUGH_BYTES = 30_000  # of a journal: more than a hundred rows
LIMIT_S = 180.0  # a process that takes longer hangs, on a busy machine too
AT_ONCE = 5  # rollouts at the same time: they share two cores, as on a busy host


def recording_process(out: Path, *, size_limit: int | None = None) -> subprocess.Popen[str]:
    """`cartpole-robot record` of a rollout that would last a month; with `size_limit` no file may be larger."""
    words = ["record", "lqr", "--cart", "diy_arduino", "--duration-s", "2600000", "--out", str(out)]

    def prepare() -> None:
        os.nice(10)  # a rollout takes all of a processor: the carts of other tests come first
        if size_limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size_limit, size_limit))

    return subprocess.Popen(
        [sys.executable, "-m", "cartpole_robot", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
        env=writes_no_bytecode(),
    )


def wait_for_rows(out: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not journal_of(out).exists() or journal_of(out).stat().st_size < ENOUGH_BYTES:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.long)])
def test_killed_recording_opens_and_lacks_at_most_a_second(tmp_path: Path, kills: int) -> None:
    """SIGKILL at random moments. The host's monotonic clock is the same for killer and killed."""
    moments = random.Random(0)
    for batch in range(kills // AT_ONCE):
        files = [tmp_path / f"{batch}-{number}.parquet" for number in range(AT_ONCE)]
        processes = [recording_process(file) for file in files]
        killed_s = []
        for file, process in zip(files, processes, strict=True):
            wait_for_rows(file, process)
            time.sleep(moments.uniform(0.0, 0.8))
            process.kill()
            killed_s.append(time.monotonic())
            process.communicate()
        for file, moment_s in zip(files, killed_s, strict=True):
            recording = read_recording(file)
            ticks = recording.rows["tick"]
            assert len(ticks) > 50
            assert (ticks == range(len(ticks))).all()
            assert recording.outcome is None
            assert 0.0 <= moment_s - recording.rows["host_time_s"][-1] <= 1.0, file.name
            assert len(pd.read_parquet(file)) == len(ticks)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(folder)], check=False)
    if mounted.returncode != 0:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail("as root, a small disk can be mounted")
        pytest.skip("no permission to mount a small disk; the limit on the file's size is tested everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def seconds_kept_waiting(process: subprocess.Popen[str]) -> float:
    """How long a process that has ended was ready to run and had no processor, before its parent has waited for it."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9


def check_ended_safely(process: subprocess.Popen[str], out: Path, message: str) -> None:
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    ended_s = time.monotonic()
    waited_s = seconds_kept_waiting(process)
    stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1, stderr
    assert stdout == ""
    assert message in stderr
    assert "Traceback" not in stderr
    recording = read_recording(out)
    ticks = recording.rows["tick"]
    assert (ticks == range(len(ticks))).all()
    assert len(ticks) > 50
    assert f"{len(ticks)} rows of it are in {recording.path}" in stderr
    late_s = ended_s - recording.rows["host_time_s"][-1]  # includes the process's own end
    assert 0.0 <= late_s <= 3.0 + waited_s


def test_full_disk_ends_the_rollout_and_keeps_what_was_recorded(small_disk: Path) -> None:
    out = small_disk / "r.parquet"
    check_ended_safely(recording_process(out), out, "No space left on device")
    assert not list(small_disk.glob("*partial*"))


def test_full_quota_ends_the_rollout_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    process = recording_process(out, size_limit=200_000)
    check_ended_safely(process, out, "File too large")
    assert not journal_of(out).exists()  # Parquet is smaller and fitted


def test_disk_too_full_to_begin_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    process = recording_process(out, size_limit=100)
    _, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert "File too large; free space or choose another place" in stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGTERM, 2)])
def test_ctrl_c_and_sigterm_finish_the_recording(number: signal.Signals, times: int, tmp_path: Path) -> None:
    """Twice at once is how `timeout` sends it."""
    out = tmp_path / "r.parquet"
    process = recording_process(out)
    wait_for_rows(out, process)
    for _ in range(times):
        process.send_signal(number)
    _, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert f"the rollout was stopped; {len(pd.read_parquet(out))} rows of it are in {out}" in stderr
    outcome = read_recording(out).outcome
    assert outcome is not None
    assert outcome.end is RolloutEnd.STOPPED
