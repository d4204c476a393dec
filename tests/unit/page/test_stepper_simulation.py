"""A stepper's cart in the class that a page drives: homing that finds what is broken, a host that waits, lost steps."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.page_interventions import UP
from benchmarks.page_runs import in_node
from tests.page_contents import contents_of, needs_node

pytestmark = needs_node
Steps = list[list[Any]]
ARMED: Steps = [["setController", "lqr"], ["arm"], ["advance", 38_000], ["wait", {"phase": "running"}, 20_000]]
MOVING: Steps = [*ARMED, ["advance", 2000], ["push", 0.02, "pole"], ["advance", 60], ["see"]]


def visit(*steps: list[Any]) -> list[Any]:
    found: list[Any] = in_node(contents_of("stepper"), "visit", steps=list(steps))
    return found


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (["breakDriver", "direction"], "POLARITY"),
        (["breakDriver", "supply"], "HOMING_TRAVEL"),
        (["breakDriver", "pulses"], "STEPS_LOST"),
        (["blockCart"], "HOMING_TRAVEL"),
    ],
)
def test_homing_finds_what_is_broken(broken: list[Any], fault: str) -> None:
    found, later = visit(
        *(["setController", "lqr"], broken, ["arm"], ["wait", {"state": "FAULT"}, 60_000], ["advance", 500], ["see"])
    )
    assert found["fault"] == fault
    assert (later["applied_duty"], later["isHomed"]) == (0.0, False)
    assert later["lost_m"] is None  # NaN: nothing is counted


def test_alarm_forbids_to_home_and_names_itself() -> None:
    (refused,) = visit(
        *(["setController", "lqr"], ["breakDriver", "alarm"], ["arm"], ["wait", {"trouble": "refused"}, 5000])
    )
    assert refused["message"].startswith("The cart refuses HOME: UNHEALTHY: DRIVER_ALARM: the stepper's driver")


def test_driver_that_alarms_lets_go_of_the_cart() -> None:
    _, _, held = visit(
        *ARMED,
        ["breakDriver", "alarm"],
        ["wait", {"state": "FAULT"}, 10],
        ["grabCart", 0.02],
        ["advance", 800],
        ["see"],
    )
    assert held["fault"] == "DRIVER_ALARM"
    assert held["position_m"] == pytest.approx(0.02, abs=0.003)  # a gentle hand moves it


@pytest.mark.parametrize("meanwhile", [[], [["disarm"]]])
def test_host_that_starts_while_the_cart_moves_waits_until_it_rests(meanwhile: Steps) -> None:
    """The firmware takes no limits from a new host before."""
    _, moving, idle, again = visit(
        *(*MOVING, ["startHost"], *meanwhile, ["advance", 400], ["see"]),
        *(["arm"], ["wait", {"phase": "running"}, 5000]),
    )
    assert abs(moving["speed_m_s"]) > 0.05
    assert (idle["state"], idle["phase"], idle["message"]) == ("READY", "idle", None)
    assert again["is_so"]  # its zeros were known still


def test_cart_is_armed_again_while_it_brakes() -> None:
    _, moving, again = visit(*MOVING, ["arm"], ["wait", {"phase": "running"}, 5000])
    assert abs(moving["speed_m_s"]) > 0.05
    assert again["is_so"]


def test_reset_board_no_longer_knows_where_the_cart_is() -> None:
    _, reset, armed = visit(
        *(*ARMED, ["resetBoard"], ["advance", 300], ["see"]),
        *(["arm"], ["advance", 38_000], ["wait", {"phase": "running"}, 20_000]),
    )
    assert (reset["state"], reset["isHomed"], reset["lost_m"]) == ("DISARMED", False, None)
    assert armed["is_so"]
    assert abs(armed["lost_m"]) < 1e-3


def test_steps_are_lost_and_stay_lost_until_homing() -> None:
    _, pulled, again, homed = visit(
        *(*UP, ["grabCart", 0.2], ["advance", 1500], ["release"], ["advance", 1000], ["see"]),
        *(["arm"], ["wait", {"phase": "running"}, 5000]),
        *(["home"], ["advance", 38_000], ["wait", {"phase": "idle"}, 20_000]),
    )
    assert pulled["fault"] == "POLE_ANGLE"
    assert pulled["lost_m"] == pytest.approx(0.2, abs=0.03)
    assert again["is_so"]
    assert again["lost_m"] == pytest.approx(pulled["lost_m"], abs=1e-3)
    period_m = 16 / 20_000  # four full steps of four pulses
    assert math.remainder(pulled["lost_m"], period_m) == pytest.approx(0.0, abs=1e-6)
    assert (homed["state"], abs(homed["lost_m"]) < 1e-3) == ("READY", True)


def test_push_that_is_weaker_than_the_motor_moves_nothing_and_a_stronger_one_loses_steps() -> None:
    _, weak, strong = visit(
        *(*UP, ["push", 0.4, "cart"], ["advance", 300], ["see"], ["push", 1.0, "cart"], ["advance", 1500], ["see"])
    )
    assert (weak["state"], abs(weak["lost_m"]) < 1e-3) == ("ARMED", True)
    assert strong["lost_m"] > 0.05
