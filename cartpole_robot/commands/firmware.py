"""The verbs `cartpole-robot firmware build | flash | size | campaign`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands.options import Verbs, add_verb
from cartpole_robot.errors import UsageError

if TYPE_CHECKING:
    from firmware_bridge.build import FirmwareImage

_BAUDS = (115200, 57600)


def add_firmware_verbs(verbs: Verbs) -> None:
    """Add `firmware` and its own verbs."""
    summary = "build the cart's firmware, flash it, tell its size, try to break it"
    firmware = verbs.add_parser("firmware", help=summary, description=f"{summary.capitalize()}.")
    below = firmware.add_subparsers(title="verbs", metavar="VERB", required=True)

    build = add_verb(
        below,
        "build",
        "compile the firmware for an Arduino Uno or Nano (ATmega328P)",
        "cartpole-robot firmware build --policy runs/train-1 --out firmware",
    )
    build.add_argument(
        "--out", type=Path, default=Path("firmware"), metavar="FOLDER", help="where to write (default: firmware)"
    )
    _add_policy(build)
    build.add_argument("--json", action="store_true", help="print what was built as JSON")
    build.set_defaults(run=_build, extra="sim")

    flash = add_verb(
        below,
        "flash",
        "build the firmware and write it into the Arduino on a port",
        "cartpole-robot firmware flash --port /dev/ttyACM0",
    )
    flash.add_argument("--port", required=True, metavar="PORT", help="serial port, such as /dev/ttyACM0")
    _add_policy(flash)
    flash.add_argument("--hex", type=Path, metavar="FILE", help="write this image instead of a new one")
    flash.add_argument(
        "--baud",
        type=int,
        default=_BAUDS[0],
        choices=_BAUDS,
        help="the bootloader's: 115200 (default; Uno, newer Nano) or 57600 (Nano with the old bootloader)",
    )
    flash.set_defaults(run=_flash, extra="sim")

    size = add_verb(
        below,
        "size",
        "tell what the firmware takes of the chip: flash, RAM, stack, time",
        "cartpole-robot firmware size --json",
    )
    size.add_argument("--json", action="store_true", help="print as JSON")
    size.set_defaults(run=_size, extra="sim")

    campaign = add_verb(
        below,
        "campaign",
        "run the firmware on an emulated chip before a simulated cart, and try to break it",
        "cartpole-robot firmware campaign --policy runs/train-1 --only stop encoder --out runs/campaign",
    )
    campaign.add_argument(
        "--policy",
        type=Path,
        default=Path("lqr"),
        metavar="FILE|RUN|lqr",
        help="what balances: policy.npz, a run folder, or lqr (default)",
    )
    campaign.add_argument(
        "--cart", metavar="NAME|FILE", help="which cart (default: the policy's own; with lqr diy_arduino)"
    )
    campaign.add_argument("--image", type=Path, metavar="ELF", help="this image instead of the package's firmware")
    campaign.add_argument("--short", action="store_true", help="each fault once or twice, in a minute")
    campaign.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="WORD",
        help="groups (balance, stop, encoder, switch, line, edges, onboard, curve) or beginnings of names",
    )
    campaign.add_argument("--seed", type=int, default=0, help="draws starts and moments (default: 0)")
    campaign.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to keep it; a campaign that is there is gone on with (default: a new folder in runs)",
    )
    campaign.add_argument("--json", action="store_true", help="print the results as JSON")
    campaign.set_defaults(run=_campaign, extra="sim")


def _add_policy(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--policy", type=Path, metavar="FILE|RUN", help="let the microcontroller carry this policy: policy.npz or a run"
    )
    verb.add_argument("--cart", metavar="NAME|FILE", help="the cart that carries it (default: the policy's own)")


def _policy(arguments: argparse.Namespace) -> tuple[str | None, dict[str, str]]:
    """The policy's header for the firmware, None without one, and what to tell of it. Raises `UsageError`."""
    if arguments.policy is None:
        if arguments.cart is not None:
            raise UsageError(f"--cart {arguments.cart}: says nothing without --policy; the firmware fits every cart")
        return None, {}
    from cartpole_robot.deployment.on_board import policy_header
    from cartpole_robot.policy.controllers import choose_controller, open_policy

    bundle, _ = open_policy(arguments.policy)
    cart = choose_controller(arguments.policy, arguments.cart, "int16").cart
    return policy_header(bundle, cart), {"policy": bundle.policy_hash()[:16], "cart": cart.name}


def _build(arguments: argparse.Namespace) -> int:
    from firmware_bridge.build import build_firmware

    header, told = _policy(arguments)
    built = build_firmware(arguments.out, header)
    files = {**told, "elf": str(built.elf), "hex": str(built.hex)}
    print(json.dumps({**_figures(built), **files}, indent=2) if arguments.json else _text(built, files))
    return 0


def _flash(arguments: argparse.Namespace) -> int:
    from firmware_bridge.build import build_firmware, flash_firmware, is_own_image

    header, told = _policy(arguments)
    with tempfile.TemporaryDirectory(prefix="firmware-") as folder:
        image = arguments.hex
        if image is not None and header is not None:
            raise UsageError(
                f"--hex {image} and --policy {arguments.policy}: an image is built already; say one of them"
            )
        if image is None:
            image = build_firmware(Path(folder), header).hex
        elif image.suffix != ".hex" or not image.is_file() or not is_own_image(image):
            raise UsageError(f"{image}: not a firmware.hex of this program; build one: cartpole-robot firmware build")
        flash_firmware(image, arguments.port, arguments.baud)
    print(f"flashed {arguments.port}" + (f" with policy {told['policy']} for {told['cart']}" if told else ""))
    return 0


def _size(arguments: argparse.Namespace) -> int:
    from firmware_bridge.build import build_firmware
    from firmware_bridge.constants import TICK_US
    from firmware_bridge.emulator import emulator_program
    from firmware_bridge.errors import BridgeError

    chip = missing = None
    with tempfile.TemporaryDirectory(prefix="firmware-") as folder:
        built = build_firmware(Path(folder))
        try:
            emulator_program()
        except BridgeError as error:
            missing = str(error)
        else:
            from cartpole_robot.campaign.figures import chip_figures

            chip = dataclasses.asdict(chip_figures(built.elf))
    if arguments.json:
        print(json.dumps({**_figures(built), "chip": chip, "missing": missing}, indent=2))
        return 0
    print(_text(built, {}))
    if chip is None:
        print(f"what it takes of stack and time is not measured: {missing}")
        return 0
    rows = {
        "stack": f"{chip['stack_free_bytes']} bytes never touched",
        "interrupt": f"{chip['longest_interrupt_us']:.1f} us at the longest",
        "safety tick": f"{chip['longest_tick_us']} us at the longest, of {TICK_US}; {chip['missed_ticks']} missed",
        "motor": f"driven {chip['longest_drive_us']:.0f} us after the tick's interrupt at the latest",
        "busy": f"{100.0 * chip['busy_share']:.0f} % of the time while it balances",
    }
    print("\n".join(f"  {name:<12} {value}" for name, value in rows.items()))
    print("  (homed, balanced for 10 s, and 40,000 encoder edges a second while armed, on the emulated chip)")
    return 0


def _campaign(arguments: argparse.Namespace) -> int:
    from cartpole_robot.campaign.bench import Subject
    from cartpole_robot.campaign.report import to_record
    from cartpole_robot.campaign.run import CampaignRequest, run_campaign
    from cartpole_robot.policy.controllers import LQR
    from cartpole_robot.terminal.interrupts import stopped_by_signals

    cart = arguments.cart
    if cart is None and str(arguments.policy) == LQR:
        cart = "diy_arduino"
    request = CampaignRequest(
        subject=Subject(policy=arguments.policy, cart=cart, image=arguments.image),
        is_short=arguments.short,
        only=tuple(arguments.only),
        seed=arguments.seed,
        out=arguments.out,
    )

    def say(text: str) -> None:
        if not arguments.json:
            print(text, flush=True)

    with stopped_by_signals():
        try:
            result = run_campaign(request, say)
        except KeyboardInterrupt:
            print("stopped; what is done is kept, go on with the same --out", file=sys.stderr)
            return 1
    if arguments.json:
        record = to_record(result.rows, result.curves)
        print(json.dumps({"folder": str(result.folder), "good": result.is_good, **record}, indent=2))
    else:
        count = len(result.rows) + len(result.curves)
        bad = [row.name for row in result.rows if not row.is_good] + [
            curve.name for curve in result.curves if not curve.is_good
        ]
        but = f", all but {', '.join(bad)}" if bad else ""
        print(f"{count - len(bad)} of {count} hold{but}; kept in {result.folder}")
    return 0 if result.is_good else 1


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
    return "\n".join(f"  {name:<12} {value}" for name, value in rows.items())
