"""Pictures of a cart-pole from its state alone, for every rig and every recording."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine, is_installed, pybullet_is_missing

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

WIDTH_PX = 640
HEIGHT_PX = 360
_OVERSAMPLING = 3  # drawn larger, then reduced: smooth edges
_PAPER, _INK, _FAINT = (252, 252, 250), (55, 60, 68), (205, 209, 214)
_CART, _POLE, _LIMIT, _PUSH = (33, 90, 153), (222, 135, 40), (190, 60, 60), (60, 150, 95)

Point = tuple[float, float]


def draw_cart_pole(
    cart: CartParams, state: State, *, duty: float = 0.0, caption: str = "", may_hang: bool = False
) -> Image.Image:
    """A side view, `WIDTH_PX` x `HEIGHT_PX`, RGB: track, limits, cart, pole, and the duty as an arrow.

    The view shows 1.25 times the range in which an episode lives; the pole is never drawn higher than fits, nor, where
    it `may_hang`, lower: the track is then half-way up.
    """
    from PIL import Image, ImageDraw  # here: an environment that draws nothing does without Pillow

    width, height = WIDTH_PX * _OVERSAMPLING, HEIGHT_PX * _OVERSAMPLING
    length_m = 2.0 * cart.pole_cart.pole_half_length_m
    limit_m = cart.limits.cart_position_m
    scale = min(width / (2.5 * limit_m), (0.42 if may_hang else 0.62) * height / length_m)
    rail_y = (0.54 if may_hang else 0.80) * height
    image = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(image)

    def column(x_m: float) -> float:
        return width / 2 + x_m * scale

    pen.line([(0.02 * width, rail_y), (0.98 * width, rail_y)], fill=_FAINT, width=width // 160)
    pen.line([(column(0.0), rail_y), (column(0.0), rail_y + 0.04 * height)], fill=_FAINT, width=width // 320)
    for side in (-limit_m, limit_m):
        pen.line([(column(side), rail_y - 0.05 * height), (column(side), rail_y)], fill=_LIMIT, width=width // 240)
    cart_width, cart_height = 0.085 * width, 0.075 * height
    x = column(state.cart_position_m)
    hinge = (x, rail_y - 0.5 * cart_height)
    box = (x - cart_width / 2, rail_y - cart_height, x + cart_width / 2, rail_y)
    pen.rounded_rectangle(box, radius=cart_height / 5, fill=_CART)
    tip = (
        x + length_m * scale * math.sin(state.pole_angle_rad),
        hinge[1] - length_m * scale * math.cos(state.pole_angle_rad),
    )
    pole_width = max(4, width // 90)
    pen.line([hinge, tip], fill=_POLE, width=pole_width)
    for point in (hinge, tip):
        _disc(pen, point, pole_width / 2, _POLE)
    _disc(pen, hinge, pole_width / 4, _PAPER)
    if duty:
        _arrow(pen, (x, rail_y + 0.08 * height), duty * 0.08 * width, width // 160)
    if caption:
        pen.text((0.025 * width, 0.03 * height), caption, fill=_INK, font_size=height // 20)
    return image.reduce(_OVERSAMPLING)


def _disc(pen: ImageDraw.ImageDraw, centre: Point, radius: float, colour: tuple[int, int, int]) -> None:
    x, y = centre
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _arrow(pen: ImageDraw.ImageDraw, tail: Point, reach: float, thickness: int) -> None:
    x, y = tail
    head = math.copysign(3.0 * thickness, reach)
    pen.line([(x, y), (x + reach - head / 2, y)], fill=_PUSH, width=thickness)
    pen.polygon(
        [(x + reach, y), (x + reach - head, y - abs(head) / 1.6), (x + reach - head, y + abs(head) / 1.6)], fill=_PUSH
    )


def check_window() -> None:
    """Raise `UsageError` without PyBullet, whose window it is."""
    if not is_installed(Engine.PYBULLET):
        raise UsageError(f'render_mode "human" is PyBullet\'s window: {pybullet_is_missing()}, or use "rgb_array"')


class CartPoleWindow:
    """PyBullet's window, showing states that were measured elsewhere, paced to the cart's own time."""

    def __init__(self, cart: CartParams) -> None:
        """Open the window. Raises `RigError` without a display."""
        from cartpole_robot.simulation.plant import Plant

        self._plant = Plant(cart.pole_cart, cart.timing.physics_step_s, window=True)
        self._plant.look_at_track(2.4 * cart.limits.cart_position_m / math.sqrt(2.0))
        self._period_s = cart.timing.control_period_s
        self._next_time_s = time.monotonic()

    def show(self, state: State) -> None:
        """Bring the window to `state`, at least one control period after the last; a closed window is ignored."""
        if not self._plant.is_connected():
            return
        self._plant.place(state)
        now_s = time.monotonic()
        self._next_time_s = max(self._next_time_s + self._period_s, now_s)
        time.sleep(self._next_time_s - now_s)

    def close(self) -> None:
        """Close the window. May be called twice."""
        self._plant.close()
