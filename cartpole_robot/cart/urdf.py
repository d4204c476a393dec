"""Reading the URDF by link and joint name, and making copies of it with other numbers."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from importlib import resources

from cartpole_robot.cart.parts import PoleCart

CART_LINK = "cart"
POLE_LINK = "pole"
CART_JOINT = "track_to_cart"
POLE_JOINT = "cart_to_pole"


def read_urdf() -> ET.Element:
    """A fresh copy of the packaged `urdf/cartpole.urdf`, to read or to change."""
    text = resources.files("cartpole_robot.urdf").joinpath("cartpole.urdf").read_text(encoding="utf-8")
    return ET.fromstring(text)


def link_mass_kg(robot: ET.Element, link: str) -> float:
    """Mass of `link` in kg; raises ValueError naming the link when the URDF has none."""
    return float(_attribute(robot, link, "inertial/mass", "value"))


def link_centre_of_mass_m(robot: ET.Element, link: str) -> tuple[float, float, float]:
    """Centre of mass of `link` in its own frame, metres; raises ValueError naming the link."""
    x, y, z = (float(word) for word in _attribute(robot, link, "inertial/origin", "xyz").split())
    return x, y, z


def link_inertia_kg_m2(robot: ET.Element, link: str, axis: str) -> float:
    """Moment of inertia of `link` about its centre of mass and `axis` ("xx", "yy", "zz"); raises ValueError."""
    return float(_attribute(robot, link, "inertial/inertia", f"i{axis}"))


def rigid_body_numbers(robot: ET.Element) -> dict[str, float]:
    """The fields of `PoleCart` that the URDF holds (all but gravity), in SI units."""
    return {
        "cart_mass_kg": link_mass_kg(robot, CART_LINK),
        "pole_mass_kg": link_mass_kg(robot, POLE_LINK),
        "pole_half_length_m": link_centre_of_mass_m(robot, POLE_LINK)[2],
        "pole_inertia_kg_m2": link_inertia_kg_m2(robot, POLE_LINK, "yy"),
    }


def uniform_rod_inertia_kg_m2(mass_kg: float, half_length_m: float) -> float:
    """Inertia of a thin uniform rod about its centre: m (2 l)² / 12."""
    return mass_kg * half_length_m**2 / 3.0


def urdf_for(body: PoleCart) -> str:
    """The packaged URDF with the numbers of `body` put in, drawing included, as XML text."""
    robot = read_urdf()
    _set(robot, CART_LINK, "inertial/mass", value=body.cart_mass_kg)
    _set(robot, POLE_LINK, "inertial/mass", value=body.pole_mass_kg)
    _set(robot, POLE_LINK, "inertial/origin", xyz=(0.0, 0.0, body.pole_half_length_m))
    _set(robot, POLE_LINK, "inertial/inertia", ixx=body.pole_inertia_kg_m2, iyy=body.pole_inertia_kg_m2)
    nominal = rigid_body_numbers(read_urdf())
    _scale_drawing(robot, body.pole_half_length_m / nominal["pole_half_length_m"])
    return ET.tostring(robot, encoding="unicode")


def _scale_drawing(robot: ET.Element, factor: float) -> None:
    """Scale every drawn box and its position by `factor`, so that a small cart looks small as a whole."""
    if math.isclose(factor, 1.0):
        return
    for element in [*robot.iterfind("link/visual/origin"), *robot.iterfind("link/visual/geometry/box")]:
        key = "xyz" if element.tag == "origin" else "size"
        element.set(key, " ".join(repr(float(word) * factor) for word in element.attrib[key].split()))


def _element(robot: ET.Element, link: str, path: str) -> ET.Element:
    found = robot.find(f"link[@name='{link}']/{path}")
    if found is None:
        raise ValueError(f"the URDF has no {path} in link {link!r}")
    return found


def _attribute(robot: ET.Element, link: str, path: str, key: str) -> str:
    value = _element(robot, link, path).get(key)
    if value is None:
        raise ValueError(f"the URDF has no {key} at {path} in link {link!r}")
    return value


def _set(robot: ET.Element, link: str, path: str, **values: float | tuple[float, ...]) -> None:
    for key, value in values.items():
        numbers = value if isinstance(value, tuple) else (value,)
        _element(robot, link, path).set(key, " ".join(repr(float(number)) for number in numbers))
