"""What each firmware fault and each cause of a reset means, and what to do about it."""

from __future__ import annotations

FAULTS = {
    "COMMAND_TIMEOUT": "no command arrived in time; check for an overloaded host or a loose cable",
    "ESTOP": "the emergency stop was pressed; release it, press START if the wiring has one, and start again",
    "END_SWITCH": "the cart reached an end switch; check the travel limit and the switches",
    "TRAVEL_LIMIT": "the cart could no longer stop before its travel limit; check the controller",
    "POLE_ANGLE": "the pole fell past its limit; raise it and arm again, or let the cart swing it up",
    "CART_ENCODER": "the cart's encoder gave impossible counts; check its wires and their shielding, then home again",
    "POLE_ENCODER": "the pole's encoder gave impossible counts; check its wires and their shielding, then home again",
    "CART_STUCK": "the motor was driven, but the cart's encoder stood still; check for a jam, and "
    "the wires of motor and encoder",
    "POLE_STILL": "the cart moved, but the pole's encoder stood still; check its wires and its coupling; where the "
    "friction of its hinge holds a light pole, raise firmware.still_travel_m",
    "MOTOR_HOT": "the motor was driven harder than it can bear for long; let it cool, and lower the duties",
    "REVERSALS": "the motor was reversed more often than its gear can bear; check the controller",
    "SUPPLY_LOW": "the supply voltage is too low; press START if the wiring has one (an e-stop or a loss of power "
    "opens its relay), and check the power supply and its wires",
    "SUPPLY_HIGH": "the supply voltage is too high; check the power supply, and the clamp for the braking motor",
    "HOMING_TIMEOUT": "homing took too long; let the pole hang still, and check that it swings freely",
    "HOMING_TRAVEL": "no end switch closed within the track's length; check the switches and the direction of homing, "
    "and that a stepper moves: its driver's supply, ENABLE and current, and its microsteps as stepper.steps_per_m "
    "has them",
    "HOMING_SWITCH": "the wrong end switch closed or stayed closed, or both did; check that left and right are not "
    "swapped, and that a stepper moves away from the switch",
    "POLARITY": "the motor pushes one way and the cart's encoder counts the other; "
    "set firmware.is_motor_reversed or firmware.is_cart_reversed, or swap wires; if a stepper met the right switch "
    "on its way to the left, set firmware.is_motor_reversed, or swap the wires of one coil or of the switches",
    "POLE_STUCK": "the pole does not swing; check that it hangs free and its encoder is connected",
    "POLE_PERIOD": "the pole does not swing with its natural period around its hanging position; check pole length "
    "and hinge, that it hung freely when homing began, and that the push swings it a few degrees (raise "
    "firmware.homing_duty, for a stepper firmware.homing_speed_m_s)",
    "POLE_SIGN": "the pole's encoder counts the wrong way; set firmware.is_pole_reversed, or swap its wires A and B; "
    "if the fault came while balancing, check them for a loose one, and whether a stepper has stalled",
    "TRACK_SHORT": "the track between the switches is shorter than twice the travel limit; "
    "lower firmware.travel_limit_m",
    "COMMAND_LATE": "no new command arrived by a control tick, and --late disarm ends the run; see the latency report",
    "MISSED_TICKS": "the firmware missed its safety ticks; reset the board",
    "HOST_SILENT": "no frame arrived from the host for half a second during homing or centring; check for an "
    "overloaded host or a loose cable",
    "PULSE_PERIOD": "the PWM timer reads back a wrong period; reset the board, and if that does not help, flash it "
    "again (cartpole-robot firmware flash)",
    "RELAY_WELDED": "the emergency stop was pressed, but the motor's supply did not fall, so its relay may be welded; "
    "press it until the supply has fallen below firmware.supply_min_v, release it, press START if the wiring has one, "
    "and start again; if the supply stays up, replace the relay",
    "SWING_TIMEOUT": "the pole was not upright within firmware.swing_timeout_s of arming; check that it swings freely "
    "and that the cart file's motor, friction and pole are right, or allow more time",
    "POLE_ZERO": "the pole swings around a point more than a quarter of limits.arming_angle_rad from where homing "
    "found it hanging; check that its encoder's coupling does not slip and that the track is level, then home again",
    "STEPS_LOST": "an end switch closed elsewhere than the stepper's count expects, or the count passed it: steps "
    "were lost; lower stepper.maximum_acceleration_m_s2, check the driver's current, the belt and the switches, then "
    "home again",
    "DRIVER_ALARM": "the stepper's driver reports a fault and no longer holds the cart; check its supply, its "
    "temperature and the motor's wires, switch it off and on, then home again",
    "RAIL_LOW": "the board's 5 V rail is below 4 V; check its USB cable and what else draws from that rail",
}
"""By the name of the fault in `protocol.h`, without NONE."""

DC_FAULTS = frozenset({"CART_ENCODER", "CART_STUCK", "MOTOR_HOT", "REVERSALS"})
"""Those that the image for a stepper never reports."""

STEPPER_FAULTS = frozenset({"STEPS_LOST", "DRIVER_ALARM"})
"""Those that only the image for a stepper reports."""

RESETS = {
    "POWER_ON": "its power was interrupted; check its supply and its USB cable",
    "BROWN_OUT": "its 5 V rail collapsed; give the board its own supply, and keep motor current out of its ground",
    "WATCHDOG": "its firmware hung; note what the cart was doing, and report it",
    "EXTERNAL": "its reset pin was pulled low; check reset button and wire, and that no other program opens the port",
    "UNKNOWN": "the bootloader hid the cause; check its supply, its USB cable and its reset button",
}
"""By what `answers.reset_cause_name` returns."""
