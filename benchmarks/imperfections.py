"""How much imperfection a policy and the regulator bear: the virtual cart with more and more of each, until they fall.

    python -m benchmarks.imperfections RUN [--episodes 20] [--picture runs/imperfections.png]

First every imperfection of the profile workbench alone, then all of them, then the profiles with FTDI chips: 500 steps
an episode, on fresh seeds, four episodes for each cart, which is switched on and homed before. An episode that does not
begin, because homing fails or the cart refuses to arm, counts as lost. Then sweeps of one amount at a time, and of all
of them by a common factor. At last what a reset costs, and what the profile costs this machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.imperfect_episodes import CART, FIRST_SEED, STEPS, WORKBENCH, Trials, only, scaled
from benchmarks.machine_load import machine_line
from cartpole_robot.campaign.killed_host import fast_cart
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.policy.backend import LQR
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.signals import State
from cartpole_robot.simulation.imperfections.imperfect import spoil
from cartpole_robot.simulation.imperfections.profile import IDEAL, Profile, load_profile
from cartpole_robot.simulation.workers import WorkerPool
from firmware_bridge.protocol import read_protocol

PARTS = ("table", "sweeps", "costs")
Make = Callable[[float], Profile]


@dataclass(frozen=True)
class Sweep:
    """One amount: its values, the profile for each, and its value in the profile workbench."""

    name: str
    unit: str
    amounts: tuple[float, ...]
    make: Make
    workbench: float


SWEEPS = (
    Sweep(
        "USB flush timer",
        "ms",
        (1, 4, 8, 16, 24, 32, 40, 48, 64),
        lambda ms: only("usb", flush_s=ms / 1000, packet_bytes=4096),  # nothing but the timer sends
        4.096,
    ),
    Sweep("switch bounce", "ms", (6, 50, 100, 250, 500, 1000), lambda ms: only("contacts", bounce_s=ms / 1000), 6.2),
    Sweep("encoder chatter", "counts", (0.1, 0.3, 0.5, 1, 1.5, 2, 3, 4), lambda n: only("encoders", counts=n), 0.3),
    Sweep("pulse loss", "µs", (0.7, 1, 2, 3, 4, 5, 6), lambda us: only("bridge", pulse_loss_s=us / 1e6), 1.0),
    Sweep("supply's resistance", "Ohm", (0.1, 0.5, 1, 1.5, 2, 3), lambda r: only("supply", source_ohm=r), 0.1),
    Sweep("capacitor", "µF", (2200, 1000, 470, 220, 100), lambda uf: only("supply", bulk_f=uf / 1e6), 2200),
    Sweep("5 V rail", "V", (5, 4.75, 4.5, 4.25, 4, 3.75, 3.5, 3.25, 3.1, 2.9), lambda v: only("rail", rail_v=v), 4.75),
    Sweep("belt play", "mm", (0.25, 0.5, 1, 1.5, 2, 3, 4), lambda mm: only("belt", play_m=mm / 1000), 0.5),
    Sweep("all of the workbench times", "", (0.5, 1, 1.5, 2, 2.5, 3, 4), scaled, 1.0),
)


def alone_and_together(trials: Trials, policies: dict[str, Path]) -> None:
    """Print the table of the workbench's imperfections, each alone and all together."""
    profiles = {"nothing": IDEAL}
    profiles |= {f"{name} alone": only(name) for name in WORKBENCH.sections}
    profiles |= {name: load_profile(name) for name in ("workbench", "ftdi", "ftdi_slow")}
    begun = {
        (name, who): trials.begin(policy, profile)
        for name, profile in profiles.items()
        for who, policy in policies.items()
    }
    print(f"  {'episodes of 500 steps that lasted':<34}" + "".join(f"{who:<36}" for who in policies))
    for name in profiles:
        print(f"  {name:<34}" + "".join(f"{trials.end(begun[name, who]).text:<36}" for who in policies), flush=True)


Curves = dict[str, dict[str, list[tuple[float, float]]]]


def swept(trials: Trials, policies: dict[str, Path]) -> Curves:
    """Print the table of each sweep; returns, by sweep and policy, the share that lasted at each amount."""
    curves: Curves = {}
    for sweep in SWEEPS:
        print(f"\n  {f'{sweep.name} [{sweep.unit}]' if sweep.unit else sweep.name}")
        begun = {
            (amount, who): trials.begin(policy, sweep.make(amount))
            for amount in sweep.amounts
            for who, policy in policies.items()
        }
        curves[sweep.name] = {who: [] for who in policies}
        for amount in sweep.amounts:
            outcomes = {who: trials.end(begun[amount, who]) for who in policies}
            print(f"  {amount:>12g}{'':<22}" + "".join(f"{done.text:<36}" for done in outcomes.values()), flush=True)
            for who, done in outcomes.items():
                curves[sweep.name][who].append((amount, done.good / done.count))
    return curves


def reset_costs() -> None:
    """Print how far a fast cart rolls on when its board resets, and how far when its e-stop brakes it."""
    cart = fast_cart(load_cart(CART))
    external = int(read_protocol().enums["reset_cause"]["EXTERNAL"])
    for duty in (0.2, 0.35, 0.5):
        rolled_mm = []
        for is_reset in (True, False):
            rig = VirtualRig(cart)
            virtual = rig.virtual_cart
            spoil(virtual, cart, WORKBENCH, FIRST_SEED)
            rig.reset(State(-0.2, 0.0, 0.0, 0.0), np.random.default_rng(0))
            for _ in range(10):
                rig.step(duty)
            begin = virtual.true_state()
            if is_reset:
                virtual.board.restart(external)
            else:
                virtual.is_estop_pressed = True
            for _ in range(500):
                virtual.pass_ms()
            rolled_mm.append(1000.0 * abs(virtual.true_state().cart_position_m - begin.cart_position_m))
            virtual.close()
        print(
            f"  {f'reset at {begin.cart_speed_m_s:.2f} m/s':<34}in half a second the cart rolls {rolled_mm[0]:.0f} mm; "
            f"the e-stop brakes it within {rolled_mm[1]:.0f} mm"
        )


def machine_costs(duration_s: float) -> None:
    """Print what a virtual cart behind a port takes of a processor, in real time."""
    cart = load_cart(CART)
    for name in ("ideal", "workbench"):
        with PtyCart(cart) as pty_cart:
            spoil(pty_cart.cart, cart, load_profile(name))
            began_s, until_s = time.process_time(), time.monotonic() + duration_s
            pty_cart.serve(until=lambda end_s=until_s: time.monotonic() >= end_s)
            used = (time.process_time() - began_s) / duration_s
            begin_s = time.process_time()
            for _ in range(5000):
                pty_cart.cart.pass_ms()
            busy_us = (time.process_time() - begin_s) * 1e6 / 5000
            print(
                f"  {name + ', in real time':<34}{100 * used:.1f} % of a processor, {pty_cart.lost_ms} ms lost in "
                f"{duration_s:g} s; a millisecond of the cart takes {busy_us:.1f} µs"
            )


def draw(curves: Curves, path: Path, title: str) -> None:
    """Write the curves as PNG, replacing an existing file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(3, 3).flat
    styles = (("#2a6f97", "o", "-", 5.5), ("#d1731f", "s", "--", 3.5))
    for number, (panel, sweep) in enumerate(zip(panels, SWEEPS, strict=True)):
        for (who, points), (color, marker, line, size) in zip(curves[sweep.name].items(), styles, strict=False):
            amounts, shares = zip(*points, strict=True)
            panel.plot(
                amounts,
                [100.0 * share for share in shares],
                **{
                    "color": color,
                    "marker": marker,
                    "linestyle": line,
                    "markersize": size,
                    "linewidth": 1.4,
                    "label": who,
                },
            )
        panel.axvline(sweep.workbench, color="#8a8f98", linewidth=1.0, linestyle=":")
        if sweep.name == "capacitor":
            panel.set_xscale("log")
            panel.set_xticks(sweep.amounts, [f"{amount:g}" for amount in sweep.amounts])
            panel.minorticks_off()
        if sweep.name in ("capacitor", "5 V rail"):
            panel.invert_xaxis()
        panel.set_ylim(-6, 106)
        panel.set_yticks((0, 50, 100))
        panel.set_xlabel(f"{sweep.name} [{sweep.unit}]" if sweep.unit else sweep.name)
        if number % 3 == 0:
            panel.set_ylabel("lasted [%]")
        panel.grid(axis="y", color="#e6e8eb", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
        if number == 0:
            panel.legend(frameon=False, fontsize=8, loc="lower left")
    figure.suptitle(title, fontsize=11)
    with atomic_file(path, may_replace=True) as file:
        figure.savefig(file, dpi=130, format="png")


def main() -> None:
    """Print the tables and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run folder of a policy for diy_arduino")
    parser.add_argument("--episodes", type=int, default=20, help="for each amount (default: 20)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--picture", type=Path, default=Path("runs/imperfections.png"))
    arguments = parser.parse_args()
    policies = {"policy": arguments.run, "regulator": Path(LQR)}
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    with WorkerPool(arguments.workers) as pool:
        if "table" in arguments.parts:
            alone_and_together(Trials(pool, 5 * arguments.episodes), policies)
        curves = swept(Trials(pool, arguments.episodes), policies) if "sweeps" in arguments.parts else {}
    if curves:
        title = f"Episodes of {STEPS} steps that lasted, of {arguments.episodes}; dotted: the profile workbench"
        draw(curves, arguments.picture, title)
        print(f"  picture    {arguments.picture}")
    if "costs" in arguments.parts:
        reset_costs()
        machine_costs(10.0)
    print(machine_line())


if __name__ == "__main__":
    main()
