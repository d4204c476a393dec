"""The options that several verbs share, each declared once: its type, choices, default and help.

Nothing heavy is imported here: a wrong argument is reported before NumPy loads.
"""

from __future__ import annotations

import argparse
import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.commands.numbers import count, count_from_zero, port_number, positive
from cartpole_robot.commands.verbs import Parser
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.backend import LQR, Backend
from cartpole_robot.rig import Start
from cartpole_robot.rigs.open_rig import RIG_NAMES, check_rig_name
from cartpole_robot.simulation.engine import Engine

POLICYS_CART = f"the policy's own; required with {LQR}"
DIY_CART = "diy_arduino"  # the default cart of the verbs for hardware
RANGES = ("diy_arduino", "diy_stepper")  # as `randomization.ranges_names()`, which needs NumPy


def values(choices: type[enum.StrEnum]) -> list[str]:
    """The members of an enum as the words of a choice."""
    return [member.value for member in choices]


def json(verb: Parser) -> None:
    """`--json`; `output.print_result` reads it."""
    verb.add_argument("--json", action="store_true", help="print JSON instead of text")


def arm(verb: Parser, *, also: str = "") -> None:
    """`--arm`, without which no real motor runs."""
    verb.add_argument("--arm", action="store_true", help=f"allow the motor of a real cart to run{also}")


def policy(verb: Parser) -> None:
    """The positional POLICY: a bundle, a run folder or the regulator."""
    verb.add_argument("policy", type=Path, metavar="POLICY", help=f"a policy.npz, its run folder, or {LQR}")


def policy_option(verb: Parser, what: str, *, default: str | None = None) -> None:
    """`--policy`, for verbs that also work without one."""
    verb.add_argument("--policy", type=Path, metavar="POLICY", default=default and Path(default), help=what)


def cart(
    verb: Parser,
    *,
    what: str = "",
    default: str | None = None,
    otherwise: str = "the policy's own",
) -> None:
    """`--cart`; `otherwise` describes the cart that is used where there is no `default`."""
    text = f"a name that 'cartpole-robot carts' lists, or a .toml file (default: {default or otherwise})"
    verb.add_argument("--cart", metavar="NAME|FILE", default=default, help=f"{what}: {text}" if what else text)


def rig(verb: Parser, *, default: str, names: Sequence[str] = RIG_NAMES, more: str = "") -> None:
    """`--rig`; `names` are those that suit the verb."""
    takes_name = any(":" in name for name in names)
    checks: dict[str, Any] = {"type": _rig_name, "metavar": "RIG"} if takes_name else {"choices": names}
    text = f"rig: {', '.join(names)} (default: {default}){more}"
    verb.add_argument("--rig", default=default, help=text, **checks)


def engine(
    verb: Parser, *, what: str = "the rig sim", otherwise: str = "native, checked against pybullet on this cart"
) -> None:
    """`--engine`; None means the engine that `otherwise` describes."""
    text = f"engine that simulates {what} (default: {otherwise})"
    verb.add_argument("--engine", choices=values(Engine), help=text)


def backend(verb: Parser) -> None:
    """`--backend`."""
    text = f"implementation that computes the policy's actions (default: {Backend.C})"
    verb.add_argument("--backend", default=Backend.C.value, choices=values(Backend), help=text)


def start(verb: Parser, *, more: str = "") -> None:
    """`--start`; `start_of` reads it."""
    text = f"how the pole gets upright before each episode: raised by a person, or swung up{more}; "
    text += "a policy that swings up starts with the pole hanging and does it itself"
    choices = [choice.replace("_", "-") for choice in Start]
    verb.add_argument("--start", default=choices[0], choices=choices, help=f"{text} (default: {choices[0]})")


def start_of(arguments: argparse.Namespace) -> Start:
    """The choice of `--start`."""
    return Start(arguments.start.replace("-", "_"))


def run_limits(verb: Parser) -> None:
    """`--most-cart-time-s` and `--most-distance-m`, of a run without an operator."""
    text = "with --start swing-up: start no episode after S seconds of armed motor in total (default: no limit)"
    verb.add_argument("--most-cart-time-s", type=positive, metavar="S", help=text)
    text = "with --start swing-up: start no episode after M metres of travel in total (default: no limit)"
    verb.add_argument("--most-distance-m", type=positive, metavar="M", help=text)


def seed(verb: Parser, *, what: str = "random seed", default: int | None = 0) -> None:
    """`--seed`; with None as `default` the verb sees whether it was given, and uses 0 if not."""
    verb.add_argument("--seed", type=count_from_zero, default=default, metavar="N", help=f"{what} (default: 0)")


def first_seed(verb: Parser) -> None:
    """`--first-seed`; None means the seeds that verdicts use."""
    text = "seed of the first episode (default: the first of the range reserved for verdicts)"
    verb.add_argument("--first-seed", type=count_from_zero, metavar="N", help=text)


def episodes(verb: Parser, *, default: int | None = None, what: str = "episodes", otherwise: str = "") -> None:
    """`--episodes`."""
    text = f"{what} (default: {default or otherwise})"
    verb.add_argument("--episodes", type=count, default=default, metavar="N", help=text)


def steps(verb: Parser) -> None:
    """`--steps`."""
    text = f"longest episode, in steps (control periods) (default: {MAX_EPISODE_STEPS})"
    verb.add_argument("--steps", type=count, default=MAX_EPISODE_STEPS, metavar="N", help=text)


def duration_s(verb: Parser, *, default: float, what: str = "longest duration") -> None:
    """`--duration-s`."""
    text = f"{what}, in seconds of the cart's time (default: {default:g})"
    verb.add_argument("--duration-s", type=positive, default=default, metavar="S", help=text)


def randomize(verb: Parser, *, what: str = "draw the cart of each episode from these ranges") -> None:
    """`--randomize`."""
    text = f"{what}: a .toml file, or the name {' or '.join(RANGES)}"
    verb.add_argument("--randomize", type=Path, metavar="NAME|FILE", help=text)


def workers(verb: Parser) -> None:
    """`--workers`."""
    verb.add_argument("--workers", type=count, metavar="N", help="processes to use (default: one per core)")


def port(verb: Parser) -> None:
    """`--port`, required."""
    verb.add_argument("--port", required=True, metavar="PORT", help="serial port, such as /dev/ttyACM0")


def profile(verb: Parser, *, otherwise: str = "workbench") -> None:
    """`--profile`, the imperfections of a virtual cart; None means `otherwise`."""
    text = "imperfections of the virtual cart: workbench, ideal, ftdi, ftdi_slow, or a .toml file"
    verb.add_argument("--profile", metavar="NAME|FILE", help=f"{text} (default: {otherwise})")


def browser(verb: Parser) -> None:
    """`--browser` and `--browser-port`; `browser_port_of` reads them."""
    text = "show the cart live in a browser on this machine, with an e-stop button that does not replace the wired one"
    verb.add_argument("--browser", action="store_true", help=text)
    text = "with --browser: the port of the view on 127.0.0.1 (default: a free one)"
    verb.add_argument("--browser-port", type=port_number, metavar="N", help=text)


def browser_port_of(arguments: argparse.Namespace) -> int | None:
    """The port for the live view, 0 for a free one, None for no view. Raises `UsageError` for a port without view."""
    if arguments.browser_port is not None and not arguments.browser:
        raise UsageError(f"--browser-port {arguments.browser_port} without a view; add --browser")
    return (arguments.browser_port or 0) if arguments.browser else None


def no_hand(verb: Parser, what: str) -> None:
    """`--no-hand`, for the verbs that expect a person at the cart."""
    verb.add_argument("--no-hand", action="store_true", help=what)


def out(verb: Parser, metavar: str, what: str, *, default: str | None = None) -> None:
    """`--out`; without `default`, which describes the place that is used otherwise, it is required and a new file."""
    text = f"{what}; must not exist yet" if default is None else f"{what} (default: {default})"
    verb.add_argument("--out", type=Path, metavar=metavar, required=default is None, help=text)


def _rig_name(text: str) -> str:
    try:
        check_rig_name(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
