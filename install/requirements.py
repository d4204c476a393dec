"""The requirements of pyproject.toml, and which of them this Python can install."""

from __future__ import annotations

import re
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIP = ("-m", "pip", "--disable-pip-version-check")
CONSTRAINED = ("--constraint", str(ROOT / "constraints.txt"))
WHEELS = ("--only-binary", ":all:")


def requirements() -> dict[str, str]:
    """Each requirement of the package and its extras, and the first extra that has it; "" for the package itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    own = re.compile(rf"{project['name']}\[")
    return {each: extra for extra, listed in reversed(extras.items()) for each in listed if not own.match(each)}


def unavailable(python: Path, asked: list[str]) -> list[str]:
    """Those of `asked` that have no wheel for `python`."""

    def is_missing(requirement: str) -> bool:
        words = [str(python), *PIP, "install", "--quiet", "--dry-run", "--no-deps", *WHEELS, *CONSTRAINED, requirement]
        return subprocess.run(words, capture_output=True, check=False).returncode != 0

    with ThreadPoolExecutor(max_workers=4) as pool:
        return [each for each, missing in zip(asked, pool.map(is_missing, asked), strict=True) if missing]
