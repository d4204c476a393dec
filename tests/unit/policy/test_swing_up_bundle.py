from __future__ import annotations

import dataclasses
import json
import math
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot import swing_up_task
from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.deployment.firmware_image import on_board_fit
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.bundle import Interface, PolicyBundle, load_policy
from cartpole_robot.policy.controllers import choose_controller, policy_controller
from cartpole_robot.policy.export import bundle_of, write_export
from cartpole_robot.policy.network import Network
from cartpole_robot.rollout.judging import JudgingRequest, judge, judgement_text
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from cartpole_robot.signals import State
from cartpole_robot.task import Task
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.on_cart.initial import initial_policy

CART = load_cart("diy_arduino")


def made() -> PolicyBundle:
    rng = np.random.default_rng(0)
    scale = np.array(swing_up_task.observation_scale(CART))
    network = Network(
        input_gain=(1.0 / scale).astype(np.float32),
        hidden_weight=rng.normal(size=(16, 5)).astype(np.float32),
        hidden_bias=rng.normal(size=16).astype(np.float32),
        output_weight=rng.normal(size=(len(CART.swing_up_table), 16)).astype(np.float32),
        output_bias=rng.normal(size=len(CART.swing_up_table)).astype(np.float32),
    )
    visited = (rng.uniform(-1.0, 1.0, (200, 5)) * scale).astype(np.float32)
    record = {"cart": CART.as_dict()}
    return bundle_of(network, CART, visited, record, task=Task.SWING_UP)


def test_bundle_carries_task_and_layout_and_opens_again(tmp_path: Path) -> None:
    files = write_export(made(), tmp_path)
    interface = load_policy(files.bundle).interface
    assert interface.task is Task.SWING_UP
    assert interface.observation == (
        *("cart_position_m", "cart_speed_m_s", "pole_angle_sin", "pole_angle_cos", "pole_speed_rad_s"),
    )
    assert interface.action_duties == CART.swing_up_duties
    assert "pole_angle_sin, pole_angle_cos" in files.header.read_text()


def test_interface_of_a_policy_that_balances_is_written_as_before_there_was_another_task() -> None:
    assert "task" not in Interface.of(CART).as_dict()
    assert json.dumps(Interface.of(CART, task=Task.SWING_UP).as_dict()).count('"task": "swing_up"') == 1


@pytest.mark.parametrize("change", [{"task": Task.BALANCE}, {"history_length": 2}])
def test_interface_whose_task_and_observation_do_not_fit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a swing-up takes cart_position_m"):
        dataclasses.replace(Interface.of(CART, task=Task.SWING_UP), **change)  # type: ignore[arg-type]


def test_policy_sees_sine_and_cosine_and_no_turns() -> None:
    bundle = made()
    controller = policy_controller(bundle)
    controller.reset()
    for state in (State(0.1, -0.5, 2.0, 3.0), State(-0.2, 0.3, math.pi, 0.0)):
        action = bundle.action_function()(swing_up_task.seen_by_policy(state))
        for turns in (-1, 0, 2):
            turned = np.array(state._replace(pole_angle_rad=state.pole_angle_rad + turns * 2.0 * math.pi), np.float32)
            assert controller.duty(turned) == CART.swing_up_table[action]


def test_cart_with_another_swing_up_table_is_refused_naming_both() -> None:
    other = with_actions(CART, (-0.5, 0.5), given="--actions", swings_up=True)
    with pytest.raises(UsageError, match=r"action_duties is \[-0.8, .* has \[-0.5, 0.5\]"):
        made().check_fits(other, name="policy.npz")
    assert other.fingerprint() == CART.fingerprint()


def test_microcontroller_and_learning_on_the_cart_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the microcontroller has no sine; run it on a host"):
        on_board_fit(made(), CART)
    path = write_export(made(), tmp_path).bundle
    with pytest.raises(UsageError, match="only a policy that balances can learn on the cart"):
        initial_policy(path, None, load_preset("on_cart"))


def test_evaluate_and_record_begin_with_the_pole_hanging(tmp_path: Path) -> None:
    path = write_export(made(), tmp_path).bundle
    assert choose_controller(path, None, "c").task is Task.SWING_UP
    found = judge(
        JudgingRequest(
            policy=path, env_id=None, rig="sim", cart=None, backend="c", episodes=2, max_steps=50, first_seed=0
        )
    )
    assert sum(found["ends"].values()) == found["episodes"] == 2
    assert found["environment"] == "cartpole_robot/CartPoleSwingUp-v0, rig sim, cart diy_arduino"
    recording = record_rollout(
        RolloutRequest(
            policy=path, rig="sim", cart=None, backend="c", seed=1, duration_s=0.2, out=tmp_path / "hanging.parquet"
        )
    )
    assert abs(recording.column("pole_angle_rad")[0]) > 3.0
    assert 0.0 <= recording.column("reward")[1] < 0.1


def test_evaluate_stops_after_three_equal_faults_in_a_row_and_says_why(tmp_path: Path) -> None:
    known = resources.files("cartpole_robot.cart") / "known" / "diy_arduino.toml"
    blocked = tmp_path / "blocked.toml"
    blocked.write_text(known.read_text().replace("pole_coulomb_n_m = { value = 5e-4", "pole_coulomb_n_m = { value = 9"))
    found = judge(
        JudgingRequest(
            policy=write_export(made(), tmp_path).bundle,
            env_id=None,
            rig=f"virtual:{blocked}",
            cart=None,
            backend="c",
            episodes=10,
            max_steps=50,
            first_seed=0,
        )
    )
    assert (found["episodes"], len(found["faults"])) == (3, 3)
    assert "stopped          3 equal faults in a row, the last: POLE_STUCK" in judgement_text(found)
