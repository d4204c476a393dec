"""`carts new`: a builder's answers become a cart file that loads, homes and balances, each number with its source."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import braking_deceleration_m_s2, encoders_and_settings
from cartpole_robot.cart.new_cart.answers import answered
from cartpole_robot.cart.new_cart.file_text import cart_file_text
from cartpole_robot.cart.new_cart.motors import known_motors
from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rollout.evaluation import evaluate

OWN = {"stall_torque_n_m": 0.3, "no_load_speed_rpm": 1500, "stall_current_a": 4, "rated_voltage_v": 24, "gear_ratio": 4}
BUILDS: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "slower gear": {"motor": "pololu_4758", "pulley_teeth": 40, "track_m": 0.7},
    "slowest gear": {"motor": "pololu_4751", "pulley_radius_mm": 20, "pole_length_m": 0.4},
    "a rack": {
        **{"motor": "quanser_ip02", "pulley_radius_mm": 6.35, "supply_voltage_v": 12, "track_m": 0.8},
        **{
            "encoder_wheel_radius_mm": 14.83,
            "cart_encoder_counts_per_turn": 1024,
            "pole_encoder_counts_per_turn": 4096,
        },
    },
    "a motor of one's own": {
        **OWN,
        **{"pulley_teeth": 30, "cart_encoder_on": "pulley", "cart_encoder_counts_per_turn": 1200, "pole_mass_kg": 0.15},
    },
}


STEPPERS: dict[str, dict[str, Any]] = {
    "the defaults": {"drive": "stepper"},
    "a large motor on a large pulley": {
        **{"holding_torque_n_m": 1.9, "rated_current_a": 4.2, "phase_inductance_mh": 3.8, "rotor_inertia_g_cm2": 460},
        **{"pulley_teeth": 40, "cart_mass_kg": 0.8, "pole_length_m": 0.7, "track_m": 1.2},
    },
    "a module at 12 V": {
        **{"holding_torque_n_m": 0.45, "rated_current_a": 1.5, "supply_voltage_v": 12, "least_pulse_us": 0.1},
        **{"pulses_per_turn": 1600, "track_m": 0.6, "pole_length_m": 0.35, "enable_is_low": True},
    },
    "0.9 degrees a step": {
        **{
            "full_steps_per_turn": 400,
            "pulses_per_turn": 800,
            "alarm_level": "low",
            "pole_encoder_counts_per_turn": 4096,
        },
        **{"pole_mass_kg": 0.2, "pulley_pitch_mm": 3, "estop_cuts_supply": False},
    },
}


def written(folder: Path, given: dict[str, Any]) -> tuple[CartParams, list[str]]:
    text, notes = cart_file_text(answered(given, where="test"))
    path = folder / "built.toml"
    path.write_text(text, encoding="utf-8")
    return load_cart(path), notes


@pytest.mark.parametrize(
    "given", [*BUILDS.values(), *STEPPERS.values()], ids=[*BUILDS, *(f"stepper: {name}" for name in STEPPERS)]
)
def test_a_cart_from_parts_homes_and_balances_under_its_firmware(given: dict[str, Any], tmp_path: Path) -> None:
    cart, notes = written(tmp_path, given)
    assert notes == []
    env, regulator = CartPoleEnv(cart=cart, rig="virtual"), regulator_of(cart)
    result = evaluate(
        regulator.duty,
        env,
        episodes=2,
        first_seed=2_000_000,
        max_steps=500,
        take_step=env.step_duty,
        on_reset=regulator.reset,
    )
    env.close()
    assert result.steps == (500, 500), result.faults


@pytest.mark.parametrize("name", BUILDS)
def test_limits_leave_the_stopping_distance_and_name_their_sources(name: str, tmp_path: Path) -> None:
    cart, _ = written(tmp_path, BUILDS[name])
    _, firmware = encoders_and_settings(cart)
    assert cart.limits.cart_position_m < firmware.travel_limit_m <= firmware.switch_m - 0.02
    assert cart.terminal_speed_m_s**2 / (2.0 * braking_deceleration_m_s2(cart)) < 2.0 * firmware.travel_limit_m
    assert firmware.moving_duty < firmware.homing_duty <= 0.5
    assert 0.03 <= firmware.homing_speed_m_s <= 0.15
    assert all(cart.sources.values())
    assert firmware.estop_cuts_supply
    assert firmware.illegal_edges_most == 8
    assert cart.sources["motor.stall_force_n"].startswith("computed: ")


@pytest.mark.parametrize("name", STEPPERS)
def test_a_stepper_keeps_a_third_of_its_torque_and_the_timer_within_its_rate(name: str, tmp_path: Path) -> None:
    cart, _ = written(tmp_path, STEPPERS[name])
    stepper, firmware = cart.stepper, cart.firmware
    assert stepper is not None
    assert firmware is not None
    assert stepper.needed_n(cart.pole_cart, cart.friction) <= 0.67 * stepper.force_at(stepper.maximum_speed_m_s)
    assert stepper.steps_per_m * stepper.maximum_speed_m_s <= 20_000
    assert stepper.maximum_acceleration_m_s2 >= 3.0
    assert cart.limits.cart_position_m < firmware.travel_limit_m
    assert firmware.switch_m - firmware.travel_limit_m >= 0.02 - 1e-9
    assert min(map(abs, cart.action_duties)) * stepper.maximum_acceleration_m_s2 == pytest.approx(2.25, rel=0.05)
    assert all(cart.sources.values())
    assert cart.sources["stepper.pull_out_force_n"].startswith("computed: 0.6 (assumed)")


def test_the_defaults_of_a_stepper_are_the_diy_stepper(tmp_path: Path) -> None:
    cart, _ = written(tmp_path, {"drive": "stepper", "pole_mass_kg": 0.1})
    found, known = cart.stepper, load_cart("diy_stepper").stepper
    assert found is not None
    assert known is not None
    for name in ("steps_per_m", "microsteps", "maximum_speed_m_s", "pulse_width_s", "direction_setup_s", "settling_s"):
        assert getattr(found, name) == getattr(known, name), name
    for name in ("maximum_acceleration_m_s2", "pull_out_force_n", "corner_speed_m_s", "pull_in_speed_m_s"):
        assert getattr(found, name) == pytest.approx(getattr(known, name), rel=0.07), name
    assert (found.enable_is_low, found.alarm_is_low) == (True, None)


def test_the_level_of_an_alarm_output_is_the_answer(tmp_path: Path) -> None:
    for level, is_low in (("low", True), ("high", False)):
        cart, _ = written(tmp_path, {"alarm_level": level})
        assert cart.stepper is not None
        assert cart.stepper.alarm_is_low is is_low


@pytest.mark.long
def test_a_cart_from_parts_swings_up_within_its_supply(tmp_path: Path, command_line: Any) -> None:
    cart, _ = written(tmp_path, {"supply_voltage_v": 12})
    assert cart.firmware is not None
    assert cart.firmware.supply_max_v == 20.0
    words = ["--rig", "virtual", "--start", "swing-up", "--duration-s", 1, "--out", tmp_path / "swung.parquet"]
    done = command_line("record", "lqr", "--cart", tmp_path / "built.toml", *words)
    assert done.returncode == 0, done.stderr


def test_the_defaults_are_the_diy_cart(tmp_path: Path) -> None:
    cart, _ = written(tmp_path, {"pole_mass_kg": 0.1})
    diy = load_cart("diy_arduino")
    for section, name in (
        *(("motor", "stall_force_n"), ("pole_cart", "cart_mass_kg"), ("encoders", "cart_counts_per_m")),
        *(("friction", "cart_coulomb_n"), ("pole_cart", "pole_inertia_kg_m2"), ("motor", "back_emf_n_s_m")),
    ):
        found, known = (getattr(getattr(each, section), name) for each in (cart, diy))
        assert found == pytest.approx(known, rel=0.05), name
    assert cart.action_duties == diy.action_duties


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"track_m": 940}, ("track_m = 940", "0.4 to 5 m", "another unit")),
        ({"pulley_teeth": 12.5}, ("pulley_teeth = 12.5", "a whole number")),
        ({"motor": "pololu"}, ("motor = 'pololu'", "pololu_4757")),
        ({"stall_torque_n_m": 1}, ("no_load_speed_rpm is missing", "rpm")),
        ({"motor": "pololu_4757", "gear_ratio": 3}, ("gear_ratio counts only where motor = own",)),
        ({"pulley_teeth": 20, "pulley_radius_mm": 6}, ("pulley_radius_mm counts only where pulley_teeth = 0",)),
        ({"pole_wall_mm": 7}, ("pole_wall_mm = 7", "at most 6")),
        ({"supply_voltage_v": 24}, ("supply_voltage_v = 24", "at most 18 V")),
        ({"cart_mass_kg": True}, ("cart_mass_kg = True", "0.01 to 50 kg")),
        ({"cart_mass": 1}, ("unknown key 'cart_mass'",)),
        ({"cart_encoder_on": "pulley"}, ("cart_encoder_counts_per_turn is missing",)),
        ({"cart_encoder_counts_per_turn": 2400}, ("edges a second", "at most 200000")),
        ({"motor": "pololu_4845"}, ("too slow", "0.26 m/s", "0.3 m/s")),
        ({"cart_mass_kg": 50}, ("too weak", "25.7 N")),
        ({"drive": "servo"}, ("drive = 'servo'", "dc, stepper")),
        ({"drive": "stepper", "motor": "pololu_4758"}, ("motor counts only where drive = dc",)),
        ({"drive": "dc", "holding_torque_n_m": 1}, ("holding_torque_n_m counts only where drive = stepper",)),
        (
            {"drive": "stepper", "cart_encoder_counts_per_turn": 64},
            ("cart_encoder_counts_per_turn counts only where drive = dc",),
        ),
        ({"pulses_per_turn": 500}, ("pulses_per_turn = 500", "multiple of the 200 full steps")),
        ({"pulses_per_turn": 6400}, ("pulses_per_turn = 6400", "0.12 m/s", "at most 2667 pulses")),
        (
            {"pulses_per_turn": 20, "full_steps_per_turn": 20, "pulley_radius_mm": 60},
            ("pulses_per_turn = 20", "53.05 steps/m", "expected at least"),
        ),
        ({"drive": "stepper", "cart_mass_kg": 20}, ("too weak", "N at 0.3 m/s", "to push 20.")),
        ({"drive": "stepper", "alarm_level": "off"}, ("alarm_level = 'off'", "none, low, high")),
        ({"drive": "stepper", "least_setup_us": 500}, ("least_setup_us = 500", "0 to 100 us")),
        (
            {"track_m": 0.4, "pulley_teeth": 60, "cart_mass_kg": 1},
            ("track_m = 0.4, expected at least", "before each switch"),
        ),
    ],
)
def test_answers_that_make_no_cart_are_refused_with_both_numbers(given: dict[str, Any], parts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        cart_file_text(answered(given, where="parts.toml"))
    for part in parts:
        assert part in str(refused.value)


def test_parts_at_the_edge_are_written_with_a_note(tmp_path: Path) -> None:
    _, notes = written(
        tmp_path, {"cart_encoder_on": "pulley", "cart_encoder_counts_per_turn": 64, "pole_mass_kg": 0.01}
    )
    assert any("CART_STUCK" in note for note in notes)
    assert any("POLE_STUCK" in note for note in notes)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"pole_encoder_counts_per_turn": 1200, "pole_length_m": 1.1}, ("MOTOR_HOT", "at least 1780 counts")),
        (
            {"drive": "stepper", "pole_encoder_counts_per_turn": 1200, "pole_length_m": 1.1},
            ("POLE_SIGN", "at least 1780 counts"),
        ),
        ({"drive": "stepper", "pole_length_m": 0.2}, ("within 15 mrad", "POLE_PERIOD", "heavier pole")),
        ({"drive": "stepper", "cart_mass_kg": 0.05}, ("the rotor, seen at the belt, weighs 0.202 kg", "larger pulley")),
    ],
)
def test_a_note_names_the_part_that_may_end_in_a_fault(
    given: dict[str, Any], named: tuple[str, ...], tmp_path: Path
) -> None:
    _, (note,) = written(tmp_path, given)
    for part in named:
        assert part in note


def test_a_pole_that_its_hinge_holds_may_stand_still_for_longer(tmp_path: Path) -> None:
    short, _ = written(tmp_path, {"drive": "stepper", "pole_length_m": 0.3, "pole_encoder_counts_per_turn": 4096})
    usual, _ = written(tmp_path, {"drive": "stepper"})
    assert short.firmware is not None
    assert usual.firmware is not None
    assert short.firmware.still_travel_m > 2.5 * usual.firmware.still_travel_m


def test_each_known_motor_names_its_sources() -> None:
    for name, motor in known_motors().items():
        assert len(motor.sources) == 9, name
        assert all(motor.sources.values())


@pytest.fixture
def dialogue(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], int]]]:
    """`carts new` at a terminal, in `tmp_path`, and the end of the terminal at which its operator sits."""
    opened: list[tuple[subprocess.Popen[str], int]] = []

    def begin() -> tuple[subprocess.Popen[str], int]:
        operator, terminal = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "cartpole_robot", "carts", "new", "--out", "mine.toml", "--json"],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        os.close(terminal)
        opened.append((process, operator))
        return process, operator

    yield begin
    for process, operator in opened:
        process.kill()
        os.close(operator)


def test_a_wrong_answer_is_asked_again_and_enter_takes_the_default(dialogue: Any, tmp_path: Path) -> None:
    process, operator = dialogue()
    os.write(operator, b"dc\npololu_4758\n12\n40\n2\nmotor\n\n\n940\n0.8\n" + b"\n" * 10)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "track_m = 940, expected 0.4 to 5 m; is it in another unit?" in err
    assert '"name": "mine"' in out
    cart = load_cart(tmp_path / "mine.toml")
    assert cart.firmware is not None
    assert cart.firmware.switch_m == 0.4
    assert "entered" in cart.sources["firmware.switch_m"]
    assert "default" in cart.sources["encoders.pole_counts_per_turn"]


def test_a_stepper_is_asked_for_its_driver_and_for_no_encoder(dialogue: Any, tmp_path: Path) -> None:
    process, operator = dialogue()
    os.write(operator, b"stepper\n1.2\n\n\n\n\n500\n1600\n" + b"\n" * 20)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "pulses_per_turn = 500, expected a whole multiple" in err
    assert "Known motors" not in err
    assert "cart's encoder" not in err
    assert '"steps_per_m": 40000' in out
    cart = load_cart(tmp_path / "mine.toml")
    assert cart.stepper is not None
    assert cart.stepper.microsteps == 8
    assert cart.stepper.maximum_speed_m_s == 0.5


def test_ctrl_c_and_an_end_of_the_answers_leave_nothing_behind(dialogue: Any, tmp_path: Path) -> None:
    stopped, operator = dialogue()
    os.write(operator, b"\npololu_4758\n")
    asked = ""
    while not asked.endswith("driver, V"):
        asked += stopped.stderr.read(1)
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(timeout=60) == 1
    ended, operator = dialogue()
    os.write(operator, b"\npololu_4758\n\x04")
    assert ended.wait(timeout=60) == 1
    assert list(tmp_path.iterdir()) == []


def test_help_lists_the_figures_that_motors_are_chosen_by(command_line: Callable[..., Any]) -> None:
    text = " ".join(command_line("carts", "new", "--help").stdout.split())
    for name, motor in known_motors().items():
        assert f"{name}: gear {motor.gear_ratio:g}:1, {motor.no_load_speed_rpm:g} rpm and " in text
    assert "encoder 64 counts a turn" in text
    assert "10 V, no encoder" in text


def test_a_file_that_exists_is_not_touched(tmp_path: Path, command_line: Any) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("mine")
    done = command_line("carts", "new", "--track-m", 0.8, "--out", path)
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert path.read_text() == "mine"
