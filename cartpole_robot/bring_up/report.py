"""The report of a check, to attach to a question: a table for people, and all of it as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cartpole_robot.bring_up.check import verdict_text
from cartpole_robot.bring_up.findings import StepResult
from cartpole_robot.cart.params import CartParams
from cartpole_robot.files.new_file import new_file
from cartpole_robot.files.provenance import commit, machine, versions
from cartpole_robot.terminal.printable import printable

REPORT_FORMAT = 1


def write_report(path: Path, cart: CartParams, port: str, results: Sequence[StepResult], time: datetime) -> None:
    """Write a new Markdown file, completely or not at all. Raises as `new_file` does."""
    with new_file(path, option="--report") as partial:
        partial.write_text(_report(cart, port, results, time), encoding="utf-8")


def _report(cart: CartParams, port: str, results: Sequence[StepResult], time: datetime) -> str:
    record = {
        "format": REPORT_FORMAT,
        "time": time.isoformat(timespec="seconds"),
        "verdict": verdict_text(results, cart),
        "port": port,
        "cart": {"name": cart.name, "fingerprint": cart.fingerprint(), "parameters": cart.as_dict()},
        "steps": [result.as_dict() for result in results],
        "versions": versions(),
        "commit": commit(),
        "machine": machine(),
    }
    rows = [
        f"| {_cell(result.name)} | {_cell(result.verdict.value)} | {_cell(result.message)} | {_cell(result.remedy)} |"
        for result in results
    ]
    lines = [
        "# check-rig",
        "",
        f"Cart {_cell(cart.name)} at {_cell(port)}, {record['time']}: {_cell(verdict_text(results, cart))}.",
        "",
        "| step | result | found | to do |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        "```json",
        json.dumps(record, indent=1).replace("`", "\\u0060"),  # no text of a device ends the block
        "```",
        "",
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text that is no markup in a table of Markdown."""
    plain = printable(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in "\\|`*_[]" else letter for letter in plain)
