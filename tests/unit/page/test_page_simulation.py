"""The class that a page drives: time, hands, switching controllers, the host's delay, curves."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from benchmarks.page_runs import in_node
from cartpole_robot.page.contents import page_contents
from tests.page_contents import contents_of, designs, needs_node
from tests.policy_on_board import regulating_policy

Steps = list[list[Any]]
UP: Steps = [["setController", "lqr"], ["arm"], ["wait", {"phase": "running"}, 60_000], ["advance", 2000]]


def visit(*steps: list[Any], contents: dict[str, Any] | None = None) -> list[Any]:
    found: list[Any] = in_node(contents or contents_of("as shipped"), "visit", steps=list(steps))
    return found


@needs_node
def test_cart_is_switched_on_with_a_hanging_pole_and_no_host() -> None:
    (seen,) = visit(["see"])
    assert seen["time_s"] == 0.0
    assert abs(seen["angle_rad"]) == pytest.approx(math.pi)
    assert (seen["controller"], seen["phase"], seen["lateness_us"]) == ("off", "off", None)
    assert (seen["supply_v"], seen["isHomed"]) == (12.0, False)


@needs_node
def test_host_that_starts_gives_the_cart_its_limits_and_drives_nothing() -> None:
    (seen,) = visit(["startHost"], ["advance", 500], ["see"])
    assert (seen["phase"], seen["state"], seen["applied_duty"], seen["message"]) == ("idle", "DISARMED", 0.0, None)


@needs_node
def test_home_finds_both_zeros_and_stays_ready() -> None:
    homed, later = visit(["home"], ["wait", {"phase": "idle", "isHomed": True}, 60_000], ["advance", 1000], ["see"])
    assert homed["is_so"]
    assert later["state"] == "READY"
    assert abs(later["position_m"]) < 0.01


@needs_node
def test_dragged_pole_of_a_disarmed_cart_follows_the_hand_and_falls_when_released() -> None:
    held, moved, fallen = visit(
        *(["grabPole", 2.0], ["advance", 400], ["see"], ["grabPole", 0.5], ["advance", 600], ["see"]),
        *(["release"], ["advance", 600], ["see"]),
    )
    assert held["angle_rad"] == pytest.approx(2.0, abs=0.15)  # gravity pulls at the spring
    assert moved["angle_rad"] == pytest.approx(0.5, abs=0.1)
    assert abs(fallen["angle_rad"]) > 1.5


@needs_node
def test_dragged_cart_follows_the_hand_and_stops_at_the_end_of_its_track() -> None:
    there, beyond = visit(["grabCart", 0.2], ["advance", 500], ["see"], ["grabCart", 2.0], ["advance", 800], ["see"])
    assert there["position_m"] == pytest.approx(0.2, abs=0.01)
    assert beyond["position_m"] == pytest.approx(0.48, abs=0.02)


@needs_node
def test_light_push_is_balanced_out() -> None:
    _, pushed, later = visit(*UP, ["push", 0.5, "cart"], ["advance", 100], ["see"], ["advance", 4000], ["see"])
    assert abs(pushed["speed_m_s"]) > 0.02
    assert later["state"] == "ARMED"
    assert abs(later["position_m"]) < 0.05


@needs_node
@pytest.mark.parametrize("direction", [-1.0, 1.0])
def test_push_moves_the_cart_to_its_side(direction: float) -> None:
    (seen,) = visit(["push", 0.5 * direction, "cart"], ["advance", 12], ["see"])
    assert seen["speed_m_s"] * direction > 0.1


@needs_node
def test_swing_up_brings_the_hanging_pole_up_and_balances_it() -> None:
    armed, balanced, later = visit(
        *(["setController", "swing-up"], ["arm"], ["wait", {"phase": "running"}, 60_000]),
        *(["wait", {"swingPhase": "balance"}, 20_000], ["advance", 5000], ["see"]),
    )
    assert armed["is_so"]
    assert abs(armed["angle_rad"]) > 3.0
    assert balanced["is_so"]
    assert (later["state"], later["fault"]) == ("ARMED", "NONE")
    assert abs(later["angle_rad"]) < 0.05


@needs_node
def test_controllers_take_over_from_each_other_while_the_cart_runs() -> None:
    cart, lqr, swing_up = designs("as shipped")
    bundles = {f"history-{length}": regulating_policy(cart, history_length=length) for length in (1, 3)}
    contents = page_contents(cart, bundles, lqr=lqr, swing_up=swing_up)
    steps: Steps = [*UP]
    names = ["policy:history-3", "swing-up", "policy:history-1", "lqr", "policy:history-3"]
    for name in names:
        steps += [["setController", name], ["advance", 3000], ["see"]]
    _, *seen = visit(*steps, contents=contents)
    assert [(each["controller"], each["state"]) for each in seen] == [(name, "ARMED") for name in names]


@needs_node
def test_controller_off_disarms() -> None:
    _, seen = visit(*UP, ["setController", "off"], ["advance", 100], ["see"])
    assert (seen["state"], seen["applied_duty"]) == ("READY", 0.0)


@needs_node
@pytest.mark.parametrize(
    ("step", "reported"),
    [
        (["arm"], "choose a controller before arming"),
        (["setController", "best"], "no controller best; there are lqr, swing-up, off"),
        (["history", ["colour"]], "no column colour; there are time_s, position_m"),
    ],
)
def test_wrong_request_is_reported(step: list[Any], reported: str) -> None:
    with pytest.raises(RuntimeError, match=reported):
        visit(step)


@needs_node
def test_killed_host_may_start_again_and_finds_the_zeros_known() -> None:
    _, _, running, _ = visit(
        *UP,
        *(["killHost"], ["wait", {"state": "FAULT"}, 1000], ["advance", 2000], ["arm"]),
        *(["wait", {"phase": "running"}, 5000], ["see"]),
    )
    assert running["is_so"]
    assert running["waited_ms"] < 2000  # it does not home again


@needs_node
def test_reset_board_loses_its_zeros_and_the_host_says_so() -> None:
    _, seen, armed = visit(
        *UP, ["resetBoard"], ["advance", 300], ["see"], ["arm"], ["wait", {"phase": "running"}, 60_000]
    )
    assert (seen["state"], seen["isHomed"]) == ("DISARMED", False)
    assert seen["message"] == "The cart has restarted; its zeros are lost, home it again."
    assert armed["is_so"]


@needs_node
def test_refusal_has_its_reason() -> None:
    (refused,) = visit(["setController", "lqr"], ["setSupplyV", 8.0], ["arm"], ["wait", {"trouble": "refused"}, 5000])
    assert refused["message"].startswith("The cart refuses HOME: UNHEALTHY: SUPPLY_LOW: the supply voltage is too low")


@needs_node
def test_pressed_estop_lets_the_supply_fall_and_released_rise() -> None:
    _, pressed, released = visit(
        *UP, ["pressEstop"], ["advance", 1030], ["see"], ["pressEstop", False], ["advance", 500], ["see"]
    )
    assert pressed["supply_v"] == pytest.approx(12.0 / math.e, rel=0.01)
    assert released["supply_v"] == 12.0


@needs_node
@pytest.mark.parametrize(("factor", "expected"), [(0.0, 0.5), (10.0, 0.02)])
def test_friction_stops_a_pushed_cart_sooner(factor: float, expected: float) -> None:
    (seen,) = visit(["setFriction", factor], ["push", 0.6, "cart"], ["advance", 300], ["see"])
    assert (abs(seen["position_m"]) > 0.04) is (expected > 0.1)


@needs_node
def test_history_has_the_newest_seconds_at_100_hz() -> None:
    short, long = visit(
        ["advance", 1500], ["history", ["time_s", "state"], 1.0], ["advance", 40_000], ["history", ["time_s"], 30.0]
    )
    assert len(short["time_s"]) == len(short["state"]) == 100
    assert short["time_s"][-1] == pytest.approx(1.5)
    assert short["time_s"][0] == pytest.approx(0.51)
    assert len(long["time_s"]) == 2000
    assert long["time_s"][-1] == pytest.approx(41.5)
    assert {round(b - a, 9) for a, b in zip(long["time_s"], long["time_s"][1:], strict=False)} == {0.01}


@needs_node
def test_same_visit_twice_is_the_same() -> None:
    steps = [*UP, ["push", 0.2, "pole"], ["advance", 3000], ["see"], ["traffic"]]
    assert visit(*steps) == visit(*steps)


@needs_node
@pytest.mark.parametrize(
    ("lost", "jitter_s", "fault"),
    [
        pytest.param(0.01, 0.0, "NONE", marks=pytest.mark.long),
        (0.97, 0.0, "COMMAND_TIMEOUT"),
        pytest.param(0.0, 0.015, "NONE", marks=pytest.mark.long),
    ],
)
def test_commands_get_lost_and_late_as_the_carts_delay_says(lost: float, jitter_s: float, fault: str) -> None:
    cart, lqr, _ = designs("as shipped")
    cart = dataclasses.replace(cart, delay=dataclasses.replace(cart.delay, drop_probability=lost, jitter_s=jitter_s))
    contents = page_contents(cart, {}, lqr=lqr)
    _, seen, traffic = visit(*UP, ["advance", 3000], ["see"], ["traffic"], contents=contents)
    assert seen["fault"] == fault
    _, _, undisturbed = visit(*UP, ["advance", 3000], ["see"], ["traffic"])
    assert traffic != undisturbed
