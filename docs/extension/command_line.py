"""The reference of the command line, from the parsers that read it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping

from cartpole_robot.commands.cli import VERB_GROUPS, command_line_parser
from docs.extension.tables import code, sentence, table


def command_line() -> str:
    """All verbs in their groups, with arguments, options and examples, as Markdown."""
    verbs = verbs_of(command_line_parser())
    parts = []
    for title, group in VERB_GROUPS.items():
        parts += [f"## {title[0].upper()}{title[1:]}", table(("verb", "what it does"), _overview(group))]
        for verb in group:
            parts += _section(verbs[verb.name], level=3)
    return "\n\n".join(parts)


def _overview(group: tuple[object, ...]) -> Iterator[tuple[str, str]]:
    for verb in group:
        name = str(getattr(verb, "name", ""))
        yield f"[`{name}`](#{_anchor(f'cartpole-robot {name}')})", str(getattr(verb, "summary", ""))


def verbs_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The parsers below one, by the word that selects each; none where it has no verbs."""
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return actions[0].choices if actions else {}


def _anchor(title: str) -> str:
    return title.replace(" ", "-")


def _section(parser: argparse.ArgumentParser, level: int) -> list[str]:
    if hasattr(parser, "color"):  # Python 3.14 would colour the texts
        parser.color = False
    below = verbs_of(parser)
    parts = [f"{'#' * level} {parser.prog}", _description(parser), _synopsis(parser)]
    rows = [row for action in parser._actions for row in _row(parser, action)]
    if rows:
        parts.append(table(("argument", "what it is"), rows))
    if parser.epilog:
        parts.append(f"<!-- needs: an example of the help -->\n```sh\n{_examples(parser.epilog)}\n```")
    for each in below.values():
        parts += _section(each, level + 1)
    return parts


def _description(parser: argparse.ArgumentParser) -> str:
    """The description without the list of verbs below it."""
    text, _, _ = (parser.description or "").partition("\n\n")
    return _with_code(sentence(text))


def _synopsis(parser: argparse.ArgumentParser) -> str:
    usage = parser.format_usage().removeprefix("usage: ")
    lines = [line.strip() for line in usage.strip().splitlines()]
    return "```text\n" + "\n    ".join(lines) + "\n```"


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> Iterator[tuple[str, str]]:
    if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
        return
    formatter = parser._get_formatter()
    shown = formatter._format_action_invocation(action)
    names = shown if action.option_strings else f"{action.metavar or action.dest}"
    yield code(names), _with_code(sentence(formatter._expand_help(action))) if action.help else ""


def _with_code(text: str) -> str:
    """A text whose options and commands in quotation marks are shown as code."""
    text = re.sub(r"'(cartpole-robot [^']*)'", r"`\1`", text)
    value = r"=[^\s;)]*[^\s,;)]| swing-up\b| [^\s`]*[:/][^\s`]*\w"
    return re.sub(rf"(?<![\w`-])(--[a-z][\w-]*(?:{value})?)", r"`\1`", text)


def _examples(epilog: str) -> str:
    """The commands of the help, each on one line."""
    joined = epilog.replace("\\\n", " ")
    return "\n".join(" ".join(line.removeprefix("example:").split()) for line in joined.splitlines() if line.strip())
