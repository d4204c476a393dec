"""What the documentation site takes from the code: tables that are made at build time."""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    return {"parallel_read_safe": True, "parallel_write_safe": True}
