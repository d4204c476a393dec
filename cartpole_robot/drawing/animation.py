"""An episode as a short animation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
from PIL import Image

from cartpole_robot.cart.params import CartParams
from cartpole_robot.drawing.cart_pole import draw_cart_pole
from cartpole_robot.signals import State

GIF_FRAME_S = 0.04
_COLOURS = 32


def save_animation(
    act: Callable[[Any], int],
    env: gymnasium.Env[Any, Any],
    cart: CartParams,
    path: Path,
    *,
    duration_s: float,
    seed: int,
) -> int:
    """The turns survived in `duration_s` of cart time; the episode so far is written to `path` as GIF.

    `act` takes what `env` observes, of which the first four numbers are the state.
    """
    period_s = cart.timing.control_period_s
    every = max(1, round(GIF_FRAME_S / period_s))
    observation, _ = env.reset(seed=seed)
    frames: list[Image.Image] = []
    turn = 0
    for turn in range(1, round(duration_s / period_s) + 1):
        action = act(observation)
        if (turn - 1) % every == 0:
            caption = f"{(turn - 1) * period_s:4.1f} s   turn {turn - 1}"
            duty = cart.action_duties[action]
            frames.append(draw_cart_pole(cart, State(*observation[:4].tolist()), duty=duty, caption=caption))
        observation, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            break
    save_gif(frames, path, frame_s=every * period_s)
    return turn


def save_gif(frames: Iterable[Image.Image], path: Path, *, frame_s: float) -> None:
    """Write `frames`, one at least and drawn when they are asked for, to `path` as a GIF that plays for ever."""
    reduced = _reduced(iter(frames))
    first = next(reduced)
    first.save(path, save_all=True, append_images=reduced, duration=round(frame_s * 1000.0), loop=0, optimize=False)


def _reduced(frames: Iterator[Image.Image]) -> Iterator[Image.Image]:
    """The same with few colours, those of the first frame: one palette for all is thirty times faster."""
    first = next(frames)
    palette = first.quantize(_COLOURS)
    for frame in itertools.chain([first], frames):
        yield frame.quantize(palette=palette, dither=Image.Dither.NONE)
