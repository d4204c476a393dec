"""What a visitor breaks yields the firmware's named fault, in the firmware's time."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.page_runs import in_node
from cartpole_robot.errors import UsageError
from firmware_bridge.faults import FAULTS
from tests.page_contents import contents_of, diy, needs_node

Steps = list[list[Any]]
CONTACT_MS, SUPPLY_MS, TIMEOUT_MS, PERIOD_MS = 3, 20, 60, 20
STUCK_MS, EITHER_WAY_MS = 100, 300  # longer one way than the other; either way
UP: Steps = [["setController", "lqr"], ["arm"], ["wait", {"phase": "running"}, 60_000], ["advance", 2000]]
DISTURBED: Steps = [["push", 0.2, "cart"]]  # so that the regulator has something to do

# What is done, the fault, the firmware's time for it, and how long what it has to see first may take to come.
INTERVENTIONS: dict[str, tuple[Steps, str, int, int]] = {
    "e-stop pressed": ([["pressEstop"]], "ESTOP", 1, 0),
    "e-stop frame": ([["sendEstop"]], "ESTOP", 1, 0),
    "host killed": ([["killHost"]], "COMMAND_TIMEOUT", TIMEOUT_MS, 1),
    "host late": ([["setDelayMs", 80]], "COMMAND_TIMEOUT", TIMEOUT_MS, PERIOD_MS),
    "left switch closed": ([["closeSwitch", "left"]], "END_SWITCH", CONTACT_MS, 0),
    "right switch closed": ([["closeSwitch", "right"]], "END_SWITCH", CONTACT_MS, 0),
    "supply sags": ([["setSupplyV", 8.0]], "SUPPLY_LOW", SUPPLY_MS, 0),
    "supply too high": ([["setSupplyV", 24.0]], "SUPPLY_HIGH", SUPPLY_MS, 0),
    "pole dragged aside": ([["grabPole", 0.6]], "POLE_ANGLE", 1, 100),  # the hand takes as long as that
    "pole struck": ([["push", 0.3, "pole"]], "POLE_ANGLE", 1, 60),
    "cart dragged away": ([["grabCart", 0.46]], "TRAVEL_LIMIT", 1, 100),
    "cart's encoder cut": (
        [["cutEncoder", "cart", "both"], *DISTURBED],
        "CART_STUCK",
        EITHER_WAY_MS,
        2 * PERIOD_MS + 40,
    ),
    "one of the cart's wires cut": ([["cutEncoder", "cart", "A"], *DISTURBED], "CART_STUCK", EITHER_WAY_MS, 100),
    "pole's encoder cut": ([["cutEncoder", "pole", "both"], *DISTURBED], "POLE_STILL", 1, 200),  # travels 4 cm first
    "cart's channels swapped": ([["swapChannels", "cart"], *DISTURBED], "POLARITY", STUCK_MS, 0),
    "pole's channels swapped": ([["swapChannels", "pole"], *DISTURBED], "POLE_SIGN", STUCK_MS, 0),
    "motor's leads swapped": ([["swapMotor"], *DISTURBED], "POLARITY", STUCK_MS, 0),
    "cart jammed": ([["blockCart"], ["grabPole", 0.15]], "CART_STUCK", STUCK_MS, 3 * PERIOD_MS),
    "ticks missed": ([["missTicks", 11]], "MISSED_TICKS", 1, 0),
}


@needs_node
@pytest.mark.parametrize("what", INTERVENTIONS)
def test_intervention_yields_its_fault_in_the_firmwares_time(what: str) -> None:
    steps, fault, firmware_ms, first_ms = INTERVENTIONS[what]
    wait = ["wait", {"state": "FAULT"}, 10_000]
    up, found, after = in_node(contents_of("as shipped"), "visit", steps=[*UP, *steps, wait, ["advance", 600], ["see"]])
    print(f"{what}: {found['fault']} after {found['waited_ms']} ms")
    assert (up["state"], up["fault"]) == ("ARMED", "NONE")
    assert found["fault"] == fault
    assert found["waited_ms"] <= firmware_ms + first_ms
    assert (after["state"], after["applied_duty"]) == ("FAULT", 0.0)
    if what not in ("host killed", "e-stop frame"):
        assert after["message"].startswith(f"{fault}: {FAULTS[fault]}")


@needs_node
def test_an_undisturbed_cart_keeps_balancing() -> None:
    steps = [*UP, ["advance", 60_000], ["see"]]
    _, seen = in_node(contents_of("as shipped"), "visit", steps=steps)
    assert (seen["state"], seen["fault"], seen["message"]) == ("ARMED", "NONE", None)
    assert seen["commands"] >= 3000


@needs_node
def test_every_fault_is_cleared_and_the_cart_armed_again() -> None:
    steps: Steps = [*UP]
    mends: Steps = [
        *(["release"], ["pressEstop", False], ["closeSwitch", "left", False], ["closeSwitch", "right", False]),
        *(["setSupplyV", 12.0], ["cutEncoder", "cart", "none"], ["cutEncoder", "pole", "none"], ["swapMotor", False]),
        *(["swapChannels", "cart", False], ["swapChannels", "pole", False], ["blockCart", False], ["setDelayMs", 0]),
    ]
    for done, *_ in INTERVENTIONS.values():
        steps += [*done, ["wait", {"state": "FAULT"}, 10_000], ["advance", 3000], *mends, ["advance", 500], ["arm"]]
        steps += [["wait", {"phase": "running"}, 240_000], ["advance", 1000]]
    _, *seen = in_node(contents_of("as shipped"), "visit", steps=steps)
    assert [each["state"] for each in seen[1::2]] == ["ARMED"] * len(INTERVENTIONS)


@needs_node
def test_cart_without_a_host_stays_disarmed_and_ideal_carts_are_refused() -> None:
    (seen,) = in_node(contents_of("as shipped"), "visit", steps=[["advance", 5000], ["see"]])
    assert (seen["state"], seen["phase"], seen["requested_duty"]) == ("DISARMED", "off", 0.0)
    assert diy().firmware is not None
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.page.contents import page_contents

    with pytest.raises(UsageError, match=r"has no \[encoders\] section"):
        page_contents(load_cart("gym"), {})
