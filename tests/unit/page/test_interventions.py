"""What a visitor breaks yields the firmware's named fault, in the firmware's time."""

from __future__ import annotations

import pytest

from benchmarks.page_interventions import INTERVENTIONS, UP, Steps
from benchmarks.page_runs import in_node
from firmware_bridge.faults import FAULTS
from tests.page_contents import contents_of, needs_node


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
