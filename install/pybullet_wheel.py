"""PyBullet for a Python that it has no wheel for: built once from source, then kept in the user's cache."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from requirements import CONSTRAINED, PIP

ROOM_MB = 1500  # of temporary files, while it is built
# NumPy's array accessors do not take PyBullet's pointer types, which GCC 14 calls an error.
CFLAGS = "-g0 -Wno-incompatible-pointer-types"
_TELL_EVERY_S = 30.0
_PIPS_OWN = ("subprocess-exited-with-error", "Failed building wheel", "Failed to build")  # they name no cause


class BuildError(Exception):
    """PyBullet cannot be built; the message says why in one line."""


def cache_folder() -> Path:
    """Where wheels are kept, one folder for each C library, as a wheel runs on the one it was built with."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "cartpole_robot" / "wheels" / "-".join(filter(None, platform.libc_ver())).replace("/", "_")


def cached_wheel() -> Path | None:
    """The wheel for this Python, of the version in constraints.txt, if it has been built before."""
    python, machine = "cp{}{}".format(*sys.version_info[:2]), platform.machine()
    pinned = re.search(r"(?m)^pybullet==(\S+)", Path(CONSTRAINED[1]).read_text(encoding="utf-8"))
    version = pinned.group(1) if pinned else "*"
    found = sorted(cache_folder().glob(f"pybullet-{version}-{python}-{python}-*_{machine}.whl"))
    return found[-1] if found else None


def build(python: Path, requirement: str) -> Path:
    """Build the wheel with `python`, which has NumPy and setuptools. Raises `BuildError`."""
    if shutil.which(os.environ.get("CXX", "c++")) is None and shutil.which("g++") is None:
        raise BuildError(f"there is no C++ compiler; install it: {_system_command('c++')}, then run make pybullet")
    version = "{}.{}".format(*sys.version_info)
    say(
        f"PyBullet has no wheel for CPython {version} on this computer. It is built from source once, which takes "
        "3 to 5 minutes on two cores and up to half an hour on a slow or busy computer."
    )
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="pybullet-", dir=cache) as temporary:
            free_mb = shutil.disk_usage(temporary).free // 1_000_000
            if free_mb < ROOM_MB:
                raise BuildError(f"{cache} has {free_mb} MB free, {ROOM_MB} MB are needed")
            with _noted_signals() as signals:
                made = _built_in(Path(temporary), python, requirement, signals)
            return made.replace(cache / made.name)
    except OSError as error:
        raise BuildError(str(error)) from None


@contextlib.contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """Inside, signals that would end this process are only added to the list: no compiler may outlive it."""
    noted: list[int] = []
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            before[number] = signal.signal(number, lambda number, _: noted.append(number))
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _built_in(folder: Path, python: Path, requirement: str, signals: list[int]) -> Path:
    log = folder / "pybullet-build-cp{}{}.log".format(*sys.version_info)
    begin = time.monotonic()
    words = [str(python), *PIP, "wheel", "--no-deps", "--no-build-isolation", *CONSTRAINED]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*words, "--no-binary", "pybullet", "--wheel-dir", str(folder), requirement],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "CFLAGS": f"{os.environ.get('CFLAGS', '')} {CFLAGS}".strip(), "TMPDIR": str(folder)},
            start_new_session=True,  # so that Ctrl-C reaches the compilers through `_stop` alone
        )
        try:
            _wait(process, folder, begin, signals)
        finally:
            _stop(process)
    made = list(folder.glob("pybullet-*.whl"))
    if process.returncode != 0 or not made:
        kept = log.replace(folder.parent / log.name)
        raise BuildError(f"the build failed ({_reason(kept)}); all of its output is in {kept}")
    size_mb = made[0].stat().st_size / 1e6
    say(f"PyBullet was built in {_minutes(time.monotonic() - begin)}: {made[0].name}, {size_mb:.0f} MB")
    return made[0]


def _wait(process: subprocess.Popen[bytes], folder: Path, begin: float, signals: list[int]) -> None:
    """Until it ends, with a line on a terminal that tells how far it is, else one every half minute.

    Raises KeyboardInterrupt once there is one of `signals`.
    """
    is_terminal = sys.stderr.isatty()
    told_s = 0.0
    while process.poll() is None:
        time.sleep(0.2)
        if signals:
            raise KeyboardInterrupt
        elapsed_s = time.monotonic() - begin
        if elapsed_s - told_s < (1.0 if is_terminal else _TELL_EVERY_S):
            continue
        told_s = elapsed_s
        compiled = sum(name.endswith(".o") for _, _, names in os.walk(folder) for name in names)
        text = f"building PyBullet: {compiled} files compiled, {_minutes(elapsed_s)}"
        print(f"\r{text}" if is_terminal else text, end="" if is_terminal else "\n", file=sys.stderr, flush=True)
    if is_terminal:
        print(file=sys.stderr)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        say("stopping ...")
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _reason(log: Path) -> str:
    """That there is no network, or the first error that a compiler printed, else the last line."""
    text = log.read_text(encoding="utf-8", errors="replace")
    if "NewConnectionError" in text or "NameResolutionError" in text:
        return "the package index does not answer"
    lines = [line.strip() for line in text.splitlines() if line.strip() and not any(word in line for word in _PIPS_OWN)]
    errors = [line for line in lines if "error:" in line.lower()]
    return (errors or lines[-1:] or ["no output"])[0][:200]


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


def _system_command(part: str) -> str:
    done = subprocess.run(
        ["sh", str(Path(__file__).parent / "system.sh"), "command", part], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or part


def say(text: str) -> None:
    """Print a line at once, in order with what pip prints."""
    print(text, file=sys.stderr, flush=True)
