"""The plant against Gymnasium's CartPole-v1, integrated semi-implicitly: error of single steps, drift of a free run.

python -m benchmarks.physics_against_gymnasium
"""

from __future__ import annotations

import gymnasium
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine_load import machine_line
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.rigs.pybullet_rigs import IdealSimRig
from cartpole_robot.signals import State

SIGNALS = ("x m", "x' m/s", "theta rad", "theta' rad/s")


def single_step_error(steps: int, seed: int) -> NDArray[np.float64]:
    """Largest difference of each signal after one step from the same random state, shape (4,), over `steps` steps."""
    rng = np.random.default_rng(seed)
    peer = _peer()
    rig = IdealSimRig(load_cart("gym"))
    worst = np.zeros(4)
    for _ in range(steps):
        start = rng.uniform((-2.4, -3.0, -0.2, -3.0), (2.4, 3.0, 0.2, 3.0))
        action = int(rng.integers(2))
        worst = np.maximum(worst, np.abs(_rig_step(rig, start, action) - _peer_step(peer, start, action)))
    rig.close()
    return worst


def free_run_drift(steps: int, seed: int) -> NDArray[np.float64]:
    """Difference of each signal, shape (4,), after `steps` random steps of both from one start, never synchronised."""
    rng = np.random.default_rng(seed)
    peer = _peer()
    rig = IdealSimRig(load_cart("gym"))
    state = rng.uniform(-0.05, 0.05, size=4)
    rig.reset(State(*state.tolist()), rng)
    peer.state = state
    for _ in range(steps):
        action = int(rng.integers(2))
        measured = rig.step((-1.0, 1.0)[action])
        state = _peer_step(peer, state, action)
    drift = np.abs(np.array(measured.state()) - state)
    rig.close()
    return drift


def _peer() -> gymnasium.Env:
    peer = gymnasium.make("CartPole-v1").unwrapped
    peer.kinematics_integrator = "semi-implicit euler"
    peer.reset(seed=0)
    return peer


def _peer_step(peer: gymnasium.Env, state: NDArray[np.float64], action: int) -> NDArray[np.float64]:
    peer.state = np.array(state, np.float64)
    peer.steps_beyond_terminated = 1  # otherwise every step past its limits warns, and a free run passes them
    peer.step(action)
    return np.array(peer.state, np.float64)


def _rig_step(rig: IdealSimRig, state: NDArray[np.float64], action: int) -> NDArray[np.float64]:
    rig.reset(State(*state.tolist()), np.random.default_rng(0))
    return np.array(rig.step((-1.0, 1.0)[action]).state())


def main() -> None:
    """Print both figures."""
    worst, drift = single_step_error(1000, seed=0), free_run_drift(200, seed=0)
    print("largest difference after one step, 1000 random states: ", end="")
    print(", ".join(f"{name} {value:.1e}" for name, value in zip(SIGNALS, worst, strict=True)))
    print("difference after 200 free-running steps: ", end="")
    print(", ".join(f"{name} {value:.1e}" for name, value in zip(SIGNALS, drift, strict=True)))
    print(machine_line())


if __name__ == "__main__":
    main()
