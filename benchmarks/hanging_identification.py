"""Hidden carts, recorded with their pole hanging: what `identify` finds, and what upright excitation would have shown.

python -m benchmarks.hanging_identification [--carts 12] [--seed 2211] [--motion-s 12] [--upright] [--json]

Each cart is `diy_arduino` with a force 0.4 to 2.5 times, all friction 0.5 to 2.5 times and a pole 0.6 to 1.6 times that
of the file (each evenly in its logarithm), a latency of 0 to 30 ms and a dead zone of 0.01 to 0.08. It is behind the
virtual rig, so driver and firmware know the file of `diy_arduino` alone; where the cart does not home, homing gets the
next of `HOMING_DUTIES`, as an owner would give it. The seed 2211 was fixed before any of its carts was
seen; the motion was tuned on seed 7. Printed are, for each parameter, the error against the truth and how many 95 %
intervals hold it; then, whether the regulator and the swing-up of the identified file bring up and balance the hidden
cart. With `--upright`, the same for `excite --upright` with the true parameters, which no owner has.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError, RunError, UsageError
from cartpole_robot.identify.cart_file import identified_cart
from cartpole_robot.identify.identification import IdentifyRequest, identify
from cartpole_robot.open_loop.model import TERMS, Model, freed, identified_delay, model_of
from cartpole_robot.open_loop.series import series_of
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.hanging import HangingRequest, excite_hanging
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from cartpole_robot.signals import State
from cartpole_robot.start import swing_start
from cartpole_robot.terminal.progress import progress_bar

CART = "diy_arduino"
SEED = 2211
HOMING_DUTIES = ((0.25, 0.15), (0.35, 0.25), (0.5, 0.4))  # and the moving duties
REPORTED = (
    *("delay", "motor_gain", "damping", "coulomb", "dead_zone", "saturation", "cart_mass"),
    *("pole_length", "pole_viscous", "pole_coulomb", "angle_zero"),
)
UNITS = {"delay": (0.001, "ms"), "saturation": (1.0, ""), "angle_zero": (0.001, "mrad")}  # of the others: per cent
BALANCED_STEPS = 500


def hidden_cart(seed: int, number: int) -> tuple[CartParams, dict[str, float]]:
    """The cart of that seed and number, and what differs from `diy_arduino`."""
    rng = np.random.default_rng((seed, number))
    nominal = load_cart(CART)
    drawn = {
        name: float(math.exp(rng.uniform(math.log(low), math.log(high))))
        for name, (low, high) in {"force": (0.4, 2.5), "friction": (0.5, 2.5), "length": (0.6, 1.6)}.items()
    }
    drawn["latency_s"], drawn["dead_zone"] = float(rng.uniform(0.0, 0.03)), float(rng.uniform(0.01, 0.08))
    friction = dataclasses.replace(
        nominal.friction,
        **{
            field.name: getattr(nominal.friction, field.name) * drawn["friction"]
            for field in dataclasses.fields(nominal.friction)
        },
    )
    model = freed(model_of(dataclasses.replace(nominal, friction=friction)))
    model = TERMS["pole_length"].write(model, TERMS["pole_length"].read(model) * drawn["length"])
    force_n = drawn["force"] * nominal.motor.stall_force_n
    motor = dataclasses.replace(nominal.motor, stall_force_n=force_n, dead_zone_duty=drawn["dead_zone"])
    delay = identified_delay(dataclasses.replace(model, delay_s=drawn["latency_s"]))
    return dataclasses.replace(model.cart, motor=motor, delay=delay, limits=nominal.limits), drawn


def homed_rig(hidden: CartParams) -> tuple[VirtualRig, CartParams]:
    """The homed rig of that cart, and the cart file that its driver has. Raises `RigError`."""
    nominal = load_cart(CART)
    assert nominal.firmware is not None
    problem: RigError | None = None
    for duty, moving in HOMING_DUTIES:
        firmware = dataclasses.replace(nominal.firmware, homing_duty=duty, moving_duty=moving)
        given = dataclasses.replace(nominal, firmware=firmware)
        rig = VirtualRig(given, plant=hidden)
        rig.takes_any_pole_period = True
        try:
            rig.make_ready_to_swing()
            return rig, given
        except RigError as error:
            problem = error
            rig.close()
    assert problem is not None
    raise problem


def truths(hidden: CartParams, given: CartParams) -> dict[str, float]:
    """The true value of each term, the delay as the firmware of `given` applies commands."""
    model = Model(cart=hidden, delay_s=0.0)
    found = {name: TERMS[name].read(model) for name in REPORTED}
    arrival_s = math.ceil(hidden.delay.latency_s * 1000.0 - 1e-9) / 1000.0
    found["delay"] = given.delay.effect(arrival_s, given.timing.control_period_s)
    return found


def swung_up(hidden: CartParams, identified: CartParams) -> str:
    """What came of a swing-up and `BALANCED_STEPS` of balancing on the hidden cart, with the identified file."""
    try:
        rig = VirtualRig(identified, plant=hidden)
    except (UsageError, ValueError) as error:
        return f"no rig: {error}"
    try:
        start = swing_start(rig)
        measurement = start.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
        driver = start._driver
        for _ in range(BALANCED_STEPS):
            measurement = start.step(
                driver.duty(
                    np.array(
                        (
                            measurement.cart_position_m,
                            measurement.cart_speed_m_s,
                            measurement.pole_angle_rad,
                            measurement.pole_speed_rad_s,
                        )
                    )
                )
            )
    except (RunError, UsageError) as error:
        return str(error)
    finally:
        rig.close()
    return ""


def one(seed: int, number: int, motion_s: float, folder: Path, *, upright: bool) -> dict[str, Any]:
    """The result for one cart."""
    hidden, drawn = hidden_cart(seed, number)
    result: dict[str, Any] = {"cart": number, **drawn}
    out = folder / f"{number}.parquet"
    if upright:
        given = dataclasses.replace(hidden, action_duties=(-1.0, 1.0))
        request = RolloutRequest(
            policy=Path("lqr"),
            rig="virtual",
            cart=given,  # type: ignore[arg-type]
            backend="c",
            seed=number,
            duration_s=motion_s + 4.0,
            out=out,
            excites=True,
            swing_s=4.0,
        )
        series = series_of(record_rollout(request))
        begin = dataclasses.replace(load_cart(CART), delay=given.delay)
    else:
        rig, given = homed_rig(hidden)
        try:
            excited = excite_hanging(rig, HangingRequest(out=out, rig="virtual", seed=number, motion_s=motion_s))
        finally:
            rig.close()
        series, begin = series_of(excited.recording), given
        period = excited.pole_period
        assert period is not None
        result |= {"driven_s": excited.driven_s, "swing_s": excited.swing_s, "farthest_m": excited.farthest_m}
        result["length_by_homing"] = period.half_length_m / hidden.pole_cart.pole_half_length_m
    began_s = time.monotonic()
    found = identify([series], begin, IdentifyRequest())
    result |= {"took_s": time.monotonic() - began_s, "load": os.getloadavg()[0]}
    true = truths(hidden, given)
    result["terms"] = {
        e.term.name: {"true": true[e.term.name], "value": e.value, "low": e.low, "high": e.high}
        for e in found.estimates
        if e.term.name in REPORTED
    }
    if not upright:
        result["problem"] = swung_up(hidden, identified_cart(found, given))
        result["problem_of_true"] = swung_up(hidden, _as_given(hidden, given)) if result["problem"] else ""
    return result


def _as_given(hidden: CartParams, given: CartParams) -> CartParams:
    """The hidden cart with the firmware's settings of `given`."""
    return dataclasses.replace(hidden, firmware=given.firmware, action_duties=(-1.0, 1.0))


def _print_table(results: list[dict[str, Any]]) -> None:
    print(f"  {'':<14} {'median error':>14} {'worst':>14}   intervals that hold the truth")
    for name in REPORTED:
        rows = [result["terms"][name] for result in results if name in result["terms"]]
        if not rows:
            print(f"  {name:<14} not searched for")
            continue
        errors = []
        for row in rows:
            size, unit = UNITS.get(name, (0.01 * row["true"], "%"))
            errors.append(abs(row["value"] - row["true"]) / size)
        held = sum(row["low"] - 1e-9 <= row["true"] <= row["high"] + 1e-9 for row in rows)
        print(f"  {name:<14} {np.median(errors):>9.2f} {unit:<4} {max(errors):>9.2f} {unit:<4}   {held} of {len(rows)}")
    took = [result["took_s"] for result in results]
    print(f"  identify took {np.median(took):.0f} s, {max(took):.0f} s at the most")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carts", type=int, default=12)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--motion-s", type=float, default=12.0)
    parser.add_argument("--upright", action="store_true", help="also excite upright, with the true parameters")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    ways = (False, True) if arguments.upright else (False,)
    found: dict[bool, list[dict[str, Any]]] = {way: [] for way in ways}
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as name, progress_bar(arguments.carts * len(ways), "carts", " runs") as bar:
        for way in ways:
            folder = Path(name) / str(way)
            folder.mkdir()
            for number in range(arguments.first, arguments.first + arguments.carts):
                try:
                    found[way].append(one(arguments.seed, number, arguments.motion_s, folder, upright=way))
                except (RunError, UsageError) as error:
                    failed.append(f"cart {number}, {'upright' if way else 'hanging'}: {error}")
                bar.update()
    if arguments.json:
        print(json.dumps({"hanging": found[False], "upright": found.get(True), "failed": failed}, indent=2))
        return
    for way, results in found.items():
        if not results:
            continue
        print(f"{'upright, by the true parameters' if way else 'hanging, by the file'}: {len(results)} carts")
        _print_table(results)
        if not way:
            hanging = results
            print(f"  driven {np.median([r['driven_s'] for r in hanging]):.1f} s, swung {hanging[0]['swing_s']:.1f} s")
            print(f"  farthest from the middle: {max(r['farthest_m'] for r in hanging):.3f} m")
            lengths = [100.0 * (r["length_by_homing"] - 1.0) for r in hanging]
            print(f"  pole length by homing: {min(lengths):+.1f} to {max(lengths):+.1f} % off")
            up = [r for r in hanging if not r["problem"]]
            print(f"  swung up and balanced {BALANCED_STEPS} steps by the identified file: {len(up)} of {len(hanging)}")
            for r in hanging:
                if r["problem"]:
                    print(f"    cart {r['cart']}: {r['problem']}")
                    print(f"      by the true parameters: {r['problem_of_true'] or 'it does'}")
    for line in failed:
        print(f"  not among them: {line}")
    print(machine_line())


if __name__ == "__main__":
    main()
