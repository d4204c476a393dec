"""URDFs of others: their numbers by structure, and what no cart-pole can be."""

from __future__ import annotations

import math
import re
from importlib import resources
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import load_randomization
from cartpole_robot.cart.urdf_file import check_urdf, read_urdf_file
from cartpole_robot.commands.cli import main
from cartpole_robot.errors import UsageError
from cartpole_robot.simulation.plant import Plant

OURS = resources.files("cartpole_robot.urdf").joinpath("cartpole.urdf").read_text(encoding="utf-8")
GYM = resources.files("cartpole_robot.cart.known").joinpath("gym.toml").read_text(encoding="utf-8")
# A rod of 0.3 kg and 0.6 m with a bob of 0.1 kg at its tip, drawn along y, hinged about z of its own link.
ROBOT = """<?xml version="1.0"?>
<robot name="maker's">
  <link name="world"/>
  <link name="rail"><inertial><mass value="9"/><inertia ixx="1" iyy="1" izz="1"/></inertial></link>
  <joint name="floor" type="fixed"><parent link="world"/><child link="rail"/><origin xyz="0 0 1" rpy="0 0 0.5"/></joint>
  <link name="wagon"><inertial><mass value="0.5"/><inertia ixx="0.01" iyy="0.01" izz="0.01"/></inertial></link>
  <joint name="slide" type="prismatic"><parent link="rail"/><child link="wagon"/><axis xyz="2 0 0"/>
    <limit lower="-0.4" upper="0.4" effort="1" velocity="1"/><dynamics damping="0.7" friction="0.2"/></joint>
  <link name="motor"><inertial><mass value="0.2"/><inertia ixx="0.01" iyy="0.01" izz="0.01"/></inertial></link>
  <joint name="bolts" type="fixed"><parent link="wagon"/><child link="motor"/><origin xyz="0 0.1 0"/></joint>
  <link name="rod"><inertial><origin xyz="0 0.3 0.02" rpy="0 0 0"/><mass value="0.3"/>
    <inertia ixx="0.009" iyy="0.00001" izz="0.009" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <joint name="hinge" type="revolute"><parent link="motor"/><child link="rod"/>
    <origin xyz="0 0 0" rpy="1.5707963267948966 0 0"/><axis xyz="0 0 1"/><limit lower="-9" upper="9"/></joint>
  <link name="bob"><inertial><mass value="0.1"/><inertia ixx="0" iyy="0" izz="0"/></inertial></link>
  <joint name="screw" type="fixed"><parent link="rod"/><child link="bob"/>
    <origin xyz="0 0.6 0.02" rpy="0.3 0.4 0.5"/></joint>
</robot>
"""


def written(folder: Path, text: str, name: str = "robot.urdf") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_our_own_urdf_is_the_gym_cart(tmp_path: Path, gym_cart: CartParams) -> None:
    body = read_urdf_file(written(tmp_path, OURS))
    check_urdf(body)
    assert {**body.numbers(), "gravity_m_s2": 9.8} == vars(gym_cart.pole_cart)
    assert (body.end_stop_m, body.friction, body.pole_zero_rad) == (None, {}, 0.0)


def test_bodies_are_found_by_structure_and_fixed_links_belong_to_them(tmp_path: Path) -> None:
    body = read_urdf_file(written(tmp_path, ROBOT))
    check_urdf(body)
    assert (body.cart_link, body.pole_link, body.cart_joint, body.pole_joint) == ("wagon", "rod", "slide", "hinge")
    half_m = (0.3 * 0.3 + 0.1 * 0.6) / 0.4
    inertia = 0.009 + 0.3 * (half_m - 0.3) ** 2 + 0.1 * (0.6 - half_m) ** 2
    assert body.numbers() == pytest.approx(
        {"cart_mass_kg": 0.7, "pole_mass_kg": 0.4, "pole_half_length_m": half_m, "pole_inertia_kg_m2": inertia}
    )
    assert body.end_stop_m == 0.4
    assert body.friction == {"cart_viscous_n_s_m": 0.7, "cart_coulomb_n": 0.2}
    assert body.pole_zero_rad == pytest.approx(0.0, abs=1e-7)
    hanging = ROBOT.replace('rpy="1.5707963267948966 0 0"', 'rpy="-1.5707963267948966 0 0"')
    assert read_urdf_file(written(tmp_path, hanging)).pole_zero_rad == pytest.approx(math.pi)


@pytest.mark.pybullet
def test_cart_file_takes_its_numbers_from_the_urdf_alone_and_the_plant_has_them(tmp_path: Path) -> None:
    written(tmp_path, ROBOT.replace('friction="0.2"', 'friction="0"').replace('damping="0.7"', 'damping="0"'))
    text = GYM.replace("format = 1", 'format = 1\nurdf = "robot.urdf"').replace(
        "cart_position_m = 2.4", "cart_position_m = 0.3"
    )
    cart = load_cart(written(tmp_path, text, "mine.toml"))
    body = read_urdf_file(tmp_path / "robot.urdf")
    assert {**body.numbers(), "gravity_m_s2": 9.8} == vars(cart.pole_cart)
    assert cart.limits.end_stop_m == 0.4
    assert cart.sources["pole_cart.pole_mass_kg"] == "robot.urdf: link 'rod'"
    assert cart.sources["limits.end_stop_m"] == "robot.urdf: joint 'slide'"
    plant = Plant(cart.pole_cart, cart.timing.physics_step_s)
    found = plant.readback()
    plant.close()
    for name, value in body.numbers().items():
        assert getattr(found, name) == pytest.approx(value), name
    for line in ("pole_mass_kg = 0.1", "cart_mass_kg = 0.7"):
        twice = text.replace("gravity_m_s2 = 9.8", f"gravity_m_s2 = 9.8\n{line}")
        with pytest.raises(UsageError, match=f"{line.split()[0]} is also in .*robot.urdf, and a number has one source"):
            load_cart(written(tmp_path, twice, "mine.toml"))


def test_joint_friction_becomes_the_carts(tmp_path: Path) -> None:
    written(tmp_path, ROBOT)
    diy = resources.files("cartpole_robot.cart.known").joinpath("diy_arduino.toml").read_text(encoding="utf-8")
    lines = [
        line
        for line in diy.splitlines()
        if not re.match(r"(cart|pole)_(mass_kg|half_length_m)|cart_(visc|coul|stat)", line)
    ]
    lines = [line for line in lines if not line.startswith("end_stop_m")]
    text = "\n".join(lines).replace("format = 1", 'format = 1\nurdf = "robot.urdf"')
    text = re.sub(r"^switch_m = .*$", "switch_m = 0.39", text, flags=re.MULTILINE)
    text = re.sub(r"^travel_limit_m = .*$", "travel_limit_m = 0.38", text, flags=re.MULTILINE)
    text = re.sub(r"(\[limits\][^\[]*)cart_position_m = [^\n]*", r"\1cart_position_m = 0.3", text)
    cart = load_cart(written(tmp_path, text, "mine.toml"))
    friction = cart.friction
    assert (friction.cart_viscous_n_s_m, friction.cart_coulomb_n, friction.cart_static_n) == (0.7, 0.2, 0.2)
    assert cart.sources["friction.cart_coulomb_n"] == "robot.urdf: joint 'slide'"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '<mass value="0.3"/>',
            '<mass value="heavy"/>',
            "link 'rod' has value = 'heavy', expected a number; correct it",
        ),
        ('<mass value="0.3"/>', '<mass value="${m}"/>', "expand the xacro file first"),
        ('<mass value="0.3"/>', '<mass value="-0.3"/>', "link 'rod' has a mass of -0.3 kg"),
        ('<mass value="0.3"/>', '<mass value="1e400"/>', "expected a number"),
        ('xyz="0 0.3 0.02"', 'xyz="0 0.3"', "xyz = '0 0.3', expected three numbers"),
        ('type="revolute"', 'type="prismatic"', "a cart-pole has one prismatic and one revolute or continuous"),
        ('name="screw" type="fixed"', 'name="screw" type="continuous"', "moves on the joints 'slide' (prismatic)"),
        (
            'parent link="motor"',
            'parent link="rail"',
            "joint 'hinge' is on link 'rail', expected it on the cart",
        ),
        ('child link="rod"', 'child link="stick"', "a joint names the link 'stick', which does not exist"),
        ('<axis xyz="2 0 0"/>', '<axis xyz="0 0 1"/>', "expected a level track"),
        ('<axis xyz="2 0 0"/>', '<axis xyz="0 0 0"/>', "joint 'slide' has an axis of length 0"),
        ('<axis xyz="0 0 1"/>', '<axis xyz="1 0 0"/>', "expected level and across the track"),
        ('upper="0.4"', 'upper="0.5"', "slides from -0.4 m to 0.5 m"),
        ("</robot>", "", "is not XML"),
        ("<robot", '<!DOCTYPE r [<!ENTITY a "b">]><robot', "declares a document type"),
        ("maker's", "x" * (1 << 20), "is larger than 1 MB"),
        ('name="floor"', 'name="slide"', "has two joints called 'slide'; rename one"),
        ('name="bob"', 'name="rod"', "has two links called 'rod'; rename one"),
        ("robot", "model", "begins with <model>, expected <robot>"),
    ],
)
def test_what_is_no_cart_pole_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in ROBOT
    path = written(tmp_path, ROBOT.replace(old, new))
    with pytest.raises(UsageError, match=f"robot.urdf: .*{re.escape(message)}"):
        read_urdf_file(path)


def test_document_type_in_another_encoding_is_refused(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE r [<!ENTITY m "0.5">]>' + ROBOT.partition("?>")[2]
    path = tmp_path / "robot.urdf"
    path.write_bytes(text.replace('value="0.5"', 'value="&m;"').encode("utf-16"))
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        read_urdf_file(path)


def test_thousands_of_fixed_links_are_joined_in_a_moment(tmp_path: Path) -> None:
    count = 9000
    links = "".join(f'<link name="{k}"/>' for k in range(count))
    joints = "".join(
        f'<joint name="{k}" type="fixed"><parent link="{k - 1 if k else "rod"}"/><child link="{k}"/></joint>'
        for k in range(count)
    )
    body = read_urdf_file(written(tmp_path, ROBOT.replace("</robot>", links + joints + "</robot>")))
    assert len(body.tensors) == count + 4
    assert body.pole_mass_kg == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('izz="0.009"', 'izz="1"', "has the principal inertias 1e-05, 0.009 and 1 kg m², which no body has"),
        ('ixx="0.009" iyy="0.00001"', 'ixx="-1" iyy="1"', "which no body has"),
        ('ixx="0.009" iyy="0.00001" izz="0.009"', 'ixx="1" iyy="1" izz="1"', "pole_inertia_kg_m2 = 1.00675, expected"),
        ('<mass value="0.5"/>', '<mass value="50000"/>', "cart_mass_kg = 50000.2, expected 0.0001 to 10000 kg"),
        ('xyz="0 0.3 0.02"', 'xyz="0 300 0.02"', "pole_half_length_m = 225.15, expected 0.001 to 100 m"),
    ],
)
def test_numbers_that_no_body_has_are_reported_and_refused(
    tmp_path: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, ROBOT.replace(old, new))
    assert main(["carts", "show", str(path)]) == 2
    printed, errors = capsys.readouterr()
    assert "pole_inertia_kg_m2" in printed
    assert message in errors
    written(tmp_path, GYM.replace("format = 1", 'format = 1\nurdf = "robot.urdf"'), "mine.toml")
    with pytest.raises(UsageError, match=re.escape(message)):
        load_cart(tmp_path / "mine.toml")


@pytest.mark.parametrize("kind", ["cart.toml", "robot.urdf"])
def test_missing_urdf_is_named(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, GYM.replace("format = 1", 'format = 1\nurdf = "robot.urdf"'), "cart.toml")
    assert main(["carts", "show", str(tmp_path / kind)]) == 2
    assert "robot.urdf: no such URDF; check the path" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("pole_inertia_kg_m2 = 1.0", "[pole_cart]: pole_inertia_kg_m2 = 1, expected more than 0 and at most 0.025"),
        ("pole_inertia_kg_m2 = 0.0333", "is it about the hinge? then write 0.0083"),
        ("pole_mass_kg = 0.2\npole_half_length_m = 250", "pole_half_length_m = 250, expected 0.001 to 100 m"),
        ("cart_mass_kg = 1e-6", "cart_mass_kg = 1e-06, expected 0.0001 to 10000 kg; is it in another unit?"),
    ],
)
def test_cart_file_with_numbers_that_no_body_has_is_refused(tmp_path: Path, lines: str, message: str) -> None:
    text = GYM.replace("gravity_m_s2 = 9.8", f"gravity_m_s2 = 9.8\n{lines}")
    with pytest.raises(UsageError, match=re.escape(message)):
        load_cart(written(tmp_path, text, "mine.toml"))


def test_inertia_of_a_bob_and_of_two_ends_is_accepted(tmp_path: Path) -> None:
    for inertia in (1e-9, 0.025):
        text = GYM.replace("gravity_m_s2 = 9.8", f"gravity_m_s2 = 9.8\npole_inertia_kg_m2 = {inertia}")
        assert load_cart(written(tmp_path, text, "mine.toml")).pole_cart.pole_inertia_kg_m2 == inertia


def test_ranges_that_draw_an_impossible_inertia_are_refused(tmp_path: Path, gym_cart: CartParams) -> None:
    path = written(tmp_path, "format = 1\n[pole_cart]\npole_inertia_kg_m2 = { factor = [1.0, 4.0] }\n", "ranges.toml")
    with pytest.raises(UsageError, match=r"no cart can be drawn with .*at most 0\.025"):
        load_randomization(path, gym_cart)


def test_urdf_in_place_of_a_cart_file_and_a_path_that_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r'my\.urdf: is a URDF, expected a cart file; name it in one \(urdf = "my.urdf"\)'
    ):
        load_cart(tmp_path / "my.urdf")
    with pytest.raises(UsageError, match="has a null byte in its name, expected the path of a URDF"):
        read_urdf_file(tmp_path / "a\0b")
