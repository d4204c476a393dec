from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply
from cartpole_robot.cart.randomization import load_randomization, randomization_from_dict, ranges_names
from cartpole_robot.env import ENV_ID
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.signals import State
from cartpole_robot.simulation.delay import CommandDelay

WIDE = """
format = 1
[pole_cart]
cart_mass_kg = { factor = [0.8, 1.2] }
pole_half_length_m = { factor = [0.7, 1.3] }
[motor]
stall_force_n = { factor = [0.5, 1.5] }
[friction]
cart_coulomb_n = { factor = [0.5, 1.5] }
pole_viscous_n_m_s = { between = [0.0, 1e-3] }
[delay]
latency_s = { between = [0.0, 0.03] }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "wide.toml"
    path.write_text(WIDE)
    return path


def strong(cart: CartParams) -> CartParams:
    """A cart whose actions reach beyond the dead zone and friction however they are drawn."""
    return dataclasses.replace(cart, action_duties=(-0.4, 0.4))


EVERYTHING = """
format = 1
[pole_cart]
cart_mass_kg = { factor = [0.8, 1.2] }
pole_mass_kg = { factor = [0.6, 1.4] }
pole_half_length_m = { factor = [0.7, 1.3] }
gravity_m_s2 = { factor = [0.9, 1.1] }
[motor]
stall_force_n = { factor = [0.7, 1.5] }
back_emf_n_s_m = { factor = [0.5, 1.5] }
dead_zone_duty = { between = [0.0, 0.1] }
gain_asymmetry = { between = [-0.1, 0.1] }
lag_s = { between = [0.0, 0.02] }
[friction]
cart_coulomb_n = { factor = [0.2, 1.5] }
cart_viscous_n_s_m = { between = [0.0, 2.0] }
pole_coulomb_n_m = { between = [0.0, 1e-3] }
pole_viscous_n_m_s = { between = [0.0, 1e-3] }
[delay]
latency_s = { between = [0.0, 0.03] }
jitter_s = { between = [0.0, 0.02] }
drop_probability = { between = [0.0, 0.2] }
"""


def test_ranges_that_come_with_the_package_are_found_by_name_and_are_no_cart() -> None:
    cart = strong(load_cart("diy_arduino"))
    ranges = load_randomization(Path("diy_arduino"), cart).as_dict()
    assert ranges["motor.stall_force_n"] == {"factor": [0.5, 1.5]}
    assert ranges["pole_cart.pole_half_length_m"] == {"factor": [0.7, 1.3]}
    assert ranges["delay.latency_s"] == {"between": [0.0, 0.03]}
    assert set(ranges_names()) <= set(cart_names())
    assert not any("ranges" in name for name in cart_names())
    with pytest.raises(
        UsageError, match=r"ranges 'diy_arduin' are not known; expected one of diy_arduino, diy_stepper, or a .toml"
    ):
        load_randomization(Path("diy_arduin"), cart)


def test_shipped_ranges_refuse_the_carts_own_two_weak_duties() -> None:
    with pytest.raises(UsageError, match="use a stronger action"):
        load_randomization(Path("diy_arduino"), load_cart("diy_arduino"))


def trajectory(cart: CartParams, rig: Any, rng: np.random.Generator) -> list[tuple[float, ...]]:
    """True state and motor power at each of 60 ticks."""
    rig.reset(State(0.02, 0.1, 0.1, -0.2), rng)
    duties = np.random.default_rng(7).choice(cart.action_duties, 60)
    return [(rig.step(float(duty)).motor_power_w, *rig.true_state()) for duty in duties]


@pytest.mark.parametrize("name", ["diy_arduino", "quanser_ip02", "sensorsini"])
def test_drawn_cart_moves_as_a_rig_made_for_it(name: str, tmp_path: Path) -> None:
    """Every number is changed in a running engine; a fresh one made for the drawn cart moves the same."""
    file = tmp_path / "everything.toml"
    file.write_text(EVERYTHING)
    cart = dataclasses.replace(load_cart(name), action_duties=(-0.6, 0.6))
    randomization = load_randomization(file, cart)
    drawing = simulated_rig(cart, randomization)
    seen = set()
    for seed in range(6):
        moved = trajectory(cart, drawing, np.random.default_rng(seed))
        drawn = drawing.episode_cart
        seen.add(drawn.fingerprint())
        made = simulated_rig(drawn)
        rng = np.random.default_rng(seed)
        rng.random(len(randomization.ranges))
        np.testing.assert_allclose(moved, trajectory(drawn, made, rng), rtol=1e-9, atol=1e-9)
        made.close()
    assert len(seen) == 6
    drawing.close()


def states(cart: CartParams, rig: Any, seed: int) -> list[State]:
    rig.reset(State(0.02, 0.1, 0.1, -0.2), np.random.default_rng(seed))
    return [rig.step(float(duty)).state() for duty in np.random.default_rng(7).choice(cart.action_duties, 60)]


def test_drawn_ideal_cart_moves_to_floating_point_rounding_as_one_made_for_it(tmp_path: Path) -> None:
    cart = load_cart("gym")
    path = tmp_path / "poles.toml"
    path.write_text("format = 1\n[pole_cart]\npole_half_length_m = { factor = [0.5, 2.0] }\n")
    rig = simulated_rig(cart, load_randomization(path, cart))
    for seed in range(5):
        moved = states(cart, rig, seed)
        made = simulated_rig(rig.episode_cart)
        np.testing.assert_allclose(moved, states(cart, made, seed), atol=1e-12)
        assert rig.episode_cart.pole_cart.pole_half_length_m != 0.5
        made.close()
    rig.close()


def test_draws_repeat_by_seed_stay_within_their_ranges_and_fill_them(file: Path) -> None:
    cart = strong(load_cart("diy_arduino"))
    randomization = load_randomization(file, cart)
    drawn = [randomization.draw(np.random.default_rng(seed)) for seed in range(300)]
    assert drawn[5] == randomization.draw(np.random.default_rng(5))
    forces = [each.motor.stall_force_n / cart.motor.stall_force_n for each in drawn]
    assert 0.5 <= min(forces) < 0.52
    assert 1.48 < max(forces) <= 1.5
    assert np.mean(forces) == pytest.approx(1.0, abs=0.05)
    latencies = [each.delay.latency_s for each in drawn]
    assert 0.0 <= min(latencies) < 0.001
    assert 0.029 < max(latencies) <= 0.03
    assert {each.delay.apply for each in drawn} == {Apply.NEXT_TICK}


def test_dependent_parameters_follow_the_drawn_ones(file: Path) -> None:
    cart = strong(load_cart("diy_arduino"))
    randomization = load_randomization(file, cart)
    for seed in range(20):
        drawn = randomization.draw(np.random.default_rng(seed))
        body, nominal = drawn.pole_cart, cart.pole_cart
        ratio = body.pole_half_length_m / nominal.pole_half_length_m
        assert body.pole_inertia_kg_m2 == pytest.approx(nominal.pole_inertia_kg_m2 * ratio**2)
        assert drawn.friction.cart_static_n / drawn.friction.cart_coulomb_n == pytest.approx(1.3)
        assert (drawn.action_duties, drawn.limits, drawn.timing) == (cart.action_duties, cart.limits, cart.timing)


def test_dead_zones_of_both_sides_keep_their_ratio(tmp_path: Path) -> None:
    cart = strong(load_cart("diy_arduino"))
    cart = dataclasses.replace(cart, motor=dataclasses.replace(cart.motor, dead_zone_asymmetry_duty=0.02))
    path = tmp_path / "ranges.toml"
    path.write_text("format = 1\n[motor]\ndead_zone_duty = { factor = [0.5, 1.5] }\n")
    for seed in range(20):
        motor = load_randomization(path, cart).draw(np.random.default_rng(seed)).motor
        assert motor.right_dead_zone_duty / motor.left_dead_zone_duty == pytest.approx(5.0)
    path.write_text("format = 1\n[motor]\ndead_zone_asymmetry_duty = { between = [-0.03, 0.04] }\n")
    with pytest.raises(
        UsageError, match=r"dead_zone_asymmetry_duty = 0\.04.*expected at most 0\.5 and at most dead_zone"
    ):
        load_randomization(path, cart)


def test_environment_draws_a_cart_per_episode_from_the_seed_of_reset(file: Path) -> None:
    cart = strong(load_cart("diy_arduino"))
    env = gymnasium.make(ENV_ID, cart=cart, randomization=file)
    env.reset(seed=3)
    first = env.unwrapped.episode_cart
    env.reset()
    second = env.unwrapped.episode_cart
    env.reset(seed=3)
    assert first == env.unwrapped.episode_cart != second
    assert env.unwrapped.cart == cart
    env.close()


def test_randomization_survives_its_record(file: Path) -> None:
    cart = strong(load_cart("diy_arduino"))
    randomization = load_randomization(file, cart)
    again = randomization_from_dict(randomization.as_dict(), cart, where="here")
    assert again.draw(np.random.default_rng(1)) == randomization.draw(np.random.default_rng(1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[motor]\nstall_force_n = { factor = [0.8, 1.2] }", "has no format, expected 1"),
        ("format = 1", "holds no range"),
        ("format = 1\n[limits]\ncart_position_m = { factor = [0.8, 1.2] }", "unknown key 'limits'"),
        ("format = 1\n[motor]\nforce = { factor = [0.8, 1.2] }", "unknown key 'force'"),
        ("format = 1\n[motor]\nstall_force_n = [0.8, 1.2]", "expected { factor = [low, high] }"),
        ("format = 1\n[motor]\nstall_force_n = { factor = [1.2, 0.8] }", "from 1.2 to 0.8"),
        ("format = 1\n[motor]\nstall_force_n = { factor = [0.8, nan] }", "from 0.8 to nan"),
        ("format = 1\n[motor]\nstall_force_n = { factor = [0.8] }", "expected two numbers"),
        ("format = 1\n[motor]\nstall_force_n = { factor = [0.05, 1.0] }", "stall_force_n = 1.285: the actions leave"),
        ("format = 1\n[motor]\ndead_zone_duty = { between = [0.0, 0.5] }", "dead_zone_duty = 0.5: the action table"),
        ("format = 1\n[pole_cart]\npole_half_length_m = { factor = [0.1, 9.0] }", "narrower range"),
        ("format = 1\n[pole_cart]\npole_half_length_m = { factor = [0.0, 1.0] }", "pole_half_length_m = 0"),
        ("format = 1\n[pole_cart]\npole_half_length_m = { between = [0.1, 1e200] }", "beyond 1e+12"),
        ("format = 1\n[motor]\nstall_force_n = { between = [9, 1" + "0" * 400 + "] }", "beyond 1e+12"),
        ("format = 1\n[motor]\nsupply_voltage_v = { factor = [0.5, 1.0] }", "draw motor.stall_force_n"),
        ("format = 1\n[delay]\napply = { between = [0, 1] }", "expected a number; leave it out"),
    ],
)
def test_impossible_ranges_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text + "\n")
    with pytest.raises(UsageError) as failure:
        load_randomization(path, strong(load_cart("diy_arduino")))
    assert message in str(failure.value)
    assert str(path) in str(failure.value)
    assert "\n" not in str(failure.value)


def test_ideal_cart_draws_nothing_that_it_would_leave_out(tmp_path: Path) -> None:
    path = tmp_path / "rough.toml"
    path.write_text("format = 1\n[motor]\nback_emf_n_s_m = { between = [0.0, 20.0] }\n")
    with pytest.raises(UsageError, match=r"motor\.back_emf_n_s_m = 20\.0, expected 0\.0"):
        load_randomization(path, load_cart("gym"))


def test_ranges_in_the_docs_suit_the_cart_they_name(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "guides" / "randomisation.md").read_text()
    (text,) = (block for block in page.split("```") if block.startswith("toml\nformat = 1 ") and "factor" in block)
    (tmp_path / "ranges.toml").write_text(text.removeprefix("toml\n"))
    assert load_randomization(tmp_path / "ranges.toml", load_cart("diy_arduino")).draw(np.random.default_rng(0))


def test_drawn_numbers_name_the_ranges_as_their_source(file: Path) -> None:
    cart = strong(load_cart("diy_arduino"))
    sources = load_randomization(file, cart).draw(np.random.default_rng(0)).sources
    assert sources["motor.stall_force_n"] == f"drawn: {file}"
    assert sources["pole_cart.pole_inertia_kg_m2"] == f"drawn: {file}"
    assert sources["motor.back_emf_n_s_m"] == cart.sources["motor.back_emf_n_s_m"]


def test_overtaken_command_is_not_the_newest() -> None:
    cart = load_cart("diy_arduino")
    delay = dataclasses.replace(cart.delay, jitter_s=0.05)
    queue = CommandDelay(delay, cart.timing)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        latencies = [[draw.random(), draw.random()][1] * 0.05 for draw in [np.random.default_rng(seed)] for _ in "12"]
        queue.reset(rng)
        queue.duties(0.1)
        queue.duties(0.2)
        arrived = [(20 * k + 1000 * latency, k) for k, latency in enumerate(latencies) if 20 * k + 1000 * latency <= 40]
        expected = min(((40 - at) / 1000 for at, k in arrived if k == max(k for _, k in arrived)), default=math.nan)
        assert queue.command_age_s == pytest.approx(expected, nan_ok=True), f"seed {seed}"


def test_friction_of_a_cart_without_encoders_is_not_left_out_silently() -> None:
    cart = load_cart("gym")
    rough = dataclasses.replace(cart, friction=dataclasses.replace(cart.friction, cart_viscous_n_s_m=0.5))
    with pytest.raises(UsageError, match=r"friction\.cart_viscous_n_s_m = 0\.5, expected 0\.0"):
        simulated_rig(rough)


def test_command_age_grows_while_commands_are_lost() -> None:
    cart = load_cart("diy_arduino")
    lossy = dataclasses.replace(cart, delay=dataclasses.replace(cart.delay, latency_s=0.004, drop_probability=0.5))
    rig = simulated_rig(lossy)
    assert math.isnan(rig.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(1)).command_age_s)
    ages = [rig.step(0.0).command_age_s for _ in range(40)]
    known = [age for age in ages if not math.isnan(age)]
    assert min(known) == pytest.approx(0.016)
    assert all(age == pytest.approx(0.016 + 0.02 * round((age - 0.016) / 0.02)) for age in known)
    assert max(known) > 0.03
    rig.close()


def test_measurement_holds_tick_clock_and_counts() -> None:
    cart = load_cart("diy_arduino")
    rig = simulated_rig(cart)
    first = rig.reset(State(0.01, 0.0, 0.02, 0.0), np.random.default_rng(0))
    assert (first.tick, first.mcu_time_us, first.cart_counts, first.pole_counts) == (0, 0, 56, 8)
    for _ in range(3):
        measured = rig.step(0.1)
    assert (measured.tick, measured.mcu_time_us) == (3, 60_000)
    assert measured.cart_position_m == pytest.approx(measured.cart_counts / 5555.6)
    rig.close()
