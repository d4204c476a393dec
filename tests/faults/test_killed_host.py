from __future__ import annotations

from cartpole_robot.campaign.killed_host import kill_hosts
from cartpole_robot.cart_files import load_cart


def test_host_killed_at_full_speed_leaves_the_motor_off_and_the_cart_before_its_end() -> None:
    """A few starts here, on the firmware built for this machine; the campaign has a thousand on the chip."""
    for outcome in kill_hosts(load_cart("diy_arduino"), range(3), seed=11, on_chip=False):
        assert outcome.speed_m_s > 0.5
        assert outcome.off_after_ms <= 60
        assert outcome.farthest_m < 0.48
        assert outcome.rest_speed_m_s < 0.01
