"""The verbs for a cart on a port: `ports`, `check-rig`, `jog`, `virtual-cart`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
from pathlib import Path

from cartpole_robot.commands.options import Verbs, add_verb
from cartpole_robot.errors import UsageError


def add_rig_verbs(verbs: Verbs) -> None:
    """Add the four."""
    ports = add_verb(verbs, "ports", "list the serial ports, and which of them have a cart", "cartpole-robot ports")
    ports.add_argument("--no-probe", action="store_true", help="do not open them: opening resets an Arduino Uno")
    ports.add_argument("--json", action="store_true", help="print as JSON")
    ports.set_defaults(run=_ports, extra="sim")

    check = add_verb(
        verbs,
        "check-rig",
        "check a cart step by step: link, encoders, motor, switches, homing",
        "cartpole-robot check-rig --port /dev/ttyACM0 --cart my_cart.toml --arm",
    )
    _port_and_cart(check)
    check.add_argument("--arm", action="store_true", help="allow it to move the cart: homing is checked too")
    check.add_argument("--no-hand", action="store_true", help="ask nobody to move cart and pole by hand")
    check.add_argument("--json", action="store_true", help="print the steps as JSON")
    check.set_defaults(run=_check, extra="sim")

    jog = add_verb(
        verbs, "jog", "move a cart by keys", "cartpole-robot jog --port /dev/ttyACM0 --cart my_cart.toml --arm"
    )
    _port_and_cart(jog)
    jog.add_argument("--arm", action="store_true", help="allow it to move the cart")
    jog.set_defaults(run=_jog, extra="sim")

    virtual = add_verb(
        verbs,
        "virtual-cart",
        "put a simulated cart with its real firmware behind a pseudo-terminal, in real time",
        "cartpole-robot virtual-cart --cart diy_arduino --link /tmp/cart, and in another terminal: "
        "cartpole-robot check-rig --port /tmp/cart --arm",
    )
    virtual.add_argument("--cart", default="diy_arduino", metavar="NAME|FILE", help="which cart (default: diy_arduino)")
    virtual.add_argument(
        "--rig",
        default="virtual",
        metavar="virtual|avr|avr:ELF",
        help="what runs the firmware: built for this machine (default), or the flashed image on an emulated chip",
    )
    virtual.add_argument("--link", type=Path, metavar="PATH", help="make a symbolic link to the port there")
    virtual.add_argument("--no-hand", action="store_true", help="nobody raises the pole")
    virtual.set_defaults(run=_virtual_cart, extra="sim")


def _port_and_cart(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--port", required=True, metavar="PORT", help="serial port, such as /dev/ttyACM0")
    verb.add_argument("--cart", default="diy_arduino", metavar="NAME|FILE", help="which cart (default: diy_arduino)")


def _ports(arguments: argparse.Namespace) -> int:
    from firmware_bridge.ports import list_ports

    found = list_ports(probe=not arguments.no_probe)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(port) for port in found], indent=2))
    elif not found:
        print("no serial port; plug a cart in, or try one: cartpole-robot virtual-cart")
    for port in [] if arguments.json else found:
        print(f"  {port.path:<20} {port.description:<36} {port.told}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.rigs.check import RigCheck, Step, step_text

    def show(step: Step) -> None:
        if not arguments.json:
            print(step_text(step), flush=True)

    check = RigCheck(
        cart=load_cart(arguments.cart),
        port=arguments.port,
        may_move=arguments.arm,
        has_person=sys.stdin.isatty() and not arguments.no_hand,
        on_step=show,
    )
    is_fine = check.run()
    if arguments.json:
        print(json.dumps([dataclasses.asdict(step) for step in check.steps], indent=2))
    else:
        print("the rig is fit to be driven" if is_fine else "the rig is not fit to be driven")
    return 0 if is_fine else 1


def _jog(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.rigs.jog import jog

    if not arguments.arm:
        raise UsageError("jog moves the cart; keep clear of it and add --arm")
    jog(load_cart(arguments.cart), arguments.port)
    return 0


def _virtual_cart(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.rigs.open_rig import open_board
    from cartpole_robot.rigs.pty_cart import PtyCart

    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    cart = load_cart(arguments.cart)
    if arguments.link is not None and (arguments.link.exists() or arguments.link.is_symlink()):
        raise UsageError(f"{arguments.link}: exists already; choose another --link")
    with (
        open_board(arguments.rig) as board,
        PtyCart(cart, link=arguments.link, has_hand=not arguments.no_hand, board=board) as served,
    ):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        print(f"{cart.name} is at {arguments.link or served.path}; Ctrl-C takes it away", flush=True)
        served.serve(until=lambda: stopped)
    if served.lost_ms:
        print(f"this machine was too slow at times: {served.lost_ms} ms were lost", file=sys.stderr)
    return 0
