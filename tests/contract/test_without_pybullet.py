"""Where PyBullet is not installed everything runs on the native engine, and what needs PyBullet names it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed

ROOT = Path(__file__).parent.parent.parent
NOTE = "PyBullet is not installed: the native engine is not checked against it"
MISSING = "the package pybullet is not installed; install it with pip install pybullet"

Run = Callable[..., Completed]


@pytest.fixture
def python(tmp_path: Path) -> Run:
    """Runs this Python with the given words, and no process of it can import PyBullet."""
    (tmp_path / "sitecustomize.py").write_text('import sys; sys.modules["pybullet"] = None\n')

    def run(*words: object) -> Completed:
        return subprocess.run(
            [sys.executable, *map(str, words)],
            env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
            capture_output=True,
            text=True,
            timeout=300.0,
            check=False,
            cwd=tmp_path,
        )

    assert "halted" in run("-c", "import pybullet").stderr
    return run


@pytest.mark.parametrize("cart", ["gym", "diy_arduino"])
def test_environment_and_vector_of_environments_are_native(python: Run, cart: str) -> None:
    code = (
        "import gymnasium\n"
        f"kwargs = dict(cart={cart!r})\n"
        "env = gymnasium.make('cartpole_robot.env:cartpole_robot/CartPole-v1', **kwargs)\n"
        "again = gymnasium.make('cartpole_robot/CartPole-v1', **kwargs)\n"
        "print(type(env.unwrapped.rig).__name__, env.reset(seed=3)[0].tolist())\n"
        "many = gymnasium.make_vec('cartpole_robot/CartPole-v1', num_envs=2, **kwargs)\n"
        "print(many.reset(seed=3)[0][0].tolist())\n"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"the native engine simulates in PyBullet's place: {MISSING}") == 1
    first, second = done.stdout.splitlines()
    assert first == f"NativeSimRig {second}"


@pytest.mark.long
def test_verbs_run_and_say_so_once(python: Run, tmp_path: Path) -> None:
    preset = tmp_path / "short.toml"
    recommended = (ROOT / "cartpole_robot" / "training" / "presets" / "recommended.toml").read_text()
    text, changed = re.subn(r"(?m)^steps = .*$", "steps = 2000", recommended)
    assert changed == 1
    preset.write_text(text)
    done = python("-m", "cartpole_robot", "train", "--preset", preset, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count(NOTE) == 1
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["on_pybullet"] is None
    assert json.loads((tmp_path / "run" / "run.json").read_text())["engine"] == "native"
    done = python("-m", "cartpole_robot", "evaluate", tmp_path / "run", "--episodes", 2, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["engine"], found["note"]) == ("native", NOTE)
    done = python("-m", "cartpole_robot", "record", tmp_path / "run", "--out", tmp_path / "a.parquet")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(MISSING) == 1
    assert "rig sim (engine native)" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--out", "run"),
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in (("evaluate", "lqr", "--cart", "diy_arduino"), ("study", "replay-memory"))
        ),
    ],
)
def test_engine_that_is_asked_for_is_named_as_missing(python: Run, words: tuple[str, ...]) -> None:
    done = python("-m", "cartpole_robot", *words, "--engine", "pybullet")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"engine pybullet: {MISSING}" in done.stderr
    assert "or choose the engine native" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_window_is_refused_before_anything_moves(python: Run) -> None:
    done = python(
        "-c",
        "import gymnasium\n"
        "gymnasium.make('cartpole_robot.env:cartpole_robot/CartPole-v1', rig='virtual', cart='diy_arduino',"
        " render_mode='human')",
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert 'render_mode "human" is PyBullet\'s window: ' + MISSING in last
    assert last.endswith('or use "rgb_array"')


def test_python_with_a_wheel_and_one_without_are_told_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    from cartpole_robot.simulation import engine

    monkeypatch.setattr(engine, "HAS_PYBULLET_WHEEL", True)
    assert engine.pybullet_is_missing() == MISSING
    monkeypatch.setattr(engine, "HAS_PYBULLET_WHEEL", False)
    told = engine.pybullet_is_missing()
    assert told.startswith(f"{MISSING}, which builds it on Python {sys.version_info[0]}.{sys.version_info[1]}: ")
    assert "CFLAGS=-Wno-incompatible-pointer-types" in told
    assert "make pybullet" in told
