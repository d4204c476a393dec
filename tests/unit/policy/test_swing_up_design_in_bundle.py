from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.policy.controllers import choose_controller
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.network import Network

CART = load_cart("diy_arduino")
WITHOUT_SCIPY = """
import sys
sys.modules["scipy"] = None
from pathlib import Path
import numpy as np
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.controllers import choose_controller
from cartpole_robot.rig import Start
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.signals import State
from cartpole_robot.start import starting
chosen = choose_controller(Path(sys.argv[1]), None, "c")
rig = open_rig("virtual", chosen.cart)
first = starting(rig, Start.SWING_UP, chosen.swing_up).reset(State(0, 0, 0, 0), np.random.default_rng(0))
assert abs(first.pole_angle_rad) < 0.1
try:
    starting(rig, Start.SWING_UP)
except UsageError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    scale = np.array(CART.observation_scale.as_tuple())
    network = Network(
        input_gain=(1.0 / scale).astype(np.float32),
        hidden_weight=rng.normal(size=(8, 4)).astype(np.float32),
        hidden_bias=rng.normal(size=8).astype(np.float32),
        output_weight=rng.normal(size=(2, 8)).astype(np.float32),
        output_bias=rng.normal(size=2).astype(np.float32),
    )
    visited = (rng.uniform(-1.0, 1.0, (100, 4)) * scale).astype(np.float32)
    file = tmp_path_factory.mktemp("bundle") / "policy.npz"
    bundle_of(network, CART, visited, {"cart": CART.as_dict()}).save(file)
    return file


def test_bundle_brings_the_swing_up_of_its_cart_and_of_no_other(path: Path) -> None:
    chosen = choose_controller(path, None, "c")
    assert chosen.swing_up is not None
    assert chosen.swing_up.catch_cost.shape == (6, 6)
    motor = dataclasses.replace(CART.motor, stall_force_n=20.0)
    assert choose_controller(path, dataclasses.replace(CART, motor=motor), "c").swing_up is None


def test_swing_up_without_scipy_starts_by_the_bundle_and_is_refused_without_it(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_SCIPY, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cart 'diy_arduino': --start swing-up designs the swing-up with SciPy, which is not installed" in done.stdout


def test_altered_swing_up_is_refused_and_a_bundle_without_one_opens(path: Path, tmp_path: Path) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(tmp_path / "altered.npz", **{**arrays, "swing_up_catch_cost": 2.0 * arrays["swing_up_catch_cost"]})
    with pytest.raises(UsageError, match="its swing-up was altered"):
        load_policy(tmp_path / "altered.npz")
    dataclasses.replace(load_policy(path), swing_up=None).save(tmp_path / "without.npz")
    assert load_policy(tmp_path / "without.npz").swing_up is None
