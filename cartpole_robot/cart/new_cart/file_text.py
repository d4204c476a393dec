"""The commented cart file that `carts new` writes: every number with its source."""

from __future__ import annotations

import json
from typing import Any

from cartpole_robot.cart.new_cart.answers import Interview
from cartpole_robot.cart.new_cart.motor_design import MotorDesign
from cartpole_robot.cart.new_cart.motor_sections import motor_description, motor_sections
from cartpole_robot.cart.new_cart.questions import questions


def cart_file_text(interview: Interview) -> tuple[str, list[str]]:
    """The text of the cart file for these answers, and what their builder should know about it.

    Raises `UsageError` for parts that make no cart-pole.
    """
    design = MotorDesign(interview)
    lines = [
        "# Written by cartpole-robot carts new. Correct what you measure, and its source with it. The answers:",
        *(f"#   {line}" for line in _answer_lines(interview)),
        "",
        "format = 1",
        f"description = {_quoted(motor_description(interview, design))}",
        'source = "assumed"',
    ]
    for name, comment, entries in motor_sections(interview, design):
        lines += ["", *(f"# {line}" for line in comment.splitlines()), f"[{name}]"]
        lines += [
            f"{key} = {{ value = {json.dumps(value)}, source = {_quoted(source)} }}" for key, value, source in entries
        ]
    return "\n".join(lines) + "\n", design.notes


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
