"""The check of the pole's zero: what swings it believes, and how far off a zero it lets pass.

Limits are literals here: a turn of 4096 counts, so hanging is 2048; half a period of 600 ms; a tolerance of 22 counts
(a quarter of the arming angle of 90); three means in a row, within 11 counts of each other.
"""

from __future__ import annotations

import random

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


@pytest.mark.parametrize(("widths", "is_free"), [((338, 254, 191), True), ((338, 254, 190), False)])
def test_swing_may_lose_a_quarter_of_its_width(core: Core, widths: tuple[int, ...], is_free: bool) -> None:
    """Rounded down: of 450 counts 112, of 338 then 84, of 254 then 63."""
    pole, side = Pole(core, 1691), 1
    for width in (800, 600, 450, *widths):
        pole.go(pole.at + side * width, 600)
        side = -side
    pole.go(pole.at + side * 10, 10)
    assert (core.fault == FAULT.POLE_ZERO) == is_free


@pytest.mark.parametrize(
    ("begin", "points"),
    [(-400, (400, -300, 400, -400, 400, -396, 400)), (-401, (399, -401, 399, -401, 395, -401))],
)
def test_pole_about_upright_is_on_one_side_of_it_half_a_turn_off(
    core: Core, begin: int, points: tuple[int, ...]
) -> None:
    """The last three means are 0, 1, 2 and -1, -2, -3: each three agree."""
    pole = Pole(core, begin)
    for point in points:
        pole.go(point, 600)
    pole.go(pole.at + (10 if points[-1] < 0 else -10), 10)
    assert core.fault == FAULT.POLE_ZERO


@pytest.mark.parametrize(("back", "is_found"), [(2, True), (3, False)])
def test_flicker_of_two_counts_is_no_turning_point(core: Core, back: int, is_found: bool) -> None:
    pole = Pole(core, 2148)
    pole.swing(2148, [400] * 4)
    pole.go(2148, 290)
    pole.go(2148 + back, 1)
    pole.go(2148 - 400, 299)
    assert core.state == STATE.READY
    pole.go(2148 + 400, 600)
    assert (core.fault == FAULT.POLE_ZERO) == is_found


def test_swing_that_gains_is_not_free(core: Core) -> None:
    assert not Pole(core, 2148).swing(2148, [300, 310, 320, 330, 340, 350, 360])


@pytest.mark.parametrize(("amplitude", "is_found"), [(89, False), (90, True)])
def test_small_swing_proves_nothing(core: Core, amplitude: int, is_found: bool) -> None:
    assert Pole(core, 2148).swing(2148, [amplitude] * 7) == is_found


@pytest.mark.parametrize(("ms", "is_free"), [(445, False), (455, True), (745, True), (760, False)])
def test_pole_that_swings_in_another_time_is_led(core: Core, ms: int, is_free: bool) -> None:
    assert Pole(core, 2148).swing(2148, LASTING, ms) == is_free


@pytest.mark.parametrize(
    ("amplitude", "ms", "is_free"),
    [
        (1024, 760, False),
        (1025, 760, True),
        (1030, 1790, True),
        (1030, 1810, False),
        (2048, 1790, True),
        (2049, 1790, False),
    ],
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
    assert pole.swing(pole.at + 500, [400] * 6), "from where it turned back, nothing of the rotation is left"


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
    core.inputs.pole_counts = (pole.at + 2048) % 4096 - 2048
    assert not pole.swing(2148, [400] * 4)
    assert pole.swing(2148, [400])


def test_pole_that_swings_while_a_fault_is_latched_proves_nothing(core: Core) -> None:
    pole = Pole(core, 2148)
    core.tick(is_estop_pressed=True)
    core.tick(is_estop_pressed=False)
    assert not pole.swing(2148, LASTING)
    assert core.fault == FAULT.ESTOP
    assert core.clear() == (0, 0)
    assert core.state == STATE.READY
    assert not pole.swing(2148, [400] * 4)
    assert pole.swing(2148, [400] * 2)


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


# ---- anything ----

TURN, HALF_PERIOD_MS, ROLL, WIDE = 4096, 40, 625, 2048


class Record:
    """A second implementation of the rule, from the turning points of all ticks since it began."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        self.path: list[int] | None = None
        self.means: list[int | None] = []  # None for a swing that is not free

    def is_off(self, shown: int, moved: int, cart: int) -> bool:
        """After one more tick."""
        if self.path is None:
            self.path, self.cart, self.side, self.widths = [0], cart, 1, []
            return False
        self.path.append(self.path[-1] + self.side * moved)
        farthest = max(self.path)
        rolls = abs(cart - self.cart) > ROLL or farthest > TURN
        back = farthest - self.path[-1]
        if back >= 3:
            self._turn(shown + self.side * back, farthest, len(self.path) - 1)
            self.side, self.path = -self.side, [back]
            if rolls:
                self.widths, self.means = [], []
        elif rolls:
            self.begin_anew()
        return self._are_off()

    def _turn(self, turned: int, width: int, ms: int) -> None:
        self.widths.append(width)
        if len(self.widths) < 4:
            return
        before = self.widths[-2]
        longest = 3 * HALF_PERIOD_MS if width > WIDE else HALF_PERIOD_MS * 5 // 4
        is_free = (
            180 <= width <= before + 3 and width >= before - before // 4 and HALF_PERIOD_MS * 3 // 4 <= ms <= longest
        )
        mean = turned - self.side * (width - (width // 2 + before // 2) // 2)
        self.means.append((mean + TURN // 2 if mean < 0 else mean - TURN // 2) if is_free else None)

    def _are_off(self) -> bool:
        in_a_row, last = 0, 0
        for mean in self.means:
            if mean is None or abs(mean) <= 22:
                in_a_row = 0
            else:
                in_a_row = 1 if in_a_row and abs(mean - last) > 11 else in_a_row + 1
            last = mean if mean is not None else last
        return in_a_row >= 3


def next_width(rng: random.Random, width: int) -> int:
    """Of a free swing most of the time, at the edge of what is free else."""
    least = width - width // 4
    free = (width, width, width - 1, width + 2, rng.randint(least, width))
    return max(4, rng.choice((*free * 4, width + 3, width + 4, least, least - 1)))


def time_of(rng: random.Random) -> int:
    free = (HALF_PERIOD_MS, rng.randint(32, 48))
    return rng.choice((*free * 18, 29, 30, 31, 49, 50, 51, 119, 120, 121))


@pytest.mark.parametrize("seed", range(4))
def test_zero_is_off_where_the_rule_says_so_and_nowhere_else(core: Core, seed: int) -> None:
    rng = random.Random(seed)
    found = 0
    for _ in range(40):
        core = Core(core.library)
        core.to_homing()
        core.homed(HALF_PERIOD_MS)
        core.run(101, valid_ms=0)
        record, about = (
            Record(),
            2048 * rng.choice((1, -1)) + rng.choice((1, -1)) * rng.choice((0, 21, 22, 23, 24, 34, 700)),
        )
        width, side = rng.choice((182, 190, 800, 2044, 2060, 2500, 3900)), rng.choice((1, -1))
        pole = about - side * width // 2
        core.tick(pole_counts=(pole + 2048) % TURN - 2048, missed_ticks=1)
        for _ in range(16):
            width, ms = next_width(rng, width), time_of(rng)
            begin, end = pole, pole + side * width + rng.choice((*[0] * 9, 11, 12, -12))
            if rng.random() < 0.05:
                core.inputs.cart_counts += rng.choice((625, 626, -626, 100))
            for tick in range(1, ms + 1):
                flicker = rng.choice((-2, -1, 0, 1)) if tick < ms and rng.random() < 0.05 else 0
                before, pole = pole, begin + round((end - begin) * tick / ms) + flicker
                shown = (pole + 2048) % TURN - 2048
                core.tick(pole_counts=shown, pole_moved=pole - before)
                is_off = record.is_off(shown, pole - before, core.inputs.cart_counts)
                assert (core.fault == FAULT.POLE_ZERO) == is_off, seed
                if is_off:
                    break
            if is_off:
                found += 1
                break
            side = -side
    assert 5 < found < 35, found
