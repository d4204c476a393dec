"""The terminal display of a running deployment, redrawn ten times a second by a thread of its own."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from cartpole_robot.cart.params import CartParams
from cartpole_robot.rollout.step_times import StepTimes
from cartpole_robot.signals import Measurement

_REDRAW_S = 0.1
_WIDTH = 61  # of the track, in characters


class LiveView:
    """A context manager that redraws state, duty, lateness, reaction and driver in place.

    Draws nothing unless `file` is a terminal. It only reads; the control loop does not know of it.
    """

    def __init__(
        self,
        cart: CartParams,
        measurement: Measurement,
        times: StepTimes,
        who: Callable[[], str],
        file: TextIO = sys.stderr,
    ) -> None:
        self._cart, self._measurement, self._times, self._who, self._file = cart, measurement, times, who, file
        self._worst_s = 0.0
        self._began_s = time.monotonic()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._lines = 0
        self._new_lines: list[str] = []

    def add_line(self, line: str) -> None:
        """Print a line above the view. From any thread."""
        if self._file.isatty() and not self._is_over.is_set():
            self._new_lines.append(line)
        else:
            print(line, file=self._file, flush=True)

    def __enter__(self) -> LiveView:
        if self._file.isatty():
            self._thread = threading.Thread(target=self._run, name="live-view", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._draw()
            if self._is_over.wait(_REDRAW_S):
                break
        self._draw()

    def _draw(self) -> None:
        new, self._new_lines = self._new_lines, []
        lines = [*new, *self.text().splitlines()]
        up = f"\033[{self._lines}F" if self._lines else ""
        self._file.write(up + "\n".join(f"{line}\033[K" for line in lines) + "\n")
        self._file.flush()
        self._lines = len(lines) - len(new)

    def text(self) -> str:
        m, times, limits = self._measurement, self._times, self._cart.limits
        late_s, reaction_s = times.newest_lateness_s, times.newest_reaction_s
        if not math.isnan(late_s):
            self._worst_s = max(self._worst_s, late_s)
        angle = math.degrees(m.pole_angle_rad)
        seconds = time.monotonic() - self._began_s
        track = ["-"] * _WIDTH
        track[_WIDTH // 2] = "+"
        track[_place(m.cart_position_m / limits.cart_position_m)] = "#"
        pole = [" "] * _WIDTH
        pole[_WIDTH // 2] = "."
        pole[_place(m.pole_angle_rad / limits.pole_angle_rad)] = "o"
        return "\n".join(
            (
                f"{self._who():<24} {seconds:6.1f} s   {times.steps} steps",
                f"  pole {angle:+7.2f} deg {math.degrees(m.pole_speed_rad_s):+8.1f} deg/s |{''.join(pole)}|",
                f"  cart {1000.0 * m.cart_position_m:+7.1f} mm  {m.cart_speed_m_s:+8.3f} m/s   |{''.join(track)}|",
                f"  duty {m.applied_duty:+7.3f}      late {_micro(late_s)}, at worst seen {_micro(self._worst_s)}   "
                f"measured to sent {_micro(reaction_s)}   command {_milli(m.command_age_s)} old",
            )
        )


def _place(share: float) -> int:
    return round((max(-1.0, min(1.0, share)) + 1.0) / 2.0 * (_WIDTH - 1))


def _micro(seconds: float) -> str:
    return "   - us" if math.isnan(seconds) else f"{1e6 * seconds:4.0f} us"


def _milli(seconds: float) -> str:
    return "- ms" if math.isnan(seconds) else f"{1e3 * seconds:.0f} ms"
