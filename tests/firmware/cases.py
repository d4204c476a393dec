"""The core's test cases without pytest: against any build of the core, as fast as they go.

    python -m tests.firmware.cases core.so           run them all against that library
    python -m tests.firmware.cases core.so stepper   those of a stepper's

Coverage, sanitizers and mutants are measured with the very functions that pytest collects.
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.firmware.c_core import Core, load_library
from tests.firmware.stepper_core import StepperCore, load_stepper

STEPPER_MODULES = (
    "test_stepper_limits",
    "test_stepper_ways_out",
    "test_stepper_driving",
    "test_ramp",
    "test_homing_stepper",
    "test_stepper_plausibility",
)
SAFETY_MODULES = (
    *("test_safety_states", "test_safety_armed", "test_safety_machine", "test_safety_swing", "test_plausibility"),
    *("test_pole_zero", "test_commanded"),
)
CORE_MODULES = (*SAFETY_MODULES, "test_config", "test_framing", "test_rail")


def expand(function: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """The arguments of each case of a test, from its parametrize marks."""
    columns = []
    for mark in getattr(function, "pytestmark", []):
        names = [mark.args[0]] if isinstance(mark.args[0], str) else list(mark.args[0])
        columns.append([dict(zip(names, row if len(names) > 1 else [row], strict=True)) for row in mark.args[1]])
    for rows in itertools.product(*columns):
        yield {name: value for row in rows for name, value in row.items()}


def cases_of(modules: tuple[str, ...], fixture: str = "core") -> list[tuple[str, Callable[..., None], dict[str, Any]]]:
    """Every case that needs `fixture`: its name, its function, its arguments."""
    cases = []
    for module_name in modules:
        module = importlib.import_module(f"tests.firmware.{module_name}")
        for name, function in vars(module).items():
            if name.startswith("test_") and fixture in function.__code__.co_varnames[: function.__code__.co_argcount]:
                cases += [(f"{module_name}.{name}{arguments}", function, arguments) for arguments in expand(function)]
    return cases


def first_failure(
    library: ctypes.CDLL,
    cases: list[tuple[str, Callable[..., None], dict[str, Any]]],
    fixture: str = "core",
    make: Callable[[ctypes.CDLL], Any] = Core,
) -> str | None:
    """The name of the first case that fails, None where all pass."""
    for name, function, arguments in cases:
        try:
            function(**{fixture: make(library)}, **arguments)
        except Exception:  # whatever goes wrong is a failure
            return name
    return None


def main() -> int:
    if "stepper" in sys.argv[2:]:
        cases = cases_of(STEPPER_MODULES, "stepper")
        failed = first_failure(load_stepper(Path(sys.argv[1])), cases, "stepper", StepperCore)
    else:
        cases = cases_of(CORE_MODULES)
        failed = first_failure(load_library(Path(sys.argv[1])), cases)
    print(f"{len(cases)} cases, {'first failure: ' + failed if failed else 'all pass'}")
    return failed is not None


if __name__ == "__main__":
    sys.exit(main())
