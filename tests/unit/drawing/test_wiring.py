"""The wiring diagram shows the pins of the firmware, and the one in docs/ is the one that the code draws."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from cartpole_robot.drawing.pin_table import pin_for, pin_table
from cartpole_robot.drawing.stepper_wiring import stepper_wiring_svg
from cartpole_robot.drawing.wiring import wiring_svg
from cartpole_robot.drawing.wiring_parts import A4_MM

ROOT = Path(__file__).parents[3]
PINS_H = (ROOT / "firmware_bridge" / "firmware" / "boards" / "avr" / "pins.h").read_text()
TEXTS = [
    (element, element.text or "") for element in ET.fromstring(wiring_svg()).iter("{http://www.w3.org/2000/svg}text")
]


def test_every_pin_of_the_firmware_is_in_the_diagram_with_its_arduino_name() -> None:
    rows = re.findall(r"^ \*   (P\w\d)  (\w+) ", PINS_H, re.MULTILINE)
    assert len(rows) == 13
    shown = [text for _, text in TEXTS]
    for chip, arduino in rows:
        assert shown.count(f"{arduino} ({chip})") == 1


def test_the_table_is_what_the_code_uses() -> None:
    encoders = [pin_for(f"{what} encoder {channel}").chip for what in ("cart", "pole") for channel in "BA"]
    assert encoders == ["PC0", "PC1", "PC2", "PC3"]
    for name, what in (("ESTOP", "e-stop"), ("LEFT", "left end switch"), ("RIGHT", "right end switch")):
        assert f"#define {name}_MASK PIN({pin_for(what).chip})" in PINS_H
    assert f"#define SUPPLY_MASK PIN({pin_for('supply of the motor').chip})" in PINS_H
    assert f"#define ENABLE_BIT {pin_for('bridge enable').chip}" in PINS_H
    assert f"#define FORWARDS_BIT {pin_for('OC1A').chip} " in PINS_H
    assert f"#define BACKWARDS_BIT {pin_for('OC1B').chip} " in PINS_H
    assert len({pin.arduino for pin in pin_table()}) == 13


def test_a_pin_that_does_nothing_of_that_name_is_named() -> None:
    with pytest.raises(ValueError, match="0 pins do 'brake', expected one of cart encoder B"):
        pin_for("brake")


@pytest.mark.parametrize("drawn", [wiring_svg, stepper_wiring_svg])
def test_labels_are_legible_and_on_the_sheet(drawn: Callable[[], str]) -> None:
    for element in ET.fromstring(drawn()).iter("{http://www.w3.org/2000/svg}text"):
        text = element.text or ""
        x, y, size = (float(element.attrib[key]) for key in ("x", "y", "font-size"))
        width = 0.6 * size * len(text)  # of a wide sans serif
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[element.attrib["text-anchor"]] * width
        assert size >= 2.5, text
        assert left >= 3.0, text
        assert left + width <= A4_MM[0] - 3.0, text
        assert 5.0 <= y <= A4_MM[1] - 3.0, text


@pytest.mark.parametrize(("name", "drawn"), [("wiring", wiring_svg), ("wiring_stepper", stepper_wiring_svg)])
def test_the_diagram_in_the_docs_is_up_to_date(name: str, drawn: Callable[[], str]) -> None:
    assert (ROOT / "docs" / f"{name}.svg").read_text(encoding="utf-8") == drawn()
