"""The compiled module that a page carries, of its cart's drive."""

from __future__ import annotations

from cartpole_robot.cart.stepper import Drive
from cartpole_robot.errors import UsageError
from cartpole_robot.page import module_build
from firmware_bridge.protocol import read_protocol


def module_bytes(drive: Drive = Drive.DC) -> bytes:
    """The WebAssembly module of this package for carts with that drive.

    A checkout compiles it where it is missing or its sources have changed; a wheel carries both. Raises `UsageError`
    that names the packages to install.
    """
    path = module_build.ROOT / module_build.MODULES[drive.value]
    is_checkout = (module_build.ROOT / "setup.py").is_file()
    if not path.is_file() or (is_checkout and not module_build.is_current(drive=drive.value)):
        if not is_checkout:
            raise UsageError(f"{path} is missing, without which there is no page; install the package again")
        try:
            module_build.build(read_protocol().hash, drive=drive.value)
        except module_build.ModuleBuildError as error:
            raise UsageError(str(error)) from None
    return path.read_bytes()
