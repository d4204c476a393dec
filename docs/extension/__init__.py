"""What the documentation site takes from the code: tables that are made at build time, and links to the glossary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    from docs.extension.fill import filled
    from docs.extension.glossary_links import GlossaryLinks

    def fill(_app: Sphinx, _name: str, source: list[str]) -> None:
        source[0] = filled(source[0])

    app.connect("source-read", fill)
    app.connect("html-page-context", _level_captions, priority=900)  # after the theme has made its navigation
    app.add_transform(GlossaryLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _level_captions(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _document: object) -> None:
    """Give the captions of the navigation the level that their role of a heading needs."""
    if "furo_navigation_tree" in context:
        tree = str(context["furo_navigation_tree"])
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
