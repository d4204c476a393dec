"""An episode as a short animation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
from PIL import Image

from cartpole_robot.network import ActionFunction
from cartpole_robot.params import CartParams
from cartpole_robot.rendering import draw_cart_pole
from cartpole_robot.signals import State

_FRAME_S = 0.04
_COLOURS = 32


def save_animation(
    act: ActionFunction, env: gymnasium.Env[Any, Any], cart: CartParams, path: Path, *, duration_s: float, seed: int
) -> int:
    """The turns survived in `duration_s` of cart time; the episode so far is written to `path` as GIF."""
    period_s = cart.timing.control_period_s
    every = max(1, round(_FRAME_S / period_s))
    observation, _ = env.reset(seed=seed)
    frames: list[Image.Image] = []
    turn = 0
    for turn in range(1, round(duration_s / period_s) + 1):
        action = act(observation)
        if (turn - 1) % every == 0:
            caption = f"{(turn - 1) * period_s:4.1f} s   turn {turn - 1}"
            duty = cart.action_duties[action]
            frame = draw_cart_pole(cart, State(*observation.tolist()), duty=duty, caption=caption)
            palette = frame.quantize(_COLOURS) if not frames else frames[0]  # one for all: thirty times faster
            frames.append(frame.quantize(palette=palette, dither=Image.Dither.NONE))
        observation, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            break
    frames[0].save(
        path,
        save_all=True,
        append_images=frames[1:],
        duration=round(every * period_s * 1000.0),
        loop=0,
        optimize=False,
    )
    return turn
