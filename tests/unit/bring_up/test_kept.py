"""What a check leaves behind: the measured cart file, and the report."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pytest

from cartpole_robot.bring_up.findings import StepResult, Verdict
from cartpole_robot.bring_up.measured_cart import doubtful_numbers, measured_cart
from cartpole_robot.bring_up.report import write_report
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.identify.cart_file import write_cart

DAY = date(2027, 2, 3)


def result(name: str, message: str = "", **measured: float) -> StepResult:
    return StepResult(
        name=name,
        title=name,
        verdict=Verdict.WRONG,
        message=message,
        measured={key.replace("__", "."): value for key, value in measured.items()},
    )


def test_measured_numbers_are_in_the_cart_file_with_their_source(tmp_path: Path) -> None:
    cart = load_cart("diy_arduino")
    results = [
        result("pole-turn", encoders__pole_counts_per_turn=1200.0),
        result("track", encoders__cart_counts_per_m=5432.1234),
        result("dead-zone", motor__dead_zone_duty=0.0512345, motor__dead_zone_asymmetry_duty=0.002),
        result("brake", firmware__brake_decel_m_s2=9.75),
        result("rail", firmware__bandgap_v=1.0871),
    ]
    path = tmp_path / "measured.toml"
    write_cart(path, measured_cart(cart, results, DAY))
    again = load_cart(str(path))
    assert again.encoders is not None
    assert again.firmware is not None
    assert (again.encoders.pole_counts_per_turn, again.encoders.cart_counts_per_m) == (1200, 5432.1)
    assert (again.motor.dead_zone_duty, again.motor.dead_zone_asymmetry_duty) == (0.051235, 0.002)
    assert (again.firmware.brake_decel_m_s2, again.firmware.bandgap_v) == (9.75, 1.0871)
    assert again.sources["firmware.brake_decel_m_s2"] == "measured: check-rig 2027-02-03"
    assert again.sources["encoders.cart_counts_per_m"] == "measured: check-rig 2027-02-03, by firmware.switch_m"
    assert doubtful_numbers([result("track", encoders__cart_counts_per_m=1.0)]) == {
        "encoders.cart_counts_per_m": "track"
    }
    assert again.sources["motor.stall_force_n"] == cart.sources["motor.stall_force_n"]
    assert again.motor.stall_force_n == cart.motor.stall_force_n


def test_cart_that_cannot_be_and_a_check_that_measured_nothing_are_refused() -> None:
    cart = load_cart("diy_arduino")
    with pytest.raises(RunError, match="the measured numbers make no cart: the action table asks for duty"):
        measured_cart(cart, [result("dead-zone", motor__dead_zone_duty=0.3)], DAY)
    with pytest.raises(RunError, match="nothing was measured that a cart file holds: the steps rail, track"):
        measured_cart(cart, [result("usb")], DAY)


def test_report_shows_text_of_a_device_as_text_and_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    evil = "a|b `c` <img src=x> ```\n# d\x1b[2J"
    write_report(path, load_cart("diy_arduino"), "/dev/x", [result("usb", evil)], datetime(2027, 2, 3, 4, 5))
    text = path.read_text()
    assert text.count("```") == 2
    assert "<img" not in text.partition("```json")[0]
    assert "\x1b" not in text
    rows = [line for line in text.splitlines() if line.startswith("| usb ")]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 5
    record = json.loads(text.partition("```json\n")[2].partition("```")[0])
    assert record["steps"][0]["message"] == evil
    assert record["verdict"] == "the rig is not fit to be driven (wrong: usb)"
    with pytest.raises(UsageError, match="nothing is overwritten; choose another --report"):
        write_report(path, load_cart("diy_arduino"), "/dev/x", [], datetime(2027, 2, 3, 4, 5))
    assert path.read_text() == text
