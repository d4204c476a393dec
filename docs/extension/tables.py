"""Markdown tables and text, from plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; `|` and line breaks in a cell are escaped."""
    lines = [[_cell(word) for word in row] for row in (head, ["---"] * len(head), *rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: object) -> str:
    """`text` as code; empty for an empty text."""
    return f"`{text}`" if str(text) else ""


def sentence(text: str) -> str:
    """`text` with a capital letter at its beginning, and on one line."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]
