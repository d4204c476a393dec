"""Which differences between a policy's cart and the one at hand are told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.controllers import choose_controller
from tests.policy_on_board import regulating_policy


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    cart = load_cart("diy_arduino")
    bundle = dataclasses.replace(regulating_policy(cart), provenance={"cart": cart.as_dict()})
    bundle.save(tmp_path / "policy.npz")
    return tmp_path / "policy.npz"


def test_cart_that_only_homes_otherwise_is_the_policys_own(policy: Path) -> None:
    cart = load_cart("diy_arduino")
    assert quickly_homing(cart).firmware != cart.firmware
    assert choose_controller(policy, quickly_homing(cart), "c").note is None


def test_cart_of_other_limits_in_its_firmware_is_noted(policy: Path) -> None:
    cart = load_cart("diy_arduino")
    assert cart.firmware is not None
    other = dataclasses.replace(cart.firmware, compensates_dead_zone=not cart.firmware.compensates_dead_zone)
    chosen = choose_controller(policy, dataclasses.replace(cart, firmware=other), "c")
    assert chosen.note == "the policy was trained on other parameters than those of the cart 'diy_arduino'"


def test_bundle_whose_cart_has_both_drives_is_refused(tmp_path: Path) -> None:
    cart = load_cart("diy_stepper")
    both = {**cart.as_dict(), "motor": load_cart("diy_arduino").as_dict()["motor"]}
    bundle = dataclasses.replace(regulating_policy(cart), provenance={"cart": both})
    bundle.save(tmp_path / "policy.npz")
    for chosen in (None, "diy_stepper"):
        with pytest.raises(UsageError, match=r"policy\.npz: cart: has both \[motor\] .* and \[stepper\] \("):
            choose_controller(tmp_path / "policy.npz", chosen, "numpy")
