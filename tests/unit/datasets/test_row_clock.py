"""The clock of a foreign log: late rows, missing rows, pauses, restarts, counters, and clocks that part."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.datasets.csv_table import CsvTable
from cartpole_robot.datasets.row_clock import RowClock, read_clock
from cartpole_robot.datasets.time_columns import TimeBase, TimeColumns, TimeUnit
from cartpole_robot.errors import UsageError

PERIOD_S = 0.02
REGULAR = np.arange(1000) * PERIOD_S


def clock_of(time_s: Any, others: dict[str, Any] | None = None, **time: Any) -> RowClock:
    """The clock of rows at those times; line 2 is the first row's."""
    columns = {"t": np.asarray(time_s, float)}
    columns |= {name: np.asarray(column, float) for name, column in (others or {}).items()}
    table = CsvTable(path=Path("a.csv"), sha256="", columns=columns, lines=np.arange(2, len(columns["t"]) + 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_clock(table, TimeColumns(**({"device": "t"} | time)))


def late(rows: dict[int, float]) -> Any:
    """Regular times, those rows late by a share of a period."""
    found = REGULAR.copy()
    for row, share in rows.items():
        found[row] += share * PERIOD_S
    return found


@pytest.mark.parametrize(
    "rows",
    [
        {599: 0.53},
        {498: 0.55, 499: 0.25},
        {300: 0.7, 301: 0.75},
        {300: 0.9, 302: -0.6, 303: 0.3},
        dict.fromkeys(range(10, 990, 30), 0.5),
        {999: 0.45},
    ],
)
def test_late_rows_keep_their_place_and_are_reported(rows: dict[int, float]) -> None:
    clock = clock_of(late(rows))
    assert clock.ticks.tolist() == list(range(1000))
    assert (clock.gaps, clock.period_s, len(clock.parts())) == ((), PERIOD_S, 1)
    assert [row.line - 2 for row in clock.off_rows()] == sorted(rows)
    assert [row.off_s for row in clock.off_rows()] == pytest.approx(
        [rows[row] * PERIOD_S for row in sorted(rows)], abs=1e-3
    )
    assert np.abs(clock.time_us - np.arange(1000) * 20_000).max() < 1000


def test_list_of_late_rows_in_the_report_is_short() -> None:
    found = clock_of(late(dict.fromkeys(range(5, 995, 25), 0.4))).as_dict()
    assert found["rows_off_their_tick"] == 40
    assert len(found["off_their_tick"]) == 20  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("period_s", [0.002, 0.01, 0.0333333])
def test_ticks_are_found_among_missing_rows_and_jitter(seed: int, period_s: float) -> None:
    rng = np.random.default_rng(seed)
    keep = rng.random(3000) > 0.02
    keep[[0, -1]] = True
    ticks = np.nonzero(keep)[0]
    times = 1.77e9 + ticks * period_s * 1.0007 + rng.uniform(-0.15, 0.15, len(ticks)) * period_s
    assert clock_of(times).ticks.tolist() == ticks.tolist(), f"seed {seed}"


@pytest.mark.parametrize("rate_hz", [50, 100, 500])
def test_hour_of_rows_has_one_period_and_whole_microseconds(rate_hz: int) -> None:
    rows = 3600 * rate_hz
    clock = clock_of(np.arange(rows) * (1_000_000 // rate_hz), unit=TimeUnit.MICROSECONDS)
    assert clock.time_us.dtype == np.int64
    assert (clock.ticks == np.arange(rows)).all()
    assert clock.period_s == 1.0 / rate_hz
    assert clock.worst_jitter_s < 1e-6


def test_times_rounded_to_milliseconds_keep_the_period() -> None:
    clock = clock_of(np.round(np.arange(900) / 30.0, 3))
    assert clock.period_s == pytest.approx(1.0 / 30.0, abs=2e-6)
    assert clock.gaps == ()


def test_clock_that_drifts_slowly_is_followed() -> None:
    regular = np.arange(90_000) * PERIOD_S
    clock = clock_of(regular + 0.05 * np.sin(regular / 300.0))
    assert (clock.ticks == np.arange(90_000)).all()
    assert clock.off_rows() == []


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (REGULAR[500:] + 3600.0, "a pause of 3600 s"),
        (REGULAR[500:] + 3600.01, "a pause of 3600 s"),
        (REGULAR[:500], "goes back from 9.98 to 0 s; if its counter restarts there, give wraps_after"),
        (REGULAR[500:] + 0.31, "'t' moves by 0.01 s against its line"),
        (REGULAR[500:] - 0.05, "goes back from 9.98 to 9.95 s"),
    ],
)
def test_new_part_begins_where_the_clock_jumps(second: Any, reason: str) -> None:
    clock = clock_of(np.concatenate([REGULAR[:500], second]))
    _, part = clock.parts()
    assert (part.first_line, part.last_line) == (502, 1001)
    assert reason in part.why
    assert clock.period_s == PERIOD_S
    assert clock.gaps == ()
    assert [piece.start for piece in clock.pieces()] == [0, 500]


def test_short_gap_stays_in_one_part() -> None:
    clock = clock_of(np.concatenate([REGULAR[:500], REGULAR[500:] + 400 * PERIOD_S]))
    assert len(clock.parts()) == 1
    assert [(gap.line, gap.missing) for gap in clock.gaps] == [(502, 400)]


@pytest.mark.parametrize(
    ("jump_s", "reason"), [(3.55, "the clocks part: 'h' moves by 3.5"), (-5.0, "'h' goes back by")]
)
def test_new_part_begins_where_the_two_clocks_part(jump_s: float, reason: str) -> None:
    host = 100.0 + 1.014 * REGULAR + np.random.default_rng(1).exponential(0.001, 1000)
    host[800:] += jump_s
    clock = clock_of(REGULAR, {"h": host}, host="h", base=TimeBase.HOST)
    _, part = clock.parts()
    assert part.first_line == 802
    assert reason in part.why
    assert clock.host_s_per_device_s == pytest.approx(1.014, abs=1e-4)
    clock = clock_of(REGULAR, {"h": host}, host="h")  # the device's clock defines the second and does not jump
    (note,) = clock.notes
    assert len(clock.parts()) == 1
    assert note.startswith("line 802: ")
    assert reason in note
    assert 'base = "host"' in note
    assert clock.host_s_per_device_s == pytest.approx(1.014, abs=1e-4)


def test_host_of_a_simulation_begins_no_part_where_the_machine_stalls() -> None:
    host = 5.0 + 1e-5 * np.arange(1000)
    host[400:] += 0.3
    clock = clock_of(REGULAR, {"h": host}, host="h")
    assert (len(clock.parts()), clock.notes) == (1, ())


def test_host_that_is_late_for_a_while_is_no_new_part() -> None:
    host = 100.0 + 1.014 * REGULAR + np.random.default_rng(1).exponential(0.001, 1000)
    host[400:412] = host[412]
    clock = clock_of(REGULAR, {"h": host}, host="h", base=TimeBase.HOST)
    assert len(clock.parts()) == 1
    assert clock.host_s_per_device_s == pytest.approx(1.014, abs=1e-4)


def test_row_counter_is_the_clock() -> None:
    counter = np.concatenate([np.arange(500), np.arange(503, 1003)])
    jittered = counter * PERIOD_S + np.random.default_rng(2).uniform(0.0, 0.012, 1000)
    for clock in (
        clock_of(REGULAR, {"n": counter}, row_counter="n", device=None, period_s=PERIOD_S),
        clock_of(jittered, {"n": counter}, row_counter="n"),
        clock_of(jittered, {"n": counter % 256}, row_counter="n", counter_wraps_after=256),
        clock_of(REGULAR, {"n": counter, "h": jittered}, row_counter="n", device=None, host="h"),
    ):
        assert clock.ticks.tolist() == counter.tolist()
        assert clock.period_s == pytest.approx(PERIOD_S, abs=2e-6)
        assert [(gap.line, gap.missing) for gap in clock.gaps] == [(502, 3)]
        assert np.abs(clock.time_us - clock.time_us[0] - counter * 20_000).max() < 2000


def test_fixed_period_is_the_clock_of_a_file_without_times() -> None:
    clock = clock_of(REGULAR, device=None, period_s=0.005)
    assert clock.ticks.tolist() == list(range(1000))
    assert (clock.period_s, clock.time_us[-1]) == (0.005, 999 * 5000)


@pytest.mark.parametrize("period_s", [0.02, 0.005])
def test_many_missing_rows_on_an_exact_grid_are_gaps_and_a_warning(period_s: float) -> None:
    ticks = np.nonzero(np.random.default_rng(5).random(1000) > 0.2)[0]
    clock = clock_of(np.round(ticks * period_s, 3))
    assert clock.ticks.tolist() == (ticks - ticks[0]).tolist()
    (note,) = clock.notes
    assert note.startswith(f"{1000 - len(ticks)} rows, {100 - len(ticks) / 10:.0f} % of all, are missing at ")
    assert f"before the lines {clock.gaps[0].line}, {clock.gaps[1].line}, " in note


def test_nanoseconds_of_the_epoch() -> None:
    clock = clock_of(1.77e18 + REGULAR * 1e9, unit=TimeUnit.NANOSECONDS)
    assert clock.ticks.tolist() == list(range(1000))
    assert clock.period_s == PERIOD_S


@pytest.mark.parametrize(
    ("times", "others", "time", "parts"),
    [
        (np.insert(REGULAR, 300, REGULAR[299]), {}, {}, ("line 302", "two rows at once", "one row too many")),
        (np.insert(REGULAR, 300, 5.985), {}, {}, ("line 302", "two rows on one tick", "one row too many")),
        (REGULAR[::-1], {}, {}, ("decreases in 999 of 999 steps", "newest row comes first", "sort them by 't'")),
        (REGULAR, {"n": np.arange(1000)[::-1]}, {"row_counter": "n"}, ("column 'n': decreases in 999 of 999",)),
        (
            np.repeat(REGULAR, 2),
            {"x": np.repeat(REGULAR, 2)},
            {},
            ("every row is in the file 2 times, first on lines 2 and 3", "remove the copies"),
        ),
        (np.repeat(REGULAR, 2), {"x": np.arange(2000)}, {}, ("too coarse for a clock",)),
        (
            REGULAR[np.random.default_rng(5).random(1000) > 0.45],
            {},
            {},
            ("rows are missing at", "no more than a tenth of them (a third where all rows are on their tick"),
        ),
        (REGULAR * 1e15, {}, {}, ("line 3, column 't'", "expected at most 1e+11", "unit in [time]")),
        (REGULAR, {"n": 1e17 + REGULAR}, {"row_counter": "n"}, ("line 2, column 'n'", "expected at most 1e+15")),
        (np.arange(1000), {}, {}, ("grows by 1 from row to row", "row_counter in [time] and give period_s")),
        (np.floor(REGULAR), {}, {}, ("too coarse for a clock", "row_counter", "period_s")),
        (
            REGULAR,
            {"n": 20 * np.arange(1000)},
            {"row_counter": "n"},
            ("counts 20 from row to row", "name it as device"),
        ),
        (REGULAR, {"n": np.arange(1000) + 0.5}, {"row_counter": "n"}, ("0.5, expected a whole number",)),
        (
            REGULAR,
            {"n": np.arange(1000) // 999 * 0 + np.repeat(np.arange(500), 2)},
            {"row_counter": "n"},
            ("counts 0",),
        ),
        (
            (np.arange(1000) + np.arange(1000) // 8 * 1000) * PERIOD_S,
            {},
            {},
            ("line 10", "a pause of 20.02 s", "125 parts, expected at most 100"),
        ),
    ],
)
def test_clock_that_shows_no_ticks_is_refused(
    times: Any, others: dict[str, Any], time: dict[str, Any], parts: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as refused:
        clock_of(times, others, **time)
    for part in parts:
        assert part in str(refused.value)


@pytest.mark.parametrize("later_s", [0.0206, 0.0202, 0.023])
def test_period_that_changes_is_refused_where_it_changes(later_s: float) -> None:
    time_s = np.concatenate([0.02 * np.arange(500), 10.0 + later_s * np.arange(500)])
    with pytest.raises(UsageError, match=rf"line 602.*{later_s:g} s apart, before 0\.02 s: the period changes"):
        clock_of(time_s)


@pytest.mark.parametrize("wrong_s", [110.0, 0.0, 10.1])
def test_single_time_far_off_is_put_on_its_tick_and_reported(wrong_s: float) -> None:
    time_s = 0.02 * np.arange(1000)
    time_s[500] = wrong_s
    clock = clock_of(time_s)
    assert clock.period_s == pytest.approx(0.02, rel=1e-9)
    assert np.array_equal(np.diff(clock.ticks), np.ones(999))
