from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from PIL import Image

from benchmarks.readme_pictures import take_kept
from cartpole_robot.cart.params import CartParams
from cartpole_robot.drawing.animation import save_animation
from cartpole_robot.drawing.cart_pole import draw_cart_pole
from cartpole_robot.rollout.episode import episode
from cartpole_robot.signals import State
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.curve import draw_learning_curve
from cartpole_robot.training.log import EpisodeRow, EvaluationRow, LearningLog


def test_animation_has_a_frame_every_40_ms_and_plays_in_real_time(
    env: gymnasium.Env, gym_cart: CartParams, tmp_path: Path
) -> None:
    path = tmp_path / "a.gif"
    steps = list(episode(env, lambda obs: int(obs[2] + 0.3 * obs[3] > 0), seed=0, max_steps=50))
    save_animation(((step.state, step.duty) for step in steps), gym_cart, path)
    image = Image.open(path)
    assert (len(steps), image.n_frames, image.size) == (50, 25, (640, 360))  # type: ignore[attr-defined]
    assert image.info["duration"] == 40
    frames = []
    for index in (0, 24):
        image.seek(index)
        frames.append(np.asarray(image.convert("RGB"), np.int16))
    assert np.abs(frames[0] - frames[1]).max() > 100, "the cart moves"


def test_pole_is_drawn_on_the_side_it_leans_to(gym_cart: CartParams) -> None:
    for angle in (-0.5, 0.5):
        picture = np.asarray(draw_cart_pole(gym_cart, State(0.0, 0.0, angle, 0.0)), np.int16)
        amber = (picture[:, :, 0] - picture[:, :, 2] > 100)[:250]
        assert np.sign(np.nonzero(amber)[1].mean() - 320) == np.sign(angle)


def test_duty_is_drawn_as_an_arrow_to_its_side(gym_cart: CartParams) -> None:
    for duty in (-1.0, 1.0):
        picture = np.asarray(draw_cart_pole(gym_cart, State(0.0, 0.0, 0.0, 0.0), duty=duty), np.int16)
        green = picture[:, :, 1] - picture[:, :, 0] > 60
        assert np.sign(np.nonzero(green)[1].mean() - 320) == np.sign(duty)


def test_learning_curve_is_drawn_for_any_log(tmp_path: Path) -> None:
    config = load_preset("recommended")
    logs = {
        "empty": LearningLog(),
        "short": LearningLog([EpisodeRow(10, 10, 1.0)], [EvaluationRow(10, 9.0, 0.1)]),
        "long": LearningLog([EpisodeRow(10 * n, n % 50, 1.0 / n) for n in range(1, 3000)], []),
    }
    for name, log in logs.items():
        path = tmp_path / f"{name}.png"
        draw_learning_curve(log, config, path, title=name)
        assert Image.open(path).size == (1040, 546)


@pytest.mark.parametrize("power", [0.5, None])
def test_learning_curve_has_the_figures_compared_with_the_regulator_below(tmp_path: Path, power: float | None) -> None:
    """A figure that is unknown has no line: green is that of motor power."""
    rows = [
        EvaluationRow(
            1000 * n, 500.0, 0.01, position_ratio=2.0, angle_ratio=1.5, power_ratio=power, reversals_ratio=0.3
        )
        for n in range(1, 9)
    ]
    path = tmp_path / "curve.png"
    draw_learning_curve(LearningLog([], rows), load_preset("precise"), path, title="compared")
    picture = np.asarray(Image.open(path).convert("RGB"), np.int16)
    assert picture.shape == (832, 1040, 3)
    lower = picture[450:]
    green = (lower == (0x4F, 0x8F, 0x3A)).all(axis=2).sum()
    assert (green > 500) == (power is not None)
    assert (green == 0) == (power is None)
    blue = (lower == (0x1F, 0x5A, 0x99)).all(axis=2)
    red_violet = (lower == (0xA0, 0x4B, 0x87)).all(axis=2)
    assert np.nonzero(blue.sum(axis=1) > 300)[0].mean() < np.nonzero(red_violet.sum(axis=1) > 300)[0].mean()


def test_pictures_that_take_long_come_from_runs_or_the_command_is_named(tmp_path: Path) -> None:
    runs, docs = tmp_path / "runs", tmp_path / "docs"
    (runs / "study-replay-memory").mkdir(parents=True)
    (runs / "study-replay-memory" / "figure.png").write_bytes(b"new")
    docs.mkdir()
    for name in ("study_replay_memory.png", "stability_map.png"):
        (docs / name).write_bytes(b"old")
    study, stability, campaign, imperfections, *real_cart = take_kept(runs, docs)
    assert (docs / "study_replay_memory.png").read_bytes() == b"new"
    assert (docs / "stability_map.png").read_bytes() == b"old"
    assert "taken from" in study
    assert "make it with: cartpole-robot train" in stability
    assert "cartpole-robot stability-map " in stability
    assert "make it with: make campaign" in campaign
    assert "make it with: python -m benchmarks.imperfections RUN" in imperfections
    assert all("make it with: python -m benchmarks.real_cart " in line for line in real_cart)
    assert sorted(path.name for path in docs.iterdir()) == ["stability_map.png", "study_replay_memory.png"]
