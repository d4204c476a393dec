"""A cart-pole in motion as a short animation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

from cartpole_robot.cart.params import CartParams
from cartpole_robot.drawing.cart_pole import draw_cart_pole
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.signals import State

GIF_FRAME_S = 0.04
_COLOURS = 32


def save_animation(motion: Iterable[tuple[State, float]], cart: CartParams, path: Path) -> None:
    """Write `motion`, the state and the duty at each control tick, to `path` as a GIF that plays in real time."""
    period_s = cart.timing.control_period_s
    every = max(1, round(GIF_FRAME_S / period_s))
    frames = (
        draw_cart_pole(cart, state, duty=duty, caption=f"{tick * period_s:4.1f} s   step {tick}")
        for tick, (state, duty) in enumerate(motion)
        if tick % every == 0
    )
    with atomic_file(path, may_replace=True) as file:
        save_gif(frames, Path(file.name), frame_s=every * period_s)


def save_gif(frames: Iterable[Image.Image], path: Path, *, frame_s: float) -> None:
    """Write `frames`, at least one and drawn on demand, to `path` as a GIF that loops forever."""
    reduced = _reduced(iter(frames))
    first = next(reduced)
    first.save(path, save_all=True, append_images=reduced, duration=round(frame_s * 1000.0), loop=0, optimize=False)


def _reduced(frames: Iterator[Image.Image]) -> Iterator[Image.Image]:
    """The frames in the few colours of the first: one palette for all is thirty times faster."""
    first = next(frames)
    palette = first.quantize(_COLOURS)
    for frame in itertools.chain([first], frames):
        yield frame.quantize(palette=palette, dither=Image.Dither.NONE)
