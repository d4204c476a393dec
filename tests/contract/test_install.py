"""What `make` does before anything is installed: the right Python, the system's packages by name, PyBullet."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Completed

ROOT = Path(__file__).parent.parent.parent
SYSTEM = ROOT / "install" / "system.sh"
SYSTEMS = {
    "debian": "ID=debian",
    "ubuntu": "ID=ubuntu\nID_LIKE=debian",
    "raspbian": 'ID=raspbian\nID_LIKE="debian"',
    "fedora": "ID=fedora",
    "rocky": 'ID=rocky\nID_LIKE="rhel centos fedora"',
    "arch": "ID=arch",
    "opensuse": 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"',
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for the PATH that has what a shell script needs, and neither Python nor compiler."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "id", "sed", "tr", "uname", "echo", "grep"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def system(programs: Path, *words: str, like: str = "debian") -> Completed:
    release = programs / "os-release"
    release.write_text(SYSTEMS[like] + "\n")
    return subprocess.run(
        ["sh", str(SYSTEM), *words],
        env={"PATH": str(programs), "OS_RELEASE": str(release)},
        capture_output=True,
        text=True,
        timeout=30.0,
        check=False,
    )


@pytest.mark.parametrize(
    ("like", "packages"),
    [
        ("debian", "apt-get install python3 python3-dev python3-venv"),
        ("ubuntu", "apt-get install python3 python3-dev python3-venv"),
        ("raspbian", "apt-get install python3 python3-dev python3-venv"),
        ("fedora", "dnf install python3 python3-devel"),
        ("rocky", "dnf install python3 python3-devel"),
        ("arch", "pacman -S python"),
        ("opensuse", "zypper install python314 python314-devel"),
    ],
)
def test_computer_without_python_is_told_the_packages_by_its_own_names(
    programs: Path, like: str, packages: str
) -> None:
    done = system(programs, "python", like=like)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("CPython 3.11 to 3.14 is needed; install it: ")
    assert done.stderr.strip().endswith(packages)


def test_pythons_that_do_not_fit_are_named(programs: Path) -> None:
    script(programs / "python3", "cat >/dev/null; echo /usr/bin/python3 is CPython 3.9")
    (programs / "cat").symlink_to(shutil.which("cat") or "")
    done = system(programs, "python")
    assert done.returncode == 2
    assert "CPython 3.11 to 3.14 is needed (/usr/bin/python3 is CPython 3.9); install it: " in done.stderr
    chosen = system(programs, "python", str(programs / "python3"))
    assert chosen.returncode == 2
    assert "/usr/bin/python3 is CPython 3.9; choose another with make PYTHON=" in chosen.stderr


def test_this_python_is_taken_where_it_is_the_only_one(programs: Path) -> None:
    (programs / "python3").symlink_to(sys.executable)
    script(programs / "gcc", "exit 0")
    done = system(programs, "python")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "python3", "")


@pytest.mark.parametrize(
    ("hidden", "like", "what", "packages"),
    [
        ("Python.h", "debian", "the headers or venv of Python {version}", "-dev "),
        ("ensurepip", "debian", "the headers or venv of Python {version}", "-venv"),
        ("Python.h", "fedora", "the headers or venv of Python {version}", "-devel"),
    ],
)
def test_python_without_its_headers_or_venv_is_named_with_the_package(
    programs: Path, hidden: str, like: str, what: str, packages: str
) -> None:
    script(programs / "python3", f'case "$*" in *{hidden}*) exit 1 ;; esac; exec {sys.executable} "$@"')
    script(programs / "gcc", "exit 0")
    done = system(programs, "python", like=like)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert what.format(version="{}.{}".format(*sys.version_info[:2])) in done.stderr
    assert packages in done.stderr


def test_missing_compiler_is_named_with_the_package(programs: Path) -> None:
    (programs / "python3").symlink_to(sys.executable)
    for like, packages in (("debian", "gcc libc6-dev"), ("fedora", "dnf install gcc"), ("arch", "pacman -S gcc")):
        done = system(programs, "python", like=like)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("Missing: a C compiler; install it: ")
        assert done.stderr.strip().endswith(packages)


PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "tiny"
version = "1"
dependencies = ["iniconfig"]

[project.optional-dependencies]
sim = ["pybullet>=3; python_version < '3'"]
sweep = ["tiny[sim]", "a-package-that-nobody-has-published>=1"]

[tool.setuptools]
py-modules = ["tiny"]
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A project of one module, with this project's installation."""
    folder = tmp_path / "tiny"
    shutil.copytree(ROOT / "install", folder / "install", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pyproject.toml").write_text(PROJECT)
    shutil.copy(ROOT / "constraints.txt", folder)
    (folder / "tiny.py").write_text("")
    return folder


@pytest.mark.long
def test_package_without_a_wheel_is_left_out_and_named_and_so_is_pybullet_without_a_compiler(
    tiny: Path, programs: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    done = subprocess.run(
        [sys.executable, str(tiny / "install"), str(tiny / ".venv")],
        env={**environment, "PATH": str(programs), "HOME": str(tiny)},
        capture_output=True,
        text=True,
        timeout=300.0,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "a-package-that-nobody-has-published>=1 has no wheel for CPython" in done.stderr
    assert "left out, with what needs it (sweep)" in done.stderr
    assert "PyBullet is left out: there is no C++ compiler; install it: " in done.stderr
    found = subprocess.run([str(tiny / ".venv" / "bin" / "python"), "-c", "import tiny, iniconfig"], check=False)
    assert found.returncode == 0
    lines = done.stderr.splitlines()
    stages = [line for line in lines if line.startswith(("environment: ", "packages: ", "extensions: "))]
    begun = [line for line in stages if re.match(r"\w+: (creating|\d+ and what they need|compiling)", line)]
    ended = [line for line in stages if re.fullmatch(r"\w+: done in \d+ s", line)]
    assert [line.partition(":")[0] for line in begun] == ["environment", "packages", "extensions"]
    assert [line.partition(":")[0] for line in ended] == ["environment", "packages", "extensions"]
    assert "\r" not in done.stderr


SLOW_PIP = """
import sys, time
from pathlib import Path
folder = Path(sys.argv[1])
print("Collecting torch==2.13.0", flush=True)
print("  Downloading https://a.example/b/torch-2.13.0-cp311-none-linux.whl (889.2 MB)", flush=True)
time.sleep(1.5)
print("Installing collected packages: one, two, three", flush=True)
(folder / "one-1.dist-info").mkdir()
(folder / "two-1.dist-info").mkdir()
time.sleep(1.5)
print("ERROR: no space left", file=sys.stderr)
sys.exit(3)
"""
SHOW = """
import sys
from pathlib import Path
sys.path.insert(0, {install!r})
import progress
print(progress.run_pip([sys.executable, "-c", {pip!r}, {folder!r}], Path({folder!r}), "packages"))
"""


def test_a_terminal_shows_the_download_and_how_many_packages_are_installed(tmp_path: Path) -> None:
    (tmp_path / "there-1.dist-info").mkdir()
    master, terminal = os.openpty()
    code = SHOW.format(install=str(ROOT / "install"), pip=SLOW_PIP, folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=terminal, stdout=subprocess.PIPE, text=True, timeout=30.0, check=False
    )
    os.close(terminal)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert done.stdout == "(3, 'ERROR: no space left\\n')\n"
    assert "s, downloading torch-2.13.0-cp311-none-linux.whl (889.2 MB)" in shown
    assert "s, 2 of 3 packages installed" in shown
    assert "\n" not in shown
    assert shown.endswith("\r\x1b[K")


def test_an_interrupted_installation_ends_its_pip(tmp_path: Path) -> None:
    pip = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = SHOW.format(install=str(ROOT / "install"), pip=pip, folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, preexec_fn=obey_signals) as process:
        deadline = time.monotonic() + 20.0
        marker = tmp_path / "pid"
        while not (marker.exists() and marker.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        pid = int(marker.read_text())
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20.0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


BUILD = """
import sys
from pathlib import Path
sys.path.insert(0, {install!r})
import pybullet_wheel
try:
    print(pybullet_wheel.build(Path({python!r}), "pybullet"), pybullet_wheel.cached_wheel())
except pybullet_wheel.BuildError as error:
    print("refused:", error)
"""


def built(tmp_path: Path, programs: Path) -> Completed:
    script(programs / "c++", "exit 0")
    return subprocess.run(
        [sys.executable, "-c", BUILD.format(install=str(ROOT / "install"), python=str(tmp_path / "pip"))],
        env={"PATH": str(programs), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=30.0,
        check=False,
    )


def test_failed_build_tells_the_compilers_first_error_and_keeps_its_output(tmp_path: Path, programs: Path) -> None:
    script(tmp_path / "pip", 'echo "compiling"; echo "b3.cpp:7: error: no such thing"; echo "gave up"; exit 1')
    done = built(tmp_path, programs)
    assert "refused: the build failed (b3.cpp:7: error: no such thing); all of its output is in " in done.stdout
    log = Path(done.stdout.strip().rpartition(" ")[2])
    assert "gave up" in log.read_text()
    assert [path.name for path in log.parent.iterdir()] == [log.name]


def test_wheel_that_was_built_is_kept_and_found_again(tmp_path: Path, programs: Path) -> None:
    name = "pybullet-3.2.7-cp{0}{1}-cp{0}{1}-linux_{2}.whl".format(*sys.version_info[:2], platform.machine())
    script(tmp_path / "pip", f'while [ "$1" != --wheel-dir ]; do shift; done; echo "$CFLAGS" > "$2/{name}"')
    done = built(tmp_path, programs)
    made, found = done.stdout.split()
    assert (Path(made).name, made) == (name, found)
    assert "-Wno-incompatible-pointer-types" in Path(made).read_text()
    assert f"PyBullet was built in 0:00 min: {name}" in done.stderr


def obey_signals() -> None:
    """As in a terminal: tests may run in the background, where some are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_build_ends_its_compilers_and_leaves_nothing(
    tmp_path: Path, programs: Path, number: signal.Signals
) -> None:
    marker = tmp_path / "compiling"
    script(tmp_path / "pip", f"echo $$ > {marker}; exec sleep 60")
    script(programs / "c++", "exit 0")
    (programs / "sleep").symlink_to(shutil.which("sleep") or "")
    code = BUILD.format(install=str(ROOT / "install"), python=str(tmp_path / "pip"))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={"PATH": str(programs), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        preexec_fn=obey_signals,
    ) as process:
        deadline = time.monotonic() + 20.0
        while not (marker.exists() and marker.read_text().strip()) and time.monotonic() < deadline:
            time.sleep(0.05)
        compiler = int(marker.read_text())
        process.send_signal(number)
        process.wait(timeout=20.0)
    with pytest.raises(ProcessLookupError):
        os.kill(compiler, 0)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.name.startswith("pybullet-") and path.is_dir()]


def test_fresh_systems_are_for_root_alone(programs: Path) -> None:
    (programs / "id").unlink()
    script(programs / "id", "echo 1000")
    for name in ("bash", "dirname", "find", "make"):
        (programs / name).symlink_to(shutil.which(name) or "")
    done = subprocess.run(
        ["make", "--silent", "fresh"],
        cwd=ROOT,
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        timeout=30.0,
        check=False,
    )
    assert "only root may" in done.stderr


def test_environment_that_is_there_already_chooses_the_python(programs: Path, tmp_path: Path) -> None:
    there = tmp_path / "a b" / "python"
    there.parent.mkdir()
    there.symlink_to(sys.executable)
    (programs / "python3").symlink_to(sys.executable)
    script(programs / "gcc", "exit 0")
    assert system(programs, "python", "", str(there)).stdout.strip() == str(there)
    assert system(programs, "python", str(there)).stdout.strip() == str(there)
    assert system(programs, "python", "", str(tmp_path / "none")).stdout.strip() == "python3"
