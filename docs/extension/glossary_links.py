"""Links the first use of each glossary term on a page to the glossary."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

GLOSSARY = Path(__file__).parent.parent / "start" / "glossary.md"
_LINKED_IN = (nodes.paragraph,)
_NOT_IN = (nodes.title, nodes.reference, nodes.literal, nodes.literal_block, addnodes.pending_xref, nodes.term)


@functools.cache
def terms() -> tuple[str, ...]:
    """The terms of the glossary, longest first."""
    text = GLOSSARY.read_text(encoding="utf-8")
    (body,) = re.findall(r"```\{glossary\}\n(.*?)```", text, re.DOTALL)
    found = [line.strip() for line in body.splitlines() if line and not line.startswith((" ", ":"))]
    return tuple(sorted(found, key=len, reverse=True))


def first_use(text: str, term: str) -> re.Match[str] | None:
    """Where `text` uses `term` as a word of its own, in the singular or with an "s"."""
    return re.search(rf"(?<![\w-]){re.escape(term)}s?(?![\w-])", text, re.IGNORECASE)


class GlossaryLinks(SphinxTransform):
    """Replaces the first use of each term in a page's sentences by a link."""

    default_priority = 200

    def apply(self, **_: object) -> None:
        """Change the document, unless it is the glossary or made from the code."""
        if self.env.current_document.docname.startswith(("reference/", "start/glossary")):
            return
        for term in terms():
            self._link(term)

    def _link(self, term: str) -> None:
        for text in list(self.document.findall(nodes.Text)):
            if not _is_prose(text) or (found := first_use(text, term)) is None:
                continue
            link = addnodes.pending_xref(
                "", refdomain="std", reftype="term", reftarget=term, refexplicit=True, refwarn=True
            )
            link["refdoc"] = self.env.current_document.docname
            link += nodes.inline("", found[0], classes=["std", "std-term"])
            parts = [nodes.Text(text[: found.start()]), link, nodes.Text(text[found.end() :])]
            text.parent.replace(text, [part for part in parts if part.astext()])
            return


def _is_prose(text: nodes.Text) -> bool:
    parents = []
    parent = text.parent
    while parent is not None:
        parents.append(parent)
        parent = parent.parent
    return any(isinstance(each, _LINKED_IN) for each in parents) and not any(
        isinstance(each, _NOT_IN) for each in parents
    )
