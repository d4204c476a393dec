from __future__ import annotations

import json
import math

from cartpole_robot.page.html import asset
from cartpole_robot.page.live.frames import Rows, event
from cartpole_robot.page.live.ring import Snapshot


def at(time_s: float, late_us: float = math.nan) -> Snapshot:
    return Snapshot(time_s, 0.1, 0.2, 0.3, 0.4, math.nan, 0.6, 12.0, late_us, 4, 0, 1)


def test_row_has_the_order_that_the_page_expects() -> None:
    (row,) = Rows().add([at(1.0, 90.0), at(1.5)])
    names = asset("live_source.js").split("export const ROW = [")[1].split("]")[0].replace("\n", " ").replace('"', "")
    expected = {
        "time_s": 1.0, "position_m": 0.1, "speed_m_s": 0.2, "angle_rad": 0.3, "rate_rad_s": 0.4, "requested_duty": None,
        "applied_duty": 0.6, "supply_v": 12.0, "lateness_us": 90.0, "state": 4, "fault": 0, "driver": 1,
    }  # fmt: skip
    assert dict(zip((name.strip() for name in names.split(",") if name.strip()), row, strict=True)) == expected


def test_row_has_the_newest_snapshot_and_the_worst_lateness_of_its_10_ms() -> None:
    rows = Rows()
    found = rows.add([at(1.001, 50.0), at(1.003, 400.0), at(1.005), at(1.009, 70.0), at(1.011, 20.0)])
    assert [(row[0], row[8]) for row in found] == [(1.009, 400.0)]
    assert [(row[0], row[8]) for row in rows.add([at(1.031, 30.0)])] == [(1.011, 20.0)]


def test_last_row_is_given_at_the_end_only() -> None:
    rows = Rows()
    assert rows.add([at(1.0, 50.0)]) == []
    assert [row[0] for row in rows.rest()] == [1.0]
    assert rows.rest() == []


def test_500_hz_becomes_100_rows_a_second() -> None:
    rows = Rows()
    found = [row for k in range(5) for row in rows.add(at((200 * k + n) * 0.002 + 0.001) for n in range(200))]
    assert len(found) == 199


def test_event_is_one_line_of_json() -> None:
    name, data, *rest = event("frame", {"rows": [[1.0, None]]}).decode().split("\n")
    assert (name, rest) == ("event: frame", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {"rows": [[1.0, None]]}
