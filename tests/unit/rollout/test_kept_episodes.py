"""Evaluations that continue with the episodes of a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cartpole_robot.errors import UsageError
from cartpole_robot.rig import Start
from cartpole_robot.rigs.swing_start import SwingStart
from cartpole_robot.rollout.judging import JudgingRequest, judge
from cartpole_robot.simulation.engine import Engine


def request(keep: Path, *, episodes: int = 4, first_seed: int = 7, max_steps: int = 30) -> JudgingRequest:
    return JudgingRequest(
        policy=Path("lqr"),
        env_id=None,
        rig="sim",
        cart="diy_arduino",
        backend="c",
        episodes=episodes,
        max_steps=max_steps,
        first_seed=first_seed,
        start=Start.SWING_UP,
        engine=Engine.NATIVE,
        keep=keep,
    )


@pytest.mark.long
def test_evaluation_continues_with_the_episodes_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "night.json"
    assert judge(request(file, episodes=2))["episodes"] == 2
    before = json.loads(file.read_text())["episodes"]
    whole = judge(request(file))
    assert whole["episodes"] == whole["starts"] == 4
    assert json.loads(file.read_text())["episodes"][:2] == before
    monkeypatch.setattr(SwingStart, "reset", None)  # nothing is left to run
    assert {**judge(request(file)), "note": None} == {**whole, "note": None}


@pytest.mark.long
def test_file_of_another_evaluation_or_of_something_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "night.json"
    judge(request(file, episodes=1))
    before = file.read_bytes()
    with pytest.raises(UsageError, match="first_seed = 7, this evaluation has 8"):
        judge(request(file, first_seed=8))
    with pytest.raises(UsageError, match="steps = 30, this evaluation has 31"):
        judge(request(file, max_steps=31))
    assert file.read_bytes() == before
    for name, wrong in (("steps", 31), ("steps", -3), ("square_m2", -5.0), ("reversals", -1)):
        record = json.loads(before)
        record["episodes"][0][name] = wrong
        file.write_text(json.dumps(record))
        with pytest.raises(UsageError, match="episode 0"):
            judge(request(file))
    file.write_text('{"format": 1, "episodes": 3}')
    with pytest.raises(UsageError, match="holds no episodes of an evaluation"):
        judge(request(file))
    with pytest.raises(UsageError, match="no such folder"):
        judge(request(tmp_path / "nowhere" / "night.json"))
