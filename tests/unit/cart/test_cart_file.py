from __future__ import annotations

import math
import re
from importlib import resources
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import SECTIONS
from cartpole_robot.errors import UsageError

GYM = resources.files("cartpole_robot.cart.known").joinpath("gym.toml").read_text(encoding="utf-8")


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_gym_cart_is_that_of_the_blog_and_of_gymnasium() -> None:
    cart = load_cart("gym")
    assert (cart.pole_cart.cart_mass_kg, cart.pole_cart.pole_mass_kg) == (1.0, 0.1)
    assert cart.pole_cart.pole_half_length_m == 0.5
    assert cart.pole_cart.gravity_m_s2 == 9.8
    assert cart.pole_cart.pole_inertia_kg_m2 == pytest.approx(0.1 * 1.0**2 / 12.0, abs=1e-15)
    assert [duty * cart.motor.stall_force_n for duty in cart.action_duties] == [-10.0, 10.0]
    assert (cart.timing.physics_step_s, cart.timing.control_period_s) == (0.02, 0.02)
    assert cart.limits.cart_position_m == 2.4
    assert cart.limits.pole_angle_rad == 12 * 2 * math.pi / 360


def test_forces_of_actions_are_those_to_their_side(tmp_path: Path) -> None:
    text = GYM.replace("stall_force_n = 10.0", "stall_force_n = 10.0\ngain_asymmetry = 0.25")
    cart = load_cart(written(tmp_path, text.replace("[-10.0, 10.0]", "[-6.0, 10.0]")))
    assert cart.action_duties == (-0.8, 0.8)
    assert [cart.motor.level(duty) * cart.motor.stall_force_n for duty in cart.action_duties] == [
        pytest.approx(-6.0),
        pytest.approx(10.0),
    ]


def test_every_number_of_every_cart_names_its_source() -> None:
    for name in cart_names():
        cart = load_cart(name)
        for section in (name for name in SECTIONS if getattr(cart, name) is not None):
            for key in vars(getattr(cart, section)):
                assert cart.sources[f"{section}.{key}"], f"{name}: {section}.{key}"


def test_other_pole_without_inertia_is_a_uniform_rod(tmp_path: Path) -> None:
    text = GYM.replace(
        "gravity_m_s2 = 9.8", "gravity_m_s2 = 9.81\npole_mass_kg = 0.2\npole_half_length_m = 0.3\ncart_mass_kg = 0.7"
    )
    body = load_cart(written(tmp_path, text)).pole_cart
    assert body.pole_inertia_kg_m2 == pytest.approx(0.2 * 0.3**2 / 3.0)
    assert (body.cart_mass_kg, body.gravity_m_s2) == (0.7, 9.81)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stall_force_n = 10.0", "stall_force_n = 1" + "0" * 400, "[motor] stall_force_n is beyond 1e+12"),
        ("gravity_m_s2 = 9.8", "gravity_m_s2 = 9.8\npole_half_length_m = 1e200", "pole_half_length_m is beyond 1e+12"),
        ("force_n = [-10.0, 10.0]", "force_n = [-10.0, 1" + "0" * 400 + "]", "expected a list of numbers"),
        (
            "force_n = [-10.0, 10.0]",
            "duty = [-1, -0.9, -0.8, -0.7, -0.6, -0.5, 0.5, 0.6, 1]",
            "has 9 entries, expected 2 to 8",
        ),
        ("physics_step_s = 0.02", "physics_step_s = 1e-300", "physics_step_s = 1e-300"),
        ("format = 1", "format = true", "format = True, expected 1"),
        ("force_n = [-10.0, 10.0]", "force_n = " + "[" * 5000 + "]" * 5000, "nests too deep"),
        ("[limits]", "[limit]", "unknown key 'limit'; expected one of"),
        ("gravity_m_s2", "gravity", "[pole_cart]: unknown key 'gravity'; expected one of"),
        ("stall_force_n = 10.0", "stall_force_n = -10.0", "[motor]: stall_force_n = -10, expected"),
        ("stall_force_n = 10.0", 'stall_force_n = "ten"', "[motor] stall_force_n = 'ten', expected a number"),
        ("stall_force_n = 10.0", "stall_force_n = true", "[motor] stall_force_n = True, expected a number"),
        ("stall_force_n = 10.0", "stall_force_n = nan", "[motor]: stall_force_n = nan, expected"),
        ("stall_force_n = 10.0", "", "[motor]: stall_force_n is missing"),
        ("force_n = [-10.0, 10.0]", "force_n = 10.0", "[actions] force_n = 10.0, expected a list"),
        ("force_n = [-10.0, 10.0]", "force_n = [-20.0, 10.0]", "asks for duty -2, expected -1 to 1"),
        ("force_n = [-10.0, 10.0]", "", "[actions]: found nothing, expected either duty or force_n"),
        ("control_period_s = 0.02", "control_period_s = 0.03", "control period 0.03 s is not a whole number of 0.02 s"),
        ("format = 1", "format = 2", "format = 2, expected 1"),
        ("format = 1", "", "has no format, expected 1"),
        ("[start]", "[start", "is not valid TOML"),
        (
            'cart_speed_m_s = { value = 2.0, source = "assumed: round figure for the speeds of a balancing cart" }',
            'cart_speed_m_s = { source = "assumed" }',
            "[observation_scale] cart_speed_m_s: value is missing",
        ),
    ],
)
def test_bad_cart_file_is_named_with_key_value_and_expectation(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GYM
    path = written(tmp_path, GYM.replace(old, new, 1))
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        load_cart(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_number_without_a_source_is_refused(tmp_path: Path) -> None:
    text = re.sub(r'^source = ".*"$', "", GYM, flags=re.MULTILINE)
    with pytest.raises(UsageError, match="gravity_m_s2 names no source; add source"):
        load_cart(written(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere/cart.toml", "no such cart file"), ("lost.toml", "no such cart file"), ("jim", "expected one of .*gym")],
)
def test_missing_cart_is_named(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_cart(name)


def test_folder_and_binary_are_no_cart_files(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is a folder"):
        load_cart(tmp_path / "folder.toml")
    with pytest.raises(UsageError, match="is not text"):
        load_cart(tmp_path / "binary.toml")


@pytest.mark.parametrize(("speed", "is_in_time"), [("0.0104", False), ("0.0105", True)])
def test_dc_cart_that_homes_too_slowly_for_the_firmware_is_refused(
    tmp_path: Path, speed: str, is_in_time: bool
) -> None:
    """From the middle of a track of 0.94 m, two lengths of it within 180 s."""
    text = resources.files("cartpole_robot.cart").joinpath("known", "diy_arduino.toml").read_text(encoding="utf-8")
    path = tmp_path / "slow.toml"
    path.write_text(text.replace("homing_speed_m_s = 0.15", f"homing_speed_m_s = {speed}"), encoding="utf-8")
    if is_in_time:
        assert load_cart(path).firmware.homing_speed_m_s == float(speed)
        return
    with pytest.raises(UsageError, match=r"homing_speed_m_s = 0\.0104 takes 180\.8 s .* allows 180 s; home at"):
        load_cart(path)
