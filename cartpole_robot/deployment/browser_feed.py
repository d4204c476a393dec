"""What a deployment gives its live view in a browser, and the e-stop that comes back."""

from __future__ import annotations

import contextlib
import math

from cartpole_robot.errors import RigError
from cartpole_robot.page.live.ring import Ring
from cartpole_robot.recording.format import Flag
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.rollout.pilot import Pilot
from cartpole_robot.signals import Measurement
from firmware_bridge.messages import StateMessage
from firmware_bridge.protocol import read_protocol

REGULATOR, MOTOR_OFF, FIRMWARE, SWING_UP = 1, 2, 3, 4  # after the pilot itself, number 0
DRIVERS = ("the regulator, for the policy", "none, motor off", "the firmware", "the swing-up controller")


class BrowserFeed:
    """Writes every measurement of `rig` into `ring`, and sends the e-stop as soon as the page asks for it.

    An armed cart gets its command first.
    """

    def __init__(self, ring: Ring, rig: SerialRig, pilot: Pilot) -> None:
        self._ring, self._rig, self._pilot = ring, rig, pilot
        self._begun_s = rig.link.clock()
        states, inputs = (read_protocol().enums[name] for name in ("cart_state", "input_flag"))
        self._armed, self._homing, self._homed = int(states["ARMED"]), int(states["HOMING"]), int(inputs["HOMED"])
        self._is_running = False
        self.has_stopped = False
        """Whether an e-stop was sent from the browser."""
        rig.on_state = self._look

    def begin(self) -> None:
        """From now on `note` gets every measurement of the armed cart."""
        self._is_running = True

    def note(self, measurement: Measurement) -> None:
        """A measurement of an armed cart, whose command has been sent. Raises `RigError` for an e-stop not sent."""
        state = self._rig.state
        self._ring.put(
            (
                self._rig.link.clock() - self._begun_s,
                measurement.cart_position_m,
                measurement.cart_speed_m_s,
                measurement.pole_angle_rad,
                measurement.pole_speed_rad_s,
                self._rig.requested_duty,
                measurement.applied_duty,
                state.supply_mv / 1000.0,
                1e6 * measurement.lateness_s,
                state.state,
                state.fault,
                REGULATOR if self._pilot.flags & Flag.FALLBACK else 0,
            )
        )
        self._stop_if_asked()

    def finish(self) -> None:
        """Show how the cart stands after the run, motor off; a cart that is silent changes nothing."""
        with contextlib.suppress(RigError):
            self._rig.watch()

    def _look(self, state: StateMessage) -> None:
        is_armed = state.state == self._armed
        if is_armed and self._is_running:
            return  # `note` follows, after the command
        scale = self._rig.scale
        # Before homing its zeros are unknown: it is shown where it was switched on, pole hanging.
        zero_rad = 0.0 if state.inputs & self._homed else math.pi
        self._ring.put(
            (
                self._rig.link.clock() - self._begun_s,
                state.cart_counts * scale.m_per_count,
                state.cart_speed * scale.m_s_per_unit,
                state.pole_counts * scale.rad_per_count + zero_rad,
                state.pole_speed * scale.rad_s_per_unit,
                self._rig.requested_duty if is_armed else math.nan,
                state.applied_q15 * scale.duty_per_unit,
                state.supply_mv / 1000.0,
                math.nan,
                state.state,
                state.fault,
                SWING_UP if is_armed else FIRMWARE if state.state == self._homing else MOTOR_OFF,
            )
        )
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self._ring.is_stop_asked():
            self._rig.emergency_stop()
            self._ring.confirm_stop()
            self.has_stopped = True
