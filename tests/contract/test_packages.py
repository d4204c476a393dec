"""`make packages`: what it reports and installs where tools are missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Completed

ROOT = Path(__file__).parent.parent.parent
TOOLS = ("Xvfb", "avr-gcc", "simavr", "node", "npm", "clang", "wasm-ld", "chromium")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The only folder on the PATH, with the programs that `make` itself needs."""
    for name in ("bash", "find", "make"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    script(tmp_path / "id", "echo 0")
    return tmp_path


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def make_packages(folder: Path, **environment: str) -> Completed:
    """Run it with only that folder on the PATH; the headers may be installed or not."""
    return subprocess.run(
        ["make", "--silent", "packages"],
        cwd=ROOT,
        env={"PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=30.0,
        check=False,
    )


def test_missing_tools_are_reported_with_the_one_command_that_installs_them(folder: Path) -> None:
    script(folder / "apt-get", f"echo called >> {folder}/called")
    for user, command in (("0", "apt-get install"), ("1000", "sudo apt-get install")):
        script(folder / "id", f"echo {user}")
        done = make_packages(folder)
        assert (done.returncode, done.stdout) == (0, "")
        lines = done.stderr.splitlines()
        assert lines[0] == "Tests are skipped for lack of these tools:"
        assert {line.strip().partition(":")[0] for line in lines[1:-1]} >= set(TOOLS)
        assert lines[-1].startswith(f"Install them with: {command} --yes --no-install-recommends xvfb ")
        assert {"gcc-avr", "avr-libc", "simavr", "nodejs", "npm", "chromium"} <= set(lines[-1].split())
    assert not (folder / "called").exists()


def test_one_missing_tool_asks_for_its_packages_alone(folder: Path) -> None:
    for name in TOOLS[:-1]:
        script(folder / name, "")
    done = make_packages(folder)
    packages = set(done.stderr.splitlines()[-1].partition("recommends ")[2].split())
    assert packages - {"libsimavr-dev", "wasi-libc", "libclang-rt-dev-wasm32"} == {"chromium"}


def test_continuous_integration_installs_them(folder: Path) -> None:
    script(folder / "apt-get", f'echo "$@" >> {folder}/called')
    done = make_packages(folder, CI="true")
    assert done.returncode == 0, done.stderr
    update, install = (folder / "called").read_text().splitlines()
    assert update == "update -qq"
    assert {"install", "xvfb", "gcc-avr", "simavr", "nodejs", "npm", "chromium"} <= set(install.split())


@pytest.mark.parametrize("body", [None, "exit 100"])
def test_continuous_integration_fails_where_they_cannot_be_installed(folder: Path, body: str | None) -> None:
    if body is not None:
        script(folder / "apt-get", body)
    done = make_packages(folder, CI="true")
    assert done.returncode != 0
    assert "CI=true needs these tools, and they cannot be installed:\n  Xvfb: PyBullet's window\n" in done.stderr


def test_nothing_is_reported_where_nothing_is_missing(folder: Path) -> None:
    for name in TOOLS:
        script(folder / name, "")
    done = make_packages(folder)
    headers = (Path("/usr/include/simavr/sim_avr.h"), Path("/usr/include/wasm32-wasi/math.h"))
    has_headers = all(header.exists() for header in headers)
    assert (done.returncode, done.stdout, done.stderr == "") == (0, "", has_headers)
