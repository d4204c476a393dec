"""Build the source distribution and from it the wheel, and test both in empty environments.

    python -m tests.wheels [--out FOLDER] [--python PYTHON ...]

Each is installed with each Python into a virtual environment of its own, and runs outside the checkout with an empty
home: imports, command line, deployment and an episode of the virtual rig with NumPy and pyserial alone, then Gymnasium
environments, then an extension that does not load. One wheel serves every Python. Exits with 1 if anything fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cartpole_robot.cart.cart_file import load_cart
from tests.policy_on_board import regulating_policy

ROOT = Path(__file__).parent.parent
PACKAGES = {"cartpole-robot", "numpy", "pyserial"}
CART = "diy_arduino"
DEPLOYMENTS = 3  # tries: a busy machine may be too late for the firmware
LIMIT_S = 600.0

IMPORTS = f"""
import importlib, importlib.metadata, sys
for name in ("cartpole_robot.deployment.run", "cartpole_robot.rigs.open_rig", "cartpole_robot.simulation._native",
             "cartpole_robot.training.dqn._update", "firmware_bridge._host"):
    found = importlib.import_module(name).__file__
    assert found.startswith(sys.prefix), found
from cartpole_robot.page.module import module_bytes
assert module_bytes()[:4] == b"\\0asm"
installed = {{each.name for each in importlib.metadata.distributions()}} - {{"pip", "setuptools"}}
assert installed == {PACKAGES!r}, installed
"""

VIRTUAL = """
import sys
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot import task
cart = load_cart("diy_arduino")
act = load_policy(sys.argv[1]).action_function()
rig = open_rig("virtual", cart)
measured = start_rollout(rig, 0)
for steps in range(200):
    assert not task.is_terminated(measured, cart.limits), steps
    measured = rig.step(cart.action_duties[act(task.observation(measured))])
rig.close()
"""

GYMNASIUM = """
import sys, gymnasium
from cartpole_robot.policy.bundle import load_policy
act = load_policy(sys.argv[1]).action_function()
for options in ({"rig": "sim", "engine": "native"}, {"rig": "virtual"}):
    env = gymnasium.make("cartpole_robot.env:cartpole_robot/CartPole-v1", cart="diy_arduino", **options)
    observation, _ = env.reset(seed=0)
    for steps in range(200):
        observation, _, has_fallen, _, _ = env.step(act(observation))
        assert not has_fallen, (options, steps)
    env.close()
"""


class CheckError(Exception):
    """What failed and how, with the end of its output."""


def copy_tracked_files(target: Path) -> Path:
    """The files that git tracks, as they are now, without what earlier builds left."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target


def build(folder: Path, *, is_release: bool = True) -> tuple[Path, Path]:
    """The source distribution, and the wheel built from it, in `folder`.

    A release carries the page's WebAssembly, or is not built.
    """
    with tempfile.TemporaryDirectory(prefix="source-") as name:
        source = copy_tracked_files(Path(name))
        words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
        _run(words, env={**os.environ, "CARTPOLE_ROBOT_RELEASE": "1" if is_release else ""})
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def check(artefact: Path, python: str, policy: Path) -> Iterator[str]:
    """What has been found to work, one word at a time. Raises `CheckError`."""
    with tempfile.TemporaryDirectory(prefix="empty-") as name:
        folder = Path(name)
        inside = folder / "venv"
        _run([python, "-m", "venv", str(inside)])
        words = [str(inside / "bin" / "python"), "-I", "-c"]
        command = str(inside / "bin" / "cartpole-robot")

        def run(*parts: str) -> subprocess.CompletedProcess[str]:
            return _run(parts, folder)

        _install(inside, str(artefact))
        yield "installs"
        run(*words, IMPORTS)
        yield "imports"
        for parts in (["--version"], ["--help"], ["carts"], ["carts", "show", CART]):
            run(command, *parts)
        yield "commands"
        _deploy(command, policy, folder)
        yield "deploy"
        run(*words, VIRTUAL, str(policy))
        yield "virtual"
        _install(inside, "gymnasium")
        run(*words, GYMNASIUM, str(policy))
        yield "gymnasium"
        check_damaged(inside, policy, folder)
        yield "damage"


def _install(inside: Path, what: str) -> None:
    _run([str(inside / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", what])


def _deploy(command: str, policy: Path, folder: Path) -> None:
    words = [command, "deploy", str(policy), "--cart", CART, "--rig", "virtual", "--duration-s", "2", "--no-view"]
    for attempt in range(DEPLOYMENTS):
        try:
            _run([*words, "--record", str(folder / f"{attempt}.parquet")], folder)
            return
        except CheckError:
            if attempt == DEPLOYMENTS - 1:
                raise


def check_damaged(inside: Path, policy: Path, folder: Path) -> None:
    """An extension for another machine is reported in one line with the remedy; damages one. Raises `CheckError`."""
    next(inside.glob("lib/python*/site-packages/firmware_bridge/_host.*.so")).write_bytes(b"\x7fELF of another machine")
    command = str(inside / "bin" / "cartpole-robot")
    words = [command, "deploy", str(policy), "--cart", CART, "--duration-s", "1", "--no-view"]
    done = subprocess.run(words, cwd=folder, env=_environment(folder), capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines()
    if done.returncode != 2 or len(lines) != 1 or "install the package again" not in lines[0]:
        raise CheckError(f"with a damaged extension, exit code {done.returncode} and:\n{done.stderr}")


def _environment(folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def _run(
    words: Sequence[str], folder: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run in `folder` with nothing of this environment, or without one here, in `env`. Raises `CheckError`."""
    env = env if folder is None else _environment(folder)
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode != 0:
        shown = " ".join(word.strip().splitlines()[0] for word in words)
        raise CheckError(f"{shown} exited with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def tag(artefact: Path) -> str:
    """The part of a wheel's name that says where it installs; "source" for a source distribution."""
    return "-".join(artefact.stem.split("-")[2:]) if artefact.suffix == ".whl" else "source"


def _pythons(given: Sequence[str]) -> list[str]:
    """This interpreter, the later ones on the path that work, and the given ones."""
    found = [sys.executable, *(f"python3.{minor}" for minor in range(sys.version_info.minor + 1, 20))]
    works = [name for name in found if shutil.which(name) and _has_venv(name)]
    return [*works, *given]


def _has_venv(python: str) -> bool:
    return subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0


def _version(python: str) -> str:
    return _run([python, "-c", "import platform; print(platform.python_version())"]).stdout.strip()


def main() -> int:
    """Print a line per artefact and Python; returns 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="FOLDER", help="(default: dist)")
    parser.add_argument("--python", action="append", default=[], help="one more Python to test with")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    has_failed = False
    with tempfile.TemporaryDirectory(prefix="policy-") as name:
        policy = Path(name, "policy.npz")
        regulating_policy(load_cart(CART)).save(policy)
        artefacts = build(arguments.out)
        for artefact in artefacts:
            print(f"{artefact.name}  {artefact.stat().st_size / 1024:.0f} KiB  {tag(artefact)}", flush=True)
            for python in _pythons(arguments.python):
                print(f"  Python {_version(python):<8}", end="", flush=True)
                try:
                    for what in check(artefact, python, policy):
                        print(f"  {what}", end="", flush=True)
                    print("  ok", flush=True)
                except (CheckError, subprocess.TimeoutExpired) as error:
                    has_failed = True
                    print(f"  FAILED\n{error}", flush=True)
    return 1 if has_failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
