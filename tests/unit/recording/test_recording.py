from __future__ import annotations

import dataclasses
import json
import math
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.recording.format import COLUMNS, Flag, Recording
from cartpole_robot.recording.journal import MAGIC, journal_of
from cartpole_robot.recording.metadata import (
    ControllerRecord,
    DeploymentRecord,
    Outcome,
    RecordingMetadata,
    RolloutEnd,
    SwingUpRecord,
)
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.recording.recorder import Recorder
from cartpole_robot.recording.summary import recording_summary, recording_text
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.rollout.loop import StepLog, run_rollout, start_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from cartpole_robot.signals import NO_COUNT, Measurement
from cartpole_robot.simulation.engine import reference_engine

Completed = subprocess.CompletedProcess[str]
CART = load_cart("diy_arduino")


def metadata(cart: CartParams = CART) -> RecordingMetadata:
    return RecordingMetadata(cart=cart, rig="sim", controller=ControllerRecord(policy="lqr"), seed=4)


def recorded(path: Path, steps: int = 100, cart_name: str = "diy_arduino") -> Recording:
    cart = load_cart(cart_name)
    rig = simulated_rig(cart)
    first = start_rollout(rig, 4)
    with Recorder(path, metadata(cart)) as recorder:
        pilot = SinglePilot(regulator_of(cart))
        rollout = run_rollout(rig, pilot, first, max_steps=steps, log=StepLog(recorder=recorder))
        recorder.close(Outcome(end=rollout.end, steps=rollout.steps, reason=rollout.reason))
    rig.close()
    return read_recording(path)


def test_path_may_be_text(tmp_path: Path) -> None:
    again = read_recording(str(recorded(tmp_path / "text.parquet", 5).path))
    assert len(again.rows) == 6


def measured(tick: int) -> Measurement:
    return Measurement(tick=tick, mcu_time_us=tick * 20_000, cart_counts=-tick, pole_counts=tick)


@pytest.fixture
def without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)


def test_recording_holds_what_the_environment_of_that_seed_gives(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "r.parquet")
    env = CartPoleEnv(cart="diy_arduino")
    observation, _ = env.reset(seed=4)
    controller = regulator_of(CART)
    for row in recording.rows[:-1]:
        state = [row[name] for name in ("cart_position_m", "cart_speed_m_s", "pole_angle_rad", "pole_speed_rad_s")]
        assert np.array(state, np.float32) == pytest.approx(observation, abs=0.0)
        assert row["requested_duty"] == controller.duty(observation)
        observation, _, _, _, info = env.step_duty(row["requested_duty"])
    assert recording.rows["applied_duty"][-1] == info["applied_duty"]
    env.close()


def test_rows_follow_the_ticks_and_the_last_one_requests_nothing(tmp_path: Path) -> None:
    rows = recorded(tmp_path / "r.parquet").rows
    assert rows["tick"].tolist() == list(range(101))
    assert rows["mcu_time_us"].tolist() == [20_000 * k for k in range(101)]
    assert np.isnan(rows["requested_duty"]).tolist() == [False] * 100 + [True]
    assert rows["applied_duty"][2:].tolist() == rows["requested_duty"][:99].tolist()  # next tick: one period later
    assert rows["reward"].tolist() == [0.0] + [1.0] * 100
    assert rows["flags"].tolist() == [0] * 100 + [Flag.TRUNCATED]
    assert (np.diff(rows["host_time_s"]) > 0.0).all()
    assert rows["cart_counts"] / 5555.6 == pytest.approx(rows["cart_position_m"])


def test_pandas_opens_a_recording_and_the_file_holds_its_metadata(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "r.parquet")
    frame = pd.read_parquet(recording.path)
    assert list(frame.columns) == [name for name, _, _ in COLUMNS]
    assert len(frame) == 101
    assert frame["cart_counts"].dtype == np.int32
    stored = json.loads(pyarrow.parquet.read_schema(recording.path).metadata[b"cartpole_robot"])
    assert stored["format"] == 3
    assert stored["metadata"]["cart"]["motor"]["stall_force_n"] == 25.7
    ended = {"end": "duration", "steps": 100, "reason": None, "rows_lost": 0, "handovers": None, "swing_up": None}
    assert stored["outcome"] == ended
    assert recording.cart == CART
    assert not list(tmp_path.glob("*journal*"))


def test_cart_without_encoders_has_no_counts_in_pandas(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "r.parquet", cart_name="gym")
    assert (recording.rows["cart_counts"] == NO_COUNT).all()
    assert pd.read_parquet(recording.path)["pole_counts"].isna().all()


def test_file_that_appears_during_a_recording_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    recorder = Recorder(path, metadata())
    recorder.append(measured(0), 0.0, 0.2, 1.0, 0)
    path.write_text("precious")
    assert recorder.close() == path
    assert path.read_text() == "precious"
    kept = journal_of(path).read_bytes()
    path.unlink()
    assert len(read_recording(path).rows) == 1
    assert kept.startswith(b"cartpole-robot journal 3")


def test_plot_never_replaces_its_recording(tmp_path: Path, command_line: Callable[..., Completed]) -> None:
    path = tmp_path / "j.parquet"
    journal_of(path).write_bytes(journal_bytes(tmp_path, 5))
    done = command_line("show", journal_of(path), "--out", path)
    assert done.returncode == 2
    assert f"{path}: exists already" in done.stderr
    assert len(read_recording(path).rows) == 5


def test_many_readers_of_one_journal_all_get_it(tmp_path: Path) -> None:
    path = tmp_path / "j.parquet"
    content = journal_bytes(tmp_path, 200)
    for _ in range(5):
        path.unlink(missing_ok=True)
        journal_of(path).write_bytes(content)
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(read_recording, [path] * 6))
        assert [len(recording.rows) for recording in found] == [200] * 6
        assert path.exists()
        assert not journal_of(path).exists()
    assert not list(tmp_path.glob(".*"))


def test_journal_on_a_read_only_disk_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j.parquet"
    journal_of(path).write_bytes(journal_bytes(tmp_path, 5))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pyarrow.parquet.write_table", refuse)
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    recording = read_recording(path)
    assert (len(recording.rows), recording.path) == (5, journal_of(path))


def test_altered_header_is_distinguished_from_a_short_one(tmp_path: Path) -> None:
    content = bytearray(journal_bytes(tmp_path, 5))
    content[60] ^= 1
    journal_of(tmp_path / "j.parquet").write_bytes(content)
    with pytest.raises(UsageError, match="header was altered"):
        read_recording(tmp_path / "j.parquet")


def test_altered_parquet_metadata_is_named(tmp_path: Path) -> None:
    table = pyarrow.parquet.read_table(recorded(tmp_path / "r.parquet", steps=3).path)
    for number, text in enumerate((b"{", b"[1]", b"null")):
        path = tmp_path / f"{number}.parquet"
        pyarrow.parquet.write_table(table.replace_schema_metadata({b"cartpole_robot": text}), path)
        with pytest.raises(UsageError, match="was altered"):
            read_recording(path)
    whole = {b"cartpole_robot": table.schema.metadata[b"cartpole_robot"]}
    pyarrow.parquet.write_table(
        table.drop_columns(["tick"]).replace_schema_metadata(whole), tmp_path / "without.parquet"
    )
    with pytest.raises(UsageError, match=r"was altered.*tick"):
        read_recording(tmp_path / "without.parquet")


def test_metadata_that_is_no_json_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        Recorder(tmp_path / "r.parquet", dataclasses.replace(metadata(), seed=np.int64(4)))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("without_pyarrow")
def test_without_pyarrow_the_journal_is_the_recording(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "r.parquet")
    assert recording.path == journal_of(tmp_path / "r.parquet")
    assert len(recording.rows) == 101
    assert recording.outcome == Outcome(end=RolloutEnd.DURATION, steps=100, reason=None, rows_lost=0)
    assert not (tmp_path / "r.parquet").exists()


def test_next_reader_turns_a_journal_into_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow.parquet", None)
        patch.setitem(sys.modules, "pyarrow", None)
        left = recorded(tmp_path / "r.parquet")
    for name in ("r.parquet.journal", "r.parquet"):
        recording = read_recording(tmp_path / name)
        assert recording.path == tmp_path / "r.parquet"
        assert recording.rows.tobytes() == left.rows.tobytes()
        assert recording.outcome == left.outcome
        assert recording.metadata == left.metadata
    assert [file.name for file in tmp_path.iterdir()] == ["r.parquet"]


def test_recording_that_is_being_written_can_be_read_and_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    with Recorder(path, metadata()) as recorder:
        for tick in range(10):
            recorder.append(measured(tick), 0.1 * tick, 0.2, 1.0, 0)
        for _ in range(100):
            if len(read_recording(path).rows) == 10:
                break
            recorder._wake.wait(0.05)
        assert read_recording(path).rows["tick"].tolist() == list(range(10))
        assert read_recording(path).outcome is None
        assert read_recording(path).is_being_written
        assert recording_summary(read_recording(path))["end"] == "being written"
        assert journal_of(path).exists()
        recorder.append(measured(10), 1.0, 0.2, 1.0, 0)
    assert len(read_recording(path).rows) == 11


def journal_bytes(tmp_path: Path, rows: int) -> bytes:
    path = tmp_path / "whole.parquet"
    recorder = Recorder(path, metadata())
    for tick in range(rows):
        recorder.append(measured(tick), 0.1 * tick, 0.2, 1.0, 0)
    kept = journal_of(path)
    for _ in range(200):
        if kept.stat().st_size > 100 * rows and len(read_recording(path).rows) == rows:
            break
        recorder._wake.wait(0.02)
    content = kept.read_bytes()
    recorder.close()
    return content


def test_journal_cut_off_anywhere_gives_its_whole_rows_or_one_clear_error(tmp_path: Path) -> None:
    content = journal_bytes(tmp_path, 5)
    header = len(content) - 5 * 100
    for length in [*range(0, header, 97), *range(header, len(content) + 1, 7), len(content)]:
        cut = tmp_path / f"cut{length}.parquet"
        journal_of(cut).write_bytes(content[:length])
        if length < header:
            with pytest.raises(UsageError, match="journal"):
                read_recording(cut)
            assert journal_of(cut).read_bytes() == content[:length]  # nothing lost, nothing written
        else:
            recording = read_recording(cut)
            whole, torn = divmod(length - header, 100)
            assert recording.rows["tick"].tolist() == list(range(whole))
            assert recording.rows_damaged == (torn > 0)
            assert read_recording(cut).rows_damaged == (torn > 0)  # as Parquet


def test_altered_row_is_left_out_and_counted(tmp_path: Path) -> None:
    content = bytearray(journal_bytes(tmp_path, 5))
    content[-2 * 100 + 30] ^= 0x10
    journal_of(tmp_path / "r.parquet").write_bytes(content)
    recording = read_recording(tmp_path / "r.parquet")
    assert recording.rows["tick"].tolist() == [0, 1, 2, 4]
    assert recording.rows_damaged == 1


OLD_HEADER = {"rig": "sim", "seed": 4, "versions": {"cartpole-robot": "0.0.9", "numpy": "2.0"}, "commit": "abc123"}


def journal_of_format(number: bytes, header: object) -> bytes:
    """What an older version wrote, format 1 and 2 alike."""
    text = json.dumps(header).encode()
    return MAGIC + number + b"\n" + struct.pack("<II", len(text), zlib.crc32(text)) + text + bytes(100)


def check_refused(path: Path, found: str, writer: str) -> None:
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(UsageError) as caught:
        read_recording(path)
    file = path if path.exists() else journal_of(path)
    assert str(caught.value) == (
        f"{file}: has recording format {found}, this version reads 3; record it again, or open it with {writer}"
    )
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize("number", [1, 2, 4])
def test_journal_of_another_format_is_refused_and_left_as_it_is(number: int, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    journal_of(path).write_bytes(journal_of_format(b"%d" % number, OLD_HEADER))
    check_refused(path, str(number), "cartpole-robot 0.0.9 (commit abc123)")
    journal_of(path).rename(path)  # a journal under the recording's own name
    check_refused(path, str(number), "cartpole-robot 0.0.9 (commit abc123)")


@pytest.mark.parametrize("number", [1, 2, 4])
def test_parquet_of_another_format_is_refused_and_left_as_it_is(number: int, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    text = json.dumps({"format": number, **OLD_HEADER, "outcome": None}).encode()
    table = pyarrow.table({"tick": [0]}).replace_schema_metadata({b"cartpole_robot": text})
    pyarrow.parquet.write_table(table, path)
    check_refused(path, str(number), "cartpole-robot 0.0.9 (commit abc123)")


@pytest.mark.parametrize("header", [{}, {"versions": 5}, {"versions": {"cartpole-robot": ""}}, [1], {"a": "b" * 9999}])
def test_other_format_that_does_not_say_who_wrote_it_is_refused(header: object, tmp_path: Path) -> None:
    journal_of(tmp_path / "r.parquet").write_bytes(journal_of_format(b"2", header))
    check_refused(tmp_path / "r.parquet", "2", "the version of cartpole-robot that wrote it")


def test_other_format_written_outside_a_checkout_names_the_version_alone(tmp_path: Path) -> None:
    journal_of(tmp_path / "r.parquet").write_bytes(journal_of_format(b"2", {**OLD_HEADER, "commit": None}))
    check_refused(tmp_path / "r.parquet", "2", "cartpole-robot 0.0.9")


def test_format_that_is_no_number_gives_one_short_line(tmp_path: Path) -> None:
    journal_of(tmp_path / "r.parquet").write_bytes(journal_of_format(b"\x1b[31m\r" + b"9" * 9999, {}))
    with pytest.raises(UsageError) as caught:
        read_recording(tmp_path / "r.parquet")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


SPOILT: list[tuple[dict[str, Any], str]] = [
    ({"cart": 5}, "[recording.metadata.cart] = 5, expected a table of values"),
    ({"cart": {}}, "[recording.metadata.cart]: name is missing"),
    ({"controller": "lqr"}, "[recording.metadata.controller] = 'lqr', expected a table of values"),
    ({"controller": {"policy": None}}, "[recording.metadata.controller] policy = None, expected a text"),
    ({"seed": "4"}, "[recording.metadata] seed = '4', expected a whole number"),
    ({"versions": {"numpy": 2}}, "[recording.metadata.versions] numpy = 2, expected a text"),
    ({"versions": {"a\nb\x1b": 2}}, "[recording.metadata.versions] 'a\\nb\\x1b' = 2, expected a text"),
    ({"versions": {"a" * 9999: 2}}, "expected a text"),
    ({"a\n" * 9999: 2}, "[recording.metadata]: unknown key 'a\\n"),
    ({"colour": "red"}, "[recording.metadata]: unknown key 'colour'"),
    ({"imported": {"source": {}, "map": {}, "found": {}}}, "[recording.metadata.imported.source]: file is missing"),
    ({"deployed": {"late": "hold"}}, "[recording.metadata.deployed]: has_fallback is missing"),
    ({"randomization": {"motor.lag_s": {"factor": ["low"]}}}, "factor = 'low', expected a number"),
]


def check_altered(path: Path, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_recording(path)
    text = str(caught.value)
    assert ": was altered: " in text
    assert message in text
    assert text.isprintable()
    assert len(text) < 700 + len(str(path))


@pytest.mark.parametrize(("change", "message"), SPOILT)
def test_altered_metadata_gives_one_line_that_names_it(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    spoilt = {**dataclasses.asdict(metadata()), **change}
    path = tmp_path / "j.parquet"
    journal_of(path).write_bytes(journal_of_format(b"3", spoilt))
    check_altered(path, message)
    table = pyarrow.parquet.read_table(recorded(tmp_path / "r.parquet", steps=3).path)
    whole = json.loads(table.schema.metadata[b"cartpole_robot"])
    text = json.dumps({**whole, "metadata": spoilt}).encode()
    pyarrow.parquet.write_table(table.replace_schema_metadata({b"cartpole_robot": text}), tmp_path / "p.parquet")
    check_altered(tmp_path / "p.parquet", message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"outcome": {"end": "won", "steps": 3}},
            "[recording.outcome] end = 'won', expected one of 'duration', 'fall'",
        ),
        ({"outcome": {"end": "fall"}}, "[recording.outcome]: steps is missing"),
        ({"outcome": 3}, "[recording.outcome] = 3, expected a table"),
        ({"rows_damaged": "none"}, "[recording] rows_damaged = 'none', expected a whole number"),
        ({"metadata": None}, "[recording.metadata] = None, expected a table"),
    ],
)
def test_altered_outcome_gives_one_line_that_names_it(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    table = pyarrow.parquet.read_table(recorded(tmp_path / "r.parquet", steps=3).path)
    whole = json.loads(table.schema.metadata[b"cartpole_robot"])
    text = json.dumps({**whole, **change}).encode()
    pyarrow.parquet.write_table(table.replace_schema_metadata({b"cartpole_robot": text}), tmp_path / "p.parquet")
    check_altered(tmp_path / "p.parquet", message)


def test_metadata_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.parquet"
    text = b"[" * 200_000
    journal_of(path).write_bytes(MAGIC + b"3\n" + struct.pack("<II", len(text), zlib.crc32(text)) + text)
    with pytest.raises(UsageError, match="header was altered"):
        read_recording(path)
    table = pyarrow.parquet.read_table(recorded(tmp_path / "r.parquet", steps=3).path)
    pyarrow.parquet.write_table(table.replace_schema_metadata({b"cartpole_robot": text}), tmp_path / "p.parquet")
    with pytest.raises(UsageError, match="was altered"):
        read_recording(tmp_path / "p.parquet")


def test_all_metadata_survives_the_journal_and_parquet(tmp_path: Path) -> None:
    full = RecordingMetadata(
        cart=CART,
        rig="virtual",
        controller=ControllerRecord(policy="p.npz", policy_hash="ab", backend="c"),
        seed=2**70,
        duration_s=2.0,
        note="a note",
        is_excited=True,
        randomization={"motor.lag_s": {"factor": [0.5, 1.5]}},
        started_at="2026-01-01T00:00:00+00:00",
        versions={"numpy": "2.0"},
        commit="ab+changes",
        machine={"cores": 2, "architecture": "x86_64", "load_1_min": 0.5},
        deployed=DeploymentRecord(late="hold", has_fallback=True, is_shadow=False, is_on_board=False),
    )
    outcome = Outcome(end=RolloutEnd.FAULT, steps=1, reason="ESTOP", handovers=2)
    with Recorder(tmp_path / "r.parquet", full) as recorder:
        recorder.append(measured(0), 0.0, 0.2, 1.0, 0)
        journal = read_recording(tmp_path / "r.parquet")
        recorder.close(outcome)
    recording = read_recording(tmp_path / "r.parquet")
    assert recording.path == tmp_path / "r.parquet"
    assert journal.metadata == recording.metadata == full
    assert recording.outcome == outcome
    assert recording.cart.sources == CART.sources


def test_files_that_are_no_recordings_are_named(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "foreign.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    (tmp_path / "empty.parquet").write_bytes(b"")
    whole = recorded(tmp_path / "r.parquet", steps=3).path
    (tmp_path / "half.parquet").write_bytes(whole.read_bytes()[:2000])
    for name, message in (
        ("missing.parquet", "no such recording"),
        ("foreign.parquet", "not a recording"),
        ("text.parquet", "neither Parquet nor a journal"),
        ("empty.parquet", "neither Parquet nor a journal"),
        ("half.parquet", "is damaged"),
        (".", "is a folder"),
    ):
        with pytest.raises(UsageError, match=message):
            read_recording(tmp_path / name)


def test_existing_recording_is_never_overwritten(tmp_path: Path) -> None:
    path = recorded(tmp_path / "r.parquet", steps=3).path
    content = path.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        Recorder(path, metadata())
    assert path.read_bytes() == content
    with Recorder(tmp_path / "s.parquet", metadata()), pytest.raises(UsageError, match="exists already"):
        Recorder(tmp_path / "s.parquet", metadata())


def test_rows_that_the_disk_cannot_take_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartpole_robot.recording.recorder.Recorder._drain", lambda self: None)
    with Recorder(tmp_path / "r.parquet", metadata(), capacity_rows=8) as recorder:
        for tick in range(11):
            recorder.append(measured(tick), 0.0, 0.0, 1.0, 0)
        assert (recorder.rows, recorder.rows_lost) == (8, 3)


def test_ring_wraps_and_every_row_arrives_in_order(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r.parquet", metadata(), capacity_rows=64) as recorder:
        tick = 0
        while tick < 1000:
            if recorder.rows - recorder._written_rows < 60:
                recorder.append(measured(tick), float(tick), 0.0, 1.0, 0)
                tick += 1
    rows = read_recording(tmp_path / "r.parquet").rows
    assert rows["tick"].tolist() == list(range(1000))
    assert rows["cart_counts"].tolist() == [-tick for tick in range(1000)]


def test_fall_and_fault_end_a_rollout_as_what_they_are(tmp_path: Path) -> None:
    rig = simulated_rig(CART)

    class Leaning:
        def reset(self) -> None: ...

        def duty(self, observation: object) -> float:
            return 0.2

    rollout = run_rollout(rig, SinglePilot(Leaning()), start_rollout(rig, 0), max_steps=500)
    assert rollout.end is RolloutEnd.FALL
    assert 5 < rollout.steps < 100

    def failing(duty: float) -> Measurement:
        raise RigError("the link is gone")

    rig.step = failing  # type: ignore[method-assign]
    with Recorder(tmp_path / "r.parquet", metadata()) as recorder:
        rollout = run_rollout(
            rig, SinglePilot(Leaning()), start_rollout(rig, 0), max_steps=500, log=StepLog(recorder=recorder)
        )
    assert (rollout.steps, rollout.end, rollout.reason) == (0, RolloutEnd.FAULT, "the link is gone")
    assert len(read_recording(tmp_path / "r.parquet").rows) == 1
    rig.close()


def test_summary_counts_as_an_evaluation_does(tmp_path: Path, command_line: Callable[..., Completed]) -> None:
    out = tmp_path / "r.parquet"
    done = command_line("record", "lqr", "--cart", "quanser_ip02", "--seed", 2_000_000, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    words = ("lqr", "--cart", "quanser_ip02", "--episodes", 1, "--engine", reference_engine(), "--json")
    judged = json.loads(command_line("evaluate", *words).stdout)
    assert shown == {**recording_summary(read_recording(out)), "file": str(out)}
    for key in ("rms_position_m", "rms_angle_rad"):
        assert shown[key] == pytest.approx(judged[key], rel=1e-6), key
    assert shown["mean_power_w"] == pytest.approx(judged["mean_power_w"], rel=1e-6)
    assert shown["reversals_per_s"] == pytest.approx(judged["reversals_per_s"], rel=1e-6)
    assert shown["steps"] == 500
    assert shown["end"] == "duration"


def test_show_draws_a_recording(tmp_path: Path, command_line: Callable[..., Completed]) -> None:
    from PIL import Image

    out = recorded(tmp_path / "r.parquet").path
    for _ in range(2):
        done = command_line("show", out)
        assert done.returncode == 0, done.stderr
        assert "100 steps, 2.00 s of the cart's time" in done.stdout
    picture = Image.open(tmp_path / "r.parquet.png")
    assert picture.width > 1000
    assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100
    done = command_line("show", out, "--out", tmp_path / "r.parquet.png")
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert command_line("show", out, "--out", tmp_path / "none" / "p.png").returncode == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lqr", "--out", "x.parquet"), "name it with --cart"),
        (("lqr", "--cart", "gym", "--out", "x.parquet", "--duration-s", "-1"), "expected a number greater than 0"),
        (("lqr", "--cart", "gym", "--out", "x.parquet", "--duration-s", "2e9"), "at most 3.2e+07"),
        (("lqr", "--cart", "gym", "--out", "x.journal"), "choose another file"),
        (("lqr", "--cart", "gym", "--out", "."), "choose another file"),
        (("none.npz", "--out", "x.parquet"), "no such policy"),
        (("lqr", "--cart", "gym", "--out", "x.parquet", "--randomize", "no.toml"), "no.toml: no such"),
    ],
)
def test_mistakes_leave_no_file_behind(
    words: tuple[str, ...], message: str, tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    done = command_line("record", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_summary_has_the_swing_up_and_names_an_imported_file_as_the_source(tmp_path: Path) -> None:
    swing_up = SwingUpRecord(swing_up_s=2.14, swing_ups=2, swing_up_farthest_m=0.365, swing_up_failures=("REVERSALS",))
    with Recorder(tmp_path / "r.parquet", metadata()) as recorder:
        for tick in range(5):
            recorder.append(measured(tick), 1.0, 0.2, 1.0, 0)
        file = recorder.close(Outcome(end=RolloutEnd.DURATION, steps=4, swing_up=swing_up))
    summary = recording_summary(read_recording(file))
    assert summary["swing_up"] == dataclasses.asdict(swing_up)
    text = recording_text(summary)
    assert "  swing-up       upright and settled after 2.1 s, attempt 2, 365 mm from the middle at most\n" in text
    assert "  policy         lqr\n" in text
    text = recording_text({**summary, "is_imported": True, "policy": "log.csv", "seed": None, "swing_up": None})
    assert "  source         log.csv\n" in text
    assert not any(word in text for word in ("policy", "seed", "swing-up"))


def test_nan_is_no_power_in_the_summary(tmp_path: Path) -> None:
    summary = recording_summary(recorded(tmp_path / "r.parquet", cart_name="gym"))
    assert summary["mean_power_w"] is None
    assert summary["worst_lateness_s"] is None
    assert not math.isnan(summary["rms_angle_rad"])
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize("form", ["journal", "parquet"])
@pytest.mark.parametrize("is_removed", [True, False])
def test_stepper_recording_has_one_drive_and_refuses_both_or_none(is_removed: bool, form: str, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    with Recorder(path, metadata(load_cart("diy_stepper"))) as recorder:
        recorder.append(measured(0), 0.0, 0.1, 1.0, 0)
        recorder.close(Outcome(end=RolloutEnd.DURATION, steps=1))
    table = pyarrow.parquet.read_table(path)
    whole = json.loads(table.schema.metadata[b"cartpole_robot"])
    cart = whole["metadata"]["cart"]
    assert "stepper" in cart
    assert "motor" not in cart
    if is_removed:
        del cart["stepper"]
        message = "[recording.metadata.cart]: has neither the section [motor] nor [stepper], expected one of them"
    else:
        cart["motor"] = {"stall_force_n": 9.75}
        message = "[recording.metadata.cart]: has both [motor] (stall_force_n = 9.75) and [stepper] (steps_per_m = 2"
    spoilt = tmp_path / "spoilt.parquet"
    if form == "journal":
        journal_of(spoilt).write_bytes(journal_of_format(b"3", whole["metadata"]))
    else:
        text = json.dumps(whole).encode()
        pyarrow.parquet.write_table(table.replace_schema_metadata({b"cartpole_robot": text}), spoilt)
    check_altered(spoilt, message)
