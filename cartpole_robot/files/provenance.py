"""Where a result comes from: versions, commit, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from cartpole_robot import __version__

_PACKAGES = ("numpy", "gymnasium", "pybullet", "torch", "stable-baselines3")


def versions() -> dict[str, str]:
    """Versions of this package, Python and the packages that a result depends on, where installed."""
    found = {"cartpole-robot": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The git commit of this checkout, with "+changes" where files differ; None outside a checkout or without git."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+changes" if changed else head


def machine() -> dict[str, Any]:
    """The machine that a timing was measured on: processor count, architecture, load over the last minute."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"cores": os.cpu_count(), "architecture": platform.machine(), "load_1_min": load}


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
