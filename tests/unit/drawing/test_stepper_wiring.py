"""The wiring diagram of a stepper's cart shows the firmware's pins, and is the one in the docs."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.drawing import stepper_wiring
from cartpole_robot.drawing.pin_table import pin_table, stepper_pin_for
from cartpole_robot.drawing.stepper_wiring import stepper_wiring_svg

TEXTS = [
    (element, element.text or "")
    for element in ET.fromstring(stepper_wiring_svg()).iter("{http://www.w3.org/2000/svg}text")
]


def test_every_pin_is_in_the_diagram_once() -> None:
    shown = [text for _, text in TEXTS]
    for pin in (*pin_table(), stepper_pin_for("the driver's alarm")):
        assert shown.count(pin.label) == 1, pin
    for what, label in (("ENABLE", "D8 (PB0)"), ("DIR", "D9 (PB1)"), ("OC1B", "D10 (PB2)")):
        assert stepper_pin_for(what).label == label


def test_a_pin_that_does_nothing_of_that_name_is_named() -> None:
    with pytest.raises(ValueError, match="0 pins of a stepper do 'FAULT', expected one of ENABLE, DIR, OC1B"):
        stepper_pin_for("FAULT")


def test_the_supply_is_that_of_the_cart_file_and_the_clamp_is_between_its_limit_and_what_the_parts_bear() -> None:
    cart = load_cart("diy_stepper")
    assert cart.stepper is not None
    assert cart.firmware is not None
    assert stepper_wiring._POWER.volts == cart.stepper.supply_voltage_v
    assert stepper_wiring._POWER.clamp == "1.5KE30A"
    least_v, most_v = 28.5, 31.5  # its breakdown
    assert cart.firmware.supply_max_v <= least_v
    assert most_v < 5.0 * (10.0 + 1.8) / 1.8 < 50.0  # the divider's full scale, C1 and the driver
