"""What a visitor breaks yields the firmware's named fault, in the firmware's time."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pytest

from benchmarks.page_interventions import UP, Steps, interventions_of
from benchmarks.page_runs import in_node
from firmware_bridge.faults import FAULTS
from tests.page_contents import CARTS, contents_of, needs_node

REPAIRS: Steps = [
    *(["release"], ["pressEstop", False], ["closeSwitch", "left", False], ["closeSwitch", "right", False]),
    *(["cutEncoder", "pole", "none"], ["swapChannels", "pole", False], ["blockCart", False], ["setDelayMs", 0]),
]
OF_DRIVE: dict[str, Steps] = {
    "as shipped": [
        *(["setSupplyV", 12.0], ["cutEncoder", "cart", "none"], ["swapChannels", "cart", False], ["swapMotor", False]),
    ],
    "stepper": [
        *(["setSupplyV", 24.0], *(["breakDriver", each, False] for each in ("supply", "alarm", "direction", "pulses"))),
        *(["pressEstop"], ["advance", 10], ["pressEstop", False]),  # what it has lost is found by homing alone
    ],
}
HOMING_MS = {"as shipped": 0, "stepper": 40_000}  # to let pass at once
INTERVENTIONS = {name: interventions_of(CARTS[name]().drive) for name in OF_DRIVE}


@dataclasses.dataclass(frozen=True)
class Seen:
    """The page before an intervention, at the fault, 600 ms after it, and once the cart was armed again."""

    up: dict[str, Any]
    found: dict[str, Any]
    after: dict[str, Any]
    again: dict[str, Any]


@functools.cache
def visit(name: str) -> dict[str, Seen]:
    """One visit with every intervention, each of them cleared and the cart armed again."""
    steps: Steps = [*UP]
    for done, _, _, first_ms in INTERVENTIONS[name].values():
        steps += [*done, ["wait", {"state": "FAULT"}, 10_000 + first_ms], ["advance", 600], ["see"], ["advance", 2400]]
        steps += [*REPAIRS, *OF_DRIVE[name], ["advance", 500]]
        steps += [["arm"], ["advance", HOMING_MS[name]], ["wait", {"phase": "running"}, 240_000], ["advance", 2000]]
    up, *seen = in_node(contents_of(name), "visit", steps=steps)
    ups = [up, *seen[2::3]]
    return {
        what: Seen(before, *seen[3 * k : 3 * k + 3])
        for k, (what, before) in enumerate(zip(INTERVENTIONS[name], ups, strict=False))
    }


@needs_node
@pytest.mark.parametrize(
    ("name", "what"), [(name, what) for name, all_of_it in INTERVENTIONS.items() for what in all_of_it]
)
def test_intervention_yields_its_fault_in_the_firmwares_time_and_the_cart_is_armed_again(name: str, what: str) -> None:
    _, fault, firmware_ms, first_ms = INTERVENTIONS[name][what]
    seen = visit(name)[what]
    print(f"{what}: {seen.found['fault']} after {seen.found['waited_ms']} ms")
    assert (seen.up["state"], seen.up["fault"]) == ("ARMED", "NONE")
    assert seen.found["fault"] == fault
    assert seen.found["waited_ms"] <= firmware_ms + first_ms
    assert (seen.after["state"], seen.after["applied_duty"]) == ("FAULT", 0.0)
    if what not in ("host killed", "e-stop frame"):
        assert seen.after["message"].startswith(f"{fault}: {FAULTS[fault]}")
    assert seen.again["state"] == "ARMED"


@needs_node
@pytest.mark.parametrize("name", OF_DRIVE)
def test_an_undisturbed_cart_keeps_balancing(name: str) -> None:
    steps = [*UP, ["advance", 60_000], ["see"]]
    _, seen = in_node(contents_of(name), "visit", steps=steps)
    assert (seen["state"], seen["fault"], seen["message"]) == ("ARMED", "NONE", None)
    assert seen["commands"] >= 3000


@needs_node
@pytest.mark.parametrize(
    "what", [["disarm"], ["sendEstop"], ["startHost"], ["resetBoard"], ["clearFault"], ["killHost"]]
)
def test_a_host_that_no_longer_drives_requests_no_duty(what: list[str]) -> None:
    steps = [*UP, ["push", 0.5, "cart"], ["advance", 100], ["see"], what, ["advance", 400], ["see"]]
    _, driven, left = in_node(contents_of("as shipped"), "visit", steps=steps)
    assert driven["requested_duty"] != 0.0
    assert left["state"] != "ARMED"
    assert left["requested_duty"] == 0.0


@needs_node
def test_cart_without_a_host_stays_disarmed() -> None:
    (seen,) = in_node(contents_of("as shipped"), "visit", steps=[["advance", 5000], ["see"]])
    assert (seen["state"], seen["phase"], seen["requested_duty"]) == ("DISARMED", "off", 0.0)
