"""Carts with one planted fault each: does the comparison name it first?

python -m benchmarks.planted_faults [--duration-s 20] [--json]

Each cart is `diy_arduino` with one of ten terms changed, by a smaller and a larger amount. `excite` records it on the
virtual rig with its own regulator; the recording is compared with a simulation from `diy_arduino`'s file. The angle's
zero and the encoders' signs are changed in the recording, as a careless import would: the firmware homes by itself and
refuses to drive a cart whose encoder counts the wrong way.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path

from benchmarks.command_line import command
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.compare.attribution import Attribution, attribute
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.open_loop.model import TERMS, freed, identified_delay, model_of
from cartpole_robot.open_loop.series import Series, series_of
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.terminal.progress import progress_bar

CART = "diy_arduino"
FAULTS: dict[str, tuple[float, float]] = {
    "delay": (1.5, 2.0),  # factors of the file's value
    "motor_gain": (0.85, 1.4),
    "damping": (0.8, 1.4),
    "coulomb": (0.6, 2.0),
    "dead_zone": (2.0, 3.0),
    "gain_asymmetry": (-0.05, 0.1),  # the value
    "pole_viscous": (10.0, 30.0),
    "pole_length": (0.9, 1.2),
    "angle_zero": (0.01, 0.03),  # rad
    "encoder_sign": (0.0, 1.0),  # of the pole, of the cart
}
_OF_THE_READING = ("angle_zero", "encoder_sign")


def recorded(term: str, size: float, duration_s: float, folder: Path) -> Series:
    """What `excite` records of the cart with that fault."""
    nominal = load_cart(CART)
    model = freed(model_of(nominal))
    cart = nominal
    if term not in _OF_THE_READING:
        model = TERMS[term].write(model, size if term == "gain_asymmetry" else TERMS[term].read(model) * size)
        delay = identified_delay(model) if term == "delay" else nominal.delay
        cart = dataclasses.replace(model.cart, limits=nominal.limits, action_duties=nominal.action_duties, delay=delay)
    file, recording = folder / f"{term}{size}.toml", folder / f"{term}{size}.parquet"
    write_cart(file, cart)
    command("excite", "--upright", "--cart", file, "--rig", "virtual", "--duration-s", duration_s, "--out", recording)
    series = series_of(read_recording(recording))
    if term == "angle_zero":
        return dataclasses.replace(series, angle_rad=series.angle_rad + size)
    if term == "encoder_sign" and size == 0.0:
        return dataclasses.replace(series, angle_rad=-series.angle_rad)
    if term == "encoder_sign":
        return dataclasses.replace(series, position_m=-series.position_m)
    return series


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration-s", type=float, default=20.0)
    parser.add_argument("--terms", nargs="+", choices=sorted(FAULTS), default=list(FAULTS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: list[tuple[str, float, Attribution]] = []
    model = model_of(load_cart(CART))
    began_s = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        progress_bar(2 * len(arguments.terms), "faults", " faults", quiet=arguments.json) as bar,
    ):
        for term in arguments.terms:
            for size in FAULTS[term]:
                found = attribute(recorded(term, size, arguments.duration_s, Path(folder)), model, Engine.NATIVE)
                assert found is not None
                results.append((term, size, found))
                bar.update()
    first = sum(found.blames[0].term == term for term, _, found in results)
    if arguments.json:
        rows = [{"term": t, "size": s, "found": dataclasses.asdict(a)} for t, s, a in results]
        print(json.dumps({"named_first": first, "faults": rows}, indent=2))
        return
    print(f"  {'planted':<14} {'size':>6}   named first (share of the gap), second")
    for term, size, found in results:
        text = ", ".join(f"{blame.term} {100 * blame.explained:.1f} %" for blame in found.blames[:3])
        print(f"  {term:<14} {size:>6g}   {text}{'' if found.blames[0].term == term else '   <- not first'}")
    print(f"  named first: {first} of {len(results)}")
    print(f"  {(time.monotonic() - began_s) / len(results):.0f} s each, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
