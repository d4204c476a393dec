"""The verb `cartpole-robot carts new`: a builder's parts in, a commented cart file out."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from cartpole_robot.cart.listing import unit_of
from cartpole_robot.cart.new_cart.answers import Interview, answered, read_answers
from cartpole_robot.cart.new_cart.motors import KnownMotor, known_motors
from cartpole_robot.cart.new_cart.question import Question
from cartpole_robot.cart.new_cart.questions import OWN_MOTOR, questions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.commands import options
from cartpole_robot.commands.output import DONE, command_line, print_result, rows_text
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.errors import RunError, UsageError

_FILE = "my_cart.toml"
_WHERE = "carts new"


def add_new(new: Parser) -> None:
    """Declare the arguments of `carts new`."""
    details(
        new,
        "Asks for the parts of a cart and writes a commented cart file to start from. With --from-answers or any of "
        "the answers below it asks nothing and uses defaults for the rest: those of the parts of diy_arduino, or with "
        "--drive stepper of diy_stepper.",
    )
    examples(
        new,
        "",
        "--pulley-teeth 20 --track-m 0.7 --out small.toml",
        "--drive stepper --holding-torque-n-m 1.2 --out big.toml",
        "--from-answers parts.toml --out small.toml --json",
    )
    new.set_defaults(run=_new)
    options.out(new, "FILE", "the new cart file; its name is the cart's", default=_FILE)
    new.add_argument("--from-answers", type=Path, metavar="FILE", help="a TOML file: format = 1, then name = answer")
    options.json(new)
    answers = new.add_argument_group("answers")
    for question in questions():
        answers.add_argument(
            f"--{question.name.replace('_', '-')}",
            dest=f"answer_{question.name}",
            metavar=_metavar(question),
            choices=question.choices or None,
            help=_help(question),
        )


def _metavar(question: Question) -> str | None:
    return None if question.choices else (question.unit or "N").replace(" ", "*").upper()


def _help(question: Question) -> str:
    condition = f"; where {question.condition}" if question.condition else ""
    if question.name == "motor":
        known = "; ".join(f"{name}: {_motor_text(motor)}" for name, motor in known_motors().items())
        own = f"{OWN_MOTOR}: enter its numbers with the options below"
        return f"{question.text}; speed and torque are those behind its gear. {known}; {own}"
    if question.choices:
        return question.text + condition
    unit = f" {question.unit}" if question.unit else ""
    return f"{question.text}: {question.low:g} to {question.high:g}{unit}{condition}"


def _motor_text(motor: KnownMotor) -> str:
    gear = "no gear" if motor.gear_ratio == 1.0 else f"gear {motor.gear_ratio:g}:1"
    counts = motor.encoder_counts_per_turn
    encoder = f"encoder {counts} counts a turn" if counts else "no encoder"
    return (
        f"{gear}, {motor.no_load_speed_rpm:g} rpm and {motor.stall_torque_n_m:g} N m at {motor.rated_voltage_v:g} V, "
        f"{encoder}"
    )


def _new(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.new_cart.file_text import cart_file_text
    from cartpole_robot.files.new_file import check_is_new, new_file

    path: Path = arguments.out or Path(_FILE)
    if path.suffix != ".toml":
        raise UsageError(f"--out {path}: expected a name that ends in .toml")
    check_is_new(path)
    text, notes = cart_file_text(_interview(arguments))
    cart = _checked(text, path)
    figures = _figures(cart)
    with new_file(path) as file:
        file.write_text(text, encoding="utf-8")
    rows = {_NAMES[name]: f"{_figure_text(value)} {unit_of(name)}".rstrip() for name, value in figures.items()}
    lines = [f"{path} is written", rows_text(rows, 36), *(f"note: {note}" for note in notes)]
    lines.append(f"next: {command_line('carts', 'show', path)}")
    lines.append(f"      {command_line('evaluate', 'lqr', '--cart', path, '--rig', 'virtual')}")
    print_result(arguments, {"file": str(path), "name": cart.name, **figures, "notes": notes}, "\n".join(lines))
    return DONE


def _figure_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000.0 else f"{value:.4g}"


def _interview(arguments: argparse.Namespace) -> Interview:
    """The answers from flags, from a file, or from the operator at the terminal."""
    names = [question.name for question in questions()]
    flags = {name: getattr(arguments, f"answer_{name}") for name in names}
    given = {name: value for name, value in flags.items() if value is not None}
    if arguments.from_answers is not None:
        return answered({**read_answers(arguments.from_answers), **given}, where=str(arguments.from_answers))
    if given:
        return answered(given, where=_WHERE)
    if not sys.stdin.isatty():
        raise UsageError(
            f"{_WHERE} asks its questions at a terminal, and the input is not one; answer with --from-answers FILE "
            f"or with flags ({command_line('carts', 'new', '--help')})"
        )
    return _asked()


def _asked() -> Interview:
    """The operator's answers; each is checked when it is entered. Nothing is written before the last one."""
    _say("Enter takes the default in brackets, Ctrl-C ends without writing anything.")
    interview = Interview()
    while (question := interview.next_question()) is not None:
        if question.name == "motor":
            _say("Known motors:")
            for name, motor in known_motors().items():
                _say(f"  {name:<14} {motor.description}")
            _say(f"  {OWN_MOTOR:<14} another one: its data sheet's numbers are asked for")
        _ask(question, interview)
    return interview


def _ask(question: Question, interview: Interview) -> None:
    default = question.default(interview.answers)
    shown = "" if default is None else f" [{_shown(question, default)}]"
    of = f" ({', '.join(question.choices)})" if question.choices and question.name != "motor" else ""
    unit = f", {question.unit}" if question.unit else ""
    while True:
        print(f"{question.text[0].upper()}{question.text[1:]}{unit}{of}{shown}: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise RunError("the answers ended before the last question; nothing is written")
        word = line.strip()
        try:
            if word:
                interview.enter(question, word)
            else:
                interview.take_default(question)
        except ValueError as error:
            _say(f"  {error}")
        else:
            return


def _shown(question: Question, default: Any) -> str:
    if question.choices:
        return str({True: "yes", False: "no"}[default] if question.is_yes_or_no else default)
    return f"{default:g}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _checked(text: str, path: Path) -> CartParams:
    """The cart that a file `path` with this text is, where it can be simulated, regulated and driven by the firmware.

    Raises `UsageError` naming `path` otherwise.
    """
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.policy.lqr_design import regulator_of
    from cartpole_robot.rigs.cfg_message import cfg_message

    with tempfile.TemporaryDirectory(prefix="cart-") as folder:
        trial = Path(folder) / path.name
        trial.write_text(text, encoding="utf-8")
        try:
            cart = load_cart(trial)
        except UsageError as error:
            raise UsageError(str(error).replace(str(trial), str(path))) from None
    cfg_message(cart)
    regulator_of(cart)
    return cart


_NAMES = {
    "stall_force_n": "force at full duty, at rest",
    "steps_per_m": "steps per metre",
    "maximum_acceleration_m_s2": "acceleration at full duty",
    "terminal_speed_m_s": "speed at full duty",
    "stopping_distance_m": "stopping distance from that speed",
    "travel_limit_m": "travel limit, from the middle",
    "cart_position_m": "an episode ends at",
    "action_duty": "the actions' size",
    "moving_duty": "what must move the cart",
    "homing_speed_m_s": "homing speed",
    "pole_half_period_s": "half period of the hanging pole",
}


def _figures(cart: CartParams) -> dict[str, float]:
    from cartpole_robot.cart.firmware_figures import (
        braking_deceleration_m_s2,
        encoders_and_settings,
        pole_half_period_s,
    )

    _, firmware = encoders_and_settings(cart)
    top_m_s = cart.terminal_speed_m_s
    figures = {
        "terminal_speed_m_s": top_m_s,
        "stopping_distance_m": top_m_s**2 / (2.0 * braking_deceleration_m_s2(cart)),
        "travel_limit_m": firmware.travel_limit_m,
        "cart_position_m": cart.limits.cart_position_m,
        "action_duty": max(cart.action_duties),
        "moving_duty": firmware.moving_duty,
        "homing_speed_m_s": firmware.homing_speed_m_s,
        "pole_half_period_s": pole_half_period_s(cart),
    }
    if cart.stepper is None:
        return {"stall_force_n": cart.motor.stall_force_n, **figures}
    del figures["moving_duty"]
    return {
        "steps_per_m": cart.stepper.steps_per_m,
        "maximum_acceleration_m_s2": cart.stepper.maximum_acceleration_m_s2,
        **figures,
    }
