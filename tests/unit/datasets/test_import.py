"""A foreign CSV becomes a recording: units, signs, clocks, and the record of its origin."""

from __future__ import annotations

import hashlib
import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from cartpole_robot.commands.cli import main
from cartpole_robot.datasets.column_map import load_map
from cartpole_robot.files.provenance import commit
from cartpole_robot.recording.format import Flag, Recording
from cartpole_robot.recording.journal import journal_of
from cartpole_robot.recording.metadata import ImportRecord, RolloutEnd, SourceFile
from cartpole_robot.recording.plot import draw_recording
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.signals import NO_COUNT
from tests.foreign import PERIOD_S, Columns, Convention, driven_swing, write_csv

ROOT = Path(__file__).parents[3]
REAL = ROOT.parent / "shared" / "real_cart_recordings"
PLAIN = Convention()


@pytest.fixture(scope="module")
def truth() -> Columns:
    return driven_swing()


def origin(recording: Recording) -> ImportRecord:
    """The origin that an imported recording names."""
    assert recording.metadata.imported is not None
    return recording.metadata.imported


class Importer:
    """Runs `cartpole-robot import` on a table and a map, and reads the result."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.out = folder / "out.parquet"
        self.stderr = ""
        self._capsys = capsys

    def run(self, columns: Columns, map_text: str, *words: str) -> tuple[int, str]:
        source = write_csv(self.folder / "theirs.csv", columns)
        (self.folder / "map.toml").write_text(map_text)
        code = main(["import", str(source), "--map", str(self.folder / "map.toml"), "--out", str(self.out), *words])
        captured = self._capsys.readouterr()
        self.stderr = captured.err
        return code, captured.out

    def recording(self, columns: Columns, map_text: str, *words: str) -> Recording:
        code, _ = self.run(columns, map_text, *words)
        assert code == 0, self.stderr
        return read_recording(self.out)

    def found(self, columns: Columns, map_text: str, *words: str) -> dict[str, Any]:
        code, stdout = self.run(columns, map_text, *words, "--json")
        assert code == 0, self.stderr
        found: dict[str, Any] = json.loads(stdout)["import"]["found"]
        return found

    def refusal(self, columns: Columns, map_text: str, *words: str) -> str:
        code, stdout = self.run(columns, map_text, *words)
        assert (code, stdout) == (2, "")
        assert len(self.stderr.splitlines()) == 1
        assert not self.out.exists()
        return self.stderr


@pytest.fixture
def importer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Importer:
    return Importer(tmp_path, capsys)


def wrapped(angle: Any) -> Any:
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


@pytest.mark.parametrize("position_sign", [1, -1])
@pytest.mark.parametrize("angle_sign", [1, -1])
@pytest.mark.parametrize("is_hanging_zero", [False, True])
def test_any_convention_gives_the_same_recording(
    importer: Importer, truth: Columns, position_sign: int, angle_sign: int, is_hanging_zero: bool
) -> None:
    theirs = Convention(
        position_sign=position_sign, angle_sign=angle_sign, is_hanging_zero=is_hanging_zero, duty_sign=-1
    )
    rows = importer.recording(theirs.columns(truth), theirs.map_text(angle_sign=angle_sign, duty_sign=-1)).rows
    assert rows["cart_position_m"] == pytest.approx(truth["x"], abs=1e-12)
    assert np.abs(wrapped(rows["pole_angle_rad"] - truth["theta"])).max() < 1e-9
    assert rows["requested_duty"][:-1] == pytest.approx(truth["u"][:-1])
    assert (rows["pole_angle_rad"] >= -math.pi).all()
    assert (rows["pole_angle_rad"] < math.pi).all()


@pytest.mark.parametrize("angle_sign", [1, -1])
@pytest.mark.parametrize("is_hanging_zero", [False, True])
def test_sign_that_the_map_leaves_out_is_found_and_must_be_confirmed(
    importer: Importer, truth: Columns, angle_sign: int, is_hanging_zero: bool
) -> None:
    theirs = Convention(angle_sign=angle_sign, is_hanging_zero=is_hanging_zero)
    message = importer.refusal(theirs.columns(truth), theirs.map_text())
    assert f"confirm with --angle-sign {angle_sign}" in message
    assert "sign 1 leaves" in message
    assert "sign -1 leaves" in message
    found = importer.found(theirs.columns(truth), theirs.map_text(), "--angle-sign", str(angle_sign))
    angle = found["angle"]
    right, wrong = sorted((angle["residual_plus_rad_s2"], angle["residual_minus_rad_s2"]))
    assert wrong > 2.0 * right
    assert angle["gravity_length_m"] == pytest.approx(0.2633, rel=0.05)
    assert angle["acceleration_length_m"] == pytest.approx(0.2633, rel=0.15)


def test_user_at_a_terminal_is_asked(importer: Importer, truth: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    code, _ = importer.run(PLAIN.columns(truth), PLAIN.map_text())
    assert (code, importer.out.exists()) == (2, False)
    assert "Is it 1? [y/n]" in importer.stderr
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert importer.run(PLAIN.columns(truth), PLAIN.map_text())[0] == 0
    assert importer.out.exists()


def test_map_against_the_motion_is_refused_and_the_command_line_is_obeyed_with_a_warning(
    importer: Importer, truth: Columns
) -> None:
    message = importer.refusal(PLAIN.columns(truth), PLAIN.map_text(angle_sign=-1))
    assert "the map says angle sign -1, the motion says 1" in message
    assert "insist with --angle-sign -1" in message
    rows = importer.recording(PLAIN.columns(truth), PLAIN.map_text(angle_sign=-1), "--angle-sign", "-1").rows
    assert "warning: angle sign -1 against the motion, which says 1" in importer.stderr
    assert np.abs(wrapped(rows["pole_angle_rad"] + truth["theta"])).max() < 1e-9


def test_zero_against_gravity_is_refused(importer: Importer, truth: Columns) -> None:
    text = PLAIN.map_text(angle_sign=1).replace('zero = "upright"', 'zero = "hanging"')
    message = importer.refusal(PLAIN.columns(truth), text, "--angle-sign", "1")
    assert "the map says the angle's zero is hanging" in message
    assert "as if it were upright" in message


def test_duty_against_the_motion_is_refused(importer: Importer, truth: Columns) -> None:
    text = PLAIN.map_text(angle_sign=1, duty_sign=-1)
    assert "the map says duty sign -1, the motion says 1" in importer.refusal(PLAIN.columns(truth), text)
    text = PLAIN.map_text(angle_sign=1, duty_sign=None)
    assert "confirm with --duty-sign 1" in importer.refusal(PLAIN.columns(truth), text)


def test_swing_with_the_cart_held_shows_no_sign_and_needs_one(importer: Importer) -> None:
    time = np.arange(300) * PERIOD_S
    theta = [math.pi - 0.8, 0.0]
    angles = []
    for _ in range(300 * 20):
        theta[1] += 0.001 * (9.81 / 0.2633 * math.sin(theta[0]) - 0.05 * theta[1])
        theta[0] += 0.001 * theta[1]
        angles.append(theta[0])
    held = {"t": time, "t_host": time, "x": np.zeros(300), "theta": np.array(angles[::20]), "u": np.zeros(300)}
    message = importer.refusal(PLAIN.columns(held), PLAIN.map_text(duty_sign=None))
    assert "the motion does not show it: both signs fit the pole's motion about equally well" in message
    assert "--angle-sign 1 or --angle-sign -1" in message
    found = importer.found(PLAIN.columns(held), PLAIN.map_text(angle_sign=-1, duty_sign=None))
    assert (found["angle_sign"], found["angle"]["sign"], found["duty"]["is_needed"]) == (-1, None, False)
    assert found["angle"]["is_zero_right"] is True
    assert "the motion does not show it" in importer.stderr
    importer.out.unlink()
    _, stdout = importer.run(PLAIN.columns(held), PLAIN.map_text(angle_sign=-1, duty_sign=None))
    assert "angle sign     -1: as given, for the motion does not tell which; of the pole's" in stdout


def test_missing_rows_are_reported_as_gaps(importer: Importer, truth: Columns) -> None:
    keep = np.ones(400, bool)
    keep[[100, 101, 250]] = False
    theirs = {name: column[keep] for name, column in PLAIN.columns(truth).items()}
    code, report = importer.run(theirs, PLAIN.map_text(angle_sign=1))
    assert code == 0
    assert "3 rows missing: 2 before line 102, 1 before line 250" in report
    recording = read_recording(importer.out)
    rows = recording.rows
    assert rows["tick"].tolist() == np.nonzero(keep)[0].tolist()
    assert rows["mcu_time_us"].tolist() == (rows["tick"].astype(int) * 20_000).tolist()
    assert np.isnan(rows["applied_duty"]).nonzero()[0].tolist() == [0, 100, 248]
    assert origin(recording).found.clock["gaps"] == [
        {"line": 102, "missing": 2},
        {"line": 250, "missing": 1},
    ]


def test_readings_from_a_potentiometers_gap_are_left_out(importer: Importer, truth: Columns) -> None:
    theirs = PLAIN.columns(truth)
    theirs["theta"][[100, 101, 250]] = [-181.0, -180.5, 180.5]
    ends = 'column = "theta"\nlowest = -180.0\nhighest = 180.0'
    code, report = importer.run(theirs, PLAIN.map_text(angle_sign=1).replace('column = "theta"', ends))
    assert code == 0
    assert "3 rows without an angle, beyond [angle] lowest or highest; left out" in report
    assert "3 rows missing: 2 before line 104, 1 before line 253" in report
    recording = read_recording(importer.out)
    assert recording.rows["tick"].tolist() == np.delete(np.arange(400), [100, 101, 250]).tolist()
    assert origin(recording).found.unread_rows == 3
    nothing = ends.replace("-180.0", "900.0").replace("= 180.0", "= 901.0")
    code, _ = importer.run(theirs, PLAIN.map_text(angle_sign=1).replace('column = "theta"', nothing), "--json")
    assert code == 2


def test_duty_is_zero_where_another_column_says_that_the_motor_is_off(importer: Importer, truth: Columns) -> None:
    theirs = PLAIN.columns(truth)
    theirs["command"] = theirs["u"].copy()
    theirs["command"][[5, 80]] = 0.0
    theirs["u"][5] = 9e5
    off = 'column = "u"\noff_where_zero = "command"'
    rows = importer.recording(theirs, PLAIN.map_text(angle_sign=1).replace('column = "u"', off)).rows
    expected = truth["u"].copy()
    expected[[5, 80]] = 0.0
    np.testing.assert_allclose(rows["requested_duty"][:-1], expected[:-1], atol=1e-6)


def test_no_speed_is_taken_across_a_gap(importer: Importer, truth: Columns) -> None:
    theirs = {name: np.delete(column, range(100, 140)) for name, column in PLAIN.columns(truth).items()}
    rows = importer.recording(theirs, PLAIN.map_text(angle_sign=1)).rows
    for name, position in (("cart_speed_m_s", "x"), ("pole_speed_rad_s", "theta")):
        speed = np.delete(np.gradient(truth[position], PERIOD_S), range(100, 140))
        assert np.abs(rows[name] - speed).max() < 0.2 * np.abs(speed).max()


def two_clocks(base: str) -> str:
    return PLAIN.map_text(angle_sign=1).replace('device = "t"', f'device = "t"\nhost = "t_host"\nbase = "{base}"')


def test_host_clock_scales_the_period_where_it_defines_the_second(importer: Importer, truth: Columns) -> None:
    theirs = PLAIN.columns(truth)
    theirs["t_host"] = 7.0 + 1.014 * theirs["t"] + np.random.default_rng(1).uniform(0.0, 1e-3, 400)
    recording = importer.recording(theirs, two_clocks("host"))
    clock = origin(recording).found.clock
    assert clock["host_s_per_device_s"] == pytest.approx(1.014, abs=1e-4)
    assert clock["nominal_period_s"] == pytest.approx(0.02)
    timing = recording.cart.timing
    assert timing.control_period_s == pytest.approx(0.02028, abs=2e-6)
    assert timing.physics_steps_per_period == 20
    assert recording.rows["mcu_time_us"][-1] == pytest.approx(399 * 20_280, abs=1000)
    assert recording.rows["host_time_s"].tolist() == theirs["t_host"].tolist()
    importer.out.unlink()
    assert importer.recording(theirs, two_clocks("device")).cart.timing.control_period_s == 0.02


def test_counter_that_wraps_is_unwrapped(importer: Importer, truth: Columns) -> None:
    theirs = PLAIN.columns(truth)
    theirs["t"] = (2.0**32 - 3e6 + np.arange(400) * 20_000.0) % 2.0**32
    text = PLAIN.map_text(angle_sign=1).replace('device = "t"', 'device = "t"\nunit = "us"\nwraps_after = 4294967296')
    rows = importer.recording(theirs, text).rows
    assert rows["tick"].tolist() == list(range(400))
    assert rows["mcu_time_us"].tolist() == theirs["t"].astype(int).tolist()


def test_command_that_was_logged_late_is_moved_back(importer: Importer, truth: Columns) -> None:
    theirs = PLAIN.columns(truth)
    theirs["u"] = np.concatenate([[0.0, 0.0], theirs["u"][:-2]])
    text = PLAIN.map_text(angle_sign=1).replace("full_scale = 100.0", "full_scale = 100.0\nrows_late = 2")
    rows = importer.recording(theirs, text).rows
    assert rows["requested_duty"][:398] == pytest.approx(truth["u"][:398])
    assert np.isnan(rows["requested_duty"]).tolist() == [False] * 398 + [True] * 2
    assert rows["applied_duty"][1:399] == pytest.approx(truth["u"][:398])


def test_command_past_full_drive_is_clipped_only_where_the_map_says_so(importer: Importer, truth: Columns) -> None:
    text = PLAIN.map_text(angle_sign=1).replace("full_scale = 100.0", "full_scale = 80.0")
    message = importer.refusal(PLAIN.columns(truth), text)
    assert "beyond full_scale = 80" in message
    assert "the largest command is 99.7262" in message
    text = text.replace("full_scale", 'beyond = "clip"\nfull_scale')
    recording = importer.recording(PLAIN.columns(truth), text)
    assert np.nanmax(np.abs(recording.rows["requested_duty"])) == 1.0
    assert origin(recording).found.clipped_rows == (np.abs(truth["u"]) > 0.8).sum()


def test_recording_says_where_it_comes_from(importer: Importer, truth: Columns, tmp_path: Path) -> None:
    recording = importer.recording(PLAIN.columns(truth), PLAIN.map_text(angle_sign=1))
    metadata = recording.metadata
    assert metadata.rig == "import"
    assert origin(recording).source == SourceFile(
        file="theirs.csv", sha256=hashlib.sha256((tmp_path / "theirs.csv").read_bytes()).hexdigest(), rows=400
    )
    assert origin(recording).map["position"]["unit"] == "cm"
    assert metadata.versions["cartpole-robot"]
    assert metadata.commit == commit()
    assert recording.cart.sources["timing.control_period_s"] == "imported: the period of theirs.csv"
    rows = recording.rows
    assert np.isnan(rows["requested_duty"]).tolist() == [False] * 399 + [True]
    assert rows["applied_duty"][1:].tolist() == rows["requested_duty"][:-1].tolist()
    assert (rows["cart_counts"] == NO_COUNT).all()
    assert rows["flags"].tolist() == [0] * 399 + [Flag.TRUNCATED]
    assert recording.outcome is not None
    assert recording.outcome.end is RolloutEnd.DURATION
    draw_recording(recording, tmp_path / "picture.png")


def test_existing_recording_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.parquet"
    out.write_text("precious")
    assert main(["import", "missing.csv", "--map", "missing.toml", "--out", str(out)]) == 2
    assert f"{out}: exists already" in capsys.readouterr().err
    assert out.read_text() == "precious"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_import_that_is_stopped_leaves_nothing(
    importer: Importer, truth: Columns, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def refuse(table: object, file: BinaryIO, **_: object) -> None:
        file.write(b"half of it")
        raise error

    monkeypatch.setattr("pyarrow.parquet.write_table", refuse)
    assert importer.run(PLAIN.columns(truth), PLAIN.map_text(angle_sign=1))[0] == 1
    assert sorted(path.name for path in importer.folder.iterdir()) == ["map.toml", "theirs.csv"]


def test_import_without_pyarrow_makes_the_same_recording_as_a_journal(
    importer: Importer, truth: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = importer.recording(PLAIN.columns(truth), PLAIN.map_text(angle_sign=1))
    importer.out.unlink()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow.parquet", None)
        patch.setitem(sys.modules, "pyarrow", None)
        journal = importer.recording(PLAIN.columns(truth), PLAIN.map_text(angle_sign=1))
    assert journal.path == journal_of(importer.out)
    assert [path.name for path in importer.folder.glob("*.parquet*")] == ["out.parquet.journal"]
    assert journal.rows.tobytes() == parquet.rows.tobytes()
    assert journal.outcome == parquet.outcome
    assert journal.rows_damaged == 0
    assert origin(journal) == origin(parquet)
    assert journal.metadata.cart.sources == parquet.metadata.cart.sources
    assert read_recording(importer.out).path == importer.out  # with pyarrow again, it becomes Parquet


def test_recording_that_appears_during_an_import_is_not_overwritten(
    importer: Importer, truth: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(table: object, file: BinaryIO, **_: object) -> None:
        importer.out.write_text("precious")

    monkeypatch.setattr("pyarrow.parquet.write_table", write)
    assert importer.run(PLAIN.columns(truth), PLAIN.map_text(angle_sign=1))[0] == 2
    assert f"{importer.out}: exists already" in importer.stderr
    assert importer.out.read_text() == "precious"
    assert sorted(path.name for path in importer.folder.iterdir()) == ["map.toml", "out.parquet", "theirs.csv"]


def test_import_on_the_real_command_line(command_line: Callable[..., Any], truth: Columns, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", PLAIN.columns(truth))
    (tmp_path / "a.toml").write_text(PLAIN.map_text(angle_sign=1))
    done = command_line("import", "a.csv", "--map", "a.toml", "--out", "r/a.parquet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(read_recording(tmp_path / "r" / "a.parquet").rows) == 400
    done = command_line("import", "a.csv", "--map", "a.toml", "--out", "r/a.parquet", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_maps_of_the_package_are_valid() -> None:
    maps = sorted((ROOT / "cartpole_robot" / "datasets" / "maps").glob("*.toml"))
    assert len(maps) >= 2
    for path in maps:
        assert load_map(path).cart == "sensorsini"


real_recordings = pytest.mark.skipif(not REAL.is_dir(), reason="no recordings of a real cart next to this checkout")


def imported_real(name: str, map_name: str, tmp_path: Path) -> Recording:
    out = tmp_path / f"{name}.parquet"
    words = [str(REAL / f"{name}.csv"), "--map", map_name, "--out", str(out)]
    assert main(["import", *words]) == 0
    return read_recording(out)


@real_recordings
@pytest.mark.parametrize("name", ["motor_steps_50hz", "swing_up_50hz_00", "swing_up_50hz_13", "swing_up_50hz_19"])
def test_real_cart_counts_its_angle_the_other_way(name: str, tmp_path: Path) -> None:
    recording = imported_real(name, "sensorsini_50hz", tmp_path)
    found = origin(recording).found
    angle = found.angle
    assert angle["sign"] == -1
    assert angle["is_zero_right"] is True
    assert angle["residual_plus_rad_s2"] > 5.0 * angle["residual_minus_rad_s2"]
    assert angle["gravity_length_m"] == pytest.approx(0.2633, rel=0.03)
    assert found.duty["sign"] == -1
    assert found.unread_rows == {"motor_steps_50hz": 0, "swing_up_50hz_00": 6}.get(name, found.unread_rows)
    assert found.clock["host_s_per_device_s"] == pytest.approx(1.0139, abs=1e-4)
    assert recording.cart.timing.control_period_s == pytest.approx(0.02028, abs=5e-6)
    assert sum(gap["missing"] for gap in found.clock["gaps"]) == found.unread_rows + name.endswith("13")


@real_recordings
def test_real_free_swing_does_not_show_the_sign(tmp_path: Path) -> None:
    recording = imported_real("free_swing_200hz", "sensorsini_200hz", tmp_path)
    found = origin(recording).found
    assert found.angle["sign"] is None
    assert found.duty["is_needed"] is False
    assert sum(gap["missing"] for gap in found.clock["gaps"]) == found.unread_rows + 3
    assert recording.rows["tick"][-1] == 5836
    assert recording.cart.timing.control_period_s == pytest.approx(0.005069, abs=1e-6)
