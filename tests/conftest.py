"""Fixtures that several tests share: a cart, an environment, a policy trained once per test run, the command line."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.commands.cli import main
from cartpole_robot.env import ENV_ID
from cartpole_robot.policy.network import Network
from cartpole_robot.simulation.engine import HAS_PYBULLET_WHEEL, Engine, is_installed
from firmware_bridge.errors import BridgeError
from firmware_bridge.second_emulator import check_node, installed_packages
from tests.command_server import CommandServer
from tests.made_once import made_once
from tests.virtual_cart_process import quick_cart, serve

Completed = subprocess.CompletedProcess[str]
REALTIME = "realtime and not long"  # as the Makefile selects them
VIEWS_AND_PORTS = ("test_browser_view", "test_stale_view", "compare/test_report", "test_rig_commands")


@pytest.fixture
def gym_cart() -> CartParams:
    return load_cart("gym")


@pytest.fixture
def env() -> Iterator[gymnasium.Env]:
    made = gymnasium.make(ENV_ID, rig="sim", cart="gym")
    yield made
    made.close()


@pytest.fixture
def random_network() -> Network:
    return make_network(seed=5)


def make_network(seed: int, *, inputs: int = 4, hidden: int = 100, outputs: int = 2) -> Network:
    rng = np.random.default_rng(seed)
    return Network(
        input_gain=rng.uniform(0.3, 5.0, inputs).astype(np.float32),
        hidden_weight=rng.normal(size=(hidden, inputs)).astype(np.float32),
        hidden_bias=rng.normal(size=hidden).astype(np.float32),
        output_weight=rng.normal(size=(outputs, hidden)).astype(np.float32),
        output_bias=rng.normal(size=outputs).astype(np.float32),
    )


def need(is_there: bool, what: str) -> None:
    """Skip the test without the tool; fail it in continuous integration."""
    if not is_there:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{what} is not installed")


@pytest.hookimpl(optionalhook=True)  # where pytest-xdist is not installed
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Three processes for the real-time tests: faults keep processors busy, and the others mostly wait."""
    if config.option.markexpr != REALTIME:
        return None
    from xdist.scheduler import LoadScopeScheduling

    class FaultsAndOthers(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith("tests/faults/") or "test_swing_up_starts" in nodeid:
                return "faults"
            return "views and ports" if any(name in nodeid for name in VIEWS_AND_PORTS) else "others"

    return FaultsAndOthers(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("pybullet") is not None and not is_installed(Engine.PYBULLET):
        if HAS_PYBULLET_WHEEL:
            need(False, "pybullet")
        pytest.skip("pybullet is not installed, and has no wheel for this Python")


def writes_no_bytecode() -> dict[str, str]:
    """The environment of a process whose files cannot grow: Python would leave half of a module's bytecode for all."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def need_compiler() -> None:
    need(shutil.which("avr-gcc") is not None, "avr-gcc")


@pytest.fixture(scope="session")
def chip_tools() -> None:
    """The chip's compiler and its emulator."""
    need_compiler()
    need(Path("/usr/include/simavr/sim_avr.h").is_file(), "libsimavr-dev")


@pytest.fixture(scope="session")
def second_emulator_tools(chip_tools: None) -> None:
    """Both emulators of the chip, the second with its package."""
    try:
        check_node()
        installed_packages()
    except BridgeError as error:
        need(False, f"the second emulator ({error})")


@pytest.fixture(scope="session")
def new_interpreter() -> Callable[..., Completed]:
    """Runs `cartpole-robot` with the given words in a new interpreter, which imports all it needs: a second or two."""

    def run(*words: object, cwd: Path | None = None, timeout_s: float = 120.0) -> Completed:
        return subprocess.run(
            [sys.executable, "-m", "cartpole_robot", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def command_line() -> Iterator[Callable[..., Completed]]:
    """Runs `cartpole-robot` with the given words in its own process, forked where the imports are done."""
    with CommandServer() as server:

        def run(*words: object, cwd: Path | None = None, timeout_s: float = 120.0) -> Completed:
            return server.run([*map(str, words)], cwd, timeout_s)

        yield run


@pytest.fixture
def command_here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Completed]:
    """As `command_line`, in this process: the fastest."""

    def run(*words: object, cwd: Path | None = None) -> Completed:
        if cwd is not None:
            monkeypatch.chdir(cwd)
        capfd.readouterr()
        try:
            status = main([*map(str, words)])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        return Completed(words, status, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, command_line: Callable[..., Completed]) -> Path:
    """The run folder of one real training: the whole recommended preset, seed 0; read-only, as all workers share it."""

    def train(folder: Path) -> None:
        done = command_line("train", "--seed", 0, "--out", folder / "run", timeout_s=300.0)
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "trained", train) / "run"


@pytest.fixture(scope="session")
def quick_cart_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of `diy_arduino`, homing in a few seconds."""
    text = (Path(__file__).parent.parent / "cartpole_robot" / "cart" / "known" / "diy_arduino.toml").read_text()
    text = text.replace("homing_speed_m_s = 0.15", "homing_speed_m_s = 0.5").replace(
        "homing_duty = 0.25", "homing_duty = 0.5"
    )
    path = tmp_path_factory.mktemp("cart") / "quick.toml"
    path.write_text(text)
    assert load_cart(path).firmware != load_cart("diy_arduino").firmware
    return path


@pytest.fixture(scope="session")
def port() -> Iterator[str]:
    """A virtual cart behind a pseudo-terminal, in its own process; it homes once for all tests of this process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(quick_cart(), theirs))
    process.start()
    yield ours.recv()
    ours.send("enough")
    process.join(10.0)
    assert process.exitcode == 0
