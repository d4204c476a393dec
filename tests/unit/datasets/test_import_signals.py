"""What an import says of angle zeros, poles, commands and parts, and what it makes of them."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.commands.cli import main
from cartpole_robot.compare.comparison import CompareRequest, compare
from cartpole_robot.datasets.angle_sign import AngleVerdict, judge_angle
from cartpole_robot.datasets.column_map import load_map
from cartpole_robot.datasets.csv_table import CsvTable
from cartpole_robot.datasets.held_values import held_rows
from cartpole_robot.datasets.row_clock import read_clock
from cartpole_robot.datasets.settled_signs import Settlement
from cartpole_robot.datasets.time_columns import TimeColumns
from cartpole_robot.open_loop.series import series_of
from cartpole_robot.recording.reader import read_recording
from tests.foreign import PERIOD_S, Columns, Convention, driven_swing, write_csv

ROOT = Path(__file__).parents[3]
PLAIN = Convention()
MAP = PLAIN.map_text(angle_sign=1)


@pytest.fixture(scope="module")
def truth() -> Columns:
    return driven_swing()


class Importer:
    """Runs `cartpole-robot import` on a table and a map."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.out = folder / "out.parquet"
        self._capsys = capsys

    def run(self, columns: Columns, map_text: str, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr; the run before it is removed."""
        for old in self.folder.glob("out*"):
            old.unlink()
        source = write_csv(self.folder / "theirs.csv", columns)
        (self.folder / "map.toml").write_text(map_text)
        code = main(["import", str(source), "--map", str(self.folder / "map.toml"), "--out", str(self.out), *words])
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err


@pytest.fixture
def importer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Importer:
    return Importer(tmp_path, capsys)


@pytest.mark.parametrize("degrees", [-75.0, -13.0, -3.0, 3.0, 13.0, 75.0])
@pytest.mark.parametrize("angle_sign", [1, -1])
def test_wrong_zero_is_warned_of_with_the_offset_that_corrects_it(
    importer: Importer, truth: Columns, degrees: float, angle_sign: int
) -> None:
    theirs = Convention(angle_sign=angle_sign)
    columns = theirs.columns(truth)
    columns["theta"] = (columns["theta"] + degrees + 180.0) % 360.0 - 180.0
    code, _, stderr = importer.run(columns, theirs.map_text(angle_sign=angle_sign))
    assert code == 0
    assert (
        f"zero is off by {abs(degrees):.0f}" in stderr.replace(".0 degrees", " degrees") or "zero is off by" in stderr
    )
    offset = float(stderr.split("set offset = ")[1].split()[0])
    assert offset == pytest.approx(degrees, abs=0.6)
    corrected = theirs.map_text(angle_sign=angle_sign).replace('unit = "deg"', f'unit = "deg"\noffset = {offset}')
    assert importer.run(columns, corrected)[2] == ""


@pytest.mark.parametrize("degrees", [-105.0, 135.0, 170.0])
@pytest.mark.parametrize("angle_sign", [1, -1])
def test_zero_nearer_to_the_other_end_is_refused_with_the_offset_that_corrects_it(
    importer: Importer, truth: Columns, degrees: float, angle_sign: int
) -> None:
    theirs = Convention(angle_sign=angle_sign)
    columns = theirs.columns(truth)
    columns["theta"] = (columns["theta"] + degrees + 180.0) % 360.0 - 180.0
    code, _, stderr = importer.run(columns, theirs.map_text(angle_sign=angle_sign))
    assert code == 2
    assert float(stderr.split("zero is off by ")[1].split()[0]) == pytest.approx(abs(degrees), abs=0.6)
    offset = float(stderr.split("set offset = ")[1].split()[0])
    assert offset == pytest.approx(degrees, abs=0.6)
    corrected = theirs.map_text(angle_sign=angle_sign).replace('unit = "deg"', f'unit = "deg"\noffset = {offset}')
    code, _, stderr = importer.run(columns, corrected)
    assert (code, stderr) == (0, "")


def test_warning_of_a_wrong_zero_does_not_need_a_good_fit(importer: Importer, truth: Columns) -> None:
    columns = PLAIN.columns(truth)
    rng = np.random.default_rng(1)
    columns["theta"] = (columns["theta"] + 25.0 + rng.normal(0.0, 1.6, 400) + 180.0) % 360.0 - 180.0
    code, stdout, stderr = importer.run(columns, MAP, "--angle-sign", "1", "--json")
    assert code == 0
    angle = json.loads(stdout)["import"]["found"]["angle"]
    explained = 1.0 - (min(angle["residual_plus_rad_s2"], angle["residual_minus_rad_s2"]) / angle["rms_rad_s2"]) ** 2
    assert explained < 0.7
    assert math.degrees(angle["zero_shift_rad"]) == pytest.approx(-25.0, abs=4.0)
    assert "the angle's zero is off by 2" in stderr


def verdict_with(gravity_m: float, push_m: float | None) -> AngleVerdict:
    return AngleVerdict(
        sign=-1,
        is_zero_right=True,
        why="the motion shows it",
        rms_rad_s2=10.0,
        residual_plus_rad_s2=5.0,
        residual_minus_rad_s2=1.0,
        gravity_length_m=gravity_m,
        acceleration_length_m=push_m,
        cart_length_m=0.2633,
    )


@pytest.mark.parametrize(
    ("gravity_m", "push_m", "is_other"),
    [(0.19, 0.236, False), (0.19, 0.19, True), (0.4, 0.38, True), (0.4, None, True), (0.27, 0.25, False)],
)
def test_other_pole_must_show_in_both_lengths(gravity_m: float, push_m: float | None, is_other: bool) -> None:
    settlement = Settlement(where="a.csv", confirm=None)
    settlement.check_lengths(verdict_with(gravity_m, push_m))
    assert any("another pole?" in warning for warning in settlement.warnings) is is_other


def test_held_cart_gives_no_raw_warning_and_no_length_by_its_acceleration() -> None:
    time = np.arange(1000) * 0.005
    table = CsvTable(path=Path("a.csv"), sha256="", columns={"t": time}, lines=np.arange(2, 1002))
    clock = read_clock(table, TimeColumns(device="t"))
    theta, speed, angles = math.pi - 1.0, 0.0, []
    for _ in range(5000):
        speed += 0.001 * (9.81 / 0.2633 * math.sin(theta) - 0.05 * speed)
        theta += 0.001 * speed
        angles.append(theta)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for position in (np.full(1000, -0.0001699571), np.zeros(1000)):
            verdict = judge_angle(np.array(angles[::5]), position, clock, load_cart("sensorsini"))
            assert verdict.acceleration_length_m is None
            assert verdict.gravity_length_m == pytest.approx(0.2633, rel=0.02)


def test_cosine_in_place_of_an_angle_is_refused(importer: Importer, truth: Columns) -> None:
    columns = PLAIN.columns(truth)
    columns["theta"] = np.cos(truth["theta"])
    text = MAP.replace('unit = "deg"', 'unit = "rad"')
    code, _, stderr = importer.run(columns, text)
    assert (code, stderr.count("\n")) == (2, 1)
    assert "not as the angle of a free pole" in stderr
    assert "insist with --angle-sign 1" in stderr
    assert importer.run(columns, text, "--angle-sign", "1")[0] == 0


@pytest.mark.parametrize(("low", "middle", "full"), [(1000.0, 1500.0, 500.0), (0.0, 128.0, 128.0)])
def test_command_with_a_middle(importer: Importer, truth: Columns, low: float, middle: float, full: float) -> None:
    columns = PLAIN.columns(truth)
    columns["u"] = middle + full * truth["u"]
    code, _, stderr = importer.run(columns, MAP.replace("full_scale = 100.0", f"full_scale = {middle + full}"))
    assert code == 0
    assert "the duty never changes sign, it goes from" in stderr
    assert "give that as offset in [duty]" in stderr
    code, _, stderr = importer.run(columns, MAP.replace("full_scale = 100.0", "full_scale = 400.0"))
    assert (code, "give that as offset" in stderr) == ((2, True) if middle + full > 400.0 else (0, True))
    code, _, stderr = importer.run(
        columns, MAP.replace("full_scale = 100.0", f"full_scale = {full}\noffset = {middle}")
    )
    assert (code, stderr) == (0, "")
    assert read_recording(importer.out).rows["requested_duty"][:-1] == pytest.approx(truth["u"][:-1])


@pytest.mark.parametrize("right", [1.0, 0.0])
def test_command_with_a_direction(importer: Importer, truth: Columns, right: float) -> None:
    columns = PLAIN.columns(truth)
    columns["u"] = np.abs(columns["u"])
    columns["dir"] = np.where(truth["u"] > 0.0, right, 1.0 - right)
    named = f'column = "u"\ndirection = "dir"\ndirection_positive = {right}'
    code, _, stderr = importer.run(columns, MAP.replace('column = "u"', named))
    assert (code, stderr) == (0, "")
    assert read_recording(importer.out).rows["requested_duty"][:-1] == pytest.approx(truth["u"][:-1])
    columns["u"][7] = -3.0
    code, _, stderr = importer.run(columns, MAP.replace('column = "u"', named))
    assert code == 2
    assert "line 9, column 'u': -3 is below the offset" in stderr


@pytest.mark.parametrize("rows", [2.0, 3.3])
def test_measurement_slower_than_the_rows_is_warned_of(importer: Importer, truth: Columns, rows: float) -> None:
    columns = PLAIN.columns(truth)
    held = np.ceil(np.floor(np.arange(400) / rows) * rows).astype(int)
    columns |= {name: columns[name][held] for name in ("x", "theta")}
    code, _, stderr = importer.run(columns, MAP, "--angle-sign", "1", "--duty-sign", "1")
    assert code == 0, stderr
    assert float(stderr.split("position and angle change only every ")[1].split()[0]) == pytest.approx(rows, abs=0.02)


def test_coarse_encoders_are_no_slow_measurement(truth: Columns) -> None:
    rows = 5 * np.arange(79 * 5) / 25.0  # a row each 4 ms
    position, angle = (np.interp(rows, np.arange(400.0), truth[name]) for name in ("x", "theta"))
    coarse = np.round(angle * 600.0 / (2.0 * math.pi))
    assert held_rows(np.round(position * 2000.0), coarse) is None
    assert held_rows(position, angle) is None


def two_runs(truth: Columns, pause_s: float) -> Columns:
    columns = {name: np.concatenate([column, column]) for name, column in PLAIN.columns(truth).items()}
    columns["t"][400:] += 400 * PERIOD_S + pause_s
    columns["x"][400:] *= 0.9  # not the same run again
    return columns


@pytest.mark.parametrize("pause_s", [30.0, 3600.0, 7200.0])
def test_long_pause_begins_a_recording_that_compare_accepts(importer: Importer, truth: Columns, pause_s: float) -> None:
    columns = two_runs(truth, pause_s)
    code, stdout, stderr = importer.run(columns, MAP)
    assert code == 0
    assert "the file becomes 2 recordings: out.parquet, out_2.parquet from line 402 (a pause of" in stderr
    second = importer.folder / "out_2.parquet"
    assert stdout.splitlines()[:2] == [str(importer.out), str(second)]
    for number, path in enumerate((importer.out, second), start=1):
        recording = read_recording(path)
        rows = recording.rows
        assert rows["tick"].tolist() == list(range(400))
        assert np.isnan(rows["requested_duty"]).nonzero()[0].tolist() == [399]
        assert np.isnan(rows["applied_duty"]).nonzero()[0].tolist() == [0]
        assert series_of(recording).begins == (0,)
        assert recording.metadata.imported is not None
        found = recording.metadata.imported.found
        assert (found.part, found.parts, len(found.clock["parts"])) == (number, 2, 2)
    compared = compare(CompareRequest(simulated="sensorsini", recorded=second, attributes=False, workers=1))
    assert compared.open_loop is not None


def test_parts_overwrite_nothing_and_leave_nothing_half_done(
    importer: Importer, truth: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = two_runs(truth, 60.0)
    write_csv(importer.folder / "theirs.csv", columns)
    (importer.folder / "map.toml").write_text(MAP)
    precious = importer.folder / "out_2.parquet"
    precious.write_text("precious")
    words = ["import", str(importer.folder / "theirs.csv"), "--map", str(importer.folder / "map.toml")]
    assert main([*words, "--out", str(importer.out)]) == 2
    assert (precious.read_text(), importer.out.exists()) == ("precious", False)
    precious.unlink()
    written: list[Any] = []

    def refuse(table: Any, file: Any, **_: Any) -> None:
        written.append(table)
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", refuse)
    assert main([*words, "--out", str(importer.out)]) == 1
    assert len(written) == 2
    assert sorted(path.name for path in importer.folder.iterdir()) == ["map.toml", "theirs.csv"]


@pytest.mark.parametrize(
    ("kept", "part", "rows"),
    [(395, "lines 397 to 401 are left out", "5 rows are too few"), (399, "line 401 is left out", "1 row is too few")],
)
def test_part_that_is_too_short_is_left_out_with_a_warning(
    importer: Importer, truth: Columns, kept: int, part: str, rows: str
) -> None:
    columns = PLAIN.columns(truth)
    columns["t"] = columns["t"] + np.where(np.arange(400) < kept, 0.0, 600.0)
    code, _, stderr = importer.run(columns, MAP)
    assert code == 0
    assert f"{part}: a pause of 600 s there, and {rows} for a recording (10)" in stderr
    assert len(read_recording(importer.out).rows) == kept
    assert not (importer.folder / "out_2.parquet").exists()


def test_map_of_the_real_cart_covers_its_largest_command() -> None:
    command = load_map(ROOT / "cartpole_robot" / "datasets" / "maps" / "sensorsini_50hz.toml").duty
    assert command.full_scale == 1.5 * 4308 + 398  # what the bridge gets at the largest command, friction included
