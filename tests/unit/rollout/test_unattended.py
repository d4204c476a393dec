"""Runs without an operator: they stop for equal faults and at their limits, and a series can be continued."""

from __future__ import annotations

import contextlib
import itertools
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.rig import Start
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rigs.pybullet_rigs import SimRig
from cartpole_robot.rigs.swing_start import kind_of
from cartpole_robot.rollout import series as series_module
from cartpole_robot.rollout import unattended as unattended_module
from cartpole_robot.rollout.record import RolloutRequest, RolloutStoppedError
from cartpole_robot.rollout.series import record_series
from cartpole_robot.rollout.unattended import NO_LIMITS, RunLimits, UnattendedRun, disk_problem
from cartpole_robot.signals import Measurement


@pytest.fixture
def run() -> UnattendedRun:
    with contextlib.closing(open_rig("sim", load_cart("gym"))) as rig:
        return UnattendedRun(rig, NO_LIMITS)


def test_third_equal_fault_in_a_row_stops_the_run(run: UnattendedRun) -> None:
    faults = ("POLE_STILL at 3 mm: a", "POLE_STILL at 5 mm: a", None, "POLE_STILL at 3 mm: a", "ESTOP at 1 mm: b")
    assert [run.reason_to_stop(fault) for fault in faults] == [None] * 5
    assert run.reason_to_stop("ESTOP at 2 mm: b") is None
    assert run.reason_to_stop("ESTOP at -7 mm: b") == "3 equal faults in a row, the last: ESTOP at -7 mm: b"


def test_faults_without_a_name_are_equal_but_for_their_numbers() -> None:
    assert kind_of("no measurement for 0.5 s: lost") == kind_of("no measurement for 12 s: lost")
    assert kind_of("no measurement for 0.5 s: lost") != kind_of("the cart is READY after DISARM")


def test_limits_need_a_run_without_an_operator() -> None:
    with contextlib.closing(open_rig("sim", load_cart("gym"))) as rig, pytest.raises(UsageError, match="--start"):
        UnattendedRun(rig, RunLimits(distance_m=1.0))


def test_disk_that_is_nearly_full_is_reported_with_both_figures(tmp_path: Path) -> None:
    assert disk_problem(tmp_path, 10) is None
    assert "the next episode needs 20000" in str(disk_problem(tmp_path, 10**14))


def request(folder: Path, *, cart: str = "diy_arduino", start: Start = Start.BY_HAND) -> RolloutRequest:
    return RolloutRequest(
        policy=Path("lqr"), rig="sim", cart=cart, backend="c", seed=3, duration_s=0.4, out=folder, start=start
    )


def test_series_continues_with_the_missing_episodes(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    record_series(request(folder), 2)
    before = (folder / "0001.parquet").stat().st_mtime_ns
    again = record_series(request(folder), 4)
    assert (again.episodes, again.recorded, again.faults, again.stopped) == (4, 2, (), None)
    assert (folder / "0001.parquet").stat().st_mtime_ns == before


def test_episode_that_the_user_stopped_is_set_aside_and_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, step = tmp_path / "series", SimRig.step
    steps = itertools.count()

    def interrupted(rig: SimRig, duty: float) -> Measurement:
        if next(steps) in (30, 40):  # in the second episode, and in its repetition
            signal.raise_signal(signal.SIGINT)
        return step(rig, duty)

    monkeypatch.setattr(SimRig, "step", interrupted)
    for aside in ("0002-stopped.parquet", "0002-stopped-2.parquet"):
        with pytest.raises(RolloutStoppedError, match=f"{aside}; the same command continues the series"):
            record_series(request(folder), 3)
        assert 0 < len(read_recording(folder / aside).rows) < 20
    assert record_series(request(folder), 3).episodes == 3


def test_series_of_another_cart_is_not_continued(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    record_series(request(folder), 1)
    with pytest.raises(UsageError, match="cart = 'diy_arduino', this run has 'quanser_ip02'"):
        record_series(request(folder, cart="quanser_ip02"), 2)


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        record_series(request(tmp_path), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.long
def test_series_stops_at_its_limit_of_cart_time_and_before_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(tmp_path / "series", start=Start.SWING_UP)
    found = record_series(asked, 5, RunLimits(cart_time_s=0.1))
    assert (found.episodes, found.stopped is not None and found.stopped.startswith("the motor was armed")) == (1, True)
    outcome = read_recording(asked.out / "0001.parquet").outcome
    assert outcome is not None
    assert outcome.swing_up is not None
    assert (outcome.swing_up.swing_ups, outcome.swing_up.swing_up_failures) == (1, ())
    monkeypatch.setattr(series_module, "disk_problem", lambda folder, rows: "full")
    assert record_series(asked, 5).stopped == "full"


def test_series_for_which_the_disk_has_no_room_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command_here: Callable[..., CompletedProcess[str]]
) -> None:
    monkeypatch.setattr(unattended_module, "_LEAST_FREE_BYTES", 10**18)
    done = command_here("record", "lqr", "--cart", "diy_arduino", "--episodes", 3, "--out", tmp_path / "series")
    assert done.returncode == 1
    assert "0 of 3, 0 of them now" in done.stdout
    assert f"3 of 3 episodes are missing: {tmp_path / 'series'}: " in done.stderr
    assert "the next episode needs 1000000000000 MB; free space and resume" in done.stderr
