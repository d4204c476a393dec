"""The verb `cartpole-robot bring-up`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands import options
from cartpole_robot.commands.output import DONE, FAILED, command_text, print_result, print_text, report_stop
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.open_rig import SERIAL

if TYPE_CHECKING:
    from cartpole_robot.bring_up.run import BringUpRequest, Listener
    from cartpole_robot.cart.params import CartParams

_RIGS = ("virtual", "virtual:CART", "avr", "avr:ELF", "serial:PORT")
_STAGES = ("check", "home", "brake", "acceleration", "excite", "identify", "train", "swing-up", "balance", "compare")
_OPTIONS = ("rig", "port", "cart", "arm", "checked", "seed", "out", "until")


def add_bring_up(verb: Parser) -> None:
    """Declare the arguments of `bring-up`."""
    details(
        verb,
        f"Its stages are {', '.join(_STAGES)}. Each saves its result in the folder --out; the same command continues "
        "after the last finished stage. The cart file may be far off: the stages before identify assume the weakest "
        "brake and use three quarters of the track. A DC motor's cart has the stage brake, a stepper's the stage "
        "acceleration.",
    )
    examples(
        verb,
        "--port /dev/ttyACM0 --cart my_cart.toml --arm --out runs/my_cart",
        "--rig virtual --cart diy_arduino --out runs/rehearsal",
    )
    verb.set_defaults(run=_bring_up, extra="train,report")
    options.rig(verb, default="virtual", names=_RIGS)
    verb.add_argument("--port", metavar="PORT", help="serial port, such as /dev/ttyACM0: the same as --rig serial:PORT")
    options.cart(verb, what="what is known of the cart", default=options.DIY_CART)
    options.arm(verb)
    verb.add_argument(
        "--out", type=Path, metavar="FOLDER", required=True, help="folder of a new bring-up, or of one to continue"
    )
    verb.add_argument("--until", choices=_STAGES, metavar="STAGE", help="stop after this stage")
    verb.add_argument(
        "--checked",
        action="store_true",
        help="the rig has passed check-rig: skip the steps that need a person at the cart",
    )
    options.seed(verb)
    options.json(verb)


def _bring_up(arguments: argparse.Namespace) -> int:
    from cartpole_robot.bring_up.report_page import write_reports
    from cartpole_robot.bring_up.run import bring_up
    from cartpole_robot.bring_up.summary import closing_text

    request = _request(arguments)
    try:
        done = bring_up(request, _listener(arguments, request.cart))
    except KeyboardInterrupt:
        words = ["bring-up"]
        return report_stop(
            f"the finished stages are in {arguments.out}", command_text(words, arguments, _given(arguments))
        )
    write_reports(done)
    print_result(arguments, done.as_dict(), closing_text(done))
    return DONE if done.failure is None else FAILED


def _given(arguments: argparse.Namespace) -> list[str]:
    return [name for name in _OPTIONS if not (name == "rig" and arguments.port is not None)]


def _request(arguments: argparse.Namespace) -> BringUpRequest:
    if arguments.port is not None and arguments.rig != "virtual":
        raise UsageError(
            f"--port {arguments.port} and --rig {arguments.rig}: name the cart once; leave out one of them"
        )
    from cartpole_robot.bring_up.run import BringUpRequest
    from cartpole_robot.bring_up.stage import StageName
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.training.config import check_seed

    check_seed(arguments.seed + 2)
    return BringUpRequest(
        rig=arguments.rig if arguments.port is None else f"{SERIAL}{arguments.port}",
        cart=load_cart(arguments.cart),
        out=arguments.out,
        may_move=arguments.arm,
        until=None if arguments.until is None else StageName(arguments.until),
        is_checked=arguments.checked,
        seed=arguments.seed,
    )


def _listener(arguments: argparse.Namespace, cart: CartParams) -> Listener:
    from cartpole_robot.bring_up.run import Listener, stages_of
    from cartpole_robot.bring_up.stage import TITLES, StageName, StageResult
    from cartpole_robot.bring_up.summary import stage_line

    names = list(stages_of(cart))

    def begins(name: StageName) -> None:
        print(f"[{names.index(name) + 1}/{len(names)}] {name}: {TITLES[name]} ...", file=sys.stderr, flush=True)

    def ends(result: StageResult, is_old: bool) -> None:
        if not arguments.json:
            print_text(stage_line(result, is_old=is_old))

    def says(text: str) -> None:
        print(f"{'':24}{text}", file=sys.stderr, flush=True)

    return Listener(begins=begins, ends=ends, says=says)
