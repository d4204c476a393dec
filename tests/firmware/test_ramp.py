"""The ramp of a stepper's speed, in 1/256 step a second: what a tick adds, how it stops, the pulses of a speed."""

from __future__ import annotations

import ctypes

import pytest

from tests.firmware.stepper_core import StepperCore


class Ramp:
    """One ramp_t with its limits."""

    def __init__(self, stepper: StepperCore, *, most: int = 18_000, gain_q4: int = 6400, speed: int = 0) -> None:
        self._library = stepper.library
        self._limits = (ctypes.c_uint16 * 2)(most, gain_q4)
        self._ramp = ctypes.c_int32(speed)

    @property
    def speed(self) -> int:
        return self._ramp.value

    def tick(self, duty_q15: int) -> int:
        self._library.ramp_tick(ctypes.byref(self._ramp), self._limits, duty_q15)
        return self.speed

    def stop(self) -> bool:
        return bool(self._library.ramp_stop(ctypes.byref(self._ramp), self._limits))

    def can_stop(self, steps: int) -> bool:
        return bool(self._library.ramp_can_stop(ctypes.byref(self._ramp), self._limits, steps))

    def rate(self) -> tuple[int, int]:
        rate = self._library.ramp_rate(ctypes.byref(self._ramp))
        return rate.period, rate.share


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("duty_q15", "gained"), [(0, 0), (1, 3), (16_384, 51_200), (32_767, 102_396), (20_000, 62_500), (7, 21)]
)
def test_tick_adds_the_share_of_the_largest_acceleration(
    stepper: StepperCore, duty_q15: int, gained: int, side: int
) -> None:
    """400 steps/s are 102,400; 6400 * duty / 2^11, rounded toward 0 to either side."""
    assert Ramp(stepper, speed=1000).tick(side * duty_q15) == 1000 + side * gained


@pytest.mark.parametrize("side", [1, -1])
def test_speed_ends_at_its_limit(stepper: StepperCore, side: int) -> None:
    ramp = Ramp(stepper, most=1000, speed=side * 250_000)
    assert ramp.tick(side * 1000) == side * 253_125
    assert ramp.tick(side * 1000) == side * 256_000
    assert ramp.tick(side * 32_767) == side * 256_000
    assert ramp.tick(-side * 1000) == side * 252_875


@pytest.mark.parametrize("side", [1, -1])
def test_stop_takes_the_largest_acceleration_and_ends_at_0(stepper: StepperCore, side: int) -> None:
    ramp = Ramp(stepper, speed=side * 204_801)
    assert not ramp.stop()
    assert ramp.speed == side * 102_401
    assert not ramp.stop()
    assert ramp.speed == side * 1
    assert ramp.stop()
    assert ramp.speed == 0
    assert ramp.stop()
    exact = Ramp(stepper, speed=side * 102_400)
    assert exact.stop()
    assert exact.speed == 0


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("gain_q4", [160, 6400, 65_520])
@pytest.mark.parametrize("speed", [0, 1, 999, 5000, 17_999, 20_000])
def test_can_stop_leaves_room_for_a_stop_and_little_more(
    stepper: StepperCore, speed: int, gain_q4: int, side: int
) -> None:
    """In force from the next tick on, and three more milliseconds for pulses under way."""
    ramp = Ramp(stepper, most=20_000, gain_q4=gain_q4, speed=side * speed * 256)
    low, high = 0, 1 << 24
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if ramp.can_stop(middle) else (middle, high)
    acceleration = gain_q4 * 1000 / 16
    least = speed**2 / (2 * acceleration) + 0.003 * speed
    assert least < high <= least + 0.0012 * speed + (speed / acceleration) + 4
    assert not ramp.can_stop(low)
    assert not ramp.can_stop(0)


@pytest.mark.parametrize(("steps_per_s", "steps"), [(99, 12), (103, 12), (104, 13), (0, 2), (30, 2), (31, 3)])
def test_way_of_a_stop_is_exact(stepper: StepperCore, steps_per_s: int, steps: int) -> None:
    """With 500 steps/s2 and a step per second more: 100 steps/s stop in 10 steps, not in less, and one rolls before."""
    for side in (1, -1):
        ramp = Ramp(stepper, gain_q4=8, speed=side * steps_per_s * 256)
        assert ramp.can_stop(steps)
        assert not ramp.can_stop(steps - 1)


def test_slow_pulses_come_in_slots_and_fast_ones_each_period(stepper: StepperCore) -> None:
    for speed, expected in (
        (0, (500, 0)),
        (1, (500, 16)),
        (1000, (500, 16_382)),
        (1999.99, (500, 32_765)),
        (2000, (1000, 65_535)),
        (2001, (1000, 65_535)),
        (2002, (999, 65_535)),
        (10_000, (200, 65_535)),
        (20_000, (100, 65_535)),
    ):
        for side in (1, -1):
            assert Ramp(stepper, speed=side * int(speed * 256)).rate() == expected, speed
    assert Ramp(stepper, speed=515_350).rate() == (993, 65_535), "the nearest period"
    assert Ramp(stepper, speed=512_256).rate() == (1000, 65_535)


def test_least_push_and_least_speed_are_nothing(stepper: StepperCore) -> None:
    """1/32767 of the least acceleration, and 1/256 step a second."""
    for side in (1, -1):
        assert Ramp(stepper, gain_q4=1, speed=500).tick(side) == 500
        assert Ramp(stepper, speed=side).rate() == (500, 0)
