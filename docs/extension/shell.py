"""The commands and snippets that the pages show, and what a page says about running them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent.parent
_BLOCK = re.compile(
    r"(?P<marks>(?:^<!-- [^\n]* -->\n)*)^```(?P<kind>sh|python)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_OTHER_BLOCK = re.compile(r"^```text\n.*?^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (needs|takes|uses|tool): (.*) -->")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page.

    It is not run where it `needs` something or `takes` long, nor where its `tool` is missing; it finds the files it
    `uses`.
    """

    page: str
    line: int
    kind: str
    text: str
    needs: str | None = None
    takes: str | None = None
    uses: tuple[str, ...] = ()
    tool: str | None = None

    @property
    def is_run(self) -> bool:
        """Whether `make docs-check` runs it."""
        return self.needs is None and self.takes is None

    @property
    def where(self) -> str:
        """Page and line, as an editor opens them."""
        return f"docs/{self.page}:{self.line}"

    def commands(self) -> list[str]:
        """The commands of a shell block, a continued line as one, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def pages() -> list[Path]:
    """Every page of the site that a person wrote, by its path."""
    return sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def blocks(page: Path) -> list[Block]:
    """The blocks of `sh` and `python` on a page, in order. Raises ValueError for a mark that no block follows."""
    text = page.read_text(encoding="utf-8")
    found = list(_blocks(text, page.relative_to(DOCS).as_posix()))
    marks = len(_MARK.findall(_OTHER_BLOCK.sub("", text)))
    followed = sum(
        (each.needs is not None) + (each.takes is not None) + (each.tool is not None) + bool(each.uses)
        for each in found
    )
    if marks != followed:
        raise ValueError(
            f"{page}: {marks} marks, but {followed} stand directly before a block; move or remove the others"
        )
    return found


def _blocks(text: str, page: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        marks = dict(_MARK.findall(found["marks"]))
        yield Block(
            page=page,
            line=text.count("\n", 0, found.start("kind")) + 1,
            kind=found["kind"],
            text=found["text"],
            needs=marks.get("needs"),
            takes=marks.get("takes"),
            tool=marks.get("tool"),
            uses=tuple(filter(None, (name.strip() for name in marks.get("uses", "").split(",")))),
        )


def words(command: str) -> list[str]:
    """The words of a command, without a comment behind it."""
    return shlex.split(command, comments=True)
