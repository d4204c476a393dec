"""Cart files with a stepper, and what is wrong in them."""

from __future__ import annotations

import dataclasses
import re
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.drive import drive_model
from cartpole_robot.cart.firmware_figures import braking_deceleration_m_s2
from cartpole_robot.cart.listing import key_figures, show_text
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import load_randomization
from cartpole_robot.cart.stepper import Drive
from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import record_from_table
from cartpole_robot.identify.cart_file import cart_as_toml

TEXT = resources.files("cartpole_robot.cart.known").joinpath("diy_stepper.toml").read_text(encoding="utf-8")
MOTOR = '\n[motor]\nstall_force_n = 25.7\nsource = "x"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_duty_is_a_share_of_the_largest_acceleration() -> None:
    cart = load_cart("diy_stepper")
    assert cart.stepper is not None
    assert (cart.drive, load_cart("diy_arduino").drive) == (Drive.STEPPER, Drive.DC)
    assert cart.motor.stall_force_n == pytest.approx(0.65 * 15.0)
    assert drive_model(cart).acceleration_m_s2 == pytest.approx(15.0)
    assert braking_deceleration_m_s2(cart) == 15.0
    assert (cart.terminal_speed_m_s, drive_model(cart).most_speed_m_s) == (1.0, 1.0)
    assert cart.encoders is not None
    assert cart.encoders.cart_counts_per_m == 20_000.0


def test_pull_out_force_falls_with_the_speed() -> None:
    stepper = load_cart("diy_stepper").stepper
    assert stepper is not None
    assert [round(stepper.force_at(speed), 6) for speed in (0.0, -0.3, 0.6, 1.0)] == [55.0, 55.0, 27.5, 16.5]
    assert stepper.full_step_m == pytest.approx(2e-4)
    assert stepper.electrical_period_m == pytest.approx(8e-4)


def test_equivalent_motor_follows_the_body() -> None:
    cart = load_cart("diy_stepper")
    lighter = dataclasses.replace(cart, pole_cart=dataclasses.replace(cart.pole_cart, cart_mass_kg=0.4))
    assert lighter.motor.stall_force_n == pytest.approx(0.5 * 15.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[friction]", MOTOR + "[friction]", "has both [motor] (stall_force_n = 25.7) and [stepper] (steps_per_m = 20"),
        (
            "steps_per_m = { value = 20000.0",
            "steps_per_m = { value = 80000.0",
            "steps_per_m = 80000 at maximum_speed_m_s = 1 is 80000 steps a second, the board's timer makes at most 20",
        ),
        (
            "maximum_acceleration_m_s2 = { value = 15.0",
            "maximum_acceleration_m_s2 = { value = 25.0",
            "stepper.maximum_acceleration_m_s2 = 25 takes 17.8 N with 0.65 kg and friction, and the motor pulls out at "
            "16.5 N at 1 m/s",
        ),
        (
            "maximum_acceleration_m_s2 = { value = 15.0",
            "maximum_acceleration_m_s2 = { value = 250.0",
            "adds 5000 steps a second in each millisecond, expected 1 to 4095",
        ),
        ("microsteps = { value = 4,", "microsteps = { value = 512,", "microsteps = 512, expected 1 to 256"),
        ("settling_s = { value = 0.004", "settling_s = { value = 0.4", "settling_s = 0.4, expected at most 0.05"),
        ("pulse_width_s = { value = 5e-6", "pulse_width_s = { value = 5e-5", "pulse_width_s = 5e-05, expected 1e-06"),
        ("direction_setup_s = { value = 1e-5", "direction_setup_s = { value = 1e-3", "expected at most 0.00025"),
        ("pull_out_force_n = { value = 55.0", "pull_out_force_n = { value = -1", "pull_out_force_n = -1, expected"),
        (
            "pole_counts_per_turn =",
            'cart_counts_per_m = { value = 80000, source = "x" }\npole_counts_per_turn =',
            "encoders.cart_counts_per_m = 80000 differs from stepper.steps_per_m = 20000",
        ),
        ("homing_speed_m_s", "moving_duty = 0.15\nhoming_speed_m_s", "[firmware] moving_duty = 0.15 belongs to a DC"),
        ("homing_speed_m_s", "continuous_duty = 0.5\nhoming_speed_m_s", "[firmware] continuous_duty = 0.5 belongs"),
        ("homing_speed_m_s", "reversals_per_s = 9\nhoming_speed_m_s", "[firmware] reversals_per_s = 9 belongs"),
        ("homing_speed_m_s", "homing_duty = 0.5\nhoming_speed_m_s", "[firmware] homing_duty = 0.5 belongs"),
        ("homing_speed_m_s", "brake_decel_m_s2 = 5.0\nhoming_speed_m_s", "[firmware] brake_decel_m_s2 = 5.0 belongs"),
        ("homing_speed_m_s", "is_cart_reversed = true\nhoming_speed_m_s", "[firmware] is_cart_reversed = True belongs"),
        (
            "duty = { value = [-0.15, 0.15]",
            "force_n = { value = [-3.0, 3.0]",
            "has force_n, expected duty: shares of the largest",
        ),
        (
            "homing_speed_m_s = { value = 0.08",
            "homing_speed_m_s = { value = 0.5",
            "firmware.homing_speed_m_s = 0.5 stops 18.7 mm beyond a switch, and limits.end_stop_m = 0.48 is 10 mm",
        ),
        (
            "homing_speed_m_s = { value = 0.08",
            "homing_speed_m_s = { value = 0.005",
            "firmware.homing_speed_m_s = 0.005 takes 564 s for the 2.82 m of homing on a track of 0.94 m, and the "
            "firmware allows 180 s; home at 0.02 m/s or faster",
        ),
        (
            "homing_speed_m_s = { value = 0.08",
            "homing_speed_m_s = { value = 2.0",
            "firmware.homing_speed_m_s = 2, expected at most stepper.maximum_speed_m_s = 1;",
        ),
        (
            "[-0.15, 0.15]",
            "[-1.5, 1.5]",
            "duty -1.5, expected -1 to 1; lower it, or raise stepper.maximum_acceleration",
        ),
        ("physics_step_s = 0.001", "physics_step_s = 0.002", "timing.physics_step_s = 0.002, expected 0.001"),
    ],
)
def test_bad_stepper_is_named_with_both_values(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        load_cart(written(tmp_path, TEXT.replace(old, new, 1)))
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cart_without_a_drive_is_refused(tmp_path: Path) -> None:
    text = re.sub(r"\[stepper\].*?\n\n", "", TEXT, flags=re.DOTALL)
    with pytest.raises(UsageError, match=r"neither the section \[motor\] nor \[stepper\]"):
        load_cart(written(tmp_path, text))
    values = load_cart("diy_stepper").as_dict()
    del values["stepper"]
    with pytest.raises(UsageError, match=r"neither the section \[motor\] nor \[stepper\]"):
        record_from_table(CartParams, values, where="bundle: cart")


def test_cart_without_encoders_cannot_have_a_stepper(tmp_path: Path) -> None:
    text = re.sub(r"\[(encoders|firmware)\].*?\n\n", "", TEXT, flags=re.DOTALL)
    with pytest.raises(UsageError, match=r"a cart with a \[stepper\] has no \[encoders\]"):
        load_cart(written(tmp_path, text))


def test_numbers_survive_a_record_and_a_file(tmp_path: Path) -> None:
    cart = load_cart("diy_stepper")
    values = cart.as_dict()
    assert "motor" not in values
    assert "stepper" not in load_cart("diy_arduino").as_dict()
    assert record_from_table(CartParams, values, where="bundle: cart") == cart
    again = load_cart(written(tmp_path, cart_as_toml(cart)))
    assert again.fingerprint() == cart.fingerprint()


def test_listing_shows_the_drive_and_no_derived_key() -> None:
    shown = show_text(load_cart("diy_stepper"))
    assert "[stepper]" in shown
    for absent in ("[motor]", "moving_duty", "continuous_duty", "cart_counts_per_m"):
        assert absent not in shown
    assert re.search(r"pull_out_force_n +55 N ", shown)
    assert [key_figures(load_cart(name))["drive"] for name in ("diy_stepper", "gym")] == ["stepper", "dc"]


def test_shipped_ranges_draw_what_the_firmware_does_not_know() -> None:
    cart = load_cart("diy_stepper")
    ranges = load_randomization(Path("diy_stepper"), cart)
    drawn = ranges.draw(np.random.default_rng(1))
    assert drawn.stepper is not None
    assert cart.stepper is not None
    assert drawn.stepper.pull_out_force_n != cart.stepper.pull_out_force_n
    assert drawn.stepper.steps_per_m == cart.stepper.steps_per_m


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[motor]\nstall_force_n = { factor = [0.5, 1.5] }", "motor.stall_force_n belongs to a DC motor"),
        ("[stepper]\nmaximum_acceleration_m_s2 = { factor = [0.5, 1] }", "is what the firmware counts with"),
        ("[stepper]\npull_out_force_n = { factor = [0.1, 1] }", "no cart can be drawn with stepper.pull_out_force_n"),
    ],
)
def test_ranges_that_no_stepper_has_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        load_randomization(written(tmp_path, "format = 1\n" + text), load_cart("diy_stepper"))


def test_ranges_of_a_stepper_are_refused_for_a_dc_motor() -> None:
    with pytest.raises(
        UsageError, match=r"stepper\.\w+ belongs to a stepper, and the cart 'diy_arduino' has a DC motor"
    ):
        load_randomization(Path("diy_stepper"), load_cart("diy_arduino"))
