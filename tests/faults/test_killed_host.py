from __future__ import annotations

import pytest

from cartpole_robot.campaign.killed_host import kill_hosts
from cartpole_robot.cart_files import load_cart


@pytest.mark.parametrize("on_chip", [False, True])
def test_host_killed_at_full_speed_leaves_the_motor_off_and_the_cart_before_its_end(on_chip: bool) -> None:
    """A few starts here; the campaign has a thousand."""
    for outcome in kill_hosts(load_cart("diy_arduino"), 3, seed=11, on_chip=on_chip):
        assert outcome.speed_m_s > 0.5
        assert outcome.off_after_ms <= 60
        assert outcome.farthest_m < 0.48
        assert outcome.rest_speed_m_s < 0.01
