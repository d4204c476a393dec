"""PyBullet's window, on a real (virtual) display."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import need

pytestmark = pytest.mark.pybullet

CODE = """
import gymnasium
env = gymnasium.make("cartpole_robot.env:cartpole_robot/CartPole-v1", render_mode="human")
env.reset(seed=0)
for step in range(10):
    env.step(step % 2)
twin = gymnasium.make("cartpole_robot.env:cartpole_robot/CartPole-v1")
twin.reset(seed=0)
for step in range(10):
    seen = twin.step(step % 2)[0]
assert [float(v) for v in seen] == [float(seen.dtype.type(v)) for v in env.unwrapped._measurement.state()]
env.close()
env.close()
print("window closed")
"""


def test_window_without_a_display_is_an_error_and_not_the_end_of_the_process() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "RigError: PyBullet's window needs a display and DISPLAY is not set" in done.stderr


def test_display_that_does_not_answer_is_an_error_and_not_the_end_of_the_process() -> None:
    environment = {**os.environ, "DISPLAY": ":77"}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "RigError: PyBullet's window needs a display and" in done.stderr


def on_virtual_display(code: str) -> subprocess.CompletedProcess[str]:
    """Run the code on its own display; the server chooses a free number, so several can start at once."""
    need(shutil.which("Xvfb") is not None, "Xvfb")
    options = ("-displayfd", "1", "-screen", "0", "1280x720x24", "-nolisten", "tcp")
    with subprocess.Popen(["Xvfb", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            number = server.stdout.readline().strip()
            assert number.isdigit(), f"Xvfb says {number!r}"
            return subprocess.run(
                [sys.executable, "-W", "error::UserWarning", "-c", code],
                env={**os.environ, "DISPLAY": f":{number}"},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        finally:
            server.terminate()


def test_window_shows_the_episode_and_changes_nothing() -> None:
    done = on_virtual_display(CODE)
    assert done.returncode == 0, done.stderr
    assert "window closed" in done.stdout


def test_dropped_environment_closes_its_window() -> None:
    done = on_virtual_display(
        "import gymnasium, pybullet\n"
        "env = gymnasium.make('cartpole_robot.env:cartpole_robot/CartPole-v1', render_mode='human')\n"
        "env.reset(seed=0)\n"
        "number = env.unwrapped._window._plant._client\n"
        "assert pybullet.isConnected(number)\n"
        "del env\n"
        "print('open' if pybullet.isConnected(number) else 'window closed')\n"
    )
    assert done.returncode == 0, done.stderr
    assert "window closed" in done.stdout


def test_gymnasiums_checker_passes_with_both_render_modes() -> None:
    done = on_virtual_display(
        "import gymnasium, warnings\n"
        "from gymnasium.utils.env_checker import check_env\n"
        "warnings.filterwarnings('ignore', '.*infinity')\n"
        "env = gymnasium.make('cartpole_robot.env:cartpole_robot/CartPole-v1', render_mode='rgb_array')\n"
        "check_env(env.unwrapped)\n"
        "print('checked')\n"
    )
    assert done.returncode == 0, done.stderr
    assert "checked" in done.stdout
