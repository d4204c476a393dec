"""Models of Stable-Baselines3 that no policy bundle can hold are refused by name, living or from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.env import MAKE_ID, SWING_UP_ID
from cartpole_robot.training.sb3_export import export_model, export_model_file
from cartpole_robot.training.sb3_model import ModelRefusedError
from tests.host_policies import balancing_model

CART = load_cart("gym")


def two_layers(**more: Any) -> Any:
    return balancing_model(PPO, CART, commands_duty=False, **more)


def table_env(**options: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(MAKE_ID, cart=CART, engine="native", **options)


class OwnPolicy(ActorCriticPolicy):
    pass


class OwnExtractor(BaseFeaturesExtractor):
    def __init__(self, space: Any) -> None:
        super().__init__(space, 4)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return -seen


def duty_env(**options: Any) -> gymnasium.Env[Any, Any]:
    return table_env(action="duty", **options)


def half_duty() -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.RescaleAction(duty_env(), np.float32(-0.5), np.float32(0.5))


def of_images() -> gymnasium.Env[Any, Any]:
    env = table_env()
    env.observation_space = gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    return env


def of_several() -> gymnasium.Env[Any, Any]:
    env = table_env()
    env.observation_space = gymnasium.spaces.Dict({"a": gymnasium.spaces.Box(-1.0, 1.0, (4,))})
    return env


def with_options(**options: Any) -> Callable[[], Any]:
    return lambda: PPO("MlpPolicy", table_env(), device="cpu", policy_kwargs=options)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "gSDE": (lambda: PPO("MlpPolicy", duty_env(), use_sde=True), r"explores with gSDE"),
    "gSDE of SAC": (lambda: SAC("MlpPolicy", duty_env(), use_sde=True, buffer_size=10), r"explores with gSDE"),
    "TD3": (lambda: TD3("MlpPolicy", duty_env(), buffer_size=10), r"is a TD3 or DDPG"),
    "DDPG": (lambda: DDPG("MlpPolicy", duty_env(), buffer_size=10), r"is a TD3 or DDPG"),
    "DQN": (lambda: DQN("MlpPolicy", table_env(), buffer_size=10), r"is a DQN; 'cartpole-robot train' trains one"),
    "images": (lambda: PPO("CnnPolicy", of_images()), r"is a convolutional policy \(CnnPolicy\)"),
    "several inputs": (lambda: PPO("MultiInputPolicy", of_several()), r"several inputs \(MultiInputPolicy\)"),
    "three layers": (with_options(net_arch=[8, 8, 8]), r"has 3 hidden layers; supported are"),
    "no layer": (with_options(net_arch=[]), r"has 0 hidden layers"),
    "wide layer": (with_options(net_arch=[8, 257]), r"has a hidden layer of 257 units; .* at most 256 units"),
    "ELU": (with_options(activation_fn=torch.nn.ELU), r"has the activation .*ELU"),
    "own policy": (lambda: PPO(OwnPolicy, table_env()), r"has a policy class of '.*test_sb3_refusals"),
    "own extractor": (
        with_options(features_extractor_class=OwnExtractor),
        r"has the features extractor .*OwnExtractor",
    ),
    "frame stack": (
        lambda: PPO("MlpPolicy", VecFrameStack(DummyVecEnv([table_env]), 3)),
        r"takes inputs of shape \(12,\), expected \(4,\): a stack of 3 frames",
    ),
    "swing-up": (
        lambda: PPO("MlpPolicy", gymnasium.make(SWING_UP_ID, cart="diy_arduino", engine="native")),
        r"takes inputs of shape \(5,\).*those of a swing-up",
    ),
    "another cart": (
        lambda: PPO("MlpPolicy", gymnasium.make(MAKE_ID, cart="diy_arduino", engine="native")),
        r"observations up to \[0.8, inf, .*\], the cart 'gym' shows up to \[4.8, inf, ",
    ),
    "half the duty": (lambda: PPO("MlpPolicy", half_duty()), r"has actions from \[-0.5\] to \[0.5\], expected \[-1.\]"),
}


@pytest.mark.parametrize("way", ["living", "file"])
@pytest.mark.parametrize("case", REFUSED)
def test_other_models_are_refused_by_name(case: str, way: str, tmp_path: Path) -> None:
    build, message = REFUSED[case]
    model, out = build(), tmp_path / "out"
    model.save(tmp_path / "model.zip")
    export: Any = export_model if way == "living" else export_model_file
    with pytest.raises(ModelRefusedError, match=message):
        export(model if way == "living" else tmp_path / "model.zip", cart="gym", out=out, may_fail_trials=True)
    assert not out.exists()


def test_table_of_another_size_is_refused_with_both_numbers(tmp_path: Path) -> None:
    three = with_actions(CART, (-1.0, 0.0, 1.0), given="the test")
    with pytest.raises(ModelRefusedError, match=r"has 2 actions, the action table of cart 'gym' has 3"):
        export_model(two_layers(), cart=three, out=tmp_path / "out")


def test_two_normalizations_and_a_foreign_object_are_refused(tmp_path: Path) -> None:
    twice = VecNormalize(VecNormalize(DummyVecEnv([table_env])))
    with pytest.raises(ModelRefusedError, match="is normalized 2 times"):
        export_model(PPO("MlpPolicy", twice, device="cpu"), cart="gym", out=tmp_path / "out")
    with pytest.raises(ModelRefusedError, match="is a dict, expected a model of Stable-Baselines3"):
        export_model({}, cart="gym", out=tmp_path / "out")


def test_tensor_that_diverged_is_refused(tmp_path: Path) -> None:
    model = two_layers()
    with torch.no_grad():
        model.policy.action_net.bias[0] = float("nan")
    with pytest.raises(ModelRefusedError, match=r"a number in action_net.bias that is not finite"):
        export_model(model, cart="gym", out=tmp_path / "out")
