"""Policies of Stable-Baselines3's PPO, A2C and SAC become bundles, after trials; everything else is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.env import MAKE_ID
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.policy.host_network import SAME_DUTY, Activation, HostNetwork
from cartpole_robot.policy.network import Network
from cartpole_robot.training.sb3_export import FailedTrialsError, export_model, export_model_file
from cartpole_robot.training.sb3_model import ModelRefusedError
from cartpole_robot.training.vec_env import CartPoleVecEnv
from tests.host_policies import balancing_model

CART = load_cart("gym")
CASES = {
    "PPO over a table, one layer of ReLU": (PPO, False, Activation.RELU, (8,)),
    "PPO over a table, two layers of tanh": (PPO, False, Activation.TANH, (8, 6)),
    "A2C with a duty, one layer of tanh": (A2C, True, Activation.TANH, (8,)),
    "SAC with a duty, two layers of ReLU": (SAC, True, Activation.RELU, (8, 8)),
}


def made(case: str, **more: Any) -> Any:
    algorithm, commands_duty, activation, hidden = CASES[case]
    return balancing_model(algorithm, CART, commands_duty=commands_duty, activation=activation, hidden=hidden, **more)


def table_env(**options: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(MAKE_ID, cart=CART, engine="native", **options)


@pytest.mark.parametrize("way", ["living", "file"])
@pytest.mark.parametrize("case", CASES)
def test_policy_is_exported_judged_and_answers_as_the_model(case: str, way: str, tmp_path: Path) -> None:
    algorithm, commands_duty, activation, hidden = CASES[case]
    model, out = made(case), tmp_path / "out"
    if way == "living":
        done = export_model(model, cart="gym", out=out)
    else:
        model.save(tmp_path / "model.zip")
        done = export_model_file(tmp_path / "model.zip", cart="gym", out=out)
    assert set(done.agreement.values()) == {10_000} or "int16" in done.agreement
    assert {name: done.agreement[name] for name in ("c", "numpy", "onnxruntime")} == dict.fromkeys(
        ("c", "numpy", "onnxruntime"), 10_000
    )
    assert done.tried.trials.is_passed
    bundle = load_policy(out / "policy.npz")
    assert bundle.provenance["evaluation"]["episodes_survived"] == 100
    assert bundle.provenance["trials"] == {"passed": 105, "of": 105, "failed": [], "skipped": 0}
    assert bundle.provenance["learner"]["algorithm"] == algorithm.__name__
    is_classic = activation is Activation.RELU and not commands_duty and len(hidden) == 1
    assert isinstance(bundle.network, Network if is_classic else HostNetwork)
    assert (out / "policy_weights.h").exists() == is_classic == ("int16" in done.agreement)
    seen = bundle.golden.observations
    decide = bundle.decision_function()
    predicted = model.predict(seen, deterministic=True)[0].reshape(-1)
    assert [decide(row) for row in seen] == pytest.approx(predicted.tolist(), abs=SAME_DUTY if commands_duty else 0)


def test_vector_environments_model_is_exported(tmp_path: Path) -> None:
    envs = gymnasium.make_vec(MAKE_ID, num_envs=3, cart="gym", autoreset_mode="SameStep")
    model = made("PPO over a table, two layers of tanh", env=CartPoleVecEnv(envs))
    assert export_model(model, cart="gym", out=tmp_path / "out").tried.trials.is_passed


def normalized(model_env: VecNormalize, *, clip: float = 10.0) -> VecNormalize:
    model_env.obs_rms.mean = np.array([0.02, -0.1, 0.08, 0.05])  # type: ignore[union-attr]
    model_env.obs_rms.var = np.array([0.04, 0.3, 0.002, 0.2])  # type: ignore[union-attr]
    model_env.clip_obs = clip
    return model_env


def normalized_model(clip: float = 10.0) -> Any:
    """A balancing PPO that sees normalized observations: its first layer undoes what the normalization does."""
    env = normalized(VecNormalize(DummyVecEnv([table_env])), clip=clip)
    model = made("PPO over a table, two layers of tanh", env=env)
    state = model.policy.state_dict()
    size = torch.from_numpy(np.sqrt(env.obs_rms.var + env.epsilon)).float()  # type: ignore[union-attr]
    weight = state["mlp_extractor.policy_net.0.weight"].clone()
    mean = torch.from_numpy(env.obs_rms.mean).float()  # type: ignore[union-attr]
    state["mlp_extractor.policy_net.0.bias"] = weight @ mean
    state["mlp_extractor.policy_net.0.weight"] = weight * size
    model.policy.load_state_dict(state)
    return model


@pytest.mark.parametrize(("clip", "is_bounded"), [(10.0, True), (1e9, False), (1.0, True)])
def test_normalization_becomes_part_of_the_policy(clip: float, is_bounded: bool, tmp_path: Path) -> None:
    model = normalized_model(clip)
    done = export_model(model, cart="gym", out=tmp_path / "out", may_fail_trials=clip == 1.0)
    network = done.bundle.network
    assert isinstance(network, HostNetwork)
    assert (network.input_bound is not None) == is_bounded
    assert done.agreement["c"] == 10_000, "the reference normalizes as VecNormalize does"
    assert done.bundle.provenance["learner"]["is_normalized"] is True


def test_given_normalization_counts_for_a_model_without_an_environment(tmp_path: Path) -> None:
    model = normalized_model()
    model.save(tmp_path / "model.zip")
    again = PPO.load(tmp_path / "model.zip", device="cpu")
    done = export_model(again, cart="gym", out=tmp_path / "out", vec_normalize=model.get_vec_normalize_env())
    assert done.agreement["c"] == 10_000


def test_file_of_a_normalized_model_falls_and_is_not_written(tmp_path: Path) -> None:
    normalized_model().save(tmp_path / "model.zip")
    with pytest.raises(FailedTrialsError, match=r"passed \d+ of 105; failed: .* Nothing is written: .*VecNormalize"):
        export_model_file(tmp_path / "model.zip", cart="gym", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_policy_that_falls_is_written_on_request_alone(tmp_path: Path) -> None:
    model = PPO("MlpPolicy", table_env(), device="cpu", seed=1)
    with pytest.raises(FailedTrialsError, match=r"passed 0 of 105; failed: corner start .*--failed-trials"):
        export_model(model, cart="gym", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = export_model(model, cart="gym", out=tmp_path / "out", may_fail_trials=True)
    assert not done.tried.trials.is_passed
    assert load_policy(tmp_path / "out" / "policy.npz").provenance["evaluation"]["episodes_survived"] < 100


def test_model_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    model = made("PPO over a table, two layers of tanh")
    predict = model.predict
    model.predict = lambda seen, **options: (1 - predict(seen, **options)[0], None)
    with pytest.raises(ModelRefusedError, match=r"answers as its exported network on 0 of 10000 visited states"):
        export_model(model, cart="gym", out=tmp_path / "out")
