"""The calculations of docs/hardware/building.md: precharge, bleeder, clamp, filters, divider, fuse.

For diy_arduino, and what differs for diy_stepper.

python -m benchmarks.build_guide
"""

from __future__ import annotations

import math

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import encoders_and_settings

SUPPLY_V, LOGIC_V = 12.0, 5.0
PRECHARGE_OHM, BLEEDER_OHM, BULK_F = 47.0, 470.0, 2200e-6
DIODE_V = 0.7  # D3, 1N4007: at 20 mA
COIL_OHM, COIL_RELEASE_V = 160.0, 1.2  # LY2-DC12: it must release at 10 % of 12 V
UPPER_OHM, LOWER_OHM = 10_000.0, 1_800.0
LOOP_OHM = (0.02, 0.1)  # assumed: supply's capacitor, wires, contact, ESR
CLAMP_V = (15.2, 16.8)  # 1.5KE16A: breakdown at 1 mA
PULL_UP_OHM, SERIES_OHM, FILTER_F = 2_200.0, 1_000.0, 1e-9
CONTACT_PULL_UP_OHM, CONTACT_F = 1_000.0, 100e-9
HIGH_SHARE, LOW_SHARE = 0.6, 0.3  # of VCC: what the ATmega328P reads as high and as low for certain
EDGES_PER_S = 40_000
FUSE_A = 7.5
BOARD_A = 0.15  # assumed: board 50 mA, pole encoder 40 mA, Hall encoder 10 mA, contacts 15 mA, module 20 mA
CONVERTER_V = 7.5
FOAM_M = 0.02
STEPPER_PRECHARGE_OHM, STEPPER_BLEEDER_OHM = 100.0, 1000.0
STEPPER_COIL_OHM = 650.0  # LY2-DC24: it must release at 10 % of 24 V
STEPPER_CLAMP_V = (28.5, 31.5)  # 1.5KE30A: breakdown at 1 mA


def row(name: str, value: str) -> None:
    """Print one line."""
    print(f"  {name:<58} {value}")


def supply_side() -> None:
    """Precharge, bleeder, and what the motor returns."""
    cart = load_cart("diy_arduino")
    _, firmware = encoders_and_settings(cart)
    load_ohm = 1.0 / (1.0 / BLEEDER_OHM + 1.0 / (UPPER_OHM + LOWER_OHM))
    both_ohm = 1.0 / (1.0 / PRECHARGE_OHM + 1.0 / load_ohm)
    charged_v = (SUPPLY_V - DIODE_V) * load_ohm / (load_ohm + PRECHARGE_OHM)
    step_v = SUPPLY_V - charged_v
    print("precharge")
    row("peak current, peak power in R1", f"{SUPPLY_V / PRECHARGE_OHM:.2f} A, {SUPPLY_V**2 / PRECHARGE_OHM:.1f} W")
    row("energy in R1 for one charge", f"{0.5 * BULK_F * SUPPLY_V**2:.2f} J")
    row("time constant, five of them", f"{both_ohm * BULK_F:.3f} s, {5 * both_ohm * BULK_F:.2f} s")
    row("the capacitor comes to, left for the contact", f"{charged_v:.2f} V, {step_v:.2f} V")
    inrush = [f"{volts / ohm:.0f}" for volts in (step_v, SUPPLY_V) for ohm in reversed(LOOP_OHM)]
    row("inrush with precharge, without", f"{inrush[0]} to {inrush[1]} A, {inrush[2]} to {inrush[3]} A")
    held_v = SUPPLY_V * COIL_OHM / (COIL_OHM + PRECHARGE_OHM)
    row("coil through R1 after the e-stop, were D3 missing", f"{held_v:.1f} V; releases at {COIL_RELEASE_V:.1f} V")
    print("bleeder")
    for volts in (firmware.supply_min_v, 5.4, 1.0):
        row(f"from 12 V to {volts:g} V", f"{load_ohm * BULK_F * math.log(SUPPLY_V / volts):.2f} s")
    row(
        "power in R2 at 12 V, at the clamp", f"{SUPPLY_V**2 / BLEEDER_OHM:.2f} W, {CLAMP_V[1] ** 2 / BLEEDER_OHM:.2f} W"
    )
    print("regeneration")
    energy_j = 0.5 * cart.pole_cart.mass_kg * cart.terminal_speed_m_s**2
    row("energy of motion at full speed", f"{energy_j:.2f} J at {cart.terminal_speed_m_s:.2f} m/s")
    for share in (1.0, 0.5):
        volts = math.sqrt(SUPPLY_V**2 + 2.0 * share * energy_j / BULK_F)
        row(f"C1 alone, {100 * share:.0f} % returned", f"{volts:.0f} V")
    slow_j = 0.5 * cart.pole_cart.mass_kg * 0.3**2
    row("a balancing cart at 0.3 m/s, all returned", f"{math.sqrt(SUPPLY_V**2 + 2.0 * slow_j / BULK_F):.1f} V")
    clamp_j = 0.5 * energy_j - 0.5 * BULK_F * (CLAMP_V[1] ** 2 - SUPPLY_V**2)
    brake_s = cart.pole_cart.mass_kg / cart.damping_n_s_m
    row("for the clamp, of half returned", f"{clamp_j:.2f} J in {1e3 * brake_s:.0f} ms: {clamp_j / brake_s:.0f} W")
    print("fuse")
    stall_a = cart.motor.stall_current_a or 0.0
    row("stall current, of the fuse", f"{stall_a:g} A, {100 * stall_a / FUSE_A:.0f} %")
    row(
        "reversed at full speed, of the fuse",
        f"{2 * stall_a:g} A, {100 * 2 * stall_a / FUSE_A:.0f} %, {1e3 * brake_s:.0f} ms",
    )
    print("end of the rail")
    row(f"{1e3 * FOAM_M:.0f} mm of foam at full speed, mean force", f"{energy_j / FOAM_M:.0f} N")


def stepper_side() -> None:
    """The supply of diy_stepper: precharge, bleeder, and what a braking cart returns."""
    cart = load_cart("diy_stepper")
    _, firmware = encoders_and_settings(cart)
    assert cart.stepper is not None
    supply_v = cart.stepper.supply_voltage_v or 24.0
    load_ohm = 1.0 / (1.0 / STEPPER_BLEEDER_OHM + 1.0 / (UPPER_OHM + LOWER_OHM))
    both_ohm = 1.0 / (1.0 / STEPPER_PRECHARGE_OHM + 1.0 / load_ohm)
    print("a stepper: supply")
    row(
        "peak current, peak power in R1",
        f"{supply_v / STEPPER_PRECHARGE_OHM:.2f} A, {supply_v**2 / STEPPER_PRECHARGE_OHM:.1f} W",
    )
    charged_v = (supply_v - DIODE_V) * load_ohm / (load_ohm + STEPPER_PRECHARGE_OHM)
    row("C1 is charged to, without the driver's draw; after", f"{charged_v:.1f} V; {5 * both_ohm * BULK_F:.1f} s")
    for volts in (firmware.supply_min_v, 1.0):
        row(f"from {supply_v:g} V to {volts:g} V", f"{load_ohm * BULK_F * math.log(supply_v / volts):.2f} s")
    row("power in R2", f"{supply_v**2 / STEPPER_BLEEDER_OHM:.2f} W")
    energy_j = 0.5 * cart.pole_cart.mass_kg * cart.stepper.maximum_speed_m_s**2
    alone_v = math.sqrt(supply_v**2 + 2.0 * energy_j / BULK_F)
    row("energy of motion at full speed; C1 alone would reach", f"{energy_j:.2f} J; {alone_v:.1f} V")
    row("clamp; the firmware's limit", f"{STEPPER_CLAMP_V[0]} to {STEPPER_CLAMP_V[1]} V; {firmware.supply_max_v:g} V")
    held_v = supply_v * STEPPER_COIL_OHM / (STEPPER_COIL_OHM + STEPPER_PRECHARGE_OHM)
    row("coil through R1 after the e-stop, were D3 missing", f"{held_v:.1f} V; releases at {0.1 * supply_v:.1f} V")


def signal_side() -> None:
    """Filters, divider, and the board's own supply."""
    print("encoder filter")
    row("corner of 1 kOhm and 1 nF", f"{1e-3 / (2.0 * math.pi * SERIES_OHM * FILTER_F):.0f} kHz")
    rise_s = (PULL_UP_OHM + SERIES_OHM) * FILTER_F * math.log(1.0 / (1.0 - HIGH_SHARE))
    fall_s = SERIES_OHM * FILTER_F * math.log(1.0 / LOW_SHARE)
    row("edge up, edge down, late by at most", f"{1e6 * rise_s:.1f} us, {1e6 * fall_s:.1f} us")
    row(f"between edges at {EDGES_PER_S} a second", f"{1e6 / EDGES_PER_S:.0f} us")
    row("through a pull-up", f"{1e3 * LOGIC_V / PULL_UP_OHM:.1f} mA")
    print("contacts")
    row("through a closed contact", f"{1e3 * LOGIC_V / CONTACT_PULL_UP_OHM:.0f} mA")
    opening_s = (CONTACT_PULL_UP_OHM + SERIES_OHM) * CONTACT_F * math.log(1.0 / (1.0 - HIGH_SHARE))
    row("an opened contact is seen after", f"{1e3 * opening_s:.2f} ms")
    print("divider")
    ratio = (UPPER_OHM + LOWER_OHM) / LOWER_OHM
    row("5 V stand for, a step", f"{LOGIC_V * ratio:.1f} V, {1e3 * LOGIC_V * ratio / 1024:.0f} mV")
    row("source for the converter", f"{UPPER_OHM * LOWER_OHM / (UPPER_OHM + LOWER_OHM) / 1e3:.2f} kOhm")
    row("into the pin of a board without power", f"{1e3 * (SUPPLY_V - 0.6) / UPPER_OHM:.1f} mA")
    print("the board's regulator")
    for volts in (SUPPLY_V, CONVERTER_V):
        row(f"from {volts:g} V at {1e3 * BOARD_A:.0f} mA", f"{(volts - LOGIC_V) * BOARD_A:.2f} W")


if __name__ == "__main__":
    supply_side()
    signal_side()
    stepper_side()
