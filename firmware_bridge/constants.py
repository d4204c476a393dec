"""Numbers of the firmware's headers that the host needs too, in SI units where they have a unit."""

from __future__ import annotations

from firmware_bridge.protocol import read_constants

_ESTIMATOR, _LIMITS, _POLICY = (read_constants(name) for name in ("estimator.h", "limits.h", "policy.h"))

TICK_US = 1_000_000 // _LIMITS["TICK_HZ"]
TICK_S = 1.0 / _LIMITS["TICK_HZ"]  # between two safety ticks, each with an update of the estimator
HEAT_TIME_CONSTANT_S = 2.0 ** _LIMITS["HEAT_SHIFT"] / _LIMITS["TICK_HZ"]  # with which motor heat follows duty squared
STUCK_S = _LIMITS["STUCK_MS"] / 1000.0  # driven this much longer to one side than to the other without moving
STUCK_EITHER_WAY_S = _LIMITS["STUCK_EITHER_WAY_MS"] / 1000.0  # driven so long to both sides in all without moving
STUCK_SWING_S = _LIMITS["STUCK_SWING_MS"] / 1000.0  # the same in a swing-up
STUCK_CALM_S = _LIMITS["STUCK_CALM_MS"] / 1000.0  # the same after it, where the pole has stood still meanwhile
STILL_COUNTS = _LIMITS["STILL_COUNTS"]  # moved less than this a cart or a pole stands still
MOVED_COUNTS = _LIMITS["MOVED_COUNTS"]  # moved this far a cart or a pole moves
STUCK_WEAK = _LIMITS["STUCK_WEAK"]  # times the duty that moves the cart: less may be in vain for twice as long
SWING_STILL = _LIMITS["SWING_STILL"]  # times still_travel_m, until the pole has been upright
NO_COMMAND_MS = _LIMITS["NO_COMMAND_MS"]  # the age of a command before the first
HOMING_DUTY_MOST = _LIMITS["HOMING_DUTY_CEILING"] / (_LIMITS["DUTY_CEILING"] + 1)  # with which any cart homes
HOMING_MOST_S = _LIMITS["HOMING_MOST_MS"] / 1000.0  # then the firmware gives up homing
ILLEGAL_MOST = _LIMITS["ILLEGAL_MOST"]  # transitions that no encoder makes, tolerated within ILLEGAL_MS
CONTACT_SAMPLES = _LIMITS["CONTACT_SAMPLES"]  # equal ones in a row, before an end switch counts
BANDGAP_V = (_LIMITS["BANDGAP_LEAST_MV"] / 1000.0, _LIMITS["BANDGAP_MOST_MV"] / 1000.0)  # of a sound chip
SWING_MOST_S = _LIMITS["SWING_CEILING_MS"] / 1000.0  # no swing-up may take longer
UPRIGHT_S = (_LIMITS["UPRIGHT_LEAST_MS"] / 1000.0, _LIMITS["UPRIGHT_MOST_MS"] / 1000.0)
WRAP_COUNTS = _LIMITS["WRAP_COUNTS"]  # beyond half a turn the pole's counts go on from the other side
ZERO_POINTS = _LIMITS["POLE_ZERO_POINTS"] + _LIMITS["POLE_ZERO_MOST"]  # turning points that show where a pole hangs
SPEED_PER_COUNT = _ESTIMATOR["ESTIMATOR_SPEED_PER_COUNT"]  # units of the firmware's speeds in a count per second
ESTIMATOR_LAG_S = (_ESTIMATOR["ESTIMATOR_WINDOW"] - 1) / 2 / _LIMITS["TICK_HZ"]  # half of the window
ESTIMATOR_COUNT_S = (
    SPEED_PER_COUNT / _ESTIMATOR["ESTIMATOR_ONE_COUNT"]
)  # the longest time in which one count is measured as one
MAX_INPUTS, MAX_HIDDEN, MAX_OUTPUTS = (_POLICY[f"POLICY_MAX_{name}"] for name in ("INPUTS", "HIDDEN", "OUTPUTS"))
CRC_START = read_constants("framing.h")["FRAMING_CRC_START"]
