from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import ENV_ID, MAKE_ID, CartPoleEnv
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rigs.native_rig import NativeSimRig
from cartpole_robot.rigs.pybullet_rigs import IdealSimRig
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.engine import reference_engine, reference_note


def rollout(env: gymnasium.Env, seed: int, steps: int = 60) -> list[list[float]]:
    observation, _ = env.reset(seed=seed)
    rows = [observation.tolist()]
    for step in range(steps):
        observation, _, terminated, truncated, _ = env.step((step + seed) % 2)
        rows.append(observation.tolist())
        if terminated or truncated:
            break
    return rows


def test_make_by_module_works_in_a_fresh_interpreter(tmp_path: Path) -> None:
    code = (
        "import gymnasium, json\n"
        "env = gymnasium.make('cartpole_robot.env:cartpole_robot/CartPole-v1', rig='sim', cart='gym')\n"
        "env.reset(seed=0)\n"
        "print(json.dumps(env.step(1)[0].tolist()))\n"
    )
    words = [sys.executable, "-I", "-c", code]  # isolated: C's own buffer is emptied at the end of the process
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert len(json.loads(done.stdout)) == 4, "nothing else on stdout, not even PyBullet's greeting"
    note = reference_note()
    assert done.stderr == "" if note is None else done.stderr.count(note) == 1


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, cartpole_robot\n"
        "heavy = {'numpy', 'gymnasium', 'pybullet', 'torch', 'stable_baselines3', 'serial', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def checkers_warnings(env: gymnasium.Env) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        gymnasium_check(env.unwrapped, skip_render_check=True)  # test_window checks both render modes
        sb3_check(env)
    return [str(one.message) for one in found]


def test_both_checkers_pass_with_the_warnings_of_cartpole_v1_alone() -> None:
    """Two: the speeds are unbounded, as they are there."""
    found = checkers_warnings(
        gymnasium.make(ENV_ID, rig="sim", cart="gym", render_mode="rgb_array", engine=reference_engine())
    )
    assert found == checkers_warnings(gymnasium.make("CartPole-v1"))
    assert [word in text for word, text in zip(("-infinity", "infinity"), found, strict=True)] == [True, True]


def test_same_seed_gives_the_same_rollout_and_another_seed_another() -> None:
    first, second = gymnasium.make(ENV_ID), gymnasium.make(ENV_ID)
    assert rollout(first, 1) == rollout(second, 1) == rollout(first, 1)
    assert rollout(first, 1) != rollout(first, 2)


def test_many_environments_in_one_process_do_not_touch_each_other() -> None:
    alone = [rollout(gymnasium.make(ENV_ID), seed) for seed in range(4)]
    envs = [gymnasium.make(ENV_ID) for _ in range(4)]
    together = [[env.reset(seed=seed)[0].tolist()] for seed, env in enumerate(envs)]
    for step in range(60):
        for seed, env in enumerate(envs):
            if len(together[seed]) == step + 1 and len(alone[seed]) > step + 1:
                together[seed].append(env.step((step + seed) % 2)[0].tolist())
    assert together == alone
    envs[0].close()
    assert rollout(envs[1], 1) == alone[1]


def test_vector_environment_steps() -> None:
    vector = gymnasium.make_vec(f"cartpole_robot.env:{ENV_ID}", num_envs=3, vectorization_mode="sync")
    vector.reset(seed=0)
    observations, rewards, *_ = vector.step(np.array([0, 1, 0]))
    assert observations.shape == (3, 4)
    assert rewards.tolist() == [1.0, 1.0, 1.0]
    vector.close()


def test_episode_is_truncated_at_500_steps_by_the_time_limit_alone() -> None:
    env = gymnasium.make(ENV_ID)
    env.reset(seed=0)
    for step in range(1, 501):
        env.unwrapped.reset(options={"state": [0.0, 0.0, 0.0, 0.0]})
        _, reward, terminated, truncated, _ = env.step(step % 2)
        assert (reward, terminated, truncated) == (1.0, False, step == 500)


def test_step_after_the_end_and_before_the_start_asks_for_a_reset() -> None:
    env = CartPoleEnv()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    while not env.step(1)[2]:
        pass
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset()
    env.step(0)


@pytest.mark.parametrize("action", [-1, 2, 0.5, "left", None, np.array([0, 1])])
def test_action_outside_the_table_is_refused_and_nothing_moves(action: object) -> None:
    env = CartPoleEnv()
    env.reset(seed=0)
    with pytest.raises(gymnasium.error.InvalidAction, match="expected a whole number from 0 to 1"):
        env.step(action)  # type: ignore[arg-type]
    twin = CartPoleEnv()
    twin.reset(seed=0)
    assert env.step(1)[0].tolist() == twin.step(1)[0].tolist()


@pytest.mark.parametrize("action", [1, True, np.int64(1), np.uint8(1), np.array(1)])
def test_whole_numbers_of_every_kind_are_actions(action: object) -> None:
    env = CartPoleEnv()
    env.reset(seed=0)
    assert env.step(action)[4] == {"requested_duty": 1.0, "applied_duty": 1.0}  # type: ignore[arg-type]


def test_observations_are_the_callers_own() -> None:
    env = CartPoleEnv()
    first, _ = env.reset(seed=0)
    kept = first.copy()
    second = env.step(1)[0]
    kept_second = second.copy()
    env.step(1)
    assert (first == kept).all()
    assert (second == kept_second).all()


def test_reset_options_place_the_cart() -> None:
    env = CartPoleEnv()
    state = [0.5, -0.25, 0.125, 1.0]
    assert env.reset(options={"state": state})[0].tolist() == state
    low_high = env.reset(seed=1, options={"low": 0.1, "high": 0.2})[0]
    assert (low_high >= 0.1).all()
    assert (low_high <= 0.2).all()
    for wrong in ([0.0, 0.0], [0.0, 0.0, 0.0, float("nan")], [[0.0] * 4]):
        with pytest.raises(UsageError, match="expected four finite numbers"):
            env.reset(options={"state": wrong})


def test_unknown_rig_cart_and_render_mode_are_named() -> None:
    with pytest.raises(UsageError, match="rig 'simm' is not known; expected one of sim"):
        CartPoleEnv(rig="simm")
    with pytest.raises(UsageError, match="cart 'jim' is not known"):
        CartPoleEnv(cart="jim")
    with pytest.raises(UsageError, match="render_mode 'ansi' is not known; expected one of human, rgb_array"):
        CartPoleEnv(render_mode="ansi")


@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
@pytest.mark.parametrize("name", ["rig", "cart", "randomization", "engine"])
@pytest.mark.parametrize("value", [3, b"sim", ["gym"], {}, CartPoleEnv])
def test_arguments_of_another_type_are_named(make: Any, name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{name} .*(expected|is not known)"):
        make(MAKE_ID, **{name: value})


def test_picture_shows_the_cart_where_it_is() -> None:
    env = CartPoleEnv(render_mode="rgb_array")
    pictures = []
    for position in (-1.5, 0.0, 1.5):
        env.reset(options={"state": [position, 0.0, 0.1, 0.0]})
        picture = env.render()
        assert picture.shape == (360, 640, 3)
        assert picture.dtype == np.uint8
        blue = (picture[:, :, 2].astype(int) - picture[:, :, 0]) > 80
        pictures.append(np.nonzero(blue)[1].mean())
    assert pictures == pytest.approx([320 - 1.5 * 640 / 6.0, 320, 320 + 1.5 * 640 / 6.0], abs=6.0)


def test_render_without_a_mode_warns_and_without_a_reset_raises() -> None:
    env = CartPoleEnv()
    with pytest.warns(UserWarning, match="without a render_mode"):
        assert env.render() is None
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        CartPoleEnv(render_mode="rgb_array").render()


def test_close_may_be_called_twice() -> None:
    env = gymnasium.make(ENV_ID, render_mode="rgb_array")
    env.reset(seed=0)
    env.render()
    env.close()
    env.close()


def test_failed_reset_leaves_nothing_to_step() -> None:
    env = CartPoleEnv()
    env.reset(seed=0)
    with pytest.raises(UsageError):
        env.reset(options={"state": [0.0, 0.0]})
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(1)
    with pytest.raises(UsageError, match="reset option 'foo' is not known"):
        env.reset(options={"foo": 1})


def test_closed_environment_moves_no_other() -> None:
    closed = CartPoleEnv()
    closed.reset(seed=1)
    closed.close()
    env, twin = CartPoleEnv(), CartPoleEnv()
    env.reset(seed=5)
    twin.reset(seed=5)
    with pytest.raises(RigError, match="closed"):
        closed.reset(options={"state": [2.0, 0.0, 0.2, 0.0]})
    assert env.step(1)[0].tolist() == twin.step(1)[0].tolist()


def test_what_a_caller_does_to_an_observation_stays_with_the_caller(gym_cart: CartParams) -> None:
    env = CartPoleEnv(rig=FailingRig(gym_cart))
    env.reset(seed=0)
    env.step(1)
    last = env.step(0)[0]
    kept = last.copy()
    last *= 0.0
    assert env.step(1)[0].tolist() == kept.tolist()


class FailingRig(NativeSimRig):
    """A simulated cart whose link is lost at the third step."""

    def __init__(self, cart: CartParams) -> None:
        super().__init__(cart)
        self.steps = 0

    def reset(self, start: State, rng: np.random.Generator) -> Measurement:
        self.steps = 0
        return super().reset(start, rng)

    def step(self, duty: float) -> Measurement:
        self.steps += 1
        if self.steps == 3:
            raise RigError("the cart does not answer; check the cable")
        return super().step(duty)


def test_lost_rig_truncates_with_the_cause_and_invents_no_measurement(gym_cart: CartParams) -> None:
    env = CartPoleEnv(rig=FailingRig(gym_cart))
    env.reset(seed=0)
    env.step(1)
    last = env.step(0)[0]
    observation, reward, terminated, truncated, info = env.step(1)
    assert observation.tolist() == last.tolist()
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info == {
        "requested_duty": 1.0,
        "applied_duty": 0.0,
        "fault": "the cart does not answer; check the cable",
    }
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    env.step(1)


@pytest.mark.pybullet
def test_diverged_physics_is_an_error_and_no_measurement(gym_cart: CartParams) -> None:
    rig = IdealSimRig(gym_cart)
    with pytest.raises(RigError, match="diverged"):
        rig.reset(State(0.0, float("nan"), 0.0, 0.0), np.random.default_rng(0))
    rig.close()
    rig.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"state": "abcd"}, "reset option state = 'abcd', expected four finite numbers"),
        ({"state": [[1], 2, 3, 4]}, "expected four finite numbers"),
        ({"high": np.inf}, "expected finite numbers"),
        ({"low": np.nan, "high": 1}, "expected finite numbers"),
        ({"low": 1, "high": 0}, "must be lower"),
        ({"low": "a"}, "reset options"),
    ],
)
def test_starts_that_are_none_are_named_by_both_environments(options: dict[str, Any], message: str) -> None:
    for env in (gymnasium.make(ENV_ID), gymnasium.make_vec(ENV_ID, num_envs=2)):
        with pytest.raises(UsageError, match=message):
            env.reset(options=options)  # type: ignore[call-arg]
