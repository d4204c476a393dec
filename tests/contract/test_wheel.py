"""The wheel, installed into an empty environment, steps the environment there."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.stepper import Drive
from cartpole_robot.page.module import module_bytes
from cartpole_robot.page.module_build import MODULES, missing_tools
from tests.policy_on_board import regulating_policy
from tests.release import artefact_problems, stated_version
from tests.wheels import build, check_damaged, tag

pytestmark = pytest.mark.long
ROOT = Path(__file__).parent.parent.parent

CODE = """
import gymnasium, json
from importlib import resources
from cartpole_robot.cart.cart_file import cart_names
from cartpole_robot.policy.network import has_extension
env = gymnasium.make("cartpole_robot.env:cartpole_robot/CartPole-v1", rig="sim", cart="gym")
env.reset(seed=0)
steps = 0
while not env.step(1)[2]:
    steps += 1
print(json.dumps({
    "steps": steps, "carts": cart_names(), "extension": has_extension(),
    "policy.c": resources.files("firmware_bridge.firmware").joinpath("policy.c").is_file(),
    "place": __import__("cartpole_robot").__file__,
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"), is_release=not missing_tools())[1]


def test_one_wheel_from_the_sdist_serves_every_python(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    modules = {
        name for name in tracked if name.startswith(("cartpole_robot/", "firmware_bridge/")) and name.endswith(".py")
    }
    assert modules <= names
    assert tag(wheel).startswith("cp311-abi3-")
    assert {name for name in names if name.endswith(".so")} == {
        "cartpole_robot/simulation/_native.abi3.so",
        "cartpole_robot/training/dqn/_update.abi3.so",
        "firmware_bridge/_host.abi3.so",
        "firmware_bridge/_stepper.abi3.so",
    }


def test_wheel_has_the_data_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "cartpole_robot/urdf/cartpole.urdf",
        "cartpole_robot/cart/known/gym.toml",
        "cartpole_robot/cart/ranges/diy_arduino.toml",
        "cartpole_robot/datasets/maps/sensorsini_50hz.toml",
        "cartpole_robot/training/presets/recommended.toml",
        "cartpole_robot/training/presets/blog.toml",
        "cartpole_robot/training/presets/on_cart.toml",
        "cartpole_robot/training/presets/robust.toml",
        "cartpole_robot/py.typed",
        "firmware_bridge/firmware/policy.c",
        "firmware_bridge/firmware/policy.h",
        "firmware_bridge/firmware/boards/host/extension.c",
        "firmware_bridge/firmware/boards/avr/main.c",
        "firmware_bridge/firmware/boards/avr/pins.h",
        "firmware_bridge/_host.pyi",
        "firmware_bridge/messages.pyi",
        "firmware_bridge/simavr/emulator.c",
        "firmware_bridge/simavr/mailbox.h",
        "cartpole_robot/campaign/run.py",
        "cartpole_robot/compare/report.css",
        "cartpole_robot/compare/report.html.jinja",
        "cartpole_robot/compare/report.js",
        "cartpole_robot/experiments/stability/default_grid.toml",
        "cartpole_robot/experiments/stability/default_grid_stepper.toml",
        "cartpole_robot/experiments/study/presets/replay_memory.toml",
        "cartpole_robot/training/dqn/_update.pyi",
    } <= names
    assert not any(name.startswith(("tests/", "benchmarks/", "urdf/")) for name in names)


@pytest.mark.skipif(bool(missing_tools()), reason="without clang, wasm-ld and wasi-libc a wheel has no page")
def test_wheel_has_the_page_and_its_modules(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert {"cartpole_robot/page/assets/simulation.js", "cartpole_robot/page/native/world.c"} <= names
        for drive, name in MODULES.items():
            assert archive.read(name) == module_bytes(Drive(drive))


def test_metadata_of_what_would_be_published_is_valid(wheel: Path) -> None:
    assert artefact_problems(wheel.parent, stated_version(ROOT)) == []
    found = artefact_problems(wheel.parent, "9.9.9")
    assert [problem.partition(": ")[2] for problem in found] == [
        f"is version {stated_version(ROOT)}, expected 9.9.9"
    ] * 2


def test_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    import json

    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    # with the pip that is here, and compiled when it is imported: in half the time
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile"]
    subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt"), f"{wheel}[sim]"], check=True)
    done = subprocess.run([str(python), "-I", "-c", CODE], capture_output=True, text=True, cwd=tmp_path, check=True)
    found = json.loads(done.stdout)
    assert found["place"].startswith(str(tmp_path))
    assert found["carts"] == ["diy_arduino", "diy_stepper", "gym", "quanser_ip02", "sensorsini"]
    assert (found["extension"], found["policy.c"]) == (True, True)
    assert 5 < found["steps"] < 30
    without_train = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "cartpole-robot"), "train"], capture_output=True, text=True, check=False
    )
    assert without_train.returncode == 2
    assert "pip install 'cartpole-robot[train]'" in without_train.stderr
    assert "Traceback" not in without_train.stderr
    policy = tmp_path / "policy.npz"
    regulating_policy(load_cart("diy_arduino")).save(policy)
    check_damaged(tmp_path / "venv", policy, tmp_path)
