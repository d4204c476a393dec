"""The wiring diagram of a stepper's cart shows the firmware's pins, and is the one in the docs."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.drawing import stepper_wiring
from cartpole_robot.drawing.pin_table import pin_table, stepper_pin_for
from cartpole_robot.drawing.stepper_wiring import stepper_wiring_svg
from cartpole_robot.drawing.wiring_parts import A4_MM

ROOT = Path(__file__).parents[3]
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


def test_labels_are_legible_and_on_the_sheet() -> None:
    for element, text in TEXTS:
        x, y, size = (float(element.attrib[key]) for key in ("x", "y", "font-size"))
        width = 0.6 * size * len(text)
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[element.attrib["text-anchor"]] * width
        assert size >= 2.5, text
        assert left >= 3.0, text
        assert left + width <= A4_MM[0] - 3.0, text
        assert 5.0 <= y <= A4_MM[1] - 3.0, text


def test_the_diagram_in_the_docs_is_up_to_date() -> None:
    assert (ROOT / "docs" / "wiring_stepper.svg").read_text(encoding="utf-8") == stepper_wiring_svg()
