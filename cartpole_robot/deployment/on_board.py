"""Policies that the microcontroller runs itself: builds the image and checks which policy a cart has."""

from __future__ import annotations

from pathlib import Path

from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.firmware_image import on_board_fit, on_board_policy, policy_header
from cartpole_robot.deployment.on_board_time import check_in_time
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.bundle import PolicyBundle
from firmware_bridge.emulator import current_image
from firmware_bridge.link import Link

__all__ = ["check_on_board", "on_board_fit", "on_board_image", "on_board_policy", "policy_header", "timely_header"]

BUILD = "cartpole-robot firmware build --policy POLICY"


def on_board_image(bundle: PolicyBundle, cart: CartParams) -> Path:
    """The ELF of this package's firmware with `bundle` for `cart`, built unless it is cached.

    Raises `UsageError` for a policy that does not fit the cart or decides too late, `BridgeError`.
    """
    return current_image(timely_header(bundle, cart))


def timely_header(bundle: PolicyBundle, cart: CartParams) -> str:
    """The policy's header for the firmware. Raises `UsageError`, also where the chip decides too late."""
    header = policy_header(bundle, cart)
    check_in_time(bundle.check_int16("on board"))
    return header


def check_on_board(link: Link, bundle: PolicyBundle, cart: CartParams, *, remedy: str = BUILD) -> None:
    """Check that the connected cart has `bundle`, built for `cart`, and that it passed its self-test.

    Raises `UsageError` with both values of the first difference and `remedy`, the command that fixes it; `LinkError`.
    """
    report, fit = link.policy(), on_board_fit(bundle, cart)
    self_test = link.protocol.enums["self_test"]
    if report.self_test == self_test["TEST_NONE"]:
        raise UsageError(f"there is no policy in the cart's firmware; build and flash it: {remedy}")
    differences = (
        ("policy", f"{report.hash_high:08x}{report.hash_low:08x}", bundle.policy_hash()[:16]),
        ("control period", f"{report.control_period_ms} ms", f"{fit.control_period_ms} ms"),
        (f"fit to a cart's counts and duties ({cart.name!r} here)", f"{report.fit_crc:08x}", f"{fit.crc:08x}"),
    )
    for what, found, expected in differences:
        if found != expected:
            raise UsageError(
                f"the {what} in the cart's firmware is {found}, expected {expected}; build and flash it: {remedy}"
            )
    if report.self_test == self_test["TEST_FAILED"]:
        raise UsageError(f"the policy in the cart's firmware fails its self-test; build and flash it again: {remedy}")
