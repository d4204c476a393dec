"""A stepper's homing: the legs' speeds, a closed switch on each of them, the round trip's count, a pole that falls."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from tests.firmware.c_core import FAULT, cfg_message
from tests.firmware.stepper_core import CFG, StepperCore, StepperInputs

STILL, LEAVE, LEFT, RIGHT, RETURN, CENTRE, SWING, FAILED = 0, 1, 2, 3, 4, 5, 6, 9
CREEP = 3000  # steps a second
TURN = 4096  # of the pole's counts


class Homing:
    """One homing_t; the cart is where its inputs are, whatever it is pushed to. 8 steps a round trip are tolerated."""

    def __init__(self, stepper: StepperCore, *, changes: dict[str, int] | None = None, **inputs: Any) -> None:
        self._library = stepper.library
        self._limits = cfg_message(**{**CFG, **(changes or {})})
        self._homing = (ctypes.c_uint8 * self._library.shim_size_of_homing())()
        self._seen = (ctypes.c_int32 * 4)()
        self.inputs: Any = StepperInputs()
        stepper.to_disarmed()
        self.set(**inputs)
        self._library.homing_begin(self._homing, ctypes.byref(self.inputs), self._limits, 0)
        stepper.prepare_homing(self._homing)

    def set(self, **inputs: Any) -> None:
        """Lasting inputs."""
        for name, value in inputs.items():
            setattr(self.inputs, name, value)

    def tick(self, **inputs: Any) -> int:
        """A millisecond; returns the speed wanted."""
        self.set(**inputs)
        push = self._library.homing_tick(self._homing, ctypes.byref(self.inputs), self._limits)
        self.inputs.pole_moved = 0
        return int(push)

    def look(self) -> tuple[int, int, int, int]:
        """Phase, fault, and where the switches closed."""
        self._library.shim_look_at_homing(self._homing, self._seen)
        phase, fault, left, right = self._seen
        return phase, fault, left, right

    @property
    def phase(self) -> int:
        return self.look()[0]

    @property
    def fault(self) -> int:
        return self.look()[1]

    def hang(self) -> None:
        """Half a second of a pole that hangs still."""
        for _ in range(500):
            assert self.phase == STILL
            assert self.tick() == 0
        assert self.phase != STILL

    def to_right(self, left: int = -9000) -> None:
        """The left switch has closed there."""
        self.hang()
        assert self.tick(cart_counts=left, touched_at=left, is_left_closed=True) == 0
        assert self.phase == RIGHT
        self.set(is_left_closed=False)

    def to_return(self) -> None:
        """And the right one at 9000; it is still closed."""
        self.to_right()
        assert self.tick(cart_counts=9000, touched_at=9000, is_right_closed=True) == 0
        assert self.phase == RETURN


def test_each_leg_creeps_at_its_speed(stepper: StepperCore) -> None:
    homing = Homing(stepper)
    homing.hang()
    assert homing.phase == LEFT
    assert homing.tick() == -CREEP
    assert homing.tick(cart_counts=-8999) == -CREEP
    assert homing.tick(cart_counts=-9000, touched_at=-9000, is_left_closed=True) == 0
    assert homing.tick(is_left_closed=False) == CREEP
    assert homing.tick(cart_counts=8999) == CREEP
    assert homing.tick(cart_counts=9000, touched_at=9000, is_right_closed=True) == 0
    assert homing.tick() == -CREEP
    assert homing.look() == (RETURN, FAULT.NONE, -9000, 9000)


@pytest.mark.parametrize(("asked", "speed"), [(32_766, 32_766), (32_767, 32_767), (32_768, 32_767), (65_535, 32_767)])
def test_speed_is_no_more_than_16_bits_hold(stepper: StepperCore, asked: int, speed: int) -> None:
    for side in (-1, 1):
        homing = Homing(stepper, changes={"homing_speed_counts_s": asked})
        homing.hang() if side < 0 else homing.to_right()
        assert homing.tick() == side * speed


@pytest.mark.parametrize(("creep", "kick"), [(3000, 12_000), (8191, 32_764), (8192, 32_767)])
def test_pole_is_kicked_at_four_times_the_creep(stepper: StepperCore, creep: int, kick: int) -> None:
    assert stepper.library.homing_kick(cfg_message(**{**CFG, "homing_speed_counts_s": creep})) == kick


@pytest.mark.parametrize(
    ("far", "most", "speed"), [(0, 1001, 0), (1, 1001, 251), (47, 1001, 11_797), (48, 1001, 12_000), (256, 200, 12_000)]
)
def test_place_is_approached_at_64_times_its_distance_a_second(
    stepper: StepperCore, far: int, most: int, speed: int
) -> None:
    """`far` / 256 of `most`, in steps a second; no faster than a kick."""
    assert stepper.library.homing_push(cfg_message(**CFG), far, most) == speed


@pytest.mark.parametrize(("speed", "run_on"), [(0, 0), (12_000, 6), (11_999, 5)])
def test_cart_has_run_on_for_half_a_tick_when_a_switch_is_touched(
    stepper: StepperCore, speed: int, run_on: int
) -> None:
    homing = Homing(stepper)
    homing.hang()
    homing.tick(cart_counts=-9020, touched_at=-9010, cart_speed=-16 * speed, is_left_closed=True)
    homing.tick(cart_counts=9020, touched_at=9010, cart_speed=16 * speed, is_left_closed=False, is_right_closed=True)
    assert homing.look()[2:] == (-9010 + run_on, 9010 - run_on)


@pytest.mark.parametrize(("at", "fault"), [(-1000, 0), (-1001, FAULT.HOMING_SWITCH)])
def test_right_switch_that_never_opens_is_named_an_eighth_of_the_limit_along(
    stepper: StepperCore, at: int, fault: int
) -> None:
    homing = Homing(stepper, is_right_closed=True)
    homing.hang()
    assert homing.tick(cart_counts=at) == (0 if fault else -CREEP)
    assert homing.fault == fault


@pytest.mark.parametrize(("at", "fault"), [(-250, 0), (-251, FAULT.POLARITY), (-1500, FAULT.POLARITY)])
def test_right_switch_that_is_run_into_on_the_way_left_means_a_wrong_direction(
    stepper: StepperCore, at: int, fault: int
) -> None:
    """Beyond a 32nd of the travel limit; also after one that was closed at first has opened."""
    for is_closed in (False, True):
        homing = Homing(stepper, is_right_closed=is_closed)
        homing.hang()
        assert homing.tick(cart_counts=at // 2, is_right_closed=False) == -CREEP
        assert homing.tick(cart_counts=at, is_right_closed=True) == (0 if fault else -CREEP)
        assert homing.fault == fault


@pytest.mark.parametrize(("at", "fault"), [(1000, 0), (1001, FAULT.HOMING_SWITCH)])
def test_left_switch_that_never_opens_is_named(stepper: StepperCore, at: int, fault: int) -> None:
    homing = Homing(stepper, is_left_closed=True)
    homing.hang()
    assert homing.phase == LEAVE
    assert homing.tick() == CREEP
    assert homing.tick(cart_counts=at) == (0 if fault else CREEP)
    assert (homing.phase, homing.fault) == (FAILED if fault else LEAVE, fault)
    if not fault:
        assert homing.tick(is_left_closed=False) == 0
        assert homing.phase == LEFT


@pytest.mark.parametrize(("at", "fault"), [(8000, 0), (7999, FAULT.HOMING_SWITCH)])
def test_right_switch_that_stays_closed_behind_the_cart_is_named(stepper: StepperCore, at: int, fault: int) -> None:
    homing = Homing(stepper)
    homing.to_return()
    assert homing.tick(cart_counts=at) == (0 if fault else -CREEP)
    assert homing.fault == fault


@pytest.mark.parametrize(
    ("speed", "at", "fault"),
    [
        *((0, -9008, 0), (0, -9009, FAULT.STEPS_LOST)),
        *((-CREEP, -9054, 0), (-CREEP, -9055, FAULT.STEPS_LOST)),
        *((CREEP, -9054, 0), (CREEP, -9055, FAULT.STEPS_LOST)),
    ],
)
def test_left_switch_that_does_not_come_again_names_lost_steps(
    stepper: StepperCore, speed: int, at: int, fault: int
) -> None:
    """8 steps are tolerated, and what the cart does in a 64th of a second while the contact bounces: 46 of 3000."""
    homing = Homing(stepper)
    homing.to_return()
    assert homing.tick(cart_counts=at, cart_speed=16 * speed, is_right_closed=False) == (0 if fault else -CREEP)
    assert (homing.phase, homing.fault) == (FAILED if fault else RETURN, fault)
    if fault:
        assert homing.tick() == 0, "a failed homing wants nothing"


@pytest.mark.parametrize("off", [0, 8, -8, 9, -9, 500])
def test_round_trip_ends_on_the_switch_it_began_at(stepper: StepperCore, off: int) -> None:
    homing = Homing(stepper)
    homing.to_return()
    at = -9000 + off
    assert homing.tick(cart_counts=at, touched_at=at, is_right_closed=False, is_left_closed=True) == 0
    expected = (CENTRE, 0) if abs(off) <= 8 else (FAILED, FAULT.STEPS_LOST)
    assert (homing.phase, homing.fault) == expected
    if abs(off) <= 8:
        assert homing.tick() == CREEP


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("swung", "is_fallen"), [(1024, False), (1025, True)])
def test_pole_that_falls_on_a_leg_lets_homing_begin_again(
    stepper: StepperCore, swung: int, is_fallen: bool, side: int
) -> None:
    """Beyond a quarter of a turn; it then hangs still for a whole period again, where it flickers."""
    homing = Homing(stepper)
    homing.to_right()
    assert homing.tick(pole_counts=side * swung) == (0 if is_fallen else CREEP)
    assert homing.phase == (STILL if is_fallen else RIGHT)
    if not is_fallen:
        return
    for k in range(1, 1201):
        assert homing.phase == STILL, k
        homing.tick(pole_moved=3 if k % 2 else -3)
    assert homing.phase == LEFT


@pytest.mark.parametrize("leg", ["leave", "left", "right", "return"])
def test_first_swing_belongs_to_the_push_of_its_leg(stepper: StepperCore, leg: str) -> None:
    homing = Homing(stepper, is_left_closed=leg == "leave")
    homing.hang()
    places = {"leave": -8990, "left": 0, "right": 0, "return": 0}
    for name, side in (("leave", 1), ("left", -1), ("right", 1), ("return", -1)):
        if name == "leave" and leg != "leave":
            continue
        at = places[name]
        if name == leg:
            homing.tick(pole_counts=side * 10)
            homing.tick(pole_counts=0)
        if name == "leave":
            homing.tick(is_left_closed=False)
            continue
        homing.tick(cart_counts=at, is_left_closed=False, is_right_closed=False)
        homing.tick(cart_counts=side * 9000, touched_at=side * 9000, is_left_closed=side < 0, is_right_closed=side > 0)
    for _ in range(201):
        homing.tick(cart_counts=0, is_left_closed=False)
    assert (homing.phase, homing.fault) == (SWING, 0)


@pytest.mark.parametrize("swings", [-10, 10])
def test_first_swing_of_a_pole_that_fell_does_not_count(stepper: StepperCore, swings: int) -> None:
    """A push to the left drags the hinge, and the counts of a pole that hangs go down."""
    homing = Homing(stepper)
    homing.hang()
    homing.tick(pole_counts=-swings)
    homing.tick(pole_counts=TURN // 2)
    assert homing.phase == STILL
    homing.hang()
    homing.tick(pole_counts=TURN // 2 + swings)
    homing.tick(cart_counts=-9000, touched_at=-9000, is_left_closed=True, pole_counts=TURN // 2)
    homing.tick(cart_counts=9000, touched_at=9000, is_left_closed=False, is_right_closed=True)
    homing.tick(cart_counts=-9000, touched_at=-9000, is_left_closed=True, is_right_closed=False)
    for _ in range(201):
        homing.tick(cart_counts=0, is_left_closed=False)
    assert (homing.phase, homing.fault) == ((SWING, 0) if swings < 0 else (FAILED, FAULT.POLE_SIGN))
