"""The verbs for a cart on a port: `ports`, `check-rig`, `jog`, `virtual-cart`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands import options
from cartpole_robot.commands.numbers import positive
from cartpole_robot.commands.output import DONE, FAILED, command_text, print_result, print_text
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.open_rig import SIMULATED_BOARDS
from cartpole_robot.simulation.mistake import Mistake
from cartpole_robot.terminal.interrupts import signals_held, stopped_by_signals

if TYPE_CHECKING:
    from cartpole_robot.bring_up.findings import StepResult
    from cartpole_robot.cart.params import CartParams
    from cartpole_robot.page.live.view import BrowserView
    from cartpole_robot.simulation.virtual_cart import VirtualCart


def add_ports(ports: Parser) -> None:
    """Declare the arguments of `ports`."""
    examples(ports, "")
    ports.set_defaults(run=_ports, extra="sim")
    ports.add_argument("--no-probe", action="store_true", help="do not open the ports: opening resets an Arduino Uno")
    options.json(ports)


def add_check_rig(check: Parser) -> None:
    """Declare the arguments of `check-rig`."""
    details(
        check,
        "Each step reports a result and, if something is wrong, what to do. In a terminal, some steps ask you to move "
        "or press a part. --list names the steps.",
    )
    examples(
        check,
        "--port /dev/ttyACM0 --cart my_cart.toml --arm",
        "--port /dev/ttyACM0 --cart my_cart.toml --arm --only track,dead-zone,brake --write checked.toml",
    )
    check.set_defaults(run=_check, extra="sim")
    check.add_argument("--port", metavar="PORT", help="serial port, such as /dev/ttyACM0; required except with --list")
    options.cart(check, default=options.DIY_CART)
    options.arm(check, also="; without it the steps that move the cart are skipped")
    options.no_hand(check, "skip the steps that need a person at the cart")
    check.add_argument(
        "--supply-v", type=positive, metavar="V", help="voltage of the motor supply, read on a voltmeter"
    )
    check.add_argument(
        "--rail-v", type=positive, metavar="V", help="voltage of the board's 5 V rail, read on a voltmeter"
    )
    check.add_argument(
        "--acceleration-m-s2",
        type=positive,
        metavar="A",
        help="largest acceleration that the step acceleration tries with a stepper (default: the cart file's)",
    )
    check.add_argument("--only", metavar="STEP[,STEP]", help="run only these steps, such as those that failed")
    check.add_argument("--list", action="store_true", help="list the steps and exit")
    check.add_argument("--report", type=Path, metavar="FILE.md", help="report to write; must not exist yet")
    check.add_argument(
        "--write",
        type=Path,
        metavar="CART.toml",
        help="copy of the cart file to write, with the measured numbers; must not exist yet",
    )
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
        "Runs in real time. Other verbs reach it through its port, as in check-rig --port /tmp/cart. The profile "
        "workbench imitates a home build: USB latency, bouncing switches, chattering encoders, an H-bridge that "
        "shortens pulses, a varying supply and 5 V rail, a board that takes time to start, and a belt with play.",
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
    virtual.add_argument("--link", type=Path, metavar="PATH", help="symbolic link to make to the port")
    options.profile(virtual)
    options.seed(virtual, what="seed of the imperfections")
    options.browser(virtual)
    options.no_hand(virtual, "leave the pole hanging: no simulated hand raises it")
    virtual.add_argument(
        "--by-hand",
        action="store_true",
        help="act on the cart by commands typed here, one per line, such as 'press estop'; 'help' lists them",
    )
    virtual.add_argument(
        "--mistake",
        choices=options.values(Mistake),
        metavar="NAME",
        help="build the cart with a mistake, to practise check-rig: " + ", ".join(options.values(Mistake)),
    )


def _ports(arguments: argparse.Namespace) -> int:
    from firmware_bridge.ports import list_ports

    found = list_ports(probe=not arguments.no_probe)
    lines = [f"  {port.path:<20} {port.description:<36} {port.message}" for port in found]
    none = "no serial port; plug a cart in, or try one: cartpole-robot virtual-cart"
    print_result(arguments, [dataclasses.asdict(port) for port in found], "\n".join(lines) or none)
    return DONE


def _check(arguments: argparse.Namespace) -> int:
    from cartpole_robot.bring_up.bench import Meters
    from cartpole_robot.bring_up.check import RigCheck, chosen_steps, failed_steps, steps_for, verdict_text
    from cartpole_robot.bring_up.findings import result_text
    from cartpole_robot.bring_up.operator import TerminalOperator
    from cartpole_robot.bring_up.report import write_report
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.files.new_file import check_is_new
    from firmware_bridge.ports import usb_bridge
    from firmware_bridge.transport import SerialTransport

    cart = load_cart(arguments.cart)
    if arguments.list:
        steps = steps_for(cart)
        lines = [f"  {step.name:<15} {step.title}{' (--arm)' if step.moves else ''}" for step in steps]
        print_result(arguments, [{"name": step.name, "title": step.title} for step in steps], "\n".join(lines))
        return DONE
    if arguments.port is None:
        raise UsageError("check-rig needs --port; cartpole-robot ports lists those there are")
    for path, option in ((arguments.report, "--report"), (arguments.write, "--write")):
        if path is not None:
            check_is_new(path, option=option)
    if (
        arguments.write is not None
        and arguments.report is not None
        and arguments.write.resolve() == arguments.report.resolve()
    ):
        raise UsageError(f"{arguments.write}: is for --report and --write alike; choose another --write")

    def show(result: StepResult) -> None:
        if not arguments.json:
            print_text(result_text(result))

    check = RigCheck(
        cart=cart,
        open_line=lambda: SerialTransport(arguments.port),
        port=arguments.port,
        operator=TerminalOperator() if sys.stdin.isatty() and not arguments.no_hand else None,
        may_move=arguments.arm,
        on_result=show,
        steps=chosen_steps((arguments.only or "").split(",") if arguments.only else (), cart),
        most_m_s2=_most_acceleration(arguments, cart),
        meters=Meters(supply_v=arguments.supply_v, rail_v=arguments.rail_v),
        usb=usb_bridge(arguments.port),
    )
    now = datetime.now().astimezone()
    try:
        with stopped_by_signals():
            is_fine = check.run()
        print_result(arguments, [result.as_dict() for result in check.results], verdict_text(check.results, cart))
        again = failed_steps(check.results)
        if not is_fine and again and not arguments.json:
            words = ["check-rig", "--only", ",".join(again)]
            print_text(f"check these again: {command_text(words, arguments, ('port', 'cart', 'arm', 'no_hand'))}")
        if arguments.write is not None:
            _write_measured(arguments.write, check.cart, check.results, now)
    finally:  # what was found before it was stopped is worth a report too
        if arguments.report is not None:
            with signals_held():  # a second Ctrl-C does not lose it
                write_report(arguments.report, check.cart, arguments.port, check.results, now)
            print(f"the report is in {arguments.report}", file=sys.stderr)
    return DONE if is_fine else FAILED


def _most_acceleration(arguments: argparse.Namespace, cart: CartParams) -> float | None:
    most_m_s2: float | None = arguments.acceleration_m_s2
    if most_m_s2 is not None and cart.stepper is None:
        raise UsageError(
            f"--acceleration-m-s2 {most_m_s2:g} is for a stepper, and the cart {cart.name!r} has a DC motor; "
            "leave it out"
        )
    return most_m_s2


def _write_measured(path: Path, cart: CartParams, results: list[StepResult], now: datetime) -> None:
    from cartpole_robot.bring_up.measured_cart import doubtful_numbers, measured_cart, measured_numbers
    from cartpole_robot.files.new_file import new_file
    from cartpole_robot.identify.cart_file import cart_as_toml

    text = cart_as_toml(measured_cart(cart, results, now.date()))
    with new_file(path, option="--write") as partial:
        partial.write_text(text, encoding="utf-8")
    numbers = ", ".join(f"{key} = {value:g}" for key, value in measured_numbers(results).items())
    print(f"the measured cart is in {path}: {numbers}", file=sys.stderr)
    for key, step in doubtful_numbers(results).items():
        print(f"{key} in it applies only if you accept what {step} found; read that first", file=sys.stderr)


def _jog(arguments: argparse.Namespace) -> int:
    from cartpole_robot.bring_up.jog import jog
    from cartpole_robot.cart.cart_file import load_cart

    if not arguments.arm:
        raise UsageError("jog moves the cart; keep clear of it and add --arm")
    with stopped_by_signals():
        jog(load_cart(arguments.cart), arguments.port)
    return DONE


def _browser_view(cart: CartParams, port: int | None) -> contextlib.AbstractContextManager[BrowserView | None]:
    if port is None:
        return contextlib.nullcontext()
    from cartpole_robot.page.live.view import BrowserView, Shown
    from cartpole_robot.page.live.virtual_cart import DRIVERS

    lead = "A virtual cart: its true state, and the state and faults of its firmware."
    shown = Shown(cart=cart, title=cart.name, lead=lead, drivers=DRIVERS, has_lateness=False)
    view = BrowserView(shown, port=port)
    print(f"live view: {view.address}", file=sys.stderr, flush=True)
    return view


def _virtual_cart(arguments: argparse.Namespace) -> int:
    from cartpole_robot.bring_up.practice import TypedDeeds
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.page.live.virtual_cart import VirtualCartFeed
    from cartpole_robot.rigs.open_rig import open_board
    from cartpole_robot.rigs.pty_cart import PtyCart, clear_link
    from cartpole_robot.simulation.imperfections.imperfect import spoil
    from cartpole_robot.simulation.imperfections.profile import WORKBENCH, fitting, load_profile
    from cartpole_robot.simulation.planted_mistakes import built_board, built_cart, built_line
    from cartpole_robot.simulation.virtual_cart import built_firmware

    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    browser_port = options.browser_port_of(arguments)
    cart = load_cart(arguments.cart)
    chosen = load_profile(WORKBENCH if arguments.profile is None else arguments.profile)
    profile, note = fitting(chosen, cart.motor, has_stepper=cart.stepper is not None)
    mistake = Mistake(arguments.mistake) if arguments.mistake else None
    is_built = arguments.by_hand or mistake is not None
    built = built_cart(cart, mistake) if is_built else cart
    if arguments.link is not None:
        clear_link(arguments.link)
    with (
        _browser_view(cart, browser_port) as view,
        open_board(arguments.rig, built) as board,
        PtyCart(
            built,
            link=arguments.link,
            has_hand=not (arguments.no_hand or arguments.by_hand),
            board=built_board(board or built_firmware(cart), cart, mistake) if is_built else board,
        ) as virtual,
    ):
        virtual.cart.line = built_line(mistake)
        spoil(virtual.cart, built, profile, arguments.seed)
        deeds = TypedDeeds(virtual.cart) if arguments.by_hand else None
        feed = None if view is None else VirtualCartFeed(view.ring, virtual)

        def on_tick(cart: VirtualCart) -> None:
            if deeds is not None:
                deeds(cart)
            if feed is not None:
                feed()

        is_observed = deeds is not None or feed is not None
        if note is not None:
            print(note, file=sys.stderr)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        print_text(f"{cart.name} is at {arguments.link or virtual.path}, profile {profile.name}; Ctrl-C removes it")
        virtual.serve(until=lambda: stopped, on_tick=on_tick if is_observed else None)
    if virtual.lost_ms:
        print(f"this machine was too slow at times: {virtual.lost_ms} ms were lost", file=sys.stderr)
    return DONE
