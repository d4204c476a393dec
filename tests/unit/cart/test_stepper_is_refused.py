"""What measures DC motors refuses a stepper's cart by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartpole_robot.bring_up.check import RigCheck
from cartpole_robot.bring_up.run import BringUpRequest, check_request
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.engine_choice import open_loop_engine
from firmware_bridge.transport import Transport

CART = load_cart("diy_stepper")


def test_comparison_and_identification() -> None:
    with pytest.raises(UsageError, match="cart 'diy_stepper' has a stepper, and recordings are compared"):
        open_loop_engine(CART)


def test_bring_up(tmp_path: Path) -> None:
    request = BringUpRequest(cart=CART, rig="virtual", out=tmp_path / "new", may_move=False)
    with pytest.raises(UsageError, match="cart 'diy_stepper' has a stepper, and bring-up"):
        check_request(request)


def test_check_rig() -> None:
    def opened() -> Transport:
        raise AssertionError("the line was opened")

    check = RigCheck(
        cart=CART, open_line=opened, port="/dev/ttyACM0", operator=None, may_move=False, on_result=lambda result: None
    )
    with pytest.raises(UsageError, match="cart 'diy_stepper' has a stepper, and check-rig"):
        check.run()
