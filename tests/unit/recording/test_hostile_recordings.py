"""Recordings that claim more than they hold, or hold other things than they claim."""

from __future__ import annotations

import io
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from cartpole_robot.datasets.video import export_video
from cartpole_robot.errors import UsageError
from cartpole_robot.recording.format import COLUMNS, MOST_ROWS
from cartpole_robot.recording.journal import LARGEST_JOURNAL_BYTES, journal_of
from cartpole_robot.recording.reader import read_recording
from tests.unit.recording.test_recording import recorded


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pyarrow.Table:
    return pyarrow.parquet.read_table(recorded(tmp_path_factory.mktemp("good") / "r.parquet", steps=20).path)


def test_small_file_of_equal_rows_is_refused_before_it_expands(tmp_path: Path, table: pyarrow.Table) -> None:
    """Runs of equal values take no space in Parquet."""
    path = tmp_path / "r.parquet"
    rows = MOST_ROWS + 1
    writer = pyarrow.parquet.ParquetWriter(path, table.schema, compression="zstd")
    block = pyarrow.table(
        {name: pyarrow.array(np.zeros(1 << 20, kind)) for name, _, kind in COLUMNS}, schema=table.schema
    )
    for _ in range(rows // (1 << 20) + 1):
        writer.write_table(block)
    writer.close()
    assert path.stat().st_size < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match=rf"was altered \(it claims \d+ rows, expected at most {MOST_ROWS}\)"):
        read_recording(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 16  # kB


def _lists(table: pyarrow.Table) -> pyarrow.Table:
    return table.set_column(0, "tick", pyarrow.array([[1, 2]] * table.num_rows))


def _texts(table: pyarrow.Table) -> pyarrow.Table:
    return table.set_column(6, "cart_speed_m_s", pyarrow.array(["1"] * table.num_rows))


def _empty(table: pyarrow.Table) -> pyarrow.Table:
    return table.set_column(6, "cart_speed_m_s", pyarrow.nulls(table.num_rows, pyarrow.float64()))


def _twice(table: pyarrow.Table) -> pyarrow.Table:
    return table.append_column("tick", table.column("tick"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_lists, r"its column tick is list<.*>, expected uint32"),
        (_texts, r"its column cart_speed_m_s is string, expected double"),
        (_empty, r"its column cart_speed_m_s has empty cells"),
        (_twice, r"it has 2 columns tick, expected 1"),
        (lambda table: table.drop_columns(["flags"]), r"it has 0 columns flags, expected 1"),
    ],
)
def test_columns_of_another_kind_are_refused(
    tmp_path: Path, table: pyarrow.Table, change: Callable[[pyarrow.Table], pyarrow.Table], message: str
) -> None:
    changed = change(table).replace_schema_metadata(table.schema.metadata)
    pyarrow.parquet.write_table(changed, tmp_path / "r.parquet")
    with pytest.raises(UsageError, match=rf"r\.parquet: was altered \({message}\); restore it from a copy"):
        read_recording(tmp_path / "r.parquet")


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b"[" * 5000, b'{"format": 3, "metadata": "\\ud800"}', b"\xff"])
def test_metadata_of_another_kind_is_refused(tmp_path: Path, table: pyarrow.Table, text: bytes) -> None:
    changed = table.replace_schema_metadata({b"cartpole_robot": text})
    pyarrow.parquet.write_table(changed, tmp_path / "r.parquet")
    with pytest.raises(UsageError, match=r"r\.parquet: was altered"):
        read_recording(tmp_path / "r.parquet")


def test_ticks_that_jump_make_no_endless_video(tmp_path: Path, table: pyarrow.Table) -> None:
    ticks = table.column("tick").to_numpy().copy()
    ticks[-1] = 2**32 - 1
    changed = table.set_column(0, "tick", pyarrow.array(ticks))
    pyarrow.parquet.write_table(changed, tmp_path / "r.parquet")
    with pytest.raises(UsageError, match=r"there are 8\.58993e\+07 s, \d+ pictures, expected 0 to 500000"):
        export_video(read_recording(tmp_path / "r.parquet"), tmp_path / "r.gif")
    assert not (tmp_path / "r.gif").exists()


def test_rewards_without_a_finite_sum_are_refused(tmp_path: Path, table: pyarrow.Table) -> None:
    at = table.column_names.index("reward")
    rewards = pyarrow.array(np.full(table.num_rows, np.inf, np.float32))
    pyarrow.parquet.write_table(table.set_column(at, "reward", rewards), tmp_path / "r.parquet")
    with pytest.raises(UsageError, match=r"was altered \(its rewards sum to inf\)"):
        read_recording(tmp_path / "r.parquet")


def test_journal_that_is_all_holes_is_refused(tmp_path: Path) -> None:
    path = journal_of(tmp_path / "r.parquet")
    with path.open("wb") as file:
        file.truncate(LARGEST_JOURNAL_BYTES + 1)
    with pytest.raises(UsageError, match=r"is larger than \d+ bytes, expected at most 5000000 rows"):
        read_recording(tmp_path / "r.parquet")


def test_recording_in_many_blocks_is_read_whole(tmp_path: Path, table: pyarrow.Table) -> None:
    many: Any = pyarrow.concat_tables([table] * 50)
    file = io.BytesIO()
    pyarrow.parquet.write_table(many, file, row_group_size=7)
    (tmp_path / "r.parquet").write_bytes(file.getvalue())
    rows = read_recording(tmp_path / "r.parquet").rows
    assert len(rows) == many.num_rows
    assert (rows["tick"] == many.column("tick").to_numpy()).all()
    assert np.array_equal(rows["cart_position_m"], many.column("cart_position_m").to_numpy(), equal_nan=True)
