"""Text from files and devices for a terminal or a figure: nothing in it is a command to either, or fills the screen."""

from __future__ import annotations

LONGEST_LINE = 2000  # characters; a path may have 4096 bytes, of which the beginning and the end tell most
_KEPT = " \t"


def printable(text: str, *, longest: int = LONGEST_LINE) -> str:
    r"""`text` as one line: control and invisible characters as \x1b, \n or \u202e, its middle left out if too long."""
    if len(text) > longest:
        half = longest // 2
        text = f"{text[:half]} ... {len(text) - 2 * half} characters left out ... {text[-half:]}"
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in _KEPT else _escaped(letter) for letter in text)


def printable_lines(text: str) -> str:
    """`text` with its line breaks, each line as `printable` gives it."""
    return "\n".join(printable(line) for line in text.split("\n"))


def counted(number: int, noun: str) -> str:
    """The number with its noun, "1 row" or "2 rows"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def figure_text(text: str) -> str:
    """`text` for a title or label of Matplotlib, which would typeset what stands between two dollars."""
    return printable(text, longest=200).replace("$", r"\$")


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
