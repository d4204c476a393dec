"""What a visitor of the page may break, the firmware's fault that comes of it, and the firmware's time for it."""

from __future__ import annotations

from typing import Any

from cartpole_robot.cart.stepper import Drive

Steps = list[list[Any]]
CONTACT_MS, SUPPLY_MS, TIMEOUT_MS, PERIOD_MS = 3, 20, 60, 20
STUCK_MS, EITHER_WAY_MS = 100, 300  # longer one way than the other; either way
UP: Steps = [["setController", "lqr"], ["arm"], ["wait", {"phase": "running"}, 60_000], ["advance", 2000]]
DISTURBED: Steps = [["push", 0.2, "cart"]]  # so that the regulator has something to do

# What is done, the fault, the firmware's time for it, and how long what it has to see first may take to come.
Interventions = dict[str, tuple[Steps, str, int, int]]
_EVERY_CART: Interventions = {
    "e-stop pressed": ([["pressEstop"]], "ESTOP", 1, 0),
    "e-stop frame": ([["sendEstop"]], "ESTOP", 1, 0),
    "host killed": ([["killHost"]], "COMMAND_TIMEOUT", TIMEOUT_MS, 1),
    "host late": ([["setDelayMs", 80]], "COMMAND_TIMEOUT", TIMEOUT_MS, PERIOD_MS),
    "pole dragged aside": ([["grabPole", 0.6]], "POLE_ANGLE", 1, 100),  # the hand takes as long as that
    "pole struck": ([["push", 0.3, "pole"]], "POLE_ANGLE", 1, 60),
    "ticks missed": ([["missTicks", 11]], "MISSED_TICKS", 1, 0),
}
_DC: Interventions = {
    "left switch closed": ([["closeSwitch", "left"]], "END_SWITCH", CONTACT_MS, 0),
    "right switch closed": ([["closeSwitch", "right"]], "END_SWITCH", CONTACT_MS, 0),
    "supply sags": ([["setSupplyV", 8.0]], "SUPPLY_LOW", SUPPLY_MS, 0),
    "supply too high": ([["setSupplyV", 24.0]], "SUPPLY_HIGH", SUPPLY_MS, 0),
    "cart dragged away": ([["grabCart", 0.46]], "TRAVEL_LIMIT", 1, 100),
    "cart's encoder cut": (
        [["cutEncoder", "cart", "both"], *DISTURBED],
        "CART_STUCK",
        EITHER_WAY_MS,
        2 * PERIOD_MS + 40,
    ),
    "one of the cart's wires cut": ([["cutEncoder", "cart", "A"], *DISTURBED], "CART_STUCK", EITHER_WAY_MS, 100),
    "pole's encoder cut": ([["cutEncoder", "pole", "both"], *DISTURBED], "POLE_STILL", 1, 200),  # travels 4 cm first
    "cart's channels swapped": ([["swapChannels", "cart"], *DISTURBED], "POLARITY", STUCK_MS, 0),
    "pole's channels swapped": ([["swapChannels", "pole"], *DISTURBED], "POLE_SIGN", STUCK_MS, 0),
    "motor's leads swapped": ([["swapMotor"], *DISTURBED], "POLARITY", STUCK_MS, 0),
    "cart jammed": ([["blockCart"], ["grabPole", 0.15]], "CART_STUCK", STUCK_MS, 3 * PERIOD_MS),
}
_TIPPED: Steps = [["push", 0.012, "pole"]]
_HOMED_AGAIN: Steps = [
    ["pressEstop"],
    ["advance", 100],
    ["pressEstop", False],
    ["advance", 100],
    ["arm"],
    ["advance", 500],
]
_ROUND_TRIP_MS = 60_000
# A stepper has no encoder at its cart: an end switch that closes where its count has none is taken for lost steps, and
# a motor that does not follow shows by the pole, which is tipped here: without that, also by a count that runs on.
_STEPPER: Interventions = {
    "left switch closed": ([["closeSwitch", "left"]], "STEPS_LOST", CONTACT_MS, 0),
    "right switch closed": ([["closeSwitch", "right"]], "STEPS_LOST", CONTACT_MS, 0),
    "supply sags": ([["setSupplyV", 18.0]], "SUPPLY_LOW", SUPPLY_MS, 0),
    "supply gone": ([["setSupplyV", 5.0]], "SUPPLY_LOW", SUPPLY_MS, 0),
    "supply too high": ([["setSupplyV", 30.0]], "SUPPLY_HIGH", SUPPLY_MS, 0),
    "cart dragged away": ([["grabCart", 0.3]], "POLE_ANGLE", 1, 200),
    "pole's encoder cut": ([["cutEncoder", "pole", "both"], *_TIPPED], "POLE_STILL", 1, 600),  # travels 4 cm first
    "pole's channels swapped": ([["swapChannels", "pole"], *_TIPPED], "POLE_ANGLE", 1, 300),
    "cart jammed": ([["blockCart"], *_TIPPED], "POLE_ANGLE", 1, 400),
    "driver without power": ([["breakDriver", "supply"], *_TIPPED], "POLE_ANGLE", 1, 400),
    "driver's alarm": ([["breakDriver", "alarm"]], "DRIVER_ALARM", CONTACT_MS, 0),
    "DIR inverted": ([["breakDriver", "direction"], *_TIPPED], "POLE_ANGLE", 1, 300),
    "pulses missed while homing": (
        [["breakDriver", "pulses"], *_HOMED_AGAIN],
        "STEPS_LOST",
        CONTACT_MS,
        _ROUND_TRIP_MS,
    ),
}
INTERVENTIONS: Interventions = {**_EVERY_CART, **_DC}


def interventions_of(drive: Drive) -> Interventions:
    """Those of a cart with that drive."""
    return {**_EVERY_CART, **(_STEPPER if drive is Drive.STEPPER else _DC)}
