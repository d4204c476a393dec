"""How far the native engine's motion is from PyBullet's, over shipped and randomised carts.

    python -m benchmarks.engine_equality [--carts 200] [--windows 10] [--seed 0] [--json]

Each window is half a second of random duties, without delay, compared after every physics step. Windows are counted by
what happens in them: the cart reached an end of its track, stood still (dry friction held it), or neither. A window in
which one engine's cart stood or hit the end and the other's did not, because rounding decided it, is listed on its own.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import enum
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay, Timing
from cartpole_robot.cart.stepper import Drive
from cartpole_robot.open_loop.model import freed, model_of
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.signals import State
from cartpole_robot.simulation.cart import STANDING_M_S
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.terminal.progress import progress_bar

WINDOW_S = 0.5
BOUND = 1e-9  # m, m/s, rad and rad/s, after a window


class Kind(enum.StrEnum):
    """What happens in a window."""

    FREE = "free"
    STICTION = "stiction"
    END_STOP = "end stop"
    ROUNDING = "decided by rounding"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """One comparison: the largest difference of any signal during it, and at its end."""

    cart: str
    number: int
    kind: Kind
    largest: float
    at_end: float


def randomised(number: int, seed: int) -> CartParams:
    """A cart with a DC motor whose every number is drawn, around a shipped cart's; without delay, a step at a time."""
    rng = np.random.default_rng((seed, number))
    names = [name for name in cart_names() if load_cart(name).encoders and load_cart(name).drive is Drive.DC]
    cart = load_cart(names[number % len(names)])

    def factor(low: float, high: float) -> float:
        return float(math.exp(rng.uniform(math.log(low), math.log(high))))

    body, motor, friction = cart.pole_cart, cart.motor, cart.friction
    coulomb_n = rng.choice((0.0, 1.0)) * 0.1 * motor.stall_force_n * rng.uniform()
    weight = body.coupling_kg_m * body.gravity_m_s2
    drawn = dataclasses.replace(
        freed(model_of(cart)).cart,
        name=f"{cart.name} {number}",
        pole_cart=dataclasses.replace(
            body,
            cart_mass_kg=body.cart_mass_kg * factor(0.3, 3.0),
            pole_mass_kg=body.pole_mass_kg * factor(0.3, 3.0),
            pole_half_length_m=body.pole_half_length_m * factor(0.4, 2.5),
            pole_inertia_kg_m2=body.pole_inertia_kg_m2 * factor(0.2, 5.0),
        ),
        motor=dataclasses.replace(
            motor,
            stall_force_n=motor.stall_force_n * factor(0.3, 3.0),
            back_emf_n_s_m=motor.back_emf_n_s_m * factor(0.3, 3.0),
            dead_zone_duty=rng.uniform(0.0, 0.2),
            saturation=rng.choice((0.0, 1.0)) * rng.uniform(0.0, 0.19),
            lag_s=rng.choice((0.0, 1.0)) * rng.uniform(0.0005, 0.05),
            brakes_at_zero=bool(rng.integers(2)),
        ),
        friction=dataclasses.replace(
            friction,
            cart_viscous_n_s_m=rng.choice((0.0, 1.0)) * rng.uniform(0.0, 5.0),
            cart_coulomb_n=coulomb_n,
            cart_static_n=coulomb_n * rng.uniform(1.0, 2.0),
            pole_viscous_n_m_s=rng.choice((0.0, 1.0)) * 0.01 * weight * rng.uniform(),
            pole_coulomb_n_m=rng.choice((0.0, 1.0)) * 0.01 * weight * rng.uniform(),
        ),
    )
    asymmetric = dataclasses.replace(
        drawn.motor,
        gain_asymmetry=rng.choice((0.0, 1.0)) * rng.uniform(-0.3, 0.3),
        dead_zone_asymmetry_duty=rng.choice((0.0, 1.0)) * rng.uniform(-1.0, 1.0) * drawn.motor.dead_zone_duty,
    )
    return stepwise(dataclasses.replace(drawn, motor=asymmetric))


def stepwise(cart: CartParams) -> CartParams:
    """`cart` without delay, its control period one physics step."""
    step_s = cart.timing.physics_step_s
    timing = Timing(physics_step_s=step_s, control_period_s=step_s)
    limits = dataclasses.replace(cart.limits, arming_angle_rad=1e-6)
    return dataclasses.replace(cart, delay=Delay(apply=Apply.AT_ONCE), timing=timing, limits=limits)


def start_of(cart: CartParams, rng: np.random.Generator) -> State:
    """Standing, sliding or about to hit an end; the pole upright, hanging or rotating."""
    end_m = cart.limits.end_stop_m or 2.0
    place = rng.integers(3)
    position_m = rng.uniform(-1.0, 1.0) * end_m if place else rng.choice((-1.0, 1.0)) * end_m * rng.uniform(0.97, 1.0)
    speed_m_s = 0.0 if place == 1 else rng.uniform(-1.0, 1.0)
    angle_rad = rng.choice((rng.uniform(-0.2, 0.2), math.pi + rng.uniform(-0.5, 0.5), rng.uniform(-math.pi, math.pi)))
    return State(
        position_m, speed_m_s, float(angle_rad), rng.choice((0.0, rng.uniform(-1.0, 1.0), rng.uniform(-12, 12)))
    )


def duties_of(steps: int, rng: np.random.Generator) -> list[float]:
    """Duties that hold for up to a tenth of the window; many are 0, small or full."""
    duties: list[float] = []
    while len(duties) < steps:
        duty = rng.choice((0.0, rng.uniform(-0.1, 0.1), rng.uniform(-1.0, 1.0), rng.choice((-1.0, 1.0))))
        duties += [float(duty)] * int(rng.integers(1, max(2, steps // 10)))
    return duties[:steps]


def compared(cart: CartParams, windows: int, seed: int) -> Iterator[Window]:
    """The windows of one cart."""
    rng = np.random.default_rng((seed, 1))
    steps = round(WINDOW_S / cart.timing.physics_step_s)
    end_m = cart.limits.end_stop_m if cart.encoders is not None else None
    with (
        contextlib.closing(simulated_rig(cart, engine=Engine.PYBULLET)) as reference,
        contextlib.closing(simulated_rig(cart, engine=Engine.NATIVE)) as native,
    ):
        for number in range(windows):
            start, duties = start_of(cart, rng), duties_of(steps, rng)
            for rig in (reference, native):
                rig.reset(start, np.random.default_rng(0))
            largest = at_end = 0.0
            events: set[Kind] = set()
            for duty in duties:
                states = []
                for rig in (reference, native):
                    rig.step(duty)
                    states.append(rig.true_state())
                at_end = max(abs(one - other) for one, other in zip(*states, strict=True))
                largest = max(largest, at_end)
                stands = [abs(state.cart_speed_m_s) < STANDING_M_S for state in states]
                hits = [end_m is not None and abs(state.cart_position_m) >= end_m for state in states]
                events |= {Kind.STICTION} if any(stands) else set()
                events |= {Kind.END_STOP} if any(hits) else set()
                if stands[0] != stands[1] or hits[0] != hits[1]:
                    events.add(Kind.ROUNDING)
            kind = next((k for k in (Kind.ROUNDING, Kind.END_STOP, Kind.STICTION) if k in events), Kind.FREE)
            if kind is Kind.ROUNDING and largest <= BOUND:  # an event a step earlier or later that changes nothing
                kind = Kind.END_STOP if Kind.END_STOP in events else Kind.STICTION
            yield Window(cart=cart.name, number=number, kind=kind, largest=largest, at_end=at_end)


def all_windows(carts: int, windows: int, seed: int) -> Iterator[Window]:
    """Those of every shipped cart, then of `carts` randomised ones."""
    for name in cart_names():
        yield from compared(stepwise(load_cart(name)), windows, seed)
    for number in range(carts):
        yield from compared(randomised(number, seed), windows, seed + number)


def summary(found: list[Window]) -> dict[str, Any]:
    """For each kind the number of windows and the largest difference at a window's end."""
    record: dict[str, Any] = {"windows": len(found), "bound": BOUND}
    for kind in Kind:
        mine = [window for window in found if window.kind is kind]
        record[kind.value] = {
            "windows": len(mine),
            "largest": max((window.at_end for window in mine), default=None),
            "beyond_bound": sum(window.at_end > BOUND for window in mine),
        }
    record["listed"] = [dataclasses.asdict(w) for w in found if w.kind is Kind.ROUNDING or w.at_end > BOUND]
    return record


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carts", type=int, default=200, help="randomised carts, besides the shipped ones (200)")
    parser.add_argument("--windows", type=int, default=10, help="windows of each cart (10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    total = arguments.windows * (arguments.carts + len(cart_names()))
    with progress_bar(total, "windows", "", quiet=True) as bar:
        found = []
        for window in all_windows(arguments.carts, arguments.windows, arguments.seed):
            found.append(window)
            bar.update()
    record = summary(found)
    if arguments.json:
        print(json.dumps(record))
        return
    print(f"{'windows of ' + format(WINDOW_S, 'g') + ' s':<22}{'number':>8}{'largest difference at the end':>32}")
    for kind in Kind:
        row = record[kind.value]
        print(
            f"{kind.value:<22}{row['windows']:>8}{'-' if row['largest'] is None else format(row['largest'], '.1e'):>32}"
        )
    for window in record["listed"]:
        print(f"  {window['cart']}, window {window['number']}: {window['kind']}, {window['at_end']:.1e} at the end")
    print(machine_line())


if __name__ == "__main__":
    main()
