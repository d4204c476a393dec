"""Terminal speed, stall force, coast-down and free-swing period of each cart against their closed forms.

    python -m benchmarks.closed_forms

Terminal speed and coast-down use a pole of 0.1 g, the swing a cart held by friction, so the formulas are exact and the
comparison covers motor, friction and plant together.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Encoders, Friction
from cartpole_robot.signals import State
from cartpole_robot.simulation.cart import SimulatedCart
from cartpole_robot.simulation.plant import Plant

FINE = Encoders(cart_counts_per_m=1e7, pole_counts_per_turn=10_000_000)


def without_pole(cart: CartParams) -> CartParams:
    """The cart with a pole of 0.1 g and an endless track."""
    body = dataclasses.replace(cart.pole_cart, pole_mass_kg=1e-4, pole_inertia_kg_m2=1e-6)
    limits = dataclasses.replace(cart.limits, end_stop_m=None)
    return dataclasses.replace(cart, pole_cart=body, limits=limits)


def terminal_speed(cart: CartParams) -> tuple[float, float]:
    """(simulated, closed form) speed in m/s at full duty after 12 time constants."""
    damping = cart.motor.back_emf_n_s_m + cart.friction.cart_viscous_n_s_m
    expected = (cart.motor.stall_force_n - cart.friction.cart_coulomb_n) / damping
    simulated = started(without_pole(cart), 0.0)
    run(simulated, 1.0, round(12_000 * cart.pole_cart.cart_mass_kg / damping))
    return simulated.state().cart_speed_m_s, expected


def stall_force(cart: CartParams) -> tuple[float, float]:
    """(simulated, closed form) force in N at full duty on a cart at rest, from its speed after a millisecond.

    The back-EMF that builds up meanwhile is removed with v = F / B (1 - exp(-B t / m)), the motor's lag likewise.
    """
    frictionless = dataclasses.replace(without_pole(cart), friction=Friction())
    simulated = started(frictionless, 0.0)
    run(simulated, 1.0, 1)
    damping, lag_s, step_s = cart.motor.back_emf_n_s_m, cart.motor.lag_s, 0.001
    reached = 1.0 - math.exp(-step_s / lag_s) if lag_s > 0.0 else 1.0
    rise = damping * step_s / cart.pole_cart.cart_mass_kg
    grown = -math.expm1(-rise) / rise if rise > 0.0 else 1.0
    acceleration = simulated.state().cart_speed_m_s / step_s / grown / reached
    return acceleration * cart.pole_cart.cart_mass_kg, cart.motor.stall_force_n


def coast_down(cart: CartParams) -> tuple[float, float]:
    """(simulated, closed form) time in s in which a cart at duty 0 slows from 0.5 m/s to 0.1 m/s."""
    motor, friction, mass = cart.motor, cart.friction, cart.pole_cart.cart_mass_kg
    damping = friction.cart_viscous_n_s_m + (motor.back_emf_n_s_m if motor.brakes_at_zero else 0.0)
    asymptote = friction.cart_coulomb_n / damping
    expected = mass / damping * math.log((0.5 + asymptote) / (0.1 + asymptote))
    simulated = started(without_pole(cart), 0.5)
    before = after = 0.5
    steps = 0
    while after > 0.1:
        before = after
        run(simulated, 0.0, 1)
        steps += 1
        after = simulated.state().cart_speed_m_s
    return (steps - (0.1 - after) / (before - after)) * 0.001, expected


def swing_period(cart: CartParams) -> tuple[float, float]:
    """(simulated, closed form) period in s of small swings about hanging: cart held, no dry friction."""
    held = Friction(cart_coulomb_n=1e6, cart_static_n=1e6, pole_viscous_n_m_s=cart.friction.pole_viscous_n_m_s)
    body = cart.pole_cart
    hinge = body.pole_inertia_kg_m2 + body.pole_mass_kg * body.pole_half_length_m**2
    stiffness = body.pole_mass_kg * body.pole_half_length_m * body.gravity_m_s2
    decay = held.pole_viscous_n_m_s / (2.0 * hinge)
    expected = 2.0 * math.pi / math.sqrt(stiffness / hinge - decay**2)
    plant = Plant(body, 0.001, friction=held)
    plant.place(State(0.0, 0.0, math.pi + 0.02, 0.0))
    crossings: list[float] = []
    previous = 0.02
    for step in range(1, 8000):
        plant.advance(0.0, 1)
        angle = plant.state().pole_angle_rad - math.pi
        if previous < 0.0 <= angle:
            crossings.append((step - angle / (angle - previous)) * 0.001)
        previous = angle
    plant.close()
    return (crossings[-1] - crossings[0]) / (len(crossings) - 1), expected


FIGURES: dict[str, tuple[str, Callable[[CartParams], tuple[float, float]]]] = {
    "terminal speed": ("m/s", terminal_speed),
    "stall force": ("N", stall_force),
    "coast-down": ("s", coast_down),
    "swing period": ("s", swing_period),
}


def started(cart: CartParams, speed_m_s: float) -> SimulatedCart:
    """The cart at mid-track, its pole hanging at rest, moving at `speed_m_s`."""
    simulated = SimulatedCart(cart, FINE)
    simulated.place(State(0.0, speed_m_s, math.pi, 0.0))
    return simulated


def run(simulated: SimulatedCart, duty: float, steps: int) -> None:
    """Run for `steps` milliseconds at that duty."""
    simulated.run([duty] * steps, lambda cart_counts, pole_counts: None)


def main() -> None:
    """Print one row per figure."""
    for name in cart_names():
        cart = load_cart(name)
        if cart.encoders is None:
            continue
        print(name)
        for figure, (unit, measure) in FIGURES.items():
            found, expected = measure(cart)
            print(f"  {figure:<16}{found:10.5f} {unit:<4} closed form {expected:10.5f}  {found / expected - 1.0:+.3%}")
    print(machine_line())


if __name__ == "__main__":
    main()
