"""What measures DC motors refuses a stepper's cart by name."""

from __future__ import annotations

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.page.contents import page_contents

CART = load_cart("diy_stepper")


def test_page() -> None:
    with pytest.raises(UsageError, match="cart 'diy_stepper' has a stepper, and a page simulates DC motors alone"):
        page_contents(CART, {}, swing_up=None)
