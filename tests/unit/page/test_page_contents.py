"""What a page is given: plain JSON, and one plain line where a cart or a policy cannot run in it."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from benchmarks.page_runs import in_node
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.parts import Timing
from cartpole_robot.errors import UsageError
from cartpole_robot.page.contents import page_contents, with_alarm
from cartpole_robot.policy.lqr import Lqr
from cartpole_robot.rigs.cfg_message import cfg_message, stepper_message
from firmware_bridge.faults import FAULTS
from firmware_bridge.protocol import read_protocol
from tests.page_contents import CARTS, contents_of, designs, diy, needs_node
from tests.policy_on_board import regulating_policy

LATE = Lqr(state_gain=np.zeros(4), duty_gain=np.zeros(65))


def one_line(error: pytest.ExceptionInfo[UsageError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_contents_are_plain_json_that_keeps_every_number() -> None:
    contents = contents_of("sluggish")
    text = json.dumps(contents, allow_nan=False)
    assert json.loads(text) == contents
    cart, _, _ = designs("sluggish")
    assert contents["numbers"]["inertia_kg_m2"] == cart.pole_cart.hinge_inertia_kg_m2
    assert len(text) < 100_000


def test_contents_have_the_limits_as_the_firmware_takes_them_and_the_words_for_every_fault() -> None:
    cart = diy()
    contents = page_contents(cart, {})
    assert base64.b64decode(contents["limits"]) == cfg_message(cart).pack()
    protocol = read_protocol()
    assert contents["fault_names"] == {str(int(each)): each.name for each in protocol.enums["fault"]}
    assert set(contents["fault_names"].values()) - {"NONE"} <= set(FAULTS) == set(contents["faults"])


def test_controllers_are_those_that_were_given() -> None:
    cart, lqr, swing_up = designs("as shipped")
    bundle = regulating_policy(cart)
    assert page_contents(cart, {})["controllers"] == ["off"]
    assert page_contents(cart, {"a": bundle}, lqr=lqr, swing_up=swing_up)["controllers"] == [
        *("policy:a", "lqr", "swing-up", "off")
    ]


def test_cart_whose_file_forbids_swing_ups_has_no_such_controller() -> None:
    cart, _, swing_up = designs("as shipped")
    assert cart.firmware is not None
    cart = dataclasses.replace(cart, firmware=dataclasses.replace(cart.firmware, swing_timeout_s=0.0))
    assert page_contents(cart, {}, swing_up=swing_up)["controllers"] == ["off"]


@pytest.mark.parametrize("name", ["gym", "sensorsini"])
def test_cart_without_a_firmware_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"has no \[(encoders|firmware)\] section") as error:
        page_contents(load_cart(name), {})
    one_line(error)


def test_cart_of_another_physics_step_is_refused() -> None:
    cart = dataclasses.replace(diy(), timing=Timing(physics_step_s=0.002, control_period_s=0.02))
    with pytest.raises(UsageError, match=r"physics_step_s = 0\.002, and a page simulates steps of 0\.001") as error:
        page_contents(cart, {})
    one_line(error)


def test_policy_of_another_cart_is_refused_with_both_values() -> None:
    bundle = regulating_policy(diy())
    cart = dataclasses.replace(diy(), timing=Timing(physics_step_s=0.001, control_period_s=0.01))
    with pytest.raises(
        UsageError, match=r"mine: the policy's control_period_s is 0\.02, the cart .* has 0\.01"
    ) as error:
        page_contents(cart, {"mine": bundle})
    one_line(error)


@pytest.mark.long
def test_policies_with_different_action_tables_share_a_page() -> None:
    cart = diy()
    precise, third = cart.with_table(cart.precise_table), dataclasses.replace(cart, action_duties=(-0.3, 0.3))
    bundles = {"two": regulating_policy(cart), "fine": regulating_policy(precise), "own": regulating_policy(third)}
    for shown in (cart, precise, third):
        tables = [network["duties"] for network in page_contents(shown, bundles)["networks"]]
        assert tables == [list(one.action_duties) for one in (cart, precise, third)]


def test_policy_of_an_unknown_form_is_refused_in_one_line() -> None:
    bundle = regulating_policy(diy())
    network = bundle.network

    class Recurrent:
        inputs, outputs = network.inputs, network.outputs

    odd = copy.copy(bundle)
    object.__setattr__(odd, "network", Recurrent())
    object.__setattr__(odd, "policy_hash", lambda: "0")
    with pytest.raises(
        UsageError, match="mine: a page runs networks of one or two hidden layers, not Recurrent"
    ) as error:
        page_contents(diy(), {"mine": odd})
    one_line(error)


def test_more_policies_than_the_module_takes_are_refused() -> None:
    bundle = regulating_policy(diy())
    with pytest.raises(UsageError, match="9 policies, and a page takes at most 8"):
        page_contents(diy(), {f"policy-{number}": bundle for number in range(9)})


def test_regulator_of_a_delay_beyond_what_the_module_holds_is_refused() -> None:
    with pytest.raises(UsageError, match="takes 65 control periods to work, and a page takes at most 64"):
        page_contents(diy(), {}, lqr=LATE)


def test_stepper_has_its_own_limits_and_an_alarm_that_is_wired() -> None:
    cart = load_cart("diy_stepper")
    contents = page_contents(cart, {})
    sent = stepper_message(with_alarm(cart))
    assert sent is not None
    assert base64.b64decode(contents["stepper_limits"]) == sent.pack()
    flags = read_protocol().enums["stepper_flag"]
    assert sent.flags & flags["HAS_ALARM"]
    assert contents_of("as shipped")["stepper_limits"] == ""
    assert (contents["cart"]["drive"], contents["cart"]["full_acceleration_m_s2"]) == ("stepper", 15.0)
    assert contents_of("as shipped")["cart"]["drive"] == "dc"


def test_alarm_that_the_cart_file_wires_stays_as_it_is() -> None:
    late = CARTS["late stepper"]()
    assert with_alarm(late) is late
    assert with_alarm(diy()) == diy()


def test_policy_of_the_other_drive_is_refused_with_both_names() -> None:
    with pytest.raises(UsageError, match=r"mine: .*dc.*stepper") as error:
        page_contents(load_cart("diy_stepper"), {"mine": regulating_policy(diy())})
    one_line(error)


def changed(contents: dict[str, Any], change: str) -> dict[str, Any]:
    contents = copy.deepcopy(contents)
    match change:
        case "a number missing":
            del contents["numbers"]["mass_kg"]
        case "a number too many":
            contents["numbers"]["colour"] = 1.0
        case "an array missing":
            del contents["arrays"]["lqr.state_gain"]
        case "an array too long":
            contents["arrays"]["lqr.state_gain"]["data"] = base64.b64encode(bytes(8 * 5)).decode()
        case "a stepper":
            contents["cart"]["drive"] = "stepper"
        case "limits of a stepper":
            contents["stepper_limits"] = contents_of("stepper")["stepper_limits"]
        case _:
            contents["limits"] = contents["limits"][4:]
    return contents


@needs_node
@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ("a number missing", "the contents have no number mass_kg; make the page again"),
        ("a number too many", "the module knows no number colour; make the page again"),
        ("an array missing", "the contents have no array lqr.state_gain; make the page again"),
        ("an array too long", "lqr.state_gain has 5 numbers, expected at most 4"),
        ("a stepper", "the contents have no number stepper.steps_per_m; make the page again"),
        ("limits of a stepper", "stepper_limits of 13 bytes, expected 0"),
        ("limits of other firmware", "limits of 54 bytes, expected 57"),
    ],
)
def test_contents_that_do_not_belong_to_the_module_are_reported(change: str, reported: str) -> None:
    with pytest.raises(RuntimeError, match=reported):
        in_node(changed(contents_of("as shipped"), change), "visit", steps=[])
