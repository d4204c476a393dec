"""What the documentation site takes from the code: tables that are made at build time, and links to the glossary."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    app.add_transform(GlossaryLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
