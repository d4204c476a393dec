"""Creates .venv and installs the package with all its extras into it, as far as this Python allows.

python install VENV              the Python that runs this becomes the one of VENV
VENV/bin/python install pybullet build PyBullet for it, where the first run could not
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from progress import StageError, run_pip, stage
from pybullet_wheel import BuildError, build, cached_wheel, say
from requirements import CONSTRAINED, PIP, ROOT, WHEELS, requirements, unavailable

SHOWN_LINES = 4  # of pip's own error
_VERSION = "{}.{}".format(*sys.version_info[:2])


def install(folder: Path) -> int:
    """Install into `folder`; the exit code."""
    python = folder.absolute() / "bin" / "python"
    try:
        with stage("environment", f"creating {folder} with CPython {_VERSION}"):
            _create(folder, python)
        asked = requirements()
        what = f"{len(asked)} and what they need, about 140 in all; the first time, that is a download of 1 GB or more"
        with stage("packages", what):
            left_out = _install_packages(python, asked)
        with stage("extensions", "compiling the package's extensions in C"):
            kept = [each for each in asked if each not in left_out]
            if not _pip(python, "--no-build-isolation", *kept, "--editable", str(ROOT), shown_as="extensions"):
                raise StageError
    except StageError:
        return 2
    for each in left_out:
        say(
            f"{each} has no wheel for CPython {_VERSION} on this computer: left out, with what needs it ({asked[each]})"
        )
    install_pybullet(python)
    return 0


def _create(folder: Path, python: Path) -> None:
    """Make the environment `folder`, with what builds packages. Raises `StageError`."""
    found = _output(python, "import sys; print(sys.version)")
    if found is not None and found != sys.version:
        say(f"{folder} is of Python {found.split()[0]}; it becomes one of {sys.version.split()[0]}, empty at first.")
    try:
        venv.create(folder, with_pip=True, clear=found != sys.version, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = str(getattr(error, "output", None) or error).strip().splitlines()[-1]
        free_mb = shutil.disk_usage(folder.absolute().parent).free // 1_000_000
        say(f"{folder} cannot be made: {reason} ({free_mb} MB free)")
        raise StageError from None
    if not _pip(python, "setuptools", "wheel", shown_as="environment"):
        raise StageError


def _install_packages(python: Path, asked: dict[str, str]) -> list[str]:
    """Install what is `asked` from wheels; those that have none and can be left out. Raises `StageError`."""
    if _pip(python, *WHEELS, *asked, shown_as="packages", is_quiet=True):
        return []
    say("packages: looking for those without a wheel for this computer, which takes up to a minute")
    left_out = unavailable(python, list(asked))
    if not left_out or any(asked[each] == "" for each in left_out):
        _pip(python, *WHEELS, *asked, shown_as="packages")  # again, to show its error: no network, a full disk
        raise StageError
    return left_out


def install_pybullet(python: Path) -> int:
    """Install PyBullet where it is missing; exit code 1 where it cannot be."""
    if _can_import(python, "pybullet"):
        return 0
    requirement = next(each for each in requirements() if each.startswith("pybullet")).partition(";")[0]
    try:
        wheel = cached_wheel()
        if wheel is not None:
            say(f"PyBullet from the cache: {wheel}")
            if _installed(python, wheel):
                return 0
            say("It does not work here.")
        wheel = build(python, requirement)
        if not _installed(python, wheel):
            raise BuildError(f"{wheel} does not work here")
    except BuildError as error:
        say(f"PyBullet is left out: {error}. Everything but its window and the check against it runs without it.")
        return 1
    return 0


def _installed(python: Path, wheel: Path) -> bool:
    """Whether PyBullet can be imported from `wheel`, once that is installed."""
    return _pip(python, "--no-deps", "--force-reinstall", str(wheel), shown_as="PyBullet") and _can_import(
        python, "pybullet"
    )


def _can_import(python: Path, module: str) -> bool:
    return _output(python, f"import {module}") is not None


def _output(python: Path, code: str) -> str | None:
    """What `code` prints, None if it fails or there is no such Python."""
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _pip(python: Path, *words: str, shown_as: str, is_quiet: bool = False) -> bool:
    """Whether pip could install `words`; unless `is_quiet`, the end of its error is printed otherwise."""
    packages = python.parent.parent / "lib" / f"python{_VERSION}" / "site-packages"
    exit_code, errors = run_pip([str(python), *PIP, "install", *CONSTRAINED, *words], packages, shown_as)
    if exit_code != 0 and not is_quiet:
        lines = [line for line in errors.splitlines() if line.strip()]
        say("\n".join(["pip could not install:", *lines[-SHOWN_LINES:]]))
    return exit_code == 0


def main(words: list[str]) -> int:
    """The exit code; see the module's docstring."""
    if len(words) != 1:
        print((__doc__ or "").partition("\n\n")[2], file=sys.stderr)
        return 2
    try:
        if words[0] == "pybullet":
            return install_pybullet(Path(sys.executable))
        with (ROOT / "pyproject.toml").open("rb") as lock:  # one installation at a time
            fcntl.flock(lock, fcntl.LOCK_EX)
            return install(Path(words[0]))
    except KeyboardInterrupt:
        say("stopped; run make again to continue")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
