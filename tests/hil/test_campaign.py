"""The campaign in its short form, on the chip and a cart that homes quickly: limits are restated here as numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Completed

# The faults in mid-swing are those of the other groups; three of them run here, and all with the marker `long`.
GROUPS = ("balance", "stop", "encoder", "switch", "line", "edges", "curve")
IN_MID_SWING = ("swing: host falls silent", "swing: e-stop")
ENCODER_FAULTS = {"CART_STUCK", "POLE_STILL", "POLARITY", "POLE_SIGN", "CART_ENCODER", "POLE_ENCODER"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("campaign") / "out"


@pytest.fixture(scope="module")
def words(quick_cart_file: Path) -> tuple[object, ...]:
    return "firmware", "campaign", "--short", "--cart", quick_cart_file, "--only", *GROUPS, *IN_MID_SWING


@pytest.fixture(scope="module")
def campaign(
    chip_tools: None, command_line: Callable[..., Completed], words: tuple[object, ...], folder: Path
) -> dict[str, Any]:
    done = command_line(*words, "--json", "--out", folder, timeout_s=900.0)
    assert done.stderr == "" or "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, [row for row in found["trials"] if row["good"] < row["count"]]
    return found


def worst(campaign: dict[str, Any], name: str) -> float:
    return next(float(row["worst"]) for row in campaign["trials"] if row["name"] == name)


def test_every_trial_and_curve_holds(campaign: dict[str, Any]) -> None:
    assert campaign["good"] is True
    assert len(campaign["trials"]) > 35
    assert [curve["name"] for curve in campaign["curves"]] == [
        "supply droop",
        "clock skew",
        "USB latency",
        "line delay",
    ]


def test_motor_is_off_in_time(campaign: dict[str, Any]) -> None:
    assert worst(campaign, "host falls silent") <= 60
    assert worst(campaign, "killed host") <= 60
    assert worst(campaign, "e-stop pressed") == 0
    assert worst(campaign, "e-stop frame") <= 1
    for name in ("program hangs", "tick interrupt lost"):
        assert worst(campaign, name) <= 20
    for name in ("reset: power", "reset: reset pin", "reset: brown-out"):
        assert worst(campaign, name) == 0


def test_faults_in_mid_swing_stop_the_motor_as_while_balancing(campaign: dict[str, Any]) -> None:
    check_mid_swing(campaign, 3)


@pytest.mark.long
def test_every_fault_in_mid_swing_stops_the_motor_as_while_balancing(
    chip_tools: None, command_line: Callable[..., Completed], tmp_path: Path
) -> None:
    words = ("--short", "--only", "swing", "--json", "--out", tmp_path / "out")
    done = command_line("firmware", "campaign", *words, timeout_s=900.0)
    assert done.returncode == 0, done.stdout + done.stderr
    check_mid_swing(json.loads(done.stdout), 22)


def check_mid_swing(campaign: dict[str, Any], count: int) -> None:
    rows = [row["name"] for row in campaign["trials"] if row["group"] == "swing"]
    assert len(rows) == count
    assert worst(campaign, "swing: host falls silent") <= 60
    assert worst(campaign, "swing: e-stop pressed") == 0
    assert worst(campaign, "swing: e-stop frame") <= 1
    for name in rows:
        assert worst(campaign, name) <= (3 if "switch" in name else 20 if "hangs" in name or "lost" in name else 30_000)


def test_broken_encoders_and_switches_are_named_before_50_mm(campaign: dict[str, Any]) -> None:
    rows = [row for row in campaign["trials"] if row["group"] in ("encoder", "switch") and row["unit"] == "mm"]
    assert len(rows) == 14
    for row in rows:
        assert row["worst"] < 50.0, row
        if row["group"] == "encoder":
            assert set(row["messages"]) <= ENCODER_FAULTS, row


def test_motor_that_pushes_against_the_end_stop_is_off_in_a_quarter_of_a_second(campaign: dict[str, Any]) -> None:
    for side in ("left", "right"):
        name = f"{side} switch never closes"
        assert 20 < worst(campaign, name) <= 250
        (message,) = next(row["messages"] for row in campaign["trials"] if row["name"] == name)
        assert message.startswith("CART_STUCK 1")


def test_what_is_left_to_chance_has_come_about(campaign: dict[str, Any]) -> None:
    for row in campaign["trials"]:
        assert row["struck"] > 0, row


def test_chip_and_virtual_rig_agree(campaign: dict[str, Any]) -> None:
    assert worst(campaign, "500 steps") == 500
    assert worst(campaign, "chip against virtual rig") >= 50
    assert worst(campaign, "two processes") == 100


def test_edges_are_counted(campaign: dict[str, Any]) -> None:
    assert worst(campaign, "40,000 a second, armed") == 0


def test_campaign_goes_on_and_refuses_another_one(
    campaign: dict[str, Any],
    command_line: Callable[..., Completed],
    words: tuple[object, ...],
    folder: Path,
    tmp_path: Path,
) -> None:
    before = (folder / "campaign.json").read_text()
    again = command_line(*words, "--json", "--out", folder)
    assert again.returncode == 0
    assert json.loads(again.stdout)["trials"] == campaign["trials"]
    kept = (folder / "campaign.json").read_text()
    other = command_line(*words, "--seed", 1, "--out", folder)
    assert other.returncode == 2
    assert "has seed 0, this would be 1; choose another --out" in other.stderr
    assert (folder / "campaign.json").read_text() == kept
    older = tmp_path / "older"
    older.mkdir()
    record = json.loads(kept)
    record["of"]["code of the emulator"] = "0123"
    (older / "campaign.json").write_text(json.dumps(record))
    stale = command_line(*words, "--out", older)
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
