"""The one report of a bring-up: its stages, the identified cart, and the comparison of that cart with the recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cartpole_robot.bring_up.folder import REPORT_FILE, SUMMARY_FILE
from cartpole_robot.bring_up.run import BringUp
from cartpole_robot.bring_up.stage import TITLES, StageName, StageResult
from cartpole_robot.bring_up.stages.compare import comparison_of
from cartpole_robot.bring_up.summary import cart_time_text, files_of, summary_text, verdict
from cartpole_robot.compare.html_report import Front, front_page, report_page
from cartpole_robot.compare.report_tables import Table
from cartpole_robot.files.atomic_file import atomic_file


def write_reports(done: BringUp) -> None:
    """Write `summary.txt` and `report.html` into the folder, over those of an earlier, shorter run."""
    page = _page(done)
    for name, text in ((SUMMARY_FILE, summary_text(done)), (REPORT_FILE, page)):
        with atomic_file(done.folder.path / name, may_replace=True) as file:
            file.write(text.encode("utf-8", "backslashreplace"))


def _page(done: BringUp) -> str:
    front = front_of(done)
    if StageName.COMPARE not in done.folder.results:
        return front_page(front)
    return report_page(comparison_of(done.work), front)


def front_of(done: BringUp) -> Front:
    """The first part of the report."""
    identity, failure = done.folder.identity, done.failure
    sentences = [f"{_capital(verdict(done))}"]
    time = cart_time_text(done)
    sentences += [time] if time is not None else []
    sentences += [f"To do: {failure.remedy}"] if failure is not None and failure.remedy else []
    tables = [("Stages", _stages(done))]
    identified = done.folder.results.get(StageName.IDENTIFY)
    if identified is not None:
        tables.append(("The identified cart", _cart(identified)))
    tables.append(("Files", Table(("file", ""), files_of(done))))
    return Front(
        title=f"Bring-up of {identity.cart} on {identity.rig}",
        sentences=sentences,
        notes=[f"{result.name}: {note}" for result in done.results for note in result.notes],
        tables=tables,
    )


def _stages(done: BringUp) -> Table:
    rows = [
        (
            result.name.value,
            TITLES[result.name],
            _s(result.wall_s),
            _s(result.armed_s),
            _s(result.homing_s),
            result.line,
        )
        for result in done.results
    ]
    if done.failure is not None:
        name = done.failure.stage
        rows.append((name.value, TITLES[name], "failed", "", "", done.failure.message))
    return Table(("stage", "", "time [s]", "armed [s]", "homing [s]", "result"), rows)


def _s(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds else "-"


def _cart(identified: StageResult) -> Table:
    return Table(
        ("", "as assumed", "identified", "95 % within", "unit"),
        [_estimate(each) for each in identified.figures["estimates"]],
    )


def _estimate(each: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = each["low_95"], each["high_95"]
    within = "-" if low is None or high is None else f"{low:.4g} to {high:.4g}"
    return str(each["label"]), f"{each['before']:.4g}", f"{each['value']:.4g}", within, str(each["unit"])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
