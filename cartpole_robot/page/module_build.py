"""Builds the page's modules from the firmware's own C, the native engine's and the page's, with clang and wasm-ld.

    python -m cartpole_robot.page.module_build

There is one for each drive of a cart, as there is one image of the firmware for each; a page carries that of its cart.
Standard library only: setup.py loads this file by its path, before there is a package. A module ends with a section
that holds the SHA-256 of its sources, so that one of other sources is built again.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MODULES = {  # by the drive
    "dc": "cartpole_robot/page/assets/cartpole.wasm",
    "stepper": "cartpole_robot/page/assets/cartpole_stepper.wasm",
}
_FIRMWARE = "firmware_bridge/firmware"
_ENGINE = "cartpole_robot/simulation/native"
_PAGE = "cartpole_robot/page/native"
_OF_DRIVE = {  # the sources that only one drive has
    "dc": ("drive_dc.c", "homing_dc.c", "world_dc.c"),
    "stepper": ("drive_stepper.c", "homing_stepper.c", "world_stepper.c"),
}
_DEFINED = {"dc": (), "stepper": ("-DFIRMWARE_STEPPER=1",)}
_HOST = ("host_network", "policy_image", "pulse_train", "simulated_board")
_BOARD = tuple(f"{_FIRMWARE}/boards/host/{name}.c" for name in _HOST)
_PLANT = tuple(f"{_ENGINE}/{name}.c" for name in ("plant", "motor", "stepper", "cart", "delay"))
_TARGET = "--target=wasm32-wasi"
_COMPILE = (_TARGET, "-std=c11", "-O3", "-ffp-contract=off", "-mbulk-memory")
_LINK = (
    *(_TARGET, "-nostartfiles", "-Wl,--no-entry", "-Wl,--strip-all"),
    *("-Wl,--export=__heap_base", "-Wl,-z,stack-size=262144"),
)
_SECTION = b"sources"
_SECTION_BYTES = 2 + 1 + len(_SECTION) + 32  # its kind and size, the length of its name, the name, the hash
_LIMIT_S = 300.0
PACKAGES = "clang lld wasi-libc libclang-rt-dev-wasm32"  # Debian's


class ModuleBuildError(Exception):
    """Why the module cannot be built, and what to do."""


def defined(drive: str) -> tuple[str, ...]:
    """The compiler's options that choose the drive."""
    return _DEFINED[drive]


def sources(root: Path = ROOT, drive: str = "dc") -> list[Path]:
    """The C files that are compiled for that drive."""
    others = {name for each, names in _OF_DRIVE.items() if each != drive for name in names}
    core, page = (
        sorted(path for path in (root / folder).glob("*.c") if path.name not in others) for folder in (_FIRMWARE, _PAGE)
    )
    return [*core, *(root / name for name in (*_BOARD, *_PLANT)), *page]


def sources_hash(root: Path = ROOT, drive: str = "dc") -> bytes:
    """SHA-256 over the C files, every header they may include, and how they are compiled."""
    folders = (_FIRMWARE, f"{_FIRMWARE}/boards/host", _ENGINE, _PAGE)
    headers = sorted(path for folder in folders for path in (root / folder).glob("*.h"))
    digest = hashlib.sha256(repr((_COMPILE, _LINK, _DEFINED[drive])).encode())
    for path in (*sources(root, drive), *headers):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.digest()


def _section(root: Path, drive: str) -> bytes:
    contents = bytes((len(_SECTION),)) + _SECTION + sources_hash(root, drive)
    return bytes((0, len(contents))) + contents


def is_current(root: Path = ROOT, drive: str = "dc") -> bool:
    """Whether the module is there, and built from the sources as they are."""
    path = root / MODULES[drive]
    return path.is_file() and path.read_bytes()[-_SECTION_BYTES:] == _section(root, drive)


def missing_tools() -> list[str]:
    """What is missing for a build, one phrase each."""
    missing = [name for name in ("clang", "wasm-ld") if shutil.which(name) is None]
    if missing:
        return missing
    found = subprocess.run(["clang", _TARGET, "-print-libgcc-file-name"], capture_output=True, text=True, check=False)
    if not Path(found.stdout.strip()).is_file():
        missing.append("clang's runtime library for wasm32")
    probe = "#include <math.h>\n"
    words = ["clang", _TARGET, "-fsyntax-only", "-x", "c", "-"]
    if subprocess.run(words, input=probe, capture_output=True, text=True, check=False).returncode != 0:
        missing.append("wasi-libc")
    return missing


def build(protocol_hash: int, root: Path = ROOT, warnings: tuple[str, ...] = (), drive: str = "dc") -> Path:
    """The module's file for that drive, compiled; `warnings` are more options for the compiler.

    Raises `ModuleBuildError`: tools are missing, or the compiler reports an error.
    """
    missing = missing_tools()
    if missing:
        raise ModuleBuildError(
            f"the page's WebAssembly module cannot be compiled: {', '.join(missing)} not found; "
            f"install them (Debian: apt-get install {PACKAGES})"
        )
    target = root / MODULES[drive]
    target.parent.mkdir(parents=True, exist_ok=True)
    folders = ("-iquote", str(root / _ENGINE), "-iquote", str(root / _FIRMWARE))
    options = (f"-DPROTOCOL_HASH=0x{protocol_hash:08x}u", *_DEFINED[drive], *folders)
    with tempfile.TemporaryDirectory(prefix="module-", dir=target.parent) as name:
        objects = []
        for number, source in enumerate(sources(root, drive)):
            objects.append(str(Path(name, f"{number}.o")))
            _run(["clang", *_COMPILE, *warnings, *options, "-c", str(source), "-o", objects[-1]])
        linked = Path(name, "linked.wasm")
        _run(["clang", *_LINK, *objects, "-o", str(linked)])
        with linked.open("ab") as file:
            file.write(_section(root, drive))
        linked.chmod(0o644)
        linked.replace(target)  # another build may have been quicker: both are the same
    return target


def _run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    if done.returncode != 0:
        raise ModuleBuildError(f"{' '.join(words[:2])} ... {words[-3]} failed:\n{done.stderr[-2000:]}")


def main() -> int:
    """Build them from the command line; returns 1 with the reason where that is impossible."""
    from firmware_bridge.protocol import read_protocol

    try:
        paths = [build(read_protocol().hash, drive=drive) for drive in MODULES]
    except ModuleBuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in paths:
        print(f"{path}  {path.stat().st_size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
