from __future__ import annotations

from benchmarks.killed_host import run_campaign


def test_host_killed_at_full_speed_leaves_the_motor_off_and_the_cart_before_its_end() -> None:
    """Four starts here; the campaign has a command of its own."""
    for outcome in run_campaign(4, seed=11):
        assert outcome.speed_m_s > 0.5
        assert outcome.off_after_ms <= 60
        assert outcome.farthest_m < 0.48
        assert outcome.rest_speed_m_s < 0.01
