"""What an object that is dropped without `close()` leaves behind: nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.env import ENV_ID
from cartpole_robot.rigs.avr import AvrRig
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.serial import SerialRig
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine
from tests.virtual_cart_process import quick_cart

MAKERS: dict[str, Callable[[], Any]] = {
    "ideal": lambda: gymnasium.make(ENV_ID),
    "motor": lambda: gymnasium.make(ENV_ID, cart="diy_arduino"),
    "pictures": lambda: gymnasium.make(ENV_ID, render_mode="rgb_array"),
    "virtual": lambda: gymnasium.make(ENV_ID, rig=VirtualRig(load_cart("diy_arduino"), engine=Engine.PYBULLET)),
    "vector": lambda: gymnasium.make_vec(f"cartpole_robot.env:{ENV_ID}", num_envs=2, vectorization_mode="sync"),
}


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.pybullet
@pytest.mark.parametrize("kind", MAKERS)
def test_environments_free_their_memory(kind: str) -> None:
    for number in range(18):
        env = MAKERS[kind]()
        env.reset(seed=0)
        del env
        if number == 1:
            begin_mb = resident_mb()
    # The memory of a client or two (a vector has two) may come back later: 28 MB each, once, not each time.
    assert resident_mb() - begin_mb < 112.0, "sixteen physics clients take 448 MB"


@pytest.mark.pybullet
def test_environment_keeps_its_client_while_it_is_used() -> None:
    rig = gymnasium.make(ENV_ID).unwrapped.rig  # type: ignore[attr-defined]
    rig.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
    other = gymnasium.make(ENV_ID)
    other.reset(seed=0)
    rig.step(1.0)
    assert rig.true_state().cart_speed_m_s > 0.1


def test_chip_ends_with_its_rig(chip_tools: None) -> None:
    rig = AvrRig(quick_cart())
    process_id = rig.chip.process_id
    assert Path(f"/proc/{process_id}").exists()
    del rig
    assert not Path(f"/proc/{process_id}").exists()


def test_fork_that_drops_a_rig_leaves_the_chip_running(chip_tools: None) -> None:
    rig = AvrRig(quick_cart())
    if (child := os.fork()) == 0:
        del rig
        os._exit(0)
    os.waitpid(child, 0)
    assert rig.chip.is_running
    rig.close()


def test_pseudo_terminal_closes_with_its_cart() -> None:
    cart = PtyCart(quick_cart())
    path = Path(cart.path)
    assert path.exists()
    del cart
    assert not path.exists()


@pytest.mark.realtime
def test_real_cart_is_disarmed_and_its_port_released(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = SerialRig(quick_cart(), port)
    start_rollout(rig, 3)
    link, asked = rig.link, []
    post_mode = link.post_mode
    monkeypatch.setattr(link, "post_mode", lambda name: (asked.append(name), post_mode(name)))
    del rig
    assert asked == ["DISARM"]
    SerialRig(quick_cart(), port).close()  # refused while another holds the port
