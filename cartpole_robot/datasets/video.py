"""A recording as a video in real time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cartpole_robot.drawing.animation import GIF_FRAME_S, save_gif
from cartpole_robot.drawing.cart_pole import draw_cart_pole
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files.new_file import check_is_new, new_file
from cartpole_robot.recording.format import Recording
from cartpole_robot.signals import State
from cartpole_robot.terminal.progress import progress_bar

FRAME_S = {".mp4": 0.02, ".gif": GIF_FRAME_S}
_MOST_PICTURES = 500_000  # five hours
_STATE = ("cart_position_m", "cart_speed_m_s", "pole_angle_rad", "pole_speed_rad_s")


def export_video(recording: Recording, path: Path) -> dict[str, Any]:
    """Write the video to `path`, H.264 at 50 frames/s for .mp4 or a GIF at 25; returns what was written.

    Each frame shows the newest row at its moment of the cart's time, so a gap is a still picture. Raises `UsageError`
    for another suffix, an existing file and a recording in which a row has no finite state.
    """
    frame_s = FRAME_S.get(path.suffix)
    if frame_s is None:
        raise UsageError(f"{path}: ends in {path.suffix!r}, expected {' or '.join(FRAME_S)}; change --out")
    check_is_new(path)
    unknown = np.nonzero(~np.isfinite(recording.rows["cart_position_m"] + recording.rows["pole_angle_rad"]))[0]
    if len(unknown):
        raise UsageError(f"{recording.path}: row {unknown[0]} has no position or angle, which cannot be drawn")
    shown = _shown_rows(recording, frame_s)
    with (
        progress_bar(len(shown), "drawing", " pictures", quiet=True) as bar,
        new_file(path) as partial,
    ):
        frames = _frames(recording, shown, frame_s, bar)
        if path.suffix == ".gif":
            save_gif(frames, partial, frame_s=frame_s)
        else:
            _save_mp4(frames, partial, frame_s)
    return {"video": str(path), "pictures": len(shown), "duration_s": len(shown) * frame_s}


def _shown_rows(recording: Recording, frame_s: float) -> list[int]:
    """The row of each frame: the last one not later than it, in the cart's time since the first row."""
    ticks = recording.rows["tick"].astype(np.int64)
    time_s = (ticks - ticks[0]) * recording.cart.timing.control_period_s
    pictures = float(time_s[-1]) / frame_s
    if not 0.0 <= pictures <= _MOST_PICTURES:
        raise UsageError(
            f"{recording.path}: from its first tick to its last there are {time_s[-1]:.6g} s, {pictures:.0f} pictures, "
            f"expected 0 to {_MOST_PICTURES}; cut the recording where its ticks jump"
        )
    moments_s = np.arange(0.0, time_s[-1] + frame_s / 2.0, frame_s)
    rows: list[int] = (np.searchsorted(time_s, moments_s + 1e-9, side="right") - 1).tolist()
    return rows


def _frames(recording: Recording, shown: list[int], frame_s: float, bar: Any) -> Iterator[Image.Image]:
    cart = recording.cart
    may_hang = bool(np.nanmax(np.abs(recording.rows["pole_angle_rad"]), initial=0.0) > math.pi / 2.0)
    for number, row in enumerate(shown):
        state = State(*(float(recording.rows[name][row]) for name in _STATE))
        duty = float(np.nan_to_num(recording.rows["requested_duty"][row]))
        yield draw_cart_pole(cart, state, duty=duty, caption=f"{number * frame_s:5.2f} s", may_hang=may_hang)
        bar.update()


def _save_mp4(frames: Iterator[Image.Image], path: Path, frame_s: float) -> None:
    import imageio.v2 as imageio
    import imageio_ffmpeg  # noqa: F401  imageio needs it; without it, its own error does not name the package

    options = {"fps": 1.0 / frame_s, "codec": "libx264", "quality": 7, "macro_block_size": 2}
    try:
        with contextlib.closing(imageio.get_writer(path, format="FFMPEG", mode="I", **options)) as writer:
            for frame in frames:
                writer.append_data(np.asarray(frame))
    except OSError as error:
        raise RunError(f"{path}: ffmpeg stopped ({str(error).splitlines()[0]}); choose another place or .gif") from None
