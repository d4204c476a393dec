"""The list of the notebooks."""

from __future__ import annotations

import json
from pathlib import Path


def list_of_notebooks(folder: Path) -> str:
    """A line for each notebook: its title, linked to the file, and the first paragraph of its text."""
    lines = []
    for path in sorted(folder.glob("*.ipynb")):
        title, summary = _title_and_summary(path)
        lines.append(f"- {{download}}`{title} <../notebooks/{path.name}>`: {summary}")
    return "\n".join(lines)


def _title_and_summary(path: Path) -> tuple[str, str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    title, _, rest = text.partition("\n")
    return title.lstrip("# ").strip(), " ".join(rest.strip().split("\n\n")[0].split())
