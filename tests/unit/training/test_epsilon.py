from __future__ import annotations

import pytest
from stable_baselines3.common.utils import LinearSchedule

from cartpole_robot.training.config import load_preset
from cartpole_robot.training.dqn.epsilon import annealed_epsilon


@pytest.mark.parametrize(("progress", "epsilon"), [(0.0, 1.0), (0.25, 0.505), (0.5, 0.01), (0.75, 0.01), (1.0, 0.01)])
def test_epsilon_falls_from_one_to_a_hundredth_over_the_first_half(progress: float, epsilon: float) -> None:
    assert annealed_epsilon(progress) == pytest.approx(epsilon)


def test_formula_printed_in_the_blog_rises_instead_of_falling() -> None:
    episodes = 10_000

    def printed(n: int) -> float:
        return 0.01 + 2 * (1 - 0.01) / episodes * (n - episodes / 2)

    assert printed(0) == pytest.approx(-0.98)
    assert printed(episodes // 2) == pytest.approx(0.01)
    assert printed(episodes) == pytest.approx(1.0)


def test_intended_epsilon_is_the_printed_one_with_its_slope_reversed() -> None:
    episodes = 10_000
    for n in range(0, episodes // 2 + 1, 100):
        meant = 0.01 + 2 * (1 - 0.01) / episodes * (episodes / 2 - n)
        assert annealed_epsilon(n / episodes) == pytest.approx(meant)


@pytest.mark.parametrize("preset", ["recommended", "blog"])
def test_schedule_of_stable_baselines_is_the_intended_one(preset: str) -> None:
    config = load_preset(preset)
    schedule = LinearSchedule(config.epsilon_start, config.epsilon_end, config.epsilon_fraction)
    for thousandth in range(1001):
        progress = thousandth / 1000.0
        assert schedule(1.0 - progress) == pytest.approx(annealed_epsilon(progress), abs=1e-12)
