"""The campaign of a stepper's cart: its own trials, and none of a DC motor's."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartpole_robot.campaign.bench import Subject
from cartpole_robot.campaign.run import CampaignRequest, run_campaign
from cartpole_robot.campaign.stepper import stepper_trials
from cartpole_robot.errors import UsageError

SUBJECT = Subject(policy=Path("lqr"), cart="diy_stepper")


def test_faults_of_driver_motor_and_wires_are_struck() -> None:
    names = {trial.name for trial in stepper_trials()}
    assert names >= {
        *("motor stalls", "driver without supply", "driver loses its supply"),
        *("inverted DIR", "inverted ENABLE", "one pulse in 1000 missed"),
        *("e-stop lets go of ENABLE", "reset lets go of ENABLE"),
    }


def test_short_campaign_holds_and_names_what_it_struck(chip_tools: None, tmp_path: Path) -> None:
    only = ("inverted DIR", "motor stalls", "one pulse in 1000", "reset lets go")
    said: list[str] = []
    result = run_campaign(
        CampaignRequest(subject=SUBJECT, out=tmp_path / "out", is_short=True, only=only), lambda text: said.append(text)
    )
    assert result.is_good
    assert len(result.rows) == 4
    assert result.curves == []
    assert any("POLARITY" in text for text in said)


def test_trials_of_a_dc_motor_are_refused_by_name(chip_tools: None, tmp_path: Path) -> None:
    request = CampaignRequest(subject=SUBJECT, out=tmp_path / "out", only=("encoder",))
    with pytest.raises(UsageError, match=r"--only encoder: no such trial; groups are stepper"):
        run_campaign(request, lambda _: None)
