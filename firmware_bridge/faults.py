"""What each firmware fault and each cause of a reset means, and what to do about it."""

from __future__ import annotations

FAULTS = {
    "COMMAND_TIMEOUT": "no command came in time, the motor is off; is the host overloaded, or the line loose?",
    "ESTOP": "the emergency stop was pressed; release it and reset",
    "END_SWITCH": "the cart ran onto an end switch; check the travel limit and the switches",
    "TRAVEL_LIMIT": "the cart could no longer stop before its travel limit; the controller let it run too far",
    "POLE_ANGLE": "the pole fell past its limit; raise it and arm again, or let the cart swing it up",
    "CART_ENCODER": "the cart's encoder gave impossible counts; check its wires and their shielding, then home again",
    "POLE_ENCODER": "the pole's encoder gave impossible counts; check its wires and their shielding, then home again",
    "CART_STUCK": "the motor was driven and the cart's encoder stood still; check motor wires, encoder wires, a jam",
    "POLE_STILL": "the cart travelled and the pole's encoder stood still; check its wires and its coupling",
    "MOTOR_HOT": "the motor was driven harder than it bears for long; let it cool, and lower the duties",
    "REVERSALS": "the motor was reversed more often than its gear bears; check the controller",
    "SUPPLY_LOW": "the supply voltage is too low; check the power supply and its wires",
    "SUPPLY_HIGH": "the supply voltage is too high; check the power supply, and the clamp that a braking motor needs",
    "HOMING_TIMEOUT": "homing took too long; let the pole hang still, and let it swing freely",
    "HOMING_TRAVEL": "no end switch came within the track's length; check the switches and homing's direction, "
    "and that a stepper moves: its driver's supply, ENABLE and current",
    "HOMING_SWITCH": "the wrong end switch closed or stayed closed, or both did; check that left and right are not "
    "swapped, and that a stepper moves away from the switch",
    "POLARITY": "the motor pushes one way and the cart's encoder counts the other; "
    "set firmware.is_motor_reversed or firmware.is_cart_reversed, or swap wires; a stepper that met the right switch "
    "on its way to the left: set firmware.is_motor_reversed, or swap the wires of one coil, or of the switches",
    "POLE_STUCK": "the pole does not swing; is it stuck upright, held, or its encoder not connected?",
    "POLE_PERIOD": "the pole does not swing in its natural period about where it hung; check pole length and hinge, "
    "that it hung freely when homing began, and that its push swings it a few degrees (raise firmware.homing_duty)",
    "POLE_SIGN": "the pole's encoder counts the wrong way; set firmware.is_pole_reversed, or swap its wires A and B; "
    "if it came while balancing, check them: one may be loose, or a stepper has stalled",
    "TRACK_SHORT": "the track between the switches is shorter than twice the travel limit; "
    "lower firmware.travel_limit_m",
    "COMMAND_LATE": "no new command had come by a control tick, and the run was to end so; see the latency report",
    "MISSED_TICKS": "the firmware lost control of time; reset it",
    "HOST_SILENT": "no frame came from the host for half a second while the cart was homing or going to the middle; "
    "is the host overloaded, or the line loose?",
    "PULSE_PERIOD": "the timer of the bridge's pulses reads back a wrong period; reset the board, and flash it again "
    "if that does not help (cartpole-robot firmware flash)",
    "RELAY_WELDED": "the emergency stop was pressed and the motor's supply did not fall, so its relay may be welded; "
    "press it until the supply has fallen below firmware.supply_min_v, release it and reset; if the supply stays up, "
    "replace the relay",
    "SWING_TIMEOUT": "the pole was not upright within firmware.swing_timeout_s of arming; check that it swings freely "
    "and that the cart file's motor, friction and pole are right, or allow more time",
    "POLE_ZERO": "the pole swings freely about a place more than a quarter of limits.arming_angle_rad from where "
    "homing found it hanging; check that its encoder's coupling does not slip and the track is level, then home again",
    "STEPS_LOST": "an end switch closed elsewhere than the stepper's count says, or the count passed it: steps were "
    "lost; lower stepper.maximum_acceleration_m_s2, check the driver's current, the belt and the switches, home again",
    "DRIVER_ALARM": "the stepper's driver reports a fault and no longer holds the cart; check its supply, its "
    "temperature and the motor's wires, switch it off and on, then home again",
    "RAIL_LOW": "the board's own 5 V are below 4 V; check its USB cable and what else draws from that rail",
}
"""By the name of the fault in `protocol.h`, without NONE."""

RESETS = {
    "POWER_ON": "its power was interrupted; check its supply and its USB cable",
    "BROWN_OUT": "its 5 V broke down; power the board from its own supply, and keep motor current out of its ground",
    "WATCHDOG": "its firmware hung; note what the cart was doing, and report it",
    "EXTERNAL": "its reset pin was pulled; check its reset button and wire, and that no other program opens the port",
    "UNKNOWN": "a boot loader hid the cause; check its supply, its USB cable and its reset button",
}
"""By what `answers.reset_cause_name` returns."""
