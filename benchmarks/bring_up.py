"""Does check-rig name what is wrong with a cart? One planted mistake at a time, and the cart without any.

python -m benchmarks.bring_up [--cart diy_arduino] [--rig virtual] [--profile ideal] [--mistakes NAME ...]
                              [--belts 0] [--json]

check-rig runs on the virtual cart in lockstep, with a simulated operator who does what it asks and reads a voltmeter
that is right. A mistake counts as named where it is the only one that check-rig names; of counts per metre and the dead
zone the measured number must be that of the planted cart too, within 1 % and 20 %. With --belts check-rig also meets
that many belts, each of which skips other teeth.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import time
from collections import Counter
from functools import partial

from cartpole_robot.bring_up.findings import StepResult, Verdict
from cartpole_robot.bring_up.rehearsal import rehearse
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.rigs.open_rig import open_board
from cartpole_robot.simulation.imperfections.bridge import PERIOD_S
from cartpole_robot.simulation.imperfections.imperfect import spoil
from cartpole_robot.simulation.imperfections.profile import Profile, fitting, load_profile
from cartpole_robot.simulation.mistake import Mistake, mistakes_of
from cartpole_robot.simulation.planted_mistakes import built_cart
from cartpole_robot.simulation.virtual_cart import VirtualCart
from cartpole_robot.simulation.wired_board import BeltSlips
from cartpole_robot.terminal.progress import progress_bar

_OTHER_NAMES = {
    **dict.fromkeys((mistake for mistake in Mistake if mistake.startswith("counts-per-metre")), "counts-per-metre"),
    Mistake.DEAD_ZONE_DOUBLED: "dead-zone",
}
_MEASURED = {"encoders.cart_counts_per_m": 0.01, "stepper.steps_per_m": 0.01, "motor.dead_zone_duty": 0.2}


def named(results: list[StepResult]) -> list[str]:
    """The mistakes that check-rig names, each once."""
    return sorted({result.mistake for result in results if result.verdict in (Verdict.WRONG, Verdict.UNKNOWN)})


def is_right(cart: CartParams, mistake: Mistake | None, results: list[StepResult], lost_duty: float) -> bool:
    """Whether exactly that mistake is named, with the number of the cart as it is built.

    Of each pulse the bridge loses `lost_duty`, which adds to the dead zone.
    """
    if mistake is None:
        return all(result.verdict is Verdict.FINE for result in results)
    if named(results) != [_OTHER_NAMES.get(mistake, mistake.value)]:
        return False
    built = built_cart(cart, mistake)
    if mistake not in _OTHER_NAMES:
        return True
    numbers = {key: value for result in results for key, value in result.measured.items() if key in _MEASURED}
    wrong = next(result for result in results if result.verdict is Verdict.WRONG)
    for key in _MEASURED.keys() & wrong.measured.keys():
        section, name = key.split(".")
        true = getattr(getattr(built, section), name) + (lost_duty if section == "motor" else 0.0)
        if abs(numbers[key] - true) > _MEASURED[key] * true:
            return False
    return True


def belt_named(cart: CartParams, seed: int) -> list[str]:
    """What check-rig names of a belt that skips the teeth of that seed."""

    def reseed(virtual: VirtualCart) -> None:
        assert isinstance(virtual.board, BeltSlips)
        virtual.board.reseed(seed)

    with contextlib.redirect_stderr(io.StringIO()):
        return named(rehearse(cart, Mistake.BELT_SLIPS, spoil=reseed))


def _spoil(cart: CartParams, profile: Profile, virtual: VirtualCart) -> None:
    spoil(virtual, cart, profile)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cart", default="diy_arduino")
    parser.add_argument("--rig", choices=("virtual", "avr"), default="virtual")
    parser.add_argument("--profile", default="ideal", help="what else is imperfect about each cart")
    parser.add_argument("--mistakes", nargs="+", choices=list(map(str, Mistake)))
    parser.add_argument("--belts", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cart = load_cart(arguments.cart)
    profile, _ = fitting(load_profile(arguments.profile), cart.motor)
    lost_duty = 0.0 if profile.bridge is None else profile.bridge.pulse_loss_s / PERIOD_S
    possible = mistakes_of(has_stepper=cart.stepper is not None)
    planted: list[Mistake | None] = [None, *map(Mistake, arguments.mistakes or possible)]
    if cart.motor.dead_zone_duty == 0.0 and Mistake.DEAD_ZONE_DOUBLED in planted:
        planted.remove(Mistake.DEAD_ZONE_DOUBLED)  # doubled it is the same
    rows: list[tuple[Mistake | None, list[StepResult]]] = []
    began_s = time.monotonic()
    with progress_bar(len(planted), "bring-up", " carts", quiet=arguments.json) as bar:
        for mistake in planted:
            built = built_cart(cart, mistake)
            with contextlib.redirect_stderr(io.StringIO()), open_board(arguments.rig, built) as board:  # what is asked
                rows.append((mistake, rehearse(cart, mistake, board=board, spoil=partial(_spoil, built, profile))))
            bar.update()
    belts = Counter(", ".join(belt_named(cart, seed)) or "nothing" for seed in range(arguments.belts))
    right = sum(is_right(cart, mistake, results, lost_duty) for mistake, results in rows if mistake is not None)
    passed = sum(not named(results) for mistake, results in rows if mistake is not None)
    if arguments.json:
        carts = [
            {
                "planted": mistake and mistake.value,
                "named": named(results),
                "is_right": is_right(cart, mistake, results, lost_duty),
                "steps": [result.as_dict() for result in results],
            }
            for mistake, results in rows
        ]
        print(
            json.dumps({"named_correctly": right, "reported_as_fine": passed, "belts": belts, "carts": carts}, indent=2)
        )
        return
    print(f"  {'planted':<30} {'':<6} what check-rig found first, and in which step")
    for mistake, results in rows:
        wrong = [result for result in results if result.verdict is not Verdict.FINE]
        first = f"{wrong[0].name}: {wrong[0].message}" if wrong else f"all {len(results)} steps are fine"
        sign = "right" if is_right(cart, mistake, results, lost_duty) else "WRONG"
        print(f"  {mistake or 'nothing':<30} {sign:<6} {first}")
    print(f"  named correctly: {right} of {len(rows) - 1}; reported as fine: {passed}")
    if belts:
        print(f"  {arguments.belts} belts: {', '.join(f'{name} {count}' for name, count in belts.most_common())}")
    print(f"  {(time.monotonic() - began_s) / len(rows):.1f} s each, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
