"""A policy for the other drive is refused before any rig is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartpole_robot.commands.cli import main
from tests.policy_on_board import regulating_policy
from tests.virtual_cart_process import quick_cart

_COMMANDS = (("evaluate", "{policy}"), ("train", "--init", "{policy}", "--out", "{out}"))


@pytest.mark.parametrize("words", _COMMANDS)
def test_policy_for_the_other_drive_is_refused_before_the_port_opens(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "dc.npz"
    regulating_policy(quick_cart()).save(policy)
    named = [word.format(policy=policy, out=tmp_path / "out") for word in words]
    port = tmp_path / "no_such_port"  # opening it would be the error
    assert main([*named, "--cart", "diy_stepper", "--rig", f"serial:{port}", "--arm"]) == 2
    said = capsys.readouterr().err
    assert "the policy's drive is dc, the cart 'diy_stepper' has stepper" in said
    assert "no_such_port" not in said
    assert not (tmp_path / "out").exists()
