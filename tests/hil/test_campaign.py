"""The campaign in its short form, on the chip and a cart that homes quickly: limits are restated here as numbers.

Some of its faults are injected in each `make test`, all of them with the marker `long`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Completed

Campaign = dict[str, Any]  # the command's report

SOME = ("host falls silent", "e-stop", "reset", "tick interrupt lost", "switch", "edges")
# The faults in mid-swing are those of the other groups; three of them run here, and all with the marker `long`.
GROUPS = ("balance", "stop", "encoder", "switch", "line", "edges", "curve")
IN_MID_SWING = ("swing: host falls silent", "swing: e-stop")
ENCODER_FAULTS = {"CART_STUCK", "POLE_STILL", "POLARITY", "POLE_SIGN", "CART_ENCODER", "POLE_ENCODER"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("campaign") / "out"


@pytest.fixture(scope="module")
def short(quick_cart_file: Path) -> tuple[object, ...]:
    return "firmware", "campaign", "--short", "--cart", quick_cart_file, "--only"


@pytest.fixture(scope="module")
def some(chip_tools: None, command_line: Callable[..., Completed], short: tuple[object, ...], folder: Path) -> Campaign:
    return report_of(command_line(*short, *SOME, "--json", "--out", folder, timeout_s=300.0))


@pytest.fixture(scope="module")
def campaign(
    chip_tools: None,
    command_line: Callable[..., Completed],
    short: tuple[object, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Campaign:
    out = tmp_path_factory.mktemp("campaign") / "out"
    return report_of(command_line(*short, *GROUPS, *IN_MID_SWING, "--json", "--out", out, timeout_s=900.0))


def report_of(done: Completed) -> Campaign:
    assert done.stderr == "" or "Traceback" not in done.stderr
    found: Campaign = json.loads(done.stdout)
    assert done.returncode == 0, [row for row in found["trials"] if row["good"] < row["count"]]
    return found


def worst(campaign: Campaign, name: str) -> float:
    return next(float(row["worst"]) for row in campaign["trials"] if row["name"] == name)


def test_faults_that_each_test_run_injects_are_named_and_end_in_time(some: Campaign) -> None:
    assert some["good"] is True
    assert len(some["trials"]) == 13
    assert worst(some, "host falls silent") <= 60
    assert worst(some, "e-stop pressed") == 0
    assert worst(some, "e-stop frame") <= 1
    assert worst(some, "tick interrupt lost") <= 20
    for name in ("reset: power", "reset: reset pin", "reset: brown-out"):
        assert worst(some, name) == 0
    check_switches_and_encoders(some, 2)
    check_end_stop(some)
    check_chance(some)
    assert worst(some, "40,000 a second, armed") == 0


@pytest.mark.long
def test_every_trial_and_curve_holds(campaign: Campaign) -> None:
    assert campaign["good"] is True
    assert len(campaign["trials"]) > 35
    assert [curve["name"] for curve in campaign["curves"]] == [
        "supply droop",
        "clock skew",
        "USB latency",
        "line delay",
    ]


@pytest.mark.long
def test_motor_is_off_in_time(campaign: Campaign) -> None:
    assert worst(campaign, "host falls silent") <= 60
    assert worst(campaign, "killed host") <= 60
    assert worst(campaign, "e-stop pressed") == 0
    assert worst(campaign, "e-stop frame") <= 1
    for name in ("program hangs", "tick interrupt lost"):
        assert worst(campaign, name) <= 20
    for name in ("reset: power", "reset: reset pin", "reset: brown-out"):
        assert worst(campaign, name) == 0


@pytest.mark.long
def test_faults_in_mid_swing_stop_the_motor_as_while_balancing(campaign: Campaign) -> None:
    check_mid_swing(campaign, 3)


@pytest.mark.long
def test_every_fault_in_mid_swing_stops_the_motor_as_while_balancing(
    chip_tools: None, command_line: Callable[..., Completed], tmp_path: Path
) -> None:
    words = ("--short", "--only", "swing", "--json", "--out", tmp_path / "out")
    done = command_line("firmware", "campaign", *words, timeout_s=900.0)
    assert done.returncode == 0, done.stdout + done.stderr
    check_mid_swing(json.loads(done.stdout), 22)


def check_mid_swing(campaign: Campaign, count: int) -> None:
    rows = [row["name"] for row in campaign["trials"] if row["group"] == "swing"]
    assert len(rows) == count
    assert worst(campaign, "swing: host falls silent") <= 60
    assert worst(campaign, "swing: e-stop pressed") == 0
    assert worst(campaign, "swing: e-stop frame") <= 1
    for name in rows:
        assert worst(campaign, name) <= (3 if "switch" in name else 20 if "hangs" in name or "lost" in name else 30_000)


@pytest.mark.long
def test_broken_encoders_and_switches_are_named_before_50_mm(campaign: Campaign) -> None:
    check_switches_and_encoders(campaign, 14)


def check_switches_and_encoders(campaign: Campaign, count: int) -> None:
    rows = [row for row in campaign["trials"] if row["group"] in ("encoder", "switch") and row["unit"] == "mm"]
    assert len(rows) == count
    for row in rows:
        assert row["worst"] < 50.0, row
        if row["group"] == "encoder":
            assert set(row["messages"]) <= ENCODER_FAULTS, row


@pytest.mark.long
def test_motor_that_pushes_against_the_end_stop_is_off_in_a_quarter_of_a_second(campaign: Campaign) -> None:
    check_end_stop(campaign)


def check_end_stop(campaign: Campaign) -> None:
    for side in ("left", "right"):
        name = f"{side} switch never closes"
        assert 20 < worst(campaign, name) <= 250
        (message,) = next(row["messages"] for row in campaign["trials"] if row["name"] == name)
        assert message.startswith("CART_STUCK 1")


@pytest.mark.long
def test_what_is_left_to_chance_has_come_about(campaign: Campaign) -> None:
    check_chance(campaign)


def check_chance(campaign: Campaign) -> None:
    for row in campaign["trials"]:
        assert row["struck"] > 0, row


@pytest.mark.long
def test_chip_and_virtual_rig_agree(campaign: Campaign) -> None:
    assert worst(campaign, "500 steps") == 500
    assert worst(campaign, "chip against virtual rig") >= 50
    assert worst(campaign, "two processes") == 100


@pytest.mark.long
def test_edges_are_counted(campaign: Campaign) -> None:
    assert worst(campaign, "40,000 a second, armed") == 0


def test_campaign_goes_on_and_refuses_another_one(
    some: Campaign,
    command_line: Callable[..., Completed],
    short: tuple[object, ...],
    folder: Path,
    tmp_path: Path,
) -> None:
    before = (folder / "campaign.json").read_text()
    again = command_line(*short, *SOME, "--json", "--out", folder)
    assert again.returncode == 0
    assert json.loads(again.stdout)["trials"] == some["trials"]
    kept = (folder / "campaign.json").read_text()
    other = command_line(*short, *SOME, "--seed", 1, "--out", folder)
    assert other.returncode == 2
    assert "has seed 0, this would be 1; choose another --out" in other.stderr
    assert (folder / "campaign.json").read_text() == kept
    older = tmp_path / "older"
    older.mkdir()
    record = json.loads(kept)
    record["of"]["code of the emulator"] = "0123"
    (older / "campaign.json").write_text(json.dumps(record))
    stale = command_line(*short, *SOME, "--out", older)
    assert stale.returncode == 2
    assert "has code of the emulator 0123, this would be" in stale.stderr
    assert json.loads(kept)["trials"] == json.loads(before)["trials"]


def test_unknown_word_is_refused(chip_tools: None, command_line: Callable[..., Completed], tmp_path: Path) -> None:
    for words in (("nonsense",), ("stop", "nonsense")):
        done = command_line("firmware", "campaign", "--only", *words, "--out", tmp_path / "out")
        assert done.returncode == 2
        assert "--only nonsense: no such trial; groups are balance, stop" in done.stderr
        assert not (tmp_path / "out").exists()


def test_word_that_is_not_in_the_short_form_is_refused(
    chip_tools: None, command_line: Callable[..., Completed], tmp_path: Path
) -> None:
    done = command_line("firmware", "campaign", "--short", "--only", "2 hours", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "--only 2 hours: is not in the short form; leave out --short" in done.stderr
    assert not (tmp_path / "out").exists()


def test_size_tells_what_the_running_chip_takes(chip_tools: None, command_line: Callable[..., Completed]) -> None:
    done = command_line("firmware", "size", "--json")
    assert done.returncode == 0, done.stderr
    chip = json.loads(done.stdout)["chip"]
    assert 600 < chip["stack_free_bytes"] < 1100
    assert 5.0 < chip["longest_interrupt_us"] < 20.0
    assert chip["longest_tick_us"] < 900
    assert chip["longest_drive_us"] < 600
    assert chip["missed_ticks"] == 0
    assert 0.05 < chip["busy_share"] < 0.5
