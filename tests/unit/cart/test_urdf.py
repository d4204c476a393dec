from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET

import pytest

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.urdf import link_inertia_kg_m2, link_mass_kg, read_urdf, rigid_body_numbers, urdf_for


def test_urdf_holds_the_numbers_of_its_readme() -> None:
    numbers = rigid_body_numbers(read_urdf())
    assert numbers == {
        "cart_mass_kg": 1.0,
        "pole_mass_kg": 0.1,
        "pole_half_length_m": 0.5,
        "pole_inertia_kg_m2": pytest.approx(1.0 / 120.0),
    }


def test_every_link_and_joint_has_a_name() -> None:
    robot = read_urdf()
    assert [link.get("name") for link in robot.iter("link")] == ["track", "cart", "pole"]
    assert [joint.get("name") for joint in robot.iter("joint")] == ["track_to_cart", "cart_to_pole"]


def test_numbers_are_found_by_name_and_not_by_place() -> None:
    robot = read_urdf()
    links = robot.findall("link")
    for link in links:
        robot.remove(link)
    robot.extend(reversed(links))
    assert link_mass_kg(robot, "pole") == 0.1
    assert link_inertia_kg_m2(robot, "pole", "zz") == 1e-5


def test_missing_link_is_named() -> None:
    with pytest.raises(ValueError, match="no inertial/mass in link 'wagon'"):
        link_mass_kg(read_urdf(), "wagon")


def test_other_numbers_go_into_a_copy(gym_cart: CartParams) -> None:
    body = dataclasses.replace(
        gym_cart.pole_cart,
        cart_mass_kg=0.57,
        pole_mass_kg=0.23,
        pole_half_length_m=0.3205,
        pole_inertia_kg_m2=0.00787,
    )
    numbers = rigid_body_numbers(ET.fromstring(urdf_for(body)))
    assert without_gravity(numbers) == without_gravity(dataclasses.asdict(body))
    assert rigid_body_numbers(read_urdf())["cart_mass_kg"] == 1.0


def test_drawing_of_a_shorter_pole_is_smaller(gym_cart: CartParams) -> None:
    body = dataclasses.replace(gym_cart.pole_cart, pole_half_length_m=0.25)
    robot = ET.fromstring(urdf_for(body))
    box = robot.find("link[@name='pole']/visual/geometry/box")
    origin = robot.find("link[@name='pole']/visual/origin")
    assert box is not None
    assert origin is not None
    assert [float(word) for word in box.attrib["size"].split()] == [0.025, 0.025, 0.5]
    assert [float(word) for word in origin.attrib["xyz"].split()] == [0.0, 0.0, 0.25]


def without_gravity(numbers: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in numbers.items() if key != "gravity_m_s2"}
