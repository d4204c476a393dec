"""The firmware's estimator on the host, and the step from its integers to SI units."""

from __future__ import annotations

from cartpole_robot.cart.parts import Encoders
from cartpole_robot.errors import UsageError
from cartpole_robot.signals import Measurement
from firmware_bridge.constants import SPEED_PER_COUNT, TICK_S


def check_tick(tick_s: float) -> None:
    """Raises `UsageError` for a physics step other than the firmware's millisecond."""
    if abs(tick_s - TICK_S) > 1e-9:
        raise UsageError(
            f"physics step {tick_s:g} s, expected {TICK_S:g} s for a cart with encoders: its firmware counts every "
            f"millisecond; set timing.physics_step_s = {TICK_S:g}"
        )


class Estimator:
    """Converts counts of cart and pole to a measurement, with the microcontroller's `estimator.c`."""

    def __init__(self, encoders: Encoders, tick_s: float) -> None:
        """Raises `UsageError` for a tick other than the firmware's millisecond."""
        check_tick(tick_s)
        try:
            from firmware_bridge._host import CartEstimator
        except ImportError:
            raise UsageError(
                "the compiled part firmware_bridge._host is missing, and with it the estimator; "
                "install the package with a C compiler at hand"
            ) from None
        estimator = CartEstimator()
        self.reset = estimator.reset
        self.update = estimator.update
        self._speeds = estimator.speeds
        self._m_per_count = 1.0 / encoders.cart_counts_per_m
        self._rad_per_count = 1.0 / encoders.pole_counts_per_rad
        self._m_s_per_unit = self._m_per_count / SPEED_PER_COUNT
        self._rad_s_per_unit = self._rad_per_count / SPEED_PER_COUNT

    def write(self, cart_counts: int, pole_counts: int, measurement: Measurement) -> None:
        """Fill counts, positions and speeds of `measurement` from these counts and those updated before."""
        cart_speed, pole_speed = self._speeds()
        measurement.cart_counts = cart_counts
        measurement.pole_counts = pole_counts
        measurement.cart_position_m = cart_counts * self._m_per_count
        measurement.cart_speed_m_s = cart_speed * self._m_s_per_unit
        measurement.pole_angle_rad = pole_counts * self._rad_per_count
        measurement.pole_speed_rad_s = pole_speed * self._rad_s_per_unit
