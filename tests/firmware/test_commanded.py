"""What a DC cart's command becomes before the limits: the dead zone of its side is added."""

from __future__ import annotations

import pytest

from tests.firmware.c_core import Core

ONE = 32767


def test_command_without_a_dead_zone_stays_what_it_is(core: Core) -> None:
    core.configure()
    for duty in (0, 1, -1, 16384, ONE, -ONE, -32768):
        assert core.commanded(duty) == duty


@pytest.mark.parametrize(("left", "right"), [(3277, 1638), (1, 16383), (0, 3277), (3277, 0)])
def test_dead_zone_of_its_side_is_added(core: Core, left: int, right: int) -> None:
    core.configure(dead_zone_left_q15=left, dead_zone_right_q15=right)
    assert core.commanded(0) == 0
    for size in (1, 2, 3000, 16384, ONE - 1, ONE):
        assert core.commanded(size) == right + size * (ONE - right) // ONE
        assert core.commanded(-size) == -(left + size * (ONE - left) // ONE)
    assert core.commanded(ONE) == ONE
    assert core.commanded(-ONE) == -ONE


@pytest.mark.parametrize("zone", [1, 5000, 16383])
def test_most_negative_command_is_full_drive(core: Core, zone: int) -> None:
    core.configure(dead_zone_left_q15=zone)
    assert core.commanded(-32768) == -ONE
