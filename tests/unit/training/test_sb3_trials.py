"""Models of Stable-Baselines3 that balance almost: the trials find them, on the rig sim and behind the firmware."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import A2C, PPO

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.simulation.engine import Engine, is_installed
from cartpole_robot.training.sb3_export import FailedTrialsError, export_model, export_model_file
from tests.conftest import Completed
from tests.host_policies import balancing_model

GYM, DIY = load_cart("gym"), load_cart("diy_arduino")
ON_SIM = {"corner start": 16, "random start": 50, "long run": 19}
ON_PYBULLET = {"random start on PyBullet": 20} if is_installed(Engine.PYBULLET) else {}
BEHIND_FIRMWARE = {
    "corner start behind the firmware": 8,  # the spread of this cart's starts has no speed of the cart
    "random start behind the firmware": 50,
    "long run behind the firmware": 11,
}


def changed(model: Any, change: Callable[[dict[str, Any]], None]) -> Any:
    state = {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}
    change(state)
    model.policy.load_state_dict(state)
    return model


def leaning(bias: float) -> Any:
    """A PPO over the table of gym that minds the pole alone and prefers one side: its cart drifts."""

    def change(state: dict[str, Any]) -> None:
        state["mlp_extractor.policy_net.0.weight"][:, 0] = 0.0
        state["mlp_extractor.policy_net.0.weight"][:, 1] *= 0.1
        state["action_net.bias"][1] = bias

    return changed(balancing_model(PPO, GYM, commands_duty=False), change)


def forceful(gain: float, cart: CartParams = DIY) -> Any:
    """An A2C that commands the regulator's duty, times `gain`."""

    def change(state: dict[str, Any]) -> None:
        state["action_net.weight"] *= gain

    return changed(balancing_model(A2C, cart, commands_duty=True, hidden=(8,)), change)


def back_and_forth(duty: float, cart: CartParams = DIY) -> Any:
    """An A2C that pushes to the regulator's side, always with about that duty."""

    def change(state: dict[str, Any]) -> None:
        state["mlp_extractor.policy_net.0.weight"] *= 200.0
        state["action_net.weight"] *= duty / 20.0  # two hidden units of ±1, of which each asks for 10

    return changed(balancing_model(A2C, cart, commands_duty=True, hidden=(8,)), change)


def failed_kinds(folder: Path) -> dict[str, int]:
    trials = load_policy(folder / "policy.npz").provenance["trials"]
    assert trials["passed"] == trials["of"] - len(trials["failed"])
    return dict(Counter(one["kind"] for one in trials["failed"]))


@pytest.mark.parametrize(
    ("bias", "kinds", "first"),
    [
        (0.05, {"long run": 19}, r"failed: long run 1000066 \(-0\.05, .*\): \d+ of 5000 steps; "),
        (0.1, {"corner start": 1, "random start": 1, "long run": 19}, r"failed: corner start .*; random start "),
        (0.8, ON_SIM | ON_PYBULLET, r"passed 0 of \d+; failed: corner start .*; random start .*; long run "),
    ],
)
def test_model_that_drifts_away_fails_trials_by_their_kind(
    bias: float, kinds: dict[str, int], first: str, tmp_path: Path
) -> None:
    leaning(bias).save(tmp_path / "model.zip")
    found = export_model_file(tmp_path / "model.zip", cart="gym", out=tmp_path / "out", may_fail_trials=True).tried
    assert failed_kinds(tmp_path / "out") == kinds
    count = sum((ON_SIM | ON_PYBULLET).values())
    assert (found.trials.of, found.trials.passed) == (count, count - sum(kinds.values()))
    assert re.search(first, found.summary)
    assert "of 100 fresh episodes of 500 steps, mean" in found.summary, "how close it came"


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        (lambda: forceful(10.0), BEHIND_FIRMWARE),
        (lambda: back_and_forth(0.545), {"long run behind the firmware": 11}),
    ],
    ids=["at once", "in long runs"],
)
def test_duty_that_heats_the_motor_fails_behind_the_firmware_alone(
    model: Callable[[], Any], kinds: dict[str, int], tmp_path: Path
) -> None:
    found = export_model(model(), cart="diy_arduino", out=tmp_path / "out", may_fail_trials=True).tried
    assert failed_kinds(tmp_path / "out") == kinds
    assert re.search(r"behind the firmware .*MOTOR_HOT at .*; survived 100 of 100 .*, mean 500\.0 steps", found.summary)


@pytest.mark.long
def test_reversals_that_wear_the_gear_are_refused_by_name(tmp_path: Path) -> None:
    assert DIY.firmware is not None
    calm = dataclasses.replace(DIY, firmware=dataclasses.replace(DIY.firmware, reversals_per_s=10))
    with pytest.raises(
        FailedTrialsError,
        match=r"random start behind the firmware .* of 500 steps: REVERSALS at .*let the reward cost duty",
    ):
        export_model(back_and_forth(0.5, calm), cart=calm, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gentle_duty_passes_the_trials_on_every_rig(tmp_path: Path) -> None:
    trials = export_model(forceful(1.0), cart="diy_arduino", out=tmp_path / "out").tried.trials
    assert trials.is_passed
    assert trials.of == 2 * sum(BEHIND_FIRMWARE.values()) + sum(ON_PYBULLET.values())


def test_cart_that_no_firmware_drives_has_trials_on_the_rig_sim_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cart = dataclasses.replace(DIY, delay=dataclasses.replace(DIY.delay, apply=Apply.AT_ONCE))
    trials = export_model(forceful(1.0, cart), cart=cart, out=tmp_path / "out").tried.trials
    assert trials.is_passed
    assert trials.of == sum(BEHIND_FIRMWARE.values()) + sum(ON_PYBULLET.values())
    assert "no trials behind the firmware: cart 'diy_arduino'" in capsys.readouterr().err


def test_command_ends_with_the_failed_trials_and_writes_nothing(
    tmp_path: Path, command_here: Callable[..., Completed]
) -> None:
    leaning(0.05).save(tmp_path / "model.zip")
    words = ("export", tmp_path / "model.zip", "--cart", "gym", "--out", tmp_path / "out")
    done = command_here(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "failed: long run 1000066" in done.stderr
    assert "Nothing is written: train it longer, name the cart" in done.stderr
    assert not (tmp_path / "out").exists()
    done = command_here(*words, "--failed-trials")
    assert done.returncode == 0
    assert "failed: long run 1000066" in done.stderr
    assert "is exported as it is (--failed-trials)" in done.stderr
    assert failed_kinds(tmp_path / "out") == {"long run": 19}
