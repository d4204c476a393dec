"""The verbs for a cart on a port: `ports`, `check-rig`, `jog`, `virtual-cart`."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from pathlib import Path

from cartpole_robot.commands import options
from cartpole_robot.commands.output import DONE, FAILED, print_result, print_text
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.open_rig import SIMULATED_BOARDS
from cartpole_robot.terminal.interrupts import stopped_by_signals


def add_ports(ports: Parser) -> None:
    """Declare the arguments of `ports`."""
    examples(ports, "")
    ports.set_defaults(run=_ports, extra="sim")
    ports.add_argument("--no-probe", action="store_true", help="do not open the ports: opening resets an Arduino Uno")
    options.json(ports)


def add_check_rig(check: Parser) -> None:
    """Declare the arguments of `check-rig`."""
    examples(check, "--port /dev/ttyACM0 --cart my_cart.toml --arm")
    check.set_defaults(run=_check, extra="sim")
    options.port(check)
    options.cart(check, default=options.DIY_CART)
    options.arm(check, also=", which also checks homing")
    options.no_hand(check, "do not ask for cart and pole to be moved by hand")
    options.json(check)


def add_jog(jog: Parser) -> None:
    """Declare the arguments of `jog`."""
    examples(jog, "--port /dev/ttyACM0 --cart my_cart.toml --arm")
    jog.set_defaults(run=_jog, extra="sim")
    options.port(jog)
    options.cart(jog, default=options.DIY_CART)
    options.arm(jog)


def add_virtual_cart(virtual: Parser) -> None:
    """Declare the arguments of `virtual-cart`."""
    details(
        virtual,
        "Other verbs reach it by its port, such as check-rig --port /tmp/cart. Runs in real time. The profile "
        "workbench has what a home build has: a USB chip that waits, bouncing switches, chattering encoders, a bridge "
        "that shortens pulses, a supply and a 5 V rail that do not stand still, a board that takes time to start, and "
        "a belt with play.",
    )
    examples(virtual, "--cart diy_arduino --link /tmp/cart", "--profile ideal --link /tmp/cart")
    virtual.set_defaults(run=_virtual_cart, extra="sim")
    options.cart(virtual, default=options.DIY_CART)
    options.rig(
        virtual,
        default="virtual",
        names=SIMULATED_BOARDS,
        more="; virtual runs the firmware built for this machine, avr the flashed image on an emulated chip",
    )
    virtual.add_argument("--link", type=Path, metavar="PATH", help="make a symbolic link to the port there")
    options.profile(virtual)
    options.seed(virtual, what="seed of the imperfections")
    options.no_hand(virtual, "leave the pole hanging: no simulated hand raises it")


def _ports(arguments: argparse.Namespace) -> int:
    from firmware_bridge.ports import list_ports

    found = list_ports(probe=not arguments.no_probe)
    lines = [f"  {port.path:<20} {port.description:<36} {port.message}" for port in found]
    none = "no serial port; plug a cart in, or try one: cartpole-robot virtual-cart"
    print_result(arguments, [dataclasses.asdict(port) for port in found], "\n".join(lines) or none)
    return DONE


def _check(arguments: argparse.Namespace) -> int:
    from cartpole_robot.bring_up.check import RigCheck, Step, step_text
    from cartpole_robot.cart.cart_file import load_cart

    def show(step: Step) -> None:
        if not arguments.json:
            print_text(step_text(step))

    check = RigCheck(
        cart=load_cart(arguments.cart),
        port=arguments.port,
        may_move=arguments.arm,
        has_person=sys.stdin.isatty() and not arguments.no_hand,
        on_step=show,
    )
    with stopped_by_signals():
        is_fine = check.run()
    verdict = "the rig is fit to be driven" if is_fine else "the rig is not fit to be driven"
    print_result(arguments, [dataclasses.asdict(step) for step in check.steps], verdict)
    return DONE if is_fine else FAILED


def _jog(arguments: argparse.Namespace) -> int:
    from cartpole_robot.bring_up.jog import jog
    from cartpole_robot.cart.cart_file import load_cart

    if not arguments.arm:
        raise UsageError("jog moves the cart; keep clear of it and add --arm")
    with stopped_by_signals():
        jog(load_cart(arguments.cart), arguments.port)
    return DONE


def _virtual_cart(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.rigs.open_rig import open_board
    from cartpole_robot.rigs.pty_cart import PtyCart
    from cartpole_robot.simulation.imperfections.imperfect import spoil
    from cartpole_robot.simulation.imperfections.profile import WORKBENCH, fitting, load_profile

    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    cart = load_cart(arguments.cart)
    profile, note = fitting(load_profile(arguments.profile or WORKBENCH), cart.motor)
    if arguments.link is not None and (arguments.link.exists() or arguments.link.is_symlink()):
        raise UsageError(f"{arguments.link}: exists already; choose another --link")
    with (
        open_board(arguments.rig) as board,
        PtyCart(cart, link=arguments.link, has_hand=not arguments.no_hand, board=board) as virtual,
    ):
        spoil(virtual.cart, cart, profile, arguments.seed)
        if note is not None:
            print(note, file=sys.stderr)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        print_text(f"{cart.name} is at {arguments.link or virtual.path}, profile {profile.name}; Ctrl-C removes it")
        virtual.serve(until=lambda: stopped)
    if virtual.lost_ms:
        print(f"this machine was too slow at times: {virtual.lost_ms} ms were lost", file=sys.stderr)
    return DONE
