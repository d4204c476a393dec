"""Swing-ups from random starts, on the cart of the file and on carts that differ from it.

    python -m benchmarks.swing_up [--cart NAME] [--starts 100] [--seed 2101] [--case NAME] [--rig sim] [--json]

A third of the starts hang still, a third swing, a third rotate as after a fall; the cart stands anywhere within 90 % of
its limit. A start succeeds when the pole is upright and the cart in its start spread for ten steps, within 10 s.
The motor cools for a minute before each start (for ever on the rig sim, not at all on the rig avr); --in-a-row keeps
the controller's heat.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_load import machine_line
from benchmarks.placed_swing import PlacedSwing
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.drawing.swing_up import SwingStep, draw_swing_up
from cartpole_robot.errors import RigError
from cartpole_robot.policy.swing_model import SwingModel
from cartpole_robot.policy.swing_up import HEAT_TIME_S, Phase, SwingUpController, SwingUpDesign
from cartpole_robot.policy.swing_up_design import design_swing_up
from cartpole_robot.policy.track import track_of
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.task import observation
from cartpole_robot.terminal.progress import progress_bar

CARTS = ("diy_arduino", "quanser_ip02", "sensorsini", "diy_stepper")
SEED = 2101
MOST_S = 10.0


def cases(cart: CartParams) -> Iterator[tuple[str, CartParams]]:
    """What the rig simulates while the controller knows `cart`."""
    body, friction, delay = cart.pole_cart, cart.friction, cart.delay
    yield "exact", cart
    for sign, factor in (("-", 0.8), ("+", 1.2)):
        if cart.stepper is None:  # a stepper accelerates as its pulses say
            motor = dataclasses.replace(cart.motor, stall_force_n=factor * cart.motor.stall_force_n)
            yield f"force {sign}20 %", dataclasses.replace(cart, motor=motor)
        rubbing = {name: factor * value for name, value in dataclasses.asdict(friction).items()}
        yield f"friction {sign}20 %", dataclasses.replace(cart, friction=dataclasses.replace(friction, **rubbing))
        other = dataclasses.replace(
            body,
            pole_half_length_m=factor * body.pole_half_length_m,
            pole_inertia_kg_m2=factor**2 * body.pole_inertia_kg_m2,
        )
        yield f"length {sign}20 %", dataclasses.replace(cart, pole_cart=other)
    # A command that arrives late within its control period waits for the next: whole periods with next_tick
    period_s = cart.timing.control_period_s
    late = dataclasses.replace(delay, latency_s=max(delay.latency_s, 0.5 * period_s) + 0.02)
    yield "20 ms later", dataclasses.replace(cart, delay=late)


def open_rig(name: str, cart: CartParams, plant: CartParams) -> LockstepRig | PlacedSwing:
    """The rig called `name`, simulating `plant`, which a firmware takes for `cart`."""
    return simulated_rig(plant, engine=Engine.NATIVE) if name == "sim" else PlacedSwing(name, cart, plant)


def start_state(cart: CartParams, number: int, rng: np.random.Generator) -> State:
    """A start of the kind number % 3: hanging still, swinging, rotating."""
    natural = SwingModel(cart).rate_hanging_rad_s
    x = 0.9 * cart.limits.cart_position_m * rng.uniform(-1.0, 1.0)
    angle, rate = ((0.05, 0.1), (1.5, 1.0 * natural), (1.5, 3.0 * natural))[number % 3]
    return State(x, 0.0, math.pi + angle * rng.uniform(-1.0, 1.0), rate * rng.uniform(-1.0, 1.0))


@dataclasses.dataclass(kw_only=True)
class Swing:
    """What one swing-up showed; `settled_s` and `caught_s` are infinite where it failed."""

    settled_s: float = math.inf
    caught_s: float = math.inf
    farthest_m: float = 0.0
    stopping_m: float = 0.0
    hottest: float = 0.0
    heat: float = 0.0  # at the end
    reversals_per_s: float = 0.0
    catches: int = 0
    work_s: float = 0.0
    fault: str | None = None


def swing_up(
    controller: SwingUpController, rig: LockstepRig | PlacedSwing, start: State, rng: np.random.Generator, heat: float
) -> Swing:
    """One swing-up from `start`, with the motor at `heat`, a mean of duty²."""
    period_s, track, found = rig.cart.timing.control_period_s, track_of(rig.cart), Swing(hottest=heat)
    try:
        measurement = rig.reset(start, rng)
    except RigError as error:
        found.fault = str(error)
        return found
    controller.reset()
    keep, side, reversals, pumping = math.exp(-period_s / HEAT_TIME_S), 0.0, 0, 0
    steps = 0
    for steps in range(1, round(MOST_S / period_s) + 1):
        seen, before = observation(measurement), time.process_time()
        duty = controller.duty(seen)
        if controller.phase is Phase.PUMP:
            found.work_s += time.process_time() - before
            pumping += 1
        elif found.caught_s == math.inf:
            found.caught_s = steps * period_s
        try:
            measurement = rig.step(duty)
        except RigError as error:
            found.fault = str(error)
            break
        at_bridge = rig.cart.bridge_duty(duty)
        heat = keep * heat + (1.0 - keep) * at_bridge * at_bridge
        reversals += duty * side < 0.0
        side = duty or side
        x, v, _, _ = rig.true_state()
        found.farthest_m = max(found.farthest_m, abs(x))
        found.stopping_m = max(found.stopping_m, abs(x + v * abs(v) / (2.0 * track.brake_m_s2)))
        found.hottest = max(found.hottest, heat)
        if controller.is_settled():
            found.settled_s = steps * period_s
            break
    found.heat = heat
    found.catches, found.reversals_per_s, found.work_s = (
        controller.catches,
        reversals / (steps * period_s),
        found.work_s / max(1, pumping),
    )
    return found


def picture(cart: CartParams, design: SwingUpDesign, path: Path) -> None:
    """Draw one swing-up from a hanging pole, and a second of balance."""
    controller, rig, rng = (
        SwingUpController(cart, design),
        simulated_rig(cart, engine=Engine.NATIVE),
        np.random.default_rng(0),
    )
    measurement = rig.reset(State(0.5 * cart.limits.cart_position_m, 0.0, math.pi, 0.0), rng)
    steps, left = [], round(1.0 / cart.timing.control_period_s)
    while left and len(steps) * cart.timing.control_period_s < MOST_S:
        state, duty = rig.true_state(), controller.duty(observation(measurement))
        steps.append(SwingStep(state=state, duty=duty, phase=controller.phase))
        measurement = rig.step(duty)
        left -= controller.phase is Phase.BALANCE
    draw_swing_up(steps, cart, path)


def measured(name: str, cart: CartParams, plant: CartParams, arguments: argparse.Namespace) -> dict[str, Any]:
    """The row of one case."""
    controller = SwingUpController(cart, arguments.designs[cart.name])
    rig, rng = open_rig(arguments.rig, cart, plant), np.random.default_rng(arguments.seed)
    swings: list[Swing] = []
    heat = 0.0
    for number in range(arguments.starts):
        if not arguments.in_a_row:
            controller.rest(rig.rest_s if isinstance(rig, PlacedSwing) else math.inf)
        swings.append(swing_up(controller, rig, start_state(cart, number, rng), rng, heat))
        heat = swings[-1].heat if arguments.in_a_row else 0.0
    rig.close()
    settled = [swing.settled_s for swing in swings]
    return {
        "cart": cart.name,
        "case": name,
        "successes": sum(math.isfinite(each) for each in settled),
        "starts": len(swings),
        "median s": float(np.median(settled)),
        "p90 s": float(np.quantile(settled, 0.9, method="higher")),
        "worst s": max(settled),
        "hanging still, median s": float(np.median(settled[::3])),
        "caught, median s": float(np.median([swing.caught_s for swing in swings])),
        "most catches": max(swing.catches for swing in swings),
        "farthest m": max(swing.farthest_m for swing in swings),
        "limit m": cart.limits.cart_position_m,
        "stopping m": max(swing.stopping_m for swing in swings),
        "travel limit m": cart.firmware.travel_limit_m if cart.firmware is not None else None,
        "hottest": max(swing.hottest for swing in swings),
        "bearable": cart.firmware.continuous_duty**2 if cart.firmware is not None else None,
        "reversals/s": max(swing.reversals_per_s for swing in swings),
        "faults": [swing.fault for swing in swings if swing.fault is not None],
        "ms a step": 1e3 * float(np.median([swing.work_s for swing in swings])),
    }


def line(row: dict[str, Any]) -> str:
    """One row as text."""
    travel = f"/{row['travel limit m']:.2f}" if row["travel limit m"] is not None else ""
    bearable = f"/{row['bearable']:.2f}" if row["bearable"] is not None else ""
    return (
        f"{row['cart']:<13}{row['case']:<16}{row['successes']:>4}/{row['starts']:<5}"
        f"{row['median s']:6.2f}{row['p90 s']:6.2f}{row['worst s']:6.2f}{row['hanging still, median s']:7.2f}"
        f"{row['caught, median s']:7.2f}{row['most catches']:3d}  {row['farthest m']:.3f}/{row['limit m']:.2f}"
        f"  {row['stopping m']:.3f}{travel:<6}{row['hottest']:6.3f}{bearable:<6}"
        f"{row['reversals/s']:6.1f}{row['ms a step']:6.2f}"
    )


def main() -> None:
    """Print one line for each cart and case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cart", action="append", help=f"a cart ({', '.join(CARTS)})")
    parser.add_argument("--case", action="append", help="a case by its name, such as 'exact' or 'force -20 %%' (all)")
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rig", default="sim", choices=("sim", "virtual", "avr"))
    parser.add_argument("--in-a-row", action="store_true", help="the motor keeps its heat from start to start")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--picture", type=Path, help="draw one swing-up of the first cart to this PNG, and end")
    arguments = parser.parse_args()
    carts = [load_cart(name) for name in arguments.cart or CARTS]
    arguments.designs = {cart.name: design_swing_up(cart) for cart in carts}
    if arguments.picture is not None:
        picture(carts[0], arguments.designs[carts[0].name], arguments.picture)
        return
    chosen = [(c, name, plant) for c in carts for name, plant in cases(c) if name in (arguments.case or [name])]
    if not arguments.json:
        print(
            "cart         case             upright  median  p90 worst  still caught  n  farthest/limit  stopping/limit"
            " hottest/bearable reversals/s ms a step",
            flush=True,
        )
    rows = []
    with progress_bar(len(chosen), "cases", "", quiet=arguments.json) as bar:
        for cart, name, plant in chosen:
            rows.append(measured(name, cart, plant, arguments))
            bar.update()
            if not arguments.json:
                print("\n".join((line(rows[-1]), *rows[-1]["faults"])), flush=True)
    print(json.dumps(rows) if arguments.json else machine_line())


if __name__ == "__main__":
    main()
