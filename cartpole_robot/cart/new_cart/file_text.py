"""The commented cart file that `carts new` writes: every number with its source."""

from __future__ import annotations

import json
from typing import Any

from cartpole_robot.cart.new_cart.answers import Interview
from cartpole_robot.cart.new_cart.body_design import BodyDesign
from cartpole_robot.cart.new_cart.motor_design import MotorDesign
from cartpole_robot.cart.new_cart.motor_sections import motor_description, motor_sections
from cartpole_robot.cart.new_cart.questions import is_stepper, questions
from cartpole_robot.cart.new_cart.sections import Section
from cartpole_robot.cart.new_cart.stepper_design import StepperDesign
from cartpole_robot.cart.new_cart.stepper_sections import stepper_description, stepper_sections


def cart_file_text(interview: Interview) -> tuple[str, list[str]]:
    """The text of the cart file for these answers, and what their builder should know about it.

    Raises `UsageError` for parts that make no cart-pole.
    """
    design, described, sections = _of_drive(interview)
    lines = [
        "# Written by cartpole-robot carts new. Correct what you measure, and its source with it. The answers:",
        *(f"#   {line}" for line in _answer_lines(interview)),
        "",
        "format = 1",
        f"description = {_quoted(described)}",
        'source = "assumed"',
    ]
    for name, comment, entries in sections:
        lines += ["", *(f"# {line}" for line in comment.splitlines()), f"[{name}]"]
        lines += [
            f"{key} = {{ value = {json.dumps(value)}, source = {_quoted(source)} }}" for key, value, source in entries
        ]
    return "\n".join(lines) + "\n", design.notes


def _of_drive(interview: Interview) -> tuple[BodyDesign, str, list[Section]]:
    if is_stepper(interview.answers):
        stepper = StepperDesign(interview)
        return stepper, stepper_description(interview, stepper), stepper_sections(interview, stepper)
    motor = MotorDesign(interview)
    return motor, motor_description(interview, motor), motor_sections(interview, motor)


def _answer_lines(interview: Interview) -> list[str]:
    def shown(value: Any) -> str:
        return json.dumps(value) if isinstance(value, str | bool) else f"{value:g}"

    names = [question.name for question in questions() if question.name in interview.answers]
    return [
        f"{name} = {shown(interview.answers[name])}{'' if name in interview.entered else '  # the default'}"
        for name in names
    ]


def _quoted(text: str) -> str:
    """A TOML string; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)
