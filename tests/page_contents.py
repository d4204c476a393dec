"""Contents of pages for tests, and what they need of this machine."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pytest

from benchmarks.page_runs import has_node
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay, Timing
from cartpole_robot.page.contents import page_contents, with_alarm
from cartpole_robot.page.module_build import missing_tools
from cartpole_robot.policy.lqr import Lqr
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.swing_up import SwingUpDesign
from cartpole_robot.policy.swing_up_design import design_swing_up

needs_module = pytest.mark.skipif(bool(missing_tools()), reason="clang, wasm-ld and wasi-libc compile the module")
needs_node = pytest.mark.skipif(not has_node() or bool(missing_tools()), reason="Node runs what clang compiles")


def diy() -> CartParams:
    """The cart with a firmware."""
    return load_cart("diy_arduino")


def sluggish() -> CartParams:
    """It with a late host, a motor that lags, saturates and is weaker to one side, and a compensated dead zone."""
    cart = diy()
    motor = dataclasses.replace(
        cart.motor,
        lag_s=0.004,
        saturation=0.1,
        gain_asymmetry=-0.1,
        dead_zone_duty=0.05,
        dead_zone_asymmetry_duty=0.01,
    )
    delay = Delay(apply=Apply.ON_ARRIVAL, latency_s=0.007)
    assert cart.firmware is not None
    firmware = dataclasses.replace(cart.firmware, compensates_dead_zone=True)
    return dataclasses.replace(cart, motor=motor, delay=delay, firmware=firmware)


def quick() -> CartParams:
    """It with a control period of 5 ms, and a bridge that coasts at duty 0."""
    cart = diy()
    motor = dataclasses.replace(cart.motor, brakes_at_zero=False)
    return dataclasses.replace(cart, motor=motor, timing=Timing(physics_step_s=0.001, control_period_s=0.005))


def quanser() -> CartParams:
    """Another shipped cart with a firmware."""
    return load_cart("quanser_ip02")


def stepper() -> CartParams:
    """The cart with a stepper, and with its driver's alarm output wired, as a page has it."""
    return with_alarm(load_cart("diy_stepper"))


def late_stepper() -> CartParams:
    """It with a late host, another belt, a weaker motor, and a driver whose pins work the other way round."""
    cart = stepper()
    assert cart.stepper is not None
    driver = dataclasses.replace(
        cart.stepper, settling_s=0.003, pull_out_force_n=45.0, enable_is_low=False, alarm_is_low=False
    )
    return dataclasses.replace(cart, stepper=driver, delay=Delay(apply=Apply.ON_ARRIVAL, latency_s=0.007))


CARTS = {
    "as shipped": diy,
    "sluggish": sluggish,
    "quick": quick,
    "quanser": quanser,
    "stepper": stepper,
    "late stepper": late_stepper,
}


@functools.cache
def designs(name: str) -> tuple[CartParams, Lqr, SwingUpDesign]:
    """One of `CARTS` with its regulator and the design of its swing-up."""
    cart = CARTS[name]()
    return cart, design_lqr(cart), design_swing_up(cart)


@functools.cache
def contents_of(name: str) -> dict[str, Any]:
    """A page for one of `CARTS`, with regulator and swing-up."""
    cart, lqr, swing_up = designs(name)
    return page_contents(cart, {}, lqr=lqr, swing_up=swing_up)
