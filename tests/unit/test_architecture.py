from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "cartpole_robot"
PAGE = (ROOT / "ARCHITECTURE.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def paths(text: str) -> list[str]:
    return [name for name in re.findall(r"`([\w./]+)`", text) if "/" in name or name.endswith((".py", ".c", ".h"))]


@pytest.mark.parametrize("title", SECTIONS)
def test_every_path_on_the_page_exists(title: str) -> None:
    bases = (ROOT, PACKAGE, PACKAGE / "datasets", ROOT / "firmware_bridge", ROOT / "firmware_bridge" / "firmware")
    bases += (PACKAGE / "experiments", PACKAGE / "training", PACKAGE / "cart")
    missing = [name for name in paths(SECTIONS[title]) if not any((base / name).exists() for base in bases)]
    assert missing == []


def test_every_room_is_on_the_map() -> None:
    rooms = {f"cartpole_robot/{entry.name}/" for entry in PACKAGE.iterdir() if (entry / "__init__.py").exists()}
    modules = {f"cartpole_robot/{entry.name}" for entry in PACKAGE.glob("*.py") if not entry.name.startswith("__")}
    named = set(paths(SECTIONS["The rooms"]))
    assert (rooms | modules) - named == set()
