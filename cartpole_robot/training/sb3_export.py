"""Exports a policy that Stable-Baselines3's PPO, A2C or SAC has trained.

envs = gymnasium.make_vec("cartpole_robot.env:cartpole_robot/CartPole-v1", num_envs=16, cart="diy_arduino", ...)
model = PPO("MlpPolicy", VecMonitor(CartPoleVecEnv(envs)))
model.learn(300_000)
export_model(model, cart="diy_arduino", out=Path("exported"))
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecNormalize

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files import provenance
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.export import ExportedFiles, bundle_of, write_export
from cartpole_robot.policy.host_network import Activation, HostNetwork, Output, host_decision_function
from cartpole_robot.policy.network import Network, float_action_function
from cartpole_robot.rigs.engine_choice import rig_engine
from cartpole_robot.rollout.evaluation import CALIBRATION_SEED, visited_observations
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.parity import PARITY_STATES, agreement_text, agreement_with, decisions, same_decisions
from cartpole_robot.training.sb3_form import Actor, actor_of, learner_record, network_of_actor
from cartpole_robot.training.sb3_model import ModelRefusedError, Sb3Model, living_model, read_model
from cartpole_robot.training.sb3_normalization import Normalization, normalization_of, normalizer_of
from cartpole_robot.training.sb3_trials import Tried, tried

LEAST_SAME = 0.999  # of visited states: a near tie may fall the other way, another network differs on more
Decide = Callable[[NDArray[np.float32]], NDArray[Any]]


class FailedTrialsError(RunError):
    """A policy that did not pass every trial, and so was not written."""


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """An exported policy: its files, how it did in its trials, and the agreement of its forms with the model."""

    bundle: PolicyBundle
    files: ExportedFiles
    tried: Tried
    agreement: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `host_only` is why there is no C header, None if there is one."""
        return {
            **{name: path and str(path) for name, path in dataclasses.asdict(self.files).items()},
            "policy_hash": self.bundle.policy_hash(),
            "agreement": dict(self.agreement),
            "host_only": self.bundle.host_only,
            **self.tried.as_dict(),
        }

    def rows(self) -> dict[str, str]:
        """Names and texts for a person."""
        header = self.files.header
        return {
            "bundle": str(self.files.bundle),
            "onnx": str(self.files.onnx),
            "header": f"none: {self.bundle.host_only}" if header is None else str(header),
            "policy_hash": self.bundle.policy_hash(),
            **self.tried.rows(),
            "agreement": agreement_text(self.agreement),
        }


def export_model(
    model: Any,
    *,
    cart: str | Path | CartParams,
    out: Path,
    vec_normalize: VecNormalize | None = None,
    may_fail_trials: bool = False,
) -> ExportedModel:
    """Write the policy of a PPO, A2C or SAC model in memory into the new folder `out`; returns it with its trials.

    `cart` is the cart it was trained on. The observations of a `VecNormalize` around the model's environment, or of
    `vec_normalize` for a model without one, become part of the policy. Raises `ModelRefusedError` for a model that no
    bundle can hold, `FailedTrialsError` for one that fails a trial unless `may_fail_trials`, `UsageError`.
    """
    described = living_model(model)
    known = _ready(cart, out)
    actor = actor_of(described, known)
    normalizer = normalizer_of(model, vec_normalize, described)
    normalization = normalization_of(normalizer, known, described)

    def predicted(observations: NDArray[np.float32]) -> NDArray[Any]:
        seen = observations if normalizer is None else normalizer.normalize_obs(observations)
        found: NDArray[Any] = model.predict(seen, deterministic=True)[0]
        return found.reshape(-1)

    more = {"is_normalized": normalizer is not None}
    return _exported(described, actor, normalization, known, out, predicted, more, may_fail_trials=may_fail_trials)


def export_model_file(
    path: Path, *, cart: str | Path | CartParams, out: Path, may_fail_trials: bool = False
) -> ExportedModel:
    """As `export_model`, of the zip file that `model.save` wrote; no code of the file runs.

    A file says nothing of a `VecNormalize`: a policy trained with one fails its trials. Raises `UsageError` also for
    a file that is no such zip.
    """
    known = _ready(cart, out)
    described = read_model(path)
    actor = actor_of(described, known)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    more = {"file": path.name[:200], "file_sha256": digest}
    return _exported(
        described, actor, Normalization.none(), known, out, _in_pytorch(actor), more, may_fail_trials=may_fail_trials
    )


def _ready(cart: str | Path | CartParams, out: Path) -> CartParams:
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out}: exists already; choose another --out")
    return load_cart(cart)


def _exported(
    described: Sb3Model,
    actor: Actor,
    normalization: Normalization,
    cart: CartParams,
    out: Path,
    reference: Decide,
    more: Mapping[str, Any],
    *,
    may_fail_trials: bool,
) -> ExportedModel:
    try:
        network = network_of_actor(actor, normalization.gain, normalization.offset, normalization.bound)
    except ValueError as error:
        raise ModelRefusedError(f"{described.name}: {error}; train it again") from None
    choice = rig_engine("sim", cart)
    action = "duty" if actor.output is not Output.TABLE else "table"
    with closing(balancing_env(cart, "sim", PARITY_STATES, engine=choice.engine, action=action)) as env:
        visited = visited_observations(_acting(network), env, count=PARITY_STATES, first_seed=CALIBRATION_SEED)
    record = {
        "kind": "stable-baselines3",
        "learner": learner_record(described, actor, more),
        "cart": cart.as_dict(),
        "cart_sources": dict(cart.sources),
        "engine": choice.engine,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
    bundle = bundle_of(network, cart, visited, record)
    expected = reference(visited)
    same = same_decisions(decisions(bundle, Backend.C, visited), expected)
    if same < LEAST_SAME * len(visited):
        raise ModelRefusedError(
            f"{described.name}: answers as its exported network on {same} of {len(visited)} visited states, expected "
            f"{LEAST_SAME:.1%} of them; it computes something that its tensors and settings do not show"
        )
    found = tried(bundle, cart, choice)
    if not found.trials.is_passed and not may_fail_trials:
        raise FailedTrialsError(
            f"{described.name}: {found.summary}. Nothing is written: {found.remedy}, or export it as it is with "
            "--failed-trials"
        )
    bundle = dataclasses.replace(bundle, provenance={**record, **found.as_dict()})
    files = write_export(bundle, out)
    return ExportedModel(
        bundle=bundle, files=files, tried=found, agreement=agreement_with(bundle, files.onnx, expected, visited)
    )


def _acting(network: Network | HostNetwork) -> Callable[[NDArray[np.float32]], Any]:
    """Actions of the environment that takes what the network decides."""
    if isinstance(network, Network):
        return float_action_function(network)
    decide = host_decision_function(network)
    return (lambda observation: np.array([decide(observation)])) if network.commands_duty else decide


def _in_pytorch(actor: Actor) -> Decide:
    """The actor's decisions for observations (N, 4), in PyTorch's arithmetic."""
    layers = [(torch.from_numpy(weight), torch.from_numpy(bias)) for weight, bias in actor.layers]
    activate = torch.tanh if actor.activation is Activation.TANH else torch.relu

    def decide(observations: NDArray[np.float32]) -> NDArray[Any]:
        with torch.no_grad():
            values = torch.from_numpy(observations)
            for weight, bias in layers[:-1]:
                values = activate(torch.nn.functional.linear(values, weight, bias))
            values = torch.nn.functional.linear(values, *layers[-1])
            if actor.output is Output.TABLE:
                return values.argmax(dim=1).numpy()
            duties = values[:, 0]
            return (torch.tanh(duties) if actor.output is Output.SQUASHED else duties.clamp(-1.0, 1.0)).numpy()

    return decide
