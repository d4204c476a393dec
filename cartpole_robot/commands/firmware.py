"""The verbs `cartpole-robot firmware build | flash | size | campaign`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartpole_robot.cart.stepper import Drive
from cartpole_robot.commands import options
from cartpole_robot.commands.output import DONE, FAILED, command_text, print_result, print_text, report_stop, rows_text
from cartpole_robot.commands.verbs import Parser, Verb, add_verbs, details, examples
from cartpole_robot.errors import UsageError
from cartpole_robot.files.run_folder import unused_folder
from cartpole_robot.policy.backend import LQR

if TYPE_CHECKING:
    from cartpole_robot.cart.params import CartParams
    from firmware_bridge.build import FirmwareImage

_BAUDS = (115200, 57600)
_FOLDER = "firmware"  # what `build` writes into by default


def add_firmware(firmware: Parser) -> None:
    """Declare the verbs of `firmware`."""
    examples(firmware, "build --out firmware", "flash --port /dev/ttyACM0")
    add_verbs(
        firmware,
        {
            "verbs": (
                Verb("build", "compile the firmware for an Arduino Uno or Nano (ATmega328P)", _add_build),
                Verb("flash", "build the firmware and write it into the Arduino on a port", _add_flash),
                Verb("size", "report the firmware's flash, RAM, stack and processor time", _add_size),
                Verb("campaign", "inject faults into the firmware on an emulated chip", _add_campaign),
            )
        },
    )


def _add_build(build: Parser) -> None:
    examples(build, "--policy runs/diy --out firmware")
    build.set_defaults(run=_build, extra="sim")
    options.out(build, "FOLDER", "folder to write", default=_FOLDER)
    _add_policy(build)
    _add_drive(build)
    options.json(build)


def _add_flash(flash: Parser) -> None:
    examples(flash, "--port /dev/ttyACM0")
    flash.set_defaults(run=_flash, extra="sim")
    options.port(flash)
    _add_policy(flash)
    _add_drive(flash)
    flash.add_argument("--hex", type=Path, metavar="FILE", help="write this image instead of a new one")
    flash.add_argument(
        "--baud",
        type=int,
        default=_BAUDS[0],
        choices=_BAUDS,
        help="baud rate of the bootloader: 115200 (default; Uno, newer Nano) or 57600 (Nano with the old bootloader)",
    )


def _add_size(size: Parser) -> None:
    examples(size, "--json")
    size.set_defaults(run=_size, extra="sim")
    _add_drive(size, otherwise="dc")
    options.json(size)


def _add_campaign(campaign: Parser) -> None:
    details(campaign, "The chip drives a simulated cart. The same --out continues a stopped campaign.")
    examples(campaign, "--policy runs/diy --only stop encoder --out runs/campaign")
    campaign.set_defaults(run=_campaign, extra="sim")
    options.policy_option(campaign, f"what balances: a policy.npz, a run folder, or {LQR} (default)", default=LQR)
    options.cart(campaign, otherwise=f"the policy's own; with {LQR} {options.DIY_CART}")
    campaign.add_argument("--image", type=Path, metavar="ELF", help="test this image instead of the package's firmware")
    campaign.add_argument("--short", action="store_true", help="inject each fault once, in about a minute")
    campaign.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="WORD",
        help="run only groups (balance, stop, encoder, switch, line, swing, edges, onboard, second, curve; on a "
        "stepper: stepper) or trials whose names begin with WORD",
    )
    options.seed(campaign, what="random seed of starts and moments")
    options.out(campaign, "FOLDER", "folder of a new campaign, or of one to continue", default="a new runs/campaign-N")
    options.json(campaign)


def _add_policy(verb: argparse.ArgumentParser) -> None:
    options.policy_option(verb, "put this policy into the firmware: a policy.npz or a run folder")
    options.cart(verb, what="the cart that the image is for", otherwise="the policy's own")


def _add_drive(verb: argparse.ArgumentParser, otherwise: str = "the cart's, else dc") -> None:
    verb.add_argument(
        "--drive",
        choices=[drive.value for drive in Drive],
        help="what the image drives: a DC motor on a bridge, or a stepper behind a STEP/DIR driver "
        f"(default: {otherwise})",
    )


def _drive(arguments: argparse.Namespace, cart: CartParams | None = None) -> str:
    """What the image is to drive. Raises `UsageError` for a cart with another drive, or without firmware settings."""
    asked: str | None = arguments.drive
    if cart is None:
        return asked or Drive.DC
    if cart.firmware is None:
        raise UsageError(f"cart {cart.name!r} has no [firmware] section and no board; choose a cart that has both")
    if asked not in (None, cart.drive):
        raise UsageError(f"--drive {asked}: cart {cart.name} has the drive {cart.drive}; leave --drive out")
    return cart.drive


def _policy(arguments: argparse.Namespace) -> tuple[str | None, str, dict[str, Any]]:
    """The policy's header for the firmware, None without one; the drive; a record of the policy.

    Raises `UsageError`.
    """
    if arguments.policy is None:
        from cartpole_robot.cart.cart_file import load_cart

        cart = None if arguments.cart is None else load_cart(arguments.cart)
        return None, _drive(arguments, cart), {}
    from cartpole_robot.deployment.on_board import timely_header
    from cartpole_robot.deployment.on_board_time import check_in_time
    from cartpole_robot.policy.controllers import choose_controller, open_policy

    bundle, _ = open_policy(arguments.policy)
    cart = choose_controller(arguments.policy, arguments.cart, "c").cart
    header = timely_header(bundle, cart)
    decision_ms = round(check_in_time(bundle.check_int16("on board")), 2)
    return (
        header,
        _drive(arguments, cart),
        {"policy": bundle.policy_hash()[:16], "cart": cart.name, "decision_ms": decision_ms},
    )


def _policy_rows(policy: dict[str, Any]) -> dict[str, str]:
    """What the text says of the record of a policy."""
    if not policy:
        return {}
    decision = f"at most {policy['decision_ms']:.1f} ms after the control tick (computed for the busiest case)"
    return {"policy": policy["policy"], "cart": policy["cart"], "decision": decision}


def _build(arguments: argparse.Namespace) -> int:
    from firmware_bridge.build import build_firmware

    header, drive, policy = _policy(arguments)
    built = build_firmware(arguments.out or Path(_FOLDER), header, drive)
    files = {"elf": str(built.elf), "hex": str(built.hex)}
    print_result(arguments, {**_figures(built), **policy, **files}, _text(built, {**_policy_rows(policy), **files}))
    return DONE


def _flash(arguments: argparse.Namespace) -> int:
    from firmware_bridge.build import build_firmware, flash_firmware, image_drive

    header, drive, policy = _policy(arguments)
    with tempfile.TemporaryDirectory(prefix="firmware-") as folder:
        image = arguments.hex
        if image is not None and header is not None:
            raise UsageError(
                f"--hex {image} and --policy {arguments.policy}: an image already has its policy; leave one out"
            )
        if image is None:
            image = build_firmware(Path(folder), header, drive).hex
        elif image.suffix != ".hex" or not image.is_file() or (found := image_drive(image)) is None:
            raise UsageError(f"{image}: not a firmware.hex of this program; build one: cartpole-robot firmware build")
        elif found != drive and (arguments.cart is not None or arguments.drive is not None):
            wanted = f"--drive {drive}" if arguments.cart is None else f"cart {arguments.cart} has the drive {drive}"
            raise UsageError(f"{image}: drives {found}, and {wanted}; leave out --hex to build another image")
        flash_firmware(image, arguments.port, arguments.baud)
    print_text(
        f"flashed {arguments.port}" + (f" with policy {policy['policy']} for {policy['cart']}" if policy else "")
    )
    return DONE


def _size(arguments: argparse.Namespace) -> int:
    from firmware_bridge.build import build_firmware
    from firmware_bridge.emulator import emulator_program
    from firmware_bridge.errors import BridgeError

    chip = missing = None
    with tempfile.TemporaryDirectory(prefix="firmware-") as folder:
        drive = _drive(arguments)
        built = build_firmware(Path(folder), drive=drive)
        try:
            emulator_program()
        except BridgeError as error:
            missing = str(error)
        else:
            from cartpole_robot.campaign.figures import chip_figures
            from cartpole_robot.campaign.stepper_figures import stepper_figures

            if drive == Drive.STEPPER:
                found, pulses = stepper_figures(built.elf)
                chip = {**dataclasses.asdict(found), "pulses": pulses}
            else:
                chip = dataclasses.asdict(chip_figures(built.elf))
    text = f"{_text(built, {})}\n{_chip_text(chip, missing)}"
    print_result(arguments, {**_figures(built), "chip": chip, "missing": missing}, text)
    return DONE


def _chip_text(chip: dict[str, Any] | None, missing: str | None) -> str:
    from firmware_bridge.constants import TICK_US

    if chip is None:
        return f"what it takes of stack and time is not measured: {missing}"
    rows = {
        "stack": f"{chip['stack_free_bytes']} bytes never touched",
        "interrupt": f"{chip['longest_interrupt_us']:.1f} us at the longest",
        "interrupts off": f"{chip['longest_off_us']:.1f} us at the longest, once they were on",
        "safety tick": f"{chip['longest_tick_us']} us at the longest, of {TICK_US}; {chip['missed_ticks']} missed",
        "motor": f"driven {chip['longest_drive_us']:.0f} us after the tick's interrupt at the latest",
        "busy": f"{100.0 * chip['busy_share']:.0f} % of the time while it balances",
    }
    steps = ""
    if "pulses" in chip:
        pulses = chip["pulses"]
        us = {name: (cycles or 0) / 16.0 for name, cycles in pulses.items()}
        rows["STEP"] = (
            f"{us['high_cycles']:.1f} us high at the shortest, {us['period_cycles']:.1f} us from edge to edge; "
            f"{pulses['lost_bottoms']} lost"
        )
        rows["its interrupt"] = f"done {us['longest_write_cycles']:.1f} us after a pulse at the latest"
        steps = "up to 20,000 steps, "
    load = f"{steps}40,000 edges a second and requests at any moment"
    how = f"  (homed, balanced for 10 s, armed with {load}; emulated chip)"
    return f"{rows_text(rows)}\n{how}"


def _campaign(arguments: argparse.Namespace) -> int:
    from cartpole_robot.campaign.bench import Subject
    from cartpole_robot.campaign.report import to_record
    from cartpole_robot.campaign.run import CampaignRequest, run_campaign
    from cartpole_robot.terminal.interrupts import stopped_by_signals
    from cartpole_robot.terminal.lines import say as say_line

    cart = arguments.cart
    if cart is None and str(arguments.policy) == LQR:
        cart = options.DIY_CART
    folder = arguments.out or unused_folder("campaign")
    request = CampaignRequest(
        subject=Subject(policy=arguments.policy, cart=cart, image=arguments.image),
        is_short=arguments.short,
        only=tuple(arguments.only),
        seed=arguments.seed,
        out=folder,
    )

    def say(text: str) -> None:
        if not arguments.json:
            print_text(text)

    def announce(text: str) -> None:
        if not sys.stderr.isatty():  # a terminal has a progress bar
            say_line(text)

    with stopped_by_signals():
        try:
            result = run_campaign(request, say, announce)
        except KeyboardInterrupt:
            names = ["policy", "cart", "image", "short", "only", "seed"]
            command = command_text(["firmware", "campaign", "--out", folder], arguments, names)
            return report_stop(f"finished trials are kept in {folder}", command)
    count = len(result.rows) + len(result.curves)
    bad = [row.name for row in result.rows if not row.is_good]
    bad += [curve.name for curve in result.curves if not curve.is_good]
    but = f", all but {', '.join(bad)}" if bad else ""
    unjudged = [row.name for row in result.rows if row.unjudged]
    but += f"; not judged, as the machine was busy: {', '.join(unjudged)}" if unjudged else ""
    text = f"{count - len(bad)} of {count} hold{but}; kept in {result.folder}"
    record = {"folder": str(result.folder), "good": result.is_good, **to_record(result.rows, result.curves)}
    print_result(arguments, record, text)
    return DONE if result.is_good else FAILED


def _figures(built: FirmwareImage) -> dict[str, int | str]:
    from firmware_bridge.build import FLASH_BYTES, RAM_BYTES

    return {
        "flash_bytes": built.flash_bytes,
        "flash_most_bytes": FLASH_BYTES,
        "ram_bytes": built.ram_bytes,
        "ram_most_bytes": RAM_BYTES,
        "protocol_hash": f"{built.protocol_hash:08x}",
        "firmware_id": f"{built.firmware_id:08x}",
    }


def _text(built: FirmwareImage, files: dict[str, str]) -> str:
    figures = _figures(built)
    rows = {
        "flash": f"{built.flash_bytes} of {figures['flash_most_bytes']} bytes",
        "RAM": f"{built.ram_bytes} of {figures['ram_most_bytes']} bytes, the rest is stack",
        "protocol": str(figures["protocol_hash"]),
        "firmware id": str(figures["firmware_id"]),
        **files,
    }
    return rows_text(rows, 12)
