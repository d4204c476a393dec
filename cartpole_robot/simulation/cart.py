"""The simulated cart with motor, friction and encoders around the plant: duty in, counts out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from math import floor
from typing import TYPE_CHECKING

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Encoders, Friction
from cartpole_robot.signals import State
from cartpole_robot.simulation.motor import rewindable_force
from cartpole_robot.simulation.native_cart import stepper_drive
from cartpole_robot.simulation.plant import Plant

if TYPE_CHECKING:
    from cartpole_robot.simulation._native import StepperDrive

STANDING_M_S = 1e-9  # dry friction stops a cart exactly, to floating-point rounding

OnCounts = Callable[[int, int], object]


class SimulatedCart:
    """A cart with a motor, as seen from its bridge and its two encoders; it knows no policy and no task.

    Counts are rounded to the nearest; their zeros are the middle of the track and upright. They do not wrap. A
    stepper's cart counts its steps instead of its travel.
    """

    def __init__(self, cart: CartParams, encoders: Encoders) -> None:
        self._plant = Plant(
            cart.pole_cart,
            cart.timing.physics_step_s,
            friction=in_engine(cart.friction),
            end_stop_m=cart.limits.end_stop_m,
        )
        self._take(cart)
        self._counts_per_m = encoders.cart_counts_per_m
        self._counts_per_rad = encoders.pole_counts_per_rad
        self._speed_m_s = 0.0
        self._counted = 0.0  # a board's last mean count of steps
        self._steps_at_0 = 0  # the steps where it counts 0

    def _take(self, cart: CartParams) -> None:
        self._cart = cart
        self._force, _, self._hold = rewindable_force(cart)
        self._stepper = None if cart.stepper is None else stepper_drive(cart)
        self._has_stiction = cart.friction.cart_static_n > cart.friction.cart_coulomb_n

    def change(self, cart: CartParams) -> None:
        """Become `cart`, which differs only in body, motor and friction; call `place` next.

        Raises ValueError as `plant.equivalent_body` does.
        """
        self._plant.change(cart.pole_cart, in_engine(cart.friction))
        self._take(cart)

    def place(self, state: State) -> tuple[int, int]:
        """Put cart and pole at `state`, motor without current; returns (cart counts, pole counts) there."""
        self._plant.place(state)
        self._hold(0.0)
        self._speed_m_s = state.cart_speed_m_s
        counts = self._counts_at(state)
        if self._stepper is None:
            return counts
        steps = self._stepper.place(state.cart_position_m, state.cart_speed_m_s)
        self._steps_at_0 = steps - round(self._counted)
        return steps, counts[1]

    def turn(self, angle_rad: float, rate_rad_s: float) -> tuple[int, int]:
        """Put the pole there, the cart as it moves; returns (cart counts, pole counts) there."""
        self._plant.place(self._plant.state()._replace(pole_angle_rad=angle_rad, pole_speed_rad_s=rate_rad_s))
        return self.counts()

    def _counts_at(self, state: State) -> tuple[int, int]:
        cart_counts = floor(state.cart_position_m * self._counts_per_m + 0.5)
        return cart_counts, floor(state.pole_angle_rad * self._counts_per_rad + 0.5)

    def run(self, duties: Iterable[float], on_counts: OnCounts) -> tuple[int, int]:
        """One physics step for each duty at the bridge; returns (cart counts, pole counts) at the end of the last.

        `on_counts` is called with both after every step. This is the hot path, all in one loop: 20 of its steps are
        one control period. Raises ValueError or OverflowError when the physics has no finite answer, which no count
        can show.
        """
        if self._stepper is not None:
            return self._follow(self._stepper, duties, on_counts)
        advance, force, hold_or_release = self._plant.advance, self._force, self._plant.hold_or_release
        per_m, per_rad = self._counts_per_m, self._counts_per_rad
        has_stiction = self._has_stiction
        speed = self._speed_m_s
        cart_counts = pole_counts = 0
        for duty in duties:
            if has_stiction:
                hold_or_release(-STANDING_M_S < speed < STANDING_M_S)
            cart, pole = advance(force(duty, speed), 1)
            speed = cart[1]
            cart_counts = floor(cart[0] * per_m + 0.5)
            pole_counts = floor(pole[0] * per_rad + 0.5)
            on_counts(cart_counts, pole_counts)
        self._speed_m_s = speed
        return cart_counts, pole_counts

    def _follow(self, stepper: StepperDrive, duties: Iterable[float], on_counts: OnCounts) -> tuple[int, int]:
        """`run` of a stepper's cart."""
        advance, force, drive = self._plant.advance, self._force, self._plant.drive_cart
        per_rad = self._counts_per_rad
        (position, speed, *_), _ = advance(0.0, 0)
        steps = pole_counts = 0
        for duty in duties:
            target_m_s, most_n, steps = stepper.tick(duty, position, speed)
            drive(target_m_s, most_n)
            (position, speed, *_), pole = advance(force(0.0, speed, True), 1)
            pole_counts = floor(pole[0] * per_rad + 0.5)
            on_counts(steps, pole_counts)
        self._speed_m_s = speed
        return steps, pole_counts

    def run_under(self, tick: Callable[[int, int], float | None], drive: float | None, most_steps: int) -> int:
        """Run physics steps, each under the drive that `tick` chose, until `tick` ends it; returns their number.

        Each step is driven at the duty `drive`, or with the bridge open if it is None; `tick` is called after it
        with (cart counts, pole counts) and returns the drive of the next, or raises StopIteration to end. Other errors
        are those of `run`.
        """
        if self._stepper is not None:
            return self._follow_board(self._stepper, tick, drive, most_steps)
        advance, force, hold_or_release = self._plant.advance, self._force, self._plant.hold_or_release
        per_m, per_rad = self._counts_per_m, self._counts_per_rad
        has_stiction = self._has_stiction
        speed = self._speed_m_s
        steps = 0
        try:
            while steps < most_steps:
                steps += 1
                if has_stiction:
                    hold_or_release(-STANDING_M_S < speed < STANDING_M_S)
                cart, pole = advance(force(drive, speed) if drive is not None else force(0.0, speed, True), 1)
                speed = cart[1]
                drive = tick(floor(cart[0] * per_m + 0.5), floor(pole[0] * per_rad + 0.5))
        except StopIteration:
            pass
        finally:
            self._speed_m_s = speed
        return steps

    def _follow_board(
        self, stepper: StepperDrive, tick: Callable[[int, int], float | None], drive: float | None, most_steps: int
    ) -> int:
        """`run_under` of a stepper's cart: a drive is the mean of the board's count over the step."""
        advance, force, drive_cart = self._plant.advance, self._force, self._plant.drive_cart
        per_m, per_rad = self._counts_per_m, self._counts_per_rad
        (position, speed, *_), _ = advance(0.0, 0)
        steps = 0
        try:
            while steps < most_steps:
                steps += 1
                if drive is not None:
                    self._counted = drive
                target_m_s, most_n, _ = stepper.follow(
                    self._counted + self._steps_at_0, drive is not None, position, speed
                )
                drive_cart(target_m_s, most_n)
                (position, speed, *_), pole = advance(force(0.0, speed, True), 1)
                drive = tick(floor(position * per_m + 0.5), floor(pole[0] * per_rad + 0.5))
        except StopIteration:
            pass
        finally:
            self._speed_m_s = speed
        return steps

    def state(self) -> State:
        """The true state, which no encoder shows."""
        return self._plant.state()

    def counts(self) -> tuple[int, int]:
        """(cart counts, pole counts) of that state."""
        return self._counts_at(self.state())

    def close(self) -> None:
        """Release the physics client. May be called twice."""
        self._plant.close()


def in_engine(friction: Friction) -> Friction:
    """The friction that the engine solves: all but the cart's viscous friction, which is in `driving_force`."""
    return dataclasses.replace(friction, cart_viscous_n_s_m=0.0)
