"""The vector environment is Gymnasium's `SyncVectorEnv` of the same carts on the native engine, only faster."""

from __future__ import annotations

import dataclasses
import gc
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import vector as wrappers

from cartpole_robot.cart.cart_file import cart_names, load_cart, with_actions
from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.cart.randomization import load_randomization
from cartpole_robot.env import MAKE_ID
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.vector_env import CartPoleVectorEnv

MODES = list(AutoresetMode)
FOUR_DUTIES = with_actions(load_cart("diy_arduino"), (-0.4, -0.2, 0.2, 0.4), given="the test")
LATE = Delay(apply=Apply.ON_ARRIVAL, latency_s=0.004, jitter_s=0.05, drop_probability=0.2)
KINDS: dict[str, dict[str, Any]] = {
    **{name: {"cart": name} for name in cart_names()},
    "randomised": {"cart": FOUR_DUTIES, "randomization": "diy_arduino"},
    "jitter and losses": {"cart": dataclasses.replace(load_cart("diy_arduino"), delay=LATE)},
    "late": {
        "cart": dataclasses.replace(load_cart("quanser_ip02"), delay=Delay(latency_s=0.027, apply=Apply.ON_ARRIVAL))
    },
}
COMPENSATING = dataclasses.replace(
    FOUR_DUTIES,
    firmware=dataclasses.replace(FOUR_DUTIES.firmware, compensates_dead_zone=True),  # type: ignore[type-var]
)
KINDS |= {
    "compensated": {"cart": COMPENSATING},
    **{f"{kind}, any duty": {**KINDS[kind], "action": "duty"} for kind in ("gym", "randomised", "late")},
    "jitter and losses, any duty": {**KINDS["jitter and losses"], "action": "duty"},
    "compensated, any duty": {"cart": COMPENSATING, "action": "duty"},
}


def assert_same(one: Any, other: Any, at: str = "") -> None:
    """Same keys, types and values; NaN equals NaN."""
    assert type(one) is type(other), at
    if isinstance(one, dict):
        assert one.keys() == other.keys(), at
        for key, value in one.items():
            assert_same(value, other[key], f"{at}/{key}")
    elif isinstance(one, np.ndarray) and one.dtype == object:
        assert one.shape == other.shape, at
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{at}[{number}]")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, at
        np.testing.assert_array_equal(one, other, err_msg=at)
    else:
        assert one == other, at


def both(count: int, mode: AutoresetMode, **kwargs: Any) -> tuple[VectorEnv, VectorEnv]:
    """The vector environment and Gymnasium's of single ones."""
    ours = gymnasium.make_vec(MAKE_ID, num_envs=count, autoreset_mode=mode, **kwargs)
    theirs = gymnasium.make_vec(
        MAKE_ID,
        num_envs=count,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        engine="native",
        **kwargs,
    )
    return ours, theirs


def drawn_actions(env: VectorEnv, rng: np.random.Generator) -> np.ndarray:
    """One for each environment; some duties are beyond the action space."""
    if isinstance(env.single_action_space, gymnasium.spaces.Discrete):
        return rng.integers(env.single_action_space.n, size=env.num_envs)
    return rng.uniform(-1.2, 1.2, (env.num_envs, 1)).astype(np.float32)


def step_both(ours: VectorEnv, theirs: VectorEnv, rng: np.random.Generator, steps: int) -> int:
    """Step both with the same actions; how many episodes have ended."""
    ends = 0
    for _ in range(steps):
        actions = drawn_actions(ours, rng)
        found, expected = ours.step(actions), theirs.step(actions)
        for part, one, other in zip(("observation", "reward", "end", "cut", "info"), found, expected, strict=True):
            assert_same(one, other, part)
        over = found[2] | found[3]
        ends += int(over.sum())
        if ours.metadata["autoreset_mode"] is AutoresetMode.DISABLED and over.any():
            resets = [env.reset(options={"reset_mask": over}) for env in (ours, theirs)]
            assert_same(*(observations for observations, _ in resets))
            assert_same(*(infos for _, infos in resets))
    return ends


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_single_environments(kind: str, mode: AutoresetMode) -> None:
    ours, theirs = both(9, mode, max_episode_steps=70, **KINDS[kind])
    assert isinstance(ours, CartPoleVectorEnv)
    assert isinstance(theirs, SyncVectorEnv)
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space", "num_envs"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"] == mode
    assert ours.metadata["render_fps"] == theirs.metadata["render_fps"]
    rng = np.random.default_rng(5)
    for seed in (11, [3, 3, None, 0, 7, None, 2, 1, 9]):
        firsts = [env.reset(seed=seed) for env in (ours, theirs)]
        if seed == 11:
            assert_same(firsts[0][0], firsts[1][0])
            assert_same(firsts[0][1], firsts[1][1])
            assert ours.np_random_seed == theirs.np_random_seed
    ours.reset(seed=12), theirs.reset(seed=12)
    assert step_both(ours, theirs, rng, 250) >= 9
    ours.close()
    theirs.close()


def test_a_seeded_environment_is_the_one_that_make_gives() -> None:
    cart = FOUR_DUTIES
    vector = gymnasium.make_vec(MAKE_ID, num_envs=5, cart=cart, randomization="diy_arduino")
    observations, _ = vector.reset(seed=[40, 41, 42, 43, 44])
    single = gymnasium.make(MAKE_ID, cart=cart, randomization="diy_arduino", engine="native")
    assert observations[3].tolist() == single.reset(seed=43)[0].tolist()
    assert vector.episode_carts[3] == single.unwrapped.episode_cart
    assert len({c.motor.stall_force_n for c in vector.episode_carts}) == 5
    rng = np.random.default_rng(0)
    is_over, ends = False, 0
    while ends < 4:
        actions = rng.integers(4, size=5)
        found = vector.step(actions)
        expected = (single.reset()[0], 0.0, False, False) if is_over else single.step(actions[3])[:4]
        is_over = expected[2] or expected[3]
        ends += is_over
        assert found[0][3].tolist() == expected[0].tolist()
        assert (found[1][3], found[2][3], found[3][3]) == expected[1:]


def test_starts_drawn_by_numpy_are_those_drawn_in_c() -> None:
    """NumPy draws where its uniform numbers are rounded otherwise than C's, as on some processors."""
    env, twin = (gymnasium.make_vec(MAKE_ID, num_envs=3, cart="diy_arduino") for _ in range(2))
    assert env.unwrapped._c_draws_alike
    env.unwrapped._c_draws_alike = False
    rng = np.random.default_rng(0)
    for each in (env, twin):
        each.reset(seed=0)
    for _ in range(150):
        actions = rng.integers(2, size=3)
        assert_same(env.step(actions)[0], twin.step(actions)[0])


def test_reset_draws_again_without_a_seed_and_seeds_draw_apart() -> None:
    env = gymnasium.make_vec(MAKE_ID, num_envs=3)
    first = env.reset(seed=1)[0]
    assert len(np.unique(first)) == 12
    assert not np.array_equal(first, env.reset()[0])
    assert np.array_equal(first, env.reset(seed=1)[0])
    unseeded = [gymnasium.make_vec(MAKE_ID, num_envs=3).reset()[0] for _ in range(2)]
    assert not np.array_equal(*unseeded)


@pytest.mark.parametrize("options", [{"state": [0.1, -0.2, 0.03, 0.4]}, {"low": -0.1, "high": 0.02}, {"high": 0.2}, {}])
def test_options_of_reset(options: dict[str, Any]) -> None:
    ours, theirs = both(4, AutoresetMode.NEXT_STEP, cart="diy_arduino")
    assert_same(ours.reset(seed=3, options=options)[0], theirs.reset(seed=3, options=options)[0])
    step_both(ours, theirs, np.random.default_rng(0), 100)
    kept = {"reset_mask": np.array([True, False, False, True]), **options}
    assert_same(ours.reset(seed=4, options=kept)[0], theirs.reset(seed=4, options=dict(kept))[0])
    assert "reset_mask" in kept
    step_both(ours, theirs, np.random.default_rng(0), 100)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_diverging_cart_is_truncated_alone_with_the_cause(mode: AutoresetMode) -> None:
    ours, theirs = both(3, mode, cart="diy_arduino")
    for env in (ours, theirs):
        env.reset(seed=0)
        options = {"state": [0.0, 0.0, 0.1, 1e200], "reset_mask": np.array([False, True, False])}
        env.reset(options=options)
    found, expected = (env.step(np.array([0, 1, 0])) for env in (ours, theirs))
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    infos = found[4]["final_info"] if mode is AutoresetMode.SAME_STEP else found[4]
    assert infos["_fault"].tolist() == [False, True, False]
    assert infos["fault"][1].startswith("the simulation diverged at (")
    assert found[3].tolist() == [False, True, False]
    if mode is not AutoresetMode.DISABLED:
        step_both(ours, theirs, np.random.default_rng(0), 50)


def test_start_without_a_finite_answer_is_an_error_and_asks_for_another_reset() -> None:
    env = gymnasium.make_vec(MAKE_ID, num_envs=2, cart="diy_arduino")
    env.reset(seed=0)
    with pytest.raises(RigError, match=r"diverged at .*; use a shorter physics step"):
        env.reset(options={"state": [1e300, 0.0, 0.0, 0.0]})
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(2, int))
    env.reset(seed=0)
    env.step(np.zeros(2, int))


def steps_until_truncated(env: VectorEnv, most: int) -> int:
    env.reset(options={"state": [0.0] * 4})
    for step in range(1, most + 1):
        _, _, terminated, truncated, _ = env.step(np.zeros(2, int))  # a standing cart under a standing pole
        assert not terminated.any()
        if truncated.any():
            assert truncated.all()
            return step
    return most + 1


def test_truncation_is_the_registrations_or_the_one_that_is_given() -> None:
    cart = with_actions(load_cart("diy_arduino"), (0.0, -0.2, 0.2), given="the test")
    env = gymnasium.make_vec(MAKE_ID, num_envs=2, cart=cart)
    assert env.spec.max_episode_steps == 500
    assert steps_until_truncated(env, 600) == 500
    for given, expected in ((3, 3), (None, 601), (-1, 601)):
        env = gymnasium.make_vec(MAKE_ID, num_envs=2, cart=cart, max_episode_steps=given)
        assert steps_until_truncated(env, 600) == expected


def test_actions_that_are_not_in_the_table_are_refused_and_nothing_moves() -> None:
    env, twin = (gymnasium.make_vec(MAKE_ID, num_envs=3) for _ in range(2))
    for each in (env, twin):
        each.reset(seed=0)
    wrong: list[Any] = [[0, 2, 0], [-1, 0, 0], np.zeros(3), np.zeros((3, 1), int), np.zeros(2, int), 1, "abc", None]
    for actions in wrong:
        with pytest.raises(
            gymnasium.error.InvalidAction, match=r"expected (3 whole numbers|a whole number from 0 to 1)"
        ):
            env.step(actions)
    for actions in (np.ones(3, np.uint8), [True, True, True], [1, 1, 1], np.ones(6, np.int32)[::2]):
        assert_same(env.step(actions)[0], twin.step(np.ones(3, np.int64))[0])


def test_what_is_no_duty_is_refused_and_nothing_moves() -> None:
    env, twin = (gymnasium.make_vec(MAKE_ID, num_envs=3, cart="diy_arduino", action="duty") for _ in range(2))
    for each in (env, twin):
        each.reset(seed=0)
    for actions in (np.zeros(3), np.zeros((1, 3)), np.zeros((3, 2)), 0.5, "abc", None, [[0.0], [], [0.0]]):
        with pytest.raises(gymnasium.error.InvalidAction, match=r"expected an array of shape \(3, 1\) with duties"):
            env.step(actions)
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(gymnasium.error.InvalidAction, match=r"the duty of environment 1 is not finite"):
            env.step(np.array([[0.1], [wrong], [0.1]]))
    same = np.array([[0.5], [1.0], [-1.0]])
    for actions in (same, same.astype(np.float32), same.tolist(), [[0.5], [7], [-9.0]], np.asfortranarray(same)):
        for one, other in zip(env.step(actions), twin.step(same), strict=True):
            assert_same(one, other)
    env.reset(options={"state": [0.5, 0.0, 0.0, 0.0], "reset_mask": np.array([True, False, False])})
    assert env.step(same)[2].tolist() == [True, False, False]
    assert env.step(np.array([[np.nan], [0.0], [0.0]]))[1].tolist() == [0.0, 1.0, 1.0], "it begins again"


def test_action_of_an_environment_that_begins_again_is_ignored() -> None:
    env = gymnasium.make_vec(MAKE_ID, num_envs=2)
    env.reset(seed=0)
    env.reset(options={"state": [2.5, 0.0, 0.0, 0.0], "reset_mask": np.array([True, False])})
    assert env.step(np.array([0, 0]))[2].tolist() == [True, False]
    assert env.step(np.array([99, 0]))[1].tolist() == [0.0, 1.0]
    with pytest.raises(gymnasium.error.InvalidAction, match="action 99 of environment 0"):
        env.step(np.array([99, 0]))


def test_step_before_reset_and_after_an_end_that_is_not_reset() -> None:
    env = gymnasium.make_vec(MAKE_ID, num_envs=2, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(2, int))
    env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(2, int))
    env.reset()
    env.reset(options={"state": [0.0, 0.0, 0.3, 0.0], "reset_mask": np.array([False, True])})
    env.step(np.zeros(2, int))
    with pytest.raises(gymnasium.error.ResetNeeded, match="environment 1 has ended"):
        env.step(np.zeros(2, int))


def test_arrays_are_the_callers_own() -> None:
    env, twin = (gymnasium.make_vec(MAKE_ID, num_envs=3, cart="diy_arduino") for _ in range(2))
    rng = np.random.default_rng(0)
    for each in (env, twin):
        each.reset(seed=0)
    for _ in range(120):
        actions = rng.integers(2, size=3)
        found, expected = env.step(actions), twin.step(actions)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
        for array in (*found[:4], *found[4].values()):
            array[:] = 1
    mask = np.array([True, False, False])
    assert_same(env.reset(options={"reset_mask": mask})[0], twin.reset(options={"reset_mask": mask})[0])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"engine": "pybullet"}, r"engine pybullet steps one cart at a time.*vectorization_mode=\"sync\""),
        ({"engine": "mujoco"}, "engine 'mujoco' is not known"),
        ({"action": "force"}, "action 'force' is not known; expected one of table, duty"),
        ({"rig": "virtual"}, r"rig 'virtual' is stepped one at a time.*vectorization_mode=\"sync\""),
        ({"rig": "simm"}, "rig 'simm' is not known"),
        ({"rig": simulated_rig(load_cart("gym"), engine=Engine.NATIVE)}, "rig NativeSimRig is stepped one at a time"),
        ({"cart": "jim"}, "cart 'jim' is not known"),
        ({"render_mode": "human"}, "render_mode 'human' is not known; expected 'rgb_array', or None"),
        ({"num_envs": 0}, "num_envs = 0, expected a whole number from 1 to 1000000"),
        ({"num_envs": 2.5}, "num_envs = 2.5, expected a whole number from 1 to"),
        ({"max_episode_steps": 0}, "max_episode_steps = 0, expected a whole number from 1 to"),
        ({"num_envs": 10**20}, "num_envs = 100000000000000000000, expected a whole number from 1 to 1000000"),
        ({"num_envs": True}, "num_envs = True, expected a whole number"),
        ({"autoreset_mode": "Sometimes"}, "autoreset_mode 'Sometimes' is not known; expected one of 'NextStep'"),
        ({"randomization": "nothing"}, "ranges 'nothing' are not known"),
    ],
)
def test_what_it_cannot_do_is_named(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gymnasium.make_vec(MAKE_ID, **{"num_envs": 2, **kwargs})


def test_wrong_masks_seeds_and_options_are_named() -> None:
    env = gymnasium.make_vec(MAKE_ID, num_envs=2)
    for mask in ([True, False], np.array([1, 0]), np.array([True]), np.array([False, False])):
        with pytest.raises(UsageError, match=r"reset_mask = .*expected a bool array of shape \(2,\)"):
            env.reset(options={"reset_mask": mask})
    with pytest.raises(UsageError, match="3 seeds for 2 environments"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(UsageError, match="reset option 'foo' is not known"):
        env.reset(options={"foo": 1})


def test_gymnasium_makes_it_without_a_warning_and_from_its_own_spec() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make_vec(MAKE_ID, num_envs=3, cart="diy_arduino", max_episode_steps=20)
        again = gymnasium.make_vec(env.spec)
    assert str(env) == "CartPoleVectorEnv(cartpole_robot/CartPole-v1, num_envs=3)"
    assert again.num_envs == 3
    assert_same(env.reset(seed=0)[0], again.reset(seed=0)[0])
    for _ in range(45):
        for one, other in zip(env.step(np.zeros(3, int)), again.step(np.zeros(3, int)), strict=True):
            assert_same(one, other)
    assert type(gymnasium.make_vec(MAKE_ID, num_envs=2, vectorization_mode="sync")) is SyncVectorEnv


def test_pictures_are_those_of_the_single_environment() -> None:
    ours, theirs = both(2, AutoresetMode.NEXT_STEP, cart="diy_arduino", render_mode="rgb_array")
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        ours.render()
    for env in (ours, theirs):
        env.reset(seed=0)
        env.step(np.array([0, 1]))
    assert len(ours.render()) == 2
    for one, other in zip(ours.render(), theirs.render(), strict=True):
        assert_same(one, other)
    silent = gymnasium.make_vec(MAKE_ID, num_envs=1)
    with pytest.warns(UserWarning, match="without a render_mode"):
        assert silent.render() is None


def test_closed_environment_refuses_and_may_be_closed_twice() -> None:
    env = gymnasium.make_vec(MAKE_ID, num_envs=2)
    env.reset(seed=0)
    env.close()
    env.close()
    assert env.closed
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(2, int))
    with pytest.raises(RigError, match="closed"):
        env.reset()
    del env
    gc.collect()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_gymnasiums_episode_statistics_count_the_steps(mode: AutoresetMode) -> None:
    env = wrappers.RecordEpisodeStatistics(
        gymnasium.make_vec(MAKE_ID, num_envs=5, cart="diy_arduino", max_episode_steps=60, autoreset_mode=mode)
    )
    env.reset(seed=0)
    rng = np.random.default_rng(1)
    taken, ends = np.zeros(5, int), 0
    begins = np.zeros(5, bool)
    for _ in range(200):
        _, _, terminated, truncated, infos = env.step(rng.integers(2, size=5))
        over = terminated | truncated
        taken += ~begins
        if over.any():
            ends += int(over.sum())
            assert infos["episode"]["l"][over].tolist() == taken[over].tolist()
            assert infos["episode"]["r"][over].tolist() == taken[over].tolist()
            taken[over] = 0
            if mode is AutoresetMode.DISABLED:
                env.reset(options={"reset_mask": over})
        begins = over if mode is AutoresetMode.NEXT_STEP else begins
    assert ends > 5


@pytest.mark.parametrize(
    "wrap",
    [
        wrappers.NormalizeObservation,
        wrappers.NormalizeReward,
        wrappers.DictInfoToList,
        wrappers.FlattenObservation,
        lambda env: wrappers.ClipReward(env, 0.0, 0.5),
    ],
    ids=[
        "NormalizeObservation",
        "NormalizeReward",
        "DictInfoToList",
        "FlattenObservation",
        "ClipReward",
    ],
)
def test_gymnasiums_wrappers_give_what_they_give_for_single_environments(wrap: Any) -> None:
    ours, theirs = (wrap(env) for env in both(3, AutoresetMode.NEXT_STEP, cart="diy_arduino"))
    for one, other in zip(ours.reset(seed=0), theirs.reset(seed=0), strict=True):
        assert_same(one, other)
    rng = np.random.default_rng(0)
    for _ in range(150):
        actions = rng.integers(2, size=3)
        for one, other in zip(ours.step(actions), theirs.step(actions), strict=True):
            if isinstance(one, list):
                for number, pair in enumerate(zip(one, other, strict=True)):
                    assert_same(*pair, f"info {number}")
            else:
                assert_same(one, other)


def test_ranges_may_be_an_object() -> None:
    ranges = load_randomization(Path("diy_arduino"), FOUR_DUTIES)
    by_name, by_object = (
        gymnasium.make_vec(MAKE_ID, num_envs=2, cart=FOUR_DUTIES, randomization=given)
        for given in ("diy_arduino", ranges)
    )
    assert_same(by_name.reset(seed=0)[0], by_object.reset(seed=0)[0])
    assert by_name.episode_carts == by_object.episode_carts


def test_seeds_may_be_an_array() -> None:
    env = gymnasium.make_vec(MAKE_ID, num_envs=2)
    found = env.reset(seed=np.array([3, 4]))[0]  # type: ignore[arg-type]
    assert_same(found, env.reset(seed=[3, 4])[0])
