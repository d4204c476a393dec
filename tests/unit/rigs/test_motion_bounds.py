"""Which motions a cart's own parameters allow, and what a rig does about the others."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RigError
from cartpole_robot.policy.lqr import LqrController
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.recording.metadata import RolloutEnd
from cartpole_robot.rigs.cfg_message import cfg_message
from cartpole_robot.rigs.firmware_rig import IMPLAUSIBLE
from cartpole_robot.rigs.plausibility import MotionCheck
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import disarmed, run_rollout, start_rollout
from cartpole_robot.rollout.pilot import SinglePilot
from firmware_bridge.errors import NotDisarmedError
from firmware_bridge.messages import StateMessage

CART = load_cart("diy_arduino")
STATE = StateMessage(7, 0, 0, 0, 0, 0, 0, 0, 12000, 0, 4, 0, 0)


def problem(*states: dict[str, int], cart: str = "diy_arduino") -> str | None:
    """What is wrong with the last of those STATEs, 20 ms apart; nothing is with the others."""
    params = load_cart(cart)
    check, found = MotionCheck(params, cfg_message(params)), None
    for number, fields in enumerate(states):
        assert found is None
        found = check.problem(STATE._replace(tick=number, time_us=20_000 * number, **fields))
    return found


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("cart_counts", 592 + 4),  # 3 x 1.777 m/s x 20 ms x 5555.6 counts/m, and flicker
        ("pole_counts", 370 + 4),  # 3 x (10.85 + 5.33) rad/s x 20 ms x 382 counts/rad
    ],
)
def test_step_beyond_three_times_the_fastest_motion_is_implausible(field: str, most: int) -> None:
    for side in (-1, 1):
        assert problem({}, {field: side * (most - 2)}) is None
        found = problem({}, {field: side * (most + 2)})
        assert found is not None
        assert f"encoder moved {side * (most + 2):+d} counts in 20 ms, at most" in found


@pytest.mark.parametrize("cart", ["diy_arduino", "quanser_ip02"])
@pytest.mark.parametrize("field", ["cart_counts", "pole_counts"])
def test_counts_that_flip_by_1500_are_implausible(cart: str, field: str) -> None:
    params = load_cart(cart)
    check = MotionCheck(params, cfg_message(params))
    found = [
        check.problem(STATE._replace(tick=k, time_us=20_000 * k, **{field: 1500 * (k % 2) - 750})) for k in range(3)
    ]
    assert any(found)


def test_pole_that_swings_through_below_moves_by_a_few_counts() -> None:
    assert problem({"pole_counts": 1190}, {"pole_counts": -1190}) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cart_counts": 5745}, "reads 5745 counts, at most 5744"),  # 2.2 x 0.47 m
        ({"pole_counts": -1205}, "reads -1205 counts, at most 1204"),  # 4 beyond half a turn
        ({"cart_speed": 16 * 31_000}, "the cart's speed is 31000 counts per second"),
        ({"pole_speed": -16 * 20_000}, "the pole's speed is -20000 counts per second"),
    ],
)
def test_single_value_out_of_reach_is_implausible(fields: dict[str, int], message: str) -> None:
    assert problem({}) is None
    found = problem(fields)
    assert found is not None
    assert message in found


def test_lost_states_leave_time_for_the_motion() -> None:
    check = MotionCheck(CART, cfg_message(CART))
    assert check.problem(STATE) is None
    assert check.problem(STATE._replace(tick=4, time_us=80_000, cart_counts=2000)) is None


@pytest.fixture
def rig() -> Iterator[VirtualRig]:
    rig = VirtualRig(CART)
    yield rig
    rig.close()


def regulator() -> LqrController:
    return LqrController(design_lqr(CART), CART.motor)


def spoil(rig: VirtualRig, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """Change fields of every STATE from now on."""
    newest = rig.link.newest_state

    def spoilt(deadline_s: float) -> StateMessage | None:
        state = newest(deadline_s)
        return None if state is None else state._replace(**fields)

    monkeypatch.setattr(rig.link, "newest_state", spoilt)


def test_implausible_measurement_ends_the_episode_with_the_motor_off(
    rig: VirtualRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_rollout(rig, 0)
    rig.step(0.0)
    spoil(rig, monkeypatch, cart_counts=3000)
    with pytest.raises(RigError, match=r"^implausible measurement: the cart's encoder moved"):
        rig.step(0.0)
    assert rig.fault == IMPLAUSIBLE
    assert not rig.is_running
    assert rig.virtual_cart.drive in (None, 0.0)


def drive_to_the_end(rig: VirtualRig, seed: int, duties: Iterator[float]) -> None:
    """Drive until the pole has fallen or the firmware stops the cart."""
    start_rollout(rig, seed)
    with contextlib.suppress(RigError):
        while rig.is_running:
            rig.step(next(duties))
    assert rig.fault in (None, "TRAVEL_LIMIT", "POLE_ANGLE")


def test_falls_swings_and_pushes_are_plausible(rig: VirtualRig) -> None:
    """Full drive into the travel limit, and a pole that falls and swings while the rig watches."""
    for seed, duty in ((0, 1.0), (1, -1.0), (2, 0.0)):
        drive_to_the_end(rig, seed, itertools.repeat(duty))
        rig.disarm()
        for _ in range(200):
            rig.watch()


def test_disarm_that_is_not_confirmed_ends_a_rollout_as_a_fault(
    rig: VirtualRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start_rollout(rig, 0)
    rollout = run_rollout(rig, SinglePilot(regulator()), first, max_steps=20)
    assert rollout.end is RolloutEnd.DURATION
    assert disarmed(rig, rollout) is rollout
    disarm = rig.link.disarm

    def not_confirmed() -> None:
        raise NotDisarmedError("no answer, 10 times asked")

    monkeypatch.setattr(rig.link, "disarm", not_confirmed)
    found = disarmed(rig, rollout)
    assert (found.end, found.steps) == (RolloutEnd.FAULT, 20)
    assert found.reason == "the cart did not confirm DISARM; switch it off (no answer, 10 times asked)"
    assert disarmed(rig, found).reason == found.reason, "it is said once"
    monkeypatch.setattr(rig.link, "disarm", disarm)


def test_close_reports_a_motor_that_may_still_run_unless_that_was_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_confirmed() -> None:
        raise NotDisarmedError("no answer")

    for is_reported in (False, True):
        rig = VirtualRig(CART)
        start_rollout(rig, 0)
        monkeypatch.setattr(rig.link, "disarm", not_confirmed)
        if is_reported:
            with pytest.raises(RigError, match="did not confirm"):
                rig.disarm()
            rig.close()
        else:
            with pytest.raises(RigError, match="did not confirm DISARM; switch it off"):
                rig.close()
        rig.close()


def test_rig_that_never_moved_closes_without_waiting_for_the_cart(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = VirtualRig(CART)
    monkeypatch.setattr(rig.link, "disarm", pytest.fail)
    rig.close()


def test_known_bounds_hold_for_random_driving(rig: VirtualRig) -> None:
    rng = np.random.default_rng(3)
    for seed in range(5):
        drive_to_the_end(rig, seed, (float(rng.choice((-1.0, 1.0))) for _ in itertools.count()))
