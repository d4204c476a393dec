"""The check of the pole's zero: what swings it believes, and how far off a zero it lets pass.

Limits are literals here: a turn of 4096 counts, so hanging is 2048; half a period of 600 ms; a tolerance of 22 counts
(a quarter of the arming angle of 90); three means in a row, within 11 counts of each other.
"""

from __future__ import annotations

import pytest

from tests.firmware.c_core import FAULT, STATE, Core


class Pole:
    """Swings in straight lines: only where and when it turns back matters."""

    def __init__(self, core: Core, at: int) -> None:
        self.core = core
        self.at = at
        core.to_ready()
        self.begin()

    def begin(self) -> None:
        """It has not been looked at yet."""
        self.core.tick(pole_counts=self._shown(), missed_ticks=1)

    def _shown(self) -> int:
        return (self.at + 2048) % 4096 - 2048

    def go(self, to: int, ms: int) -> None:
        begin = self.at
        for tick in range(1, ms + 1):
            before, self.at = self.at, begin + round((to - begin) * tick / ms)
            self.core.tick(pole_counts=self._shown(), pole_moved=self.at - before)

    def swing(self, about: int, amplitudes: list[int], ms: int = 600) -> bool:
        """Whether POLE_ZERO came by the end of those turning points, and of a few counts back from the last."""
        side = 1 if self.at < about else -1
        for amplitude in amplitudes:
            self.go(about + side * amplitude, ms)
            side = -side
        self.go(self.at + side * 10, 10)
        return bool(self.core.fault == FAULT.POLE_ZERO)


LASTING = [400] * 7


@pytest.mark.parametrize(
    ("off", "is_found"), [(0, False), (22, False), (23, True), (-22, False), (-23, True), (500, True)]
)
@pytest.mark.parametrize("hanging", [2048, -2048])
def test_zero_is_off_by_more_than_a_quarter_of_the_arming_angle(
    core: Core, off: int, is_found: bool, hanging: int
) -> None:
    pole = Pole(core, hanging + off)
    assert pole.swing(hanging + off, LASTING) == is_found
    assert core.state == (STATE.FAULT if is_found else STATE.READY)
    assert core.is_homed != is_found, "it must home again"


@pytest.mark.parametrize(("points", "is_found"), [(4, False), (5, True)])
def test_three_means_in_a_row_are_needed(core: Core, points: int, is_found: bool) -> None:
    """The place where it was first seen is none; five turning points are three means."""
    assert Pole(core, 2148).swing(2148, [400] * points) == is_found


def test_pole_about_upright_is_off_by_half_a_turn(core: Core) -> None:
    assert Pole(core, 0).swing(0, LASTING)


def test_friction_takes_its_part_from_every_swing_and_nothing_from_the_mean(core: Core) -> None:
    assert not Pole(core, 2048).swing(2048, [900, 800, 700, 600, 500, 400, 300])


@pytest.mark.parametrize(
    ("amplitudes", "is_free"),
    [([1600, 1000, 640, 400, 250, 156, 97], False), ([1000, 850, 720, 610, 520, 440, 370], True)],
)
def test_swing_that_loses_more_than_a_quarter_is_not_free(core: Core, amplitudes: list[int], is_free: bool) -> None:
    assert Pole(core, 2148).swing(2148, amplitudes) == is_free


def test_swing_that_gains_is_not_free(core: Core) -> None:
    assert not Pole(core, 2148).swing(2148, [300, 310, 320, 330, 340, 350, 360])


@pytest.mark.parametrize(("amplitude", "is_found"), [(89, False), (90, True)])
def test_small_swing_proves_nothing(core: Core, amplitude: int, is_found: bool) -> None:
    assert Pole(core, 2148).swing(2148, [amplitude] * 7) == is_found


@pytest.mark.parametrize(("ms", "is_free"), [(445, False), (455, True), (745, True), (760, False)])
def test_pole_that_swings_in_another_time_is_led(core: Core, ms: int, is_free: bool) -> None:
    assert Pole(core, 2148).swing(2148, LASTING, ms) == is_free


@pytest.mark.parametrize(
    ("amplitude", "ms", "is_free"), [(1020, 760, False), (1030, 760, True), (1030, 1790, True), (1030, 1810, False)]
)
def test_wide_swing_takes_up_to_three_times_as_long(core: Core, amplitude: int, ms: int, is_free: bool) -> None:
    assert Pole(core, 2148).swing(2148, [amplitude] * 7, ms) == is_free


def test_means_that_disagree_are_a_hand(core: Core) -> None:
    pole = Pole(core, 2148)
    for turning_point in (600, -400, 500, -400, 400, -400, 320, -400):
        pole.go(2248 + turning_point, 600)
    pole.go(pole.at + 10, 10)
    assert core.state == STATE.READY


@pytest.mark.parametrize("off", [0, 100, -100])
def test_zero_is_checked_modulo_a_turn(core: Core, off: int) -> None:
    """Seen first on its second way past where it hangs, the pole is more than a turn from there in counts."""
    pole = Pole(core, 2000)
    pole.go(2048 + 2048 + off + 1900, 700)
    side = -1
    for _ in range(6):
        pole.go(2048 + off + side * 1900, 700)
        side = -side
    pole.go(pole.at + side * 10, 10)
    assert (core.fault == FAULT.POLE_ZERO) == (off != 0)


def test_pole_that_rotates_proves_nothing(core: Core) -> None:
    pole = Pole(core, 2048)
    for _ in range(12):
        pole.go(pole.at + 4096, 600)
    assert core.state == STATE.READY
    assert not pole.swing(pole.at, [400] * 5)


@pytest.mark.parametrize(("rolled", "is_found"), [(625, True), (626, False), (-625, True), (-626, False)])
def test_cart_that_rolls_away_begins_again(core: Core, rolled: int, is_found: bool) -> None:
    """An eighth of the travel limit of 5000 counts."""
    pole = Pole(core, 2148)
    pole.swing(2148, [400] * 4)
    core.inputs.cart_counts += rolled
    assert pole.swing(2148, [400] * 3) == is_found


@pytest.mark.parametrize("way", ["missed", "armed", "disarmed"])
def test_what_interrupts_begins_again(core: Core, way: str) -> None:
    pole = Pole(core, 2148)
    pole.swing(2148, [400] * 4)
    if way == "missed":
        core.tick(missed_ticks=1)
    elif way == "armed":
        core.inputs.pole_counts = 2048
        core.run(101, valid_ms=0)
        assert core.arm_to_swing_up() == (0, 0)
        core.fed_tick()
        core.disarm()
    else:
        assert core.centre() == (0, 0)
        core.tick()
        core.disarm()
    pole.at = 2148
    core.inputs.pole_counts = -1948
    assert not pole.swing(2148, [400] * 4)
    assert pole.swing(2148, [400] * 3)


def test_cart_without_zeros_has_none_to_check(core: Core) -> None:
    core.to_disarmed()
    pole = Pole.__new__(Pole)
    pole.core, pole.at = core, 2148
    assert not pole.swing(2148, LASTING)


def test_half_period_is_that_which_homing_measured(core: Core) -> None:
    core.to_homing()
    core.homed(900)
    core.run(600, valid_ms=0)
    pole = Pole.__new__(Pole)
    pole.core, pole.at = core, 2148
    pole.begin()
    assert not pole.swing(2148, LASTING)
    assert pole.swing(2148, LASTING, 900)
