"""Bundles of networks that only a host computes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.firmware_image import policy_header
from cartpole_robot.errors import UsageError
from cartpole_robot.files.arrays import read_arrays
from cartpole_robot.files.formats import check_format
from cartpole_robot.policy import bundle as bundles
from cartpole_robot.policy import host_arrays
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import PolicyBundle, load_policy
from cartpole_robot.policy.c_header import c_header
from cartpole_robot.policy.controllers import DutyController, policy_controller
from cartpole_robot.policy.export import bundle_of, write_export
from cartpole_robot.policy.host_network import SAME_DUTY, Activation, HostNetwork, Output
from cartpole_robot.policy.interface import Command, Interface
from cartpole_robot.policy.network import Network
from cartpole_robot.training.on_cart.initial import initial_policy
from tests.conftest import make_network
from tests.host_policies import FORMS, random_host_network

CART = with_actions(load_cart("diy_arduino"), (-0.4, 0.0, 0.4), given="the test")
SEEN = np.random.default_rng(2).normal(scale=0.3, size=(500, 4)).astype(np.float32)


def made(network: Network | HostNetwork | None = None, cart: CartParams = CART) -> PolicyBundle:
    network = network or random_host_network(Activation.TANH, Output.CLIPPED, (7, 5), True)
    return bundle_of(network, cart, SEEN, {"cart": cart.as_dict()})


def stored(path: Path, *more: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    arrays = read_arrays(path, (*bundles._NAMES, *host_arrays.NAMES, *more), most_bytes=1 << 24)
    return json.loads(arrays["header"].tobytes()), arrays


@pytest.mark.parametrize("form", FORMS)
def test_each_form_comes_back_as_it_was_written(form: Any, tmp_path: Path) -> None:
    bundle = made(random_host_network(*form))
    bundle.save(tmp_path / "policy.npz")
    again = load_policy(tmp_path / "policy.npz")
    assert again.policy_hash() == bundle.policy_hash()
    assert again.interface == bundle.interface
    for backend in (Backend.C, Backend.NUMPY):
        one, other = again.decision_function(backend), bundle.decision_function(backend)
        assert [one(row) for row in SEEN] == [other(row) for row in SEEN]


@pytest.mark.parametrize("form", FORMS)
def test_onnx_model_of_each_form_decides_alike(form: Any, tmp_path: Path) -> None:
    bundle = made(random_host_network(*form))
    session = onnxruntime.InferenceSession(str(write_export(bundle, tmp_path).onnx), providers=["CPUExecutionProvider"])
    output = session.get_outputs()[1]
    assert (output.name, output.shape) == ("duty" if form[1] is not Output.TABLE else "action", ["batch"])
    found = session.run([output.name], {"observation": SEEN})[0]
    act = bundle.decision_function()
    most = SAME_DUTY if output.name == "duty" else 0
    assert np.abs(found - [act(row) for row in SEEN]).max() <= most


def test_two_forms_with_the_same_weights_have_two_hashes() -> None:
    network = random_host_network(Activation.TANH, Output.CLIPPED, (7, 5), False)
    others = (
        network,
        dataclasses.replace(network, activation=Activation.RELU),
        dataclasses.replace(network, output=Output.SQUASHED),
        dataclasses.replace(network, input_bound=np.array([[-1.0] * 4, [1.0] * 4], np.float32)),
    )
    assert len({made(one).policy_hash() for one in others}) == 4


def test_a_microcontrollers_network_has_a_class_of_its_own() -> None:
    network = random_host_network(Activation.TANH, Output.TABLE, (7,), False)
    with pytest.raises(ValueError, match="has its own class, Network"):
        dataclasses.replace(network, activation=Activation.RELU)


def test_earlier_versions_refuse_the_file_by_its_number(tmp_path: Path) -> None:
    """An earlier version looks for the arrays of format 2, then for two header fields, then at the number."""
    path = tmp_path / "policy.npz"
    made().save(path)
    header, arrays = stored(path)
    assert not [name for name in bundles._NAMES if name not in arrays]
    assert len(arrays["golden_actions"]) > 0
    assert type(header["int16_hidden_shift"]) is int
    with pytest.raises(UsageError, match=r"has bundle format 3, this version reads 2; train it again"):
        check_format(path, "bundle", header, expected=2, remedy="train it again")


def test_a_microcontrollers_network_stays_in_format_2(tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    made(make_network(5, outputs=3)).save(path)
    header, arrays = stored(path)
    assert header["format"] == 2
    assert set(header) == {
        *("format", "interface", "int16_hidden_shift", "policy_hash", "provenance", "swing_up_digest", "digest")
    }
    assert not arrays.keys() & set(host_arrays.NAMES)
    assert not {"command", "task"} & header["interface"].keys()


@pytest.mark.parametrize("name", ["second_weight", "input_bound", "input_gain", "output_bias"])
def test_altered_weights_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    made().save(path)
    _, arrays = stored(path, "swing_up_state_gain", "swing_up_duty_gain", "swing_up_catch_cost")
    arrays[name] = arrays[name] * np.float32(1.001)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"the file was altered|is not a valid policy bundle"):
        load_policy(path)


def test_form_without_its_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    made().save(path)
    header, arrays = stored(path)
    for form in ({"activation": "elu", "output": "clipped"}, {}, 7):
        arrays["header"] = np.frombuffer(json.dumps({**header, "host_network": form}).encode(), np.uint8)
        np.savez(path, **arrays)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="is not a valid policy bundle"):
            load_policy(path)


def test_int16_form_header_and_firmware_are_refused_with_the_reason() -> None:
    bundle = made()
    reason = "its network has two hidden layers, tanh, clipped observations, a duty as output; the int16 form takes"
    for where, refused in (
        ("backend int16", lambda: bundle.decision_function(Backend.INT16)),
        ("C header", lambda: c_header(bundle)),
        ("on board", lambda: policy_header(bundle, CART)),
    ):
        with pytest.raises(UsageError, match=f"{where}: {reason}"):
            refused()
    with pytest.raises(UsageError, match="commands a duty and has no actions"):
        bundle.action_function()


def test_export_writes_no_header(tmp_path: Path) -> None:
    files = write_export(made(), tmp_path / "out")
    assert files.header is None
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["policy.npz", "policy.onnx"]


def test_policy_that_commands_a_duty_fits_any_table_but_not_any_period() -> None:
    bundle = made()
    assert bundle.interface.command is Command.DUTY
    assert bundle.interface.action_duties == ()
    bundle.check_fits(with_actions(CART, (-1.0, 1.0), given="the test"), name="it")
    with pytest.raises(UsageError, match=r"control_period_s is 0.02, the cart 'diy_arduino' has 0.01"):
        bundle.check_fits(
            dataclasses.replace(CART, timing=dataclasses.replace(CART.timing, control_period_s=0.01)), name="it"
        )
    tabled = made(random_host_network(Activation.TANH, Output.TABLE, (7,), False))
    with pytest.raises(UsageError, match=r"action_duties is \[-0.4, 0, 0.4\], the cart 'diy_arduino' has \[-1, 1\]"):
        tabled.check_fits(with_actions(CART, (-1.0, 1.0), given="the test"), name="it")


def test_interface_of_a_duty_has_neither_table_nor_history() -> None:
    own = Interface.of(CART, command=Command.DUTY)
    for changed in ({"action_duties": (-1.0, 1.0)}, {"history_length": 2}):
        with pytest.raises(ValueError, match="a policy that commands its duty"):
            dataclasses.replace(own, **changed)


def test_controller_commands_the_networks_duty() -> None:
    bundle = made()
    controller = policy_controller(bundle)
    assert isinstance(controller, DutyController)
    expected = bundle.network.decisions(SEEN)  # type: ignore[union-attr]
    assert [controller.duty(row) for row in SEEN] == pytest.approx(expected.tolist(), abs=SAME_DUTY)


def test_learning_on_the_cart_continues_a_dqn_alone(tmp_path: Path) -> None:
    from cartpole_robot.training.config import load_preset

    path = tmp_path / "policy.npz"
    made().save(path)
    with pytest.raises(UsageError, match=r"continues a DQN .* and the policy's network has two hidden layers, tanh"):
        initial_policy(path, None, load_preset("on_cart"))
    plain = dataclasses.replace(
        made(make_network(5, outputs=3)),
        provenance={"cart": CART.as_dict(), "learner": {"algorithm": "PPO"}},
    )
    plain.save(path)
    with pytest.raises(UsageError, match=r"continues a DQN, and the policy is of 'PPO'"):
        initial_policy(path, None, load_preset("on_cart"))
