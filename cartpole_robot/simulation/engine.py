"""The two engines that simulate a cart: PyBullet, which is the reference, and the same equations in C."""

from __future__ import annotations

import enum
import platform
import sys
from importlib import util
from typing import Any

from cartpole_robot.errors import RigError, UsageError

HAS_PYBULLET_WHEEL = sys.version_info < (3, 12) and sys.platform == "linux" and platform.machine() == "x86_64"
"""Whether `pip install pybullet` finds a wheel here; pyproject.toml has the same condition."""

_BUILD = "set CFLAGS=-Wno-incompatible-pointer-types and have a C++ compiler, or run make pybullet in a checkout"


class Engine(enum.StrEnum):
    """An engine by the name that options and records have."""

    PYBULLET = "pybullet"
    NATIVE = "native"


def engine_named(name: str) -> Engine:
    """The engine of that name. Raises `UsageError` for an unknown one."""
    try:
        return Engine(name)
    except ValueError:
        raise UsageError(f"engine {name!r} is not known; expected one of {', '.join(Engine)}") from None


def is_installed(engine: Engine) -> bool:
    """Whether the package or the extension that the engine needs is installed; imports neither."""
    return util.find_spec("pybullet" if engine is Engine.PYBULLET else "cartpole_robot.simulation._native") is not None


def check_is_installed(engine: Engine) -> None:
    """Raise `UsageError` naming what is missing if the engine cannot run here."""
    if not is_installed(engine):
        missing = {
            Engine.PYBULLET: f"{pybullet_is_missing()}, or choose the engine native",
            Engine.NATIVE: "the compiled part cartpole_robot.simulation._native is missing; install the package with a "
            "C compiler at hand, or choose the engine pybullet",
        }
        raise UsageError(f"engine {engine}: {missing[engine]}")


def pybullet_is_missing() -> str:
    """What is missing and how to install it: in a checkout with make, which knows what the build needs."""
    version = "{}.{}".format(*sys.version_info)
    build = "" if HAS_PYBULLET_WHEEL else f", which builds it on Python {version}: {_BUILD}"
    return f"the package pybullet is not installed; install it with pip install pybullet{build}"


def reference_engine() -> Engine:
    """PyBullet where it is installed, else the native engine."""
    return Engine.PYBULLET if is_installed(Engine.PYBULLET) else Engine.NATIVE


def reference_note() -> str | None:
    """What to say where the native engine takes PyBullet's place; None where PyBullet is installed."""
    if is_installed(Engine.PYBULLET):
        return None
    return f"the native engine simulates in PyBullet's place: {pybullet_is_missing()}"


def refuse_closed(*_: object) -> Any:
    """Raise `RigError`: what every method of a closed simulation does."""
    raise RigError("this simulation is closed; make a new environment")
