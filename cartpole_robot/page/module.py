"""The compiled module that a page carries."""

from __future__ import annotations

from cartpole_robot.errors import UsageError
from cartpole_robot.page import module_build
from firmware_bridge.protocol import read_protocol


def module_bytes() -> bytes:
    """The WebAssembly module of this package.

    A checkout compiles it where it is missing or its sources have changed; a wheel carries it. Raises `UsageError`
    that names the packages to install.
    """
    path = module_build.ROOT / module_build.MODULE
    is_checkout = (module_build.ROOT / "setup.py").is_file()
    if not path.is_file() or (is_checkout and not module_build.is_current()):
        if not is_checkout:
            raise UsageError(f"{path} is missing, without which there is no page; install the package again")
        try:
            module_build.build(read_protocol().hash)
        except module_build.ModuleBuildError as error:
            raise UsageError(str(error)) from None
    return path.read_bytes()
