"""The network in a Stable-Baselines3 model, where a policy bundle can hold it; everything else is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot import task
from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.host_network import Activation, HostNetwork, Output
from cartpole_robot.policy.network import Network
from cartpole_robot.training.sb3_model import ModelRefusedError, Sb3Model
from firmware_bridge.constants import MAX_HIDDEN

SUPPORTED = (
    "supported are PPO, A2C and SAC of Stable-Baselines3 with one or two hidden layers of tanh or ReLU, at most "
    f"{MAX_HIDDEN} units each"
)
Array = NDArray[np.float32]
_ACTOR_CRITIC, _SAC = "stable_baselines3.common.policies", "stable_baselines3.sac.policies"
_CLASSES = {_ACTOR_CRITIC: "ActorCriticPolicy", _SAC: "SACPolicy"}
_ACTIVATIONS = {"Tanh": Activation.TANH, "ReLU": Activation.RELU}
_OPTIONS = (  # of a policy, that leave its answer alone, or whose effect its tensors show
    *("net_arch", "activation_fn", "ortho_init", "log_std_init", "full_std", "use_expln", "clip_mean", "n_critics"),
    *("optimizer_class", "optimizer_kwargs", "normalize_images", "share_features_extractor", "use_sde"),
)
_FOREIGN = (  # in the names of tensors
    (r"lstm", "a recurrent policy (LSTM)"),
    (r"features_extractor\.cnn\.", "a convolutional policy (CnnPolicy)"),
    (r"features_extractor\.extractors\.", "a policy of several inputs (MultiInputPolicy)"),
    (r"features_extractor\.", "a policy with a features extractor of its own"),
    (r"^mlp_extractor\.shared_net\.", "a network whose first layers policy and value share"),
    (r"^q_net\.", "a DQN; 'cartpole-robot train' trains one, and 'cartpole-robot export RUN' exports it"),
    (r"^quantile_net\.", "a QR-DQN"),
    (r"^actor_target\.", "a TD3 or DDPG"),
)
_ACTORS = {
    _ACTOR_CRITIC: (
        r"mlp_extractor\.policy_net\.(\d+)",
        "action_net",
        r"log_std|value_net\.(weight|bias)|mlp_extractor\.value_net\.\d+\.(weight|bias)",
    ),
    _SAC: (
        r"actor\.latent_pi\.(\d+)",
        "actor.mu",
        r"actor\.log_std\.(weight|bias)|critic(_target)?\.qf\d+\.\d+\.(weight|bias)",
    ),
}
_MOST_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The layers of a policy's network, the outputs last, as pairs of a weight (O, I) and a bias (O,)."""

    algorithm: str
    layers: tuple[tuple[Array, Array], ...]
    activation: Activation
    output: Output


def actor_of(model: Sb3Model, cart: CartParams) -> Actor:
    """The network of a model that was trained on `cart`. Raises `ModelRefusedError`."""
    for pattern, what in _FOREIGN:
        if any(re.search(pattern, key) for key in model.tensors):
            raise refusal(model, f"is {what}")
    if model.observation_space.name == "Dict":
        raise refusal(model, "is a policy of several inputs (MultiInputPolicy)")
    module = _policy_module(model)
    algorithm = _algorithm(model, module)
    _check_options(model)
    _check_observations(model, cart)
    actions = _actions(model, cart)
    activation = _activation(model, module)
    layers = _layers(model, module)
    if actions is None:
        output = Output.SQUASHED if module == _SAC else Output.CLIPPED
    elif module == _SAC:
        raise refusal(model, "is a SAC with a Discrete action space, which Stable-Baselines3 does not make")
    else:
        output = Output.TABLE
    rows = len(layers[-1][1])
    if rows != (actions or 1):
        raise refusal(model, f"has {rows} outputs and an action space of {actions or 1}, which contradict each other")
    return Actor(algorithm=algorithm, layers=layers, activation=activation, output=output)


def network_of_actor(
    actor: Actor, gain: NDArray[np.float64], offset: NDArray[np.float64], bound: Array | None
) -> Network | HostNetwork:
    """The policy's network, which sees gain * observation + offset, clipped to `bound` before; all of 4 numbers.

    The offset is folded into the first bias. One hidden layer of ReLU over an action table without a bound becomes the
    form that a microcontroller computes, too. Raises ValueError for numbers that are not finite.
    """
    weights, biases = zip(*actor.layers, strict=True)
    first = (biases[0] + weights[0].astype(np.float64) @ offset).astype(np.float32)
    biases = (first, *biases[1:])
    input_gain = gain.astype(np.float32)
    is_plain = len(weights) == 2 and actor.activation is Activation.RELU and actor.output is Output.TABLE
    if is_plain and bound is None:
        return Network(
            input_gain=input_gain,
            hidden_weight=weights[0],
            hidden_bias=biases[0],
            output_weight=weights[1],
            output_bias=biases[1],
        )
    return HostNetwork(
        input_gain=input_gain,
        weights=weights,
        biases=biases,
        activation=actor.activation,
        output=actor.output,
        input_bound=bound,
    )


def refusal(model: Sb3Model, found: str, remedy: str | None = None) -> ModelRefusedError:
    """The error for a model in which that was found."""
    return ModelRefusedError(f"{model.name}: {found}; {remedy or f'{SUPPORTED}; train such a model'}")


def _policy_module(model: Sb3Model) -> str:
    """The module of the policy's class, which is one of two of Stable-Baselines3's own."""
    for module, name in _CLASSES.items():
        if model.policy_class in (module, f"{module}.{name}"):
            return module
    raise refusal(model, f"has a policy class of {model.policy_class[:_MOST_SHOWN]!r}")


def _algorithm(model: Sb3Model, module: str) -> str:
    """PPO, A2C or SAC. A file does not name it: the settings tell which class wrote it."""
    settings, sac = model.settings, module == _SAC
    known = str(settings.get("algorithm", ""))
    if sac:
        found = "SAC" if "target_entropy" in settings else None
    elif "clip_range" in settings and "n_epochs" in settings:
        found = "PPO"
    else:
        is_plain = "gae_lambda" in settings and not {"cg_max_steps", "n_epochs", "clip_range"} & settings.keys()
        found = "A2C" if is_plain else None
    owner = str(settings.get("algorithm_module", "stable_baselines3."))
    if found is None or known not in ("", found) or not owner.startswith("stable_baselines3."):
        shown = known or "an algorithm whose settings are not those of PPO, A2C or SAC"
        raise refusal(model, f"is of {shown[:_MOST_SHOWN]}")
    return found


def _check_options(model: Sb3Model) -> None:
    options = model.policy_options
    if model.settings.get("use_sde") is not False or options.get("use_sde", "False") != "False":
        raise refusal(model, "explores with gSDE (use_sde)", f"{SUPPORTED}, without gSDE; train with use_sde=False")
    if options.get("squash_output", "False") != "False":
        raise refusal(model, "squashes its output (policy_kwargs squash_output)")
    extractor = options.get("features_extractor_class", "stable_baselines3.common.torch_layers.FlattenExtractor")
    if "stable_baselines3.common.torch_layers.FlattenExtractor" not in extractor:
        raise refusal(model, f"has the features extractor {extractor[:_MOST_SHOWN]}")
    if options.get("features_extractor_kwargs", "{}") != "{}":
        raise refusal(model, "has options of a features extractor (policy_kwargs features_extractor_kwargs)")
    known = (*_OPTIONS, "squash_output", "features_extractor_class", "features_extractor_kwargs")
    for name in options:
        if name not in known:
            raise refusal(model, f"has the policy option {name[:_MOST_SHOWN]!r}, which is not known here")


def _check_observations(model: Sb3Model, cart: CartParams) -> None:
    """Raise `ModelRefusedError` unless the model observes what the environment of `cart` shows, in its units."""
    space = model.observation_space
    if space.name != "Box" or not space.kind.startswith(("gymnasium.", "gym.")):
        raise refusal(model, f"observes a {space.name[:_MOST_SHOWN]}", "expected the Box of 4 numbers of CartPole-v1")
    if space.shape != (4,):
        raise refusal(model, *_other_inputs(space.shape))
    low, high = space.numbers("low"), space.numbers("high")
    own = [bound(cart).astype(np.float64) for bound in (task.observation_bound, task.observation_bound_v0)]
    if low is None or high is None or not any(_is_bound(low, high, bound) for bound in own):
        found = "no readable bounds" if high is None else f"observations up to [{_listed(high)}]"
        raise refusal(
            model,
            f"has {found}, the cart {cart.name!r} shows up to [{_listed(own[0])}]",
            "name the cart it was trained on, and train in its environment without a wrapper that changes observations",
        )


def _is_bound(low: tuple[float, ...], high: tuple[float, ...], bound: NDArray[np.float64]) -> bool:
    """Whether the space runs from -bound to bound, as far as the digits that it prints."""
    if not len(low) == len(high) == len(bound):
        return False
    return bool(np.allclose(high, bound, rtol=1e-6, atol=0.0) and np.allclose(low, -bound, rtol=1e-6, atol=0.0))


def _other_inputs(shape: tuple[int, ...]) -> tuple[str, str]:
    found = f"takes inputs of shape {shape}, expected (4,)"
    if shape == (5,):
        return f"{found}: 5 are those of a swing-up", "only a policy that balances is exported from a model"
    if len(shape) == 1 and shape[0] % 4 == 0:
        return f"{found}: a stack of {shape[0] // 4} frames", "train without a frame stack"
    return found, "train in the environment of CartPole-v1, whose observation has 4 numbers"


def _actions(model: Sb3Model, cart: CartParams) -> int | None:
    """How many actions the model chooses from; None where it commands a duty."""
    space = model.action_space
    if space.name == "Discrete":
        text, start = space.attributes.get("n", ""), space.attributes.get("start", "0")
        if not re.fullmatch(r"\d{1,6}", text) or start != "0":
            raise refusal(model, f"has a Discrete action space of n = {text[:20]!r} from {start[:20]!r}")
        count, own = int(text), len(cart.action_duties)
        if count != own:
            raise refusal(
                model,
                f"has {count} actions, the action table of cart {cart.name!r} has {own}",
                "name the cart it was trained on, with that table",
            )
        return count
    if space.name != "Box":
        raise refusal(model, f"has the action space {space.name[:_MOST_SHOWN]}", "use an action table or one duty")
    if space.shape != (1,):
        raise refusal(model, f"has actions of shape {space.shape}, expected (1,), the duty", 'train with action="duty"')
    if space.numbers("low") != (-1.0,) or space.numbers("high") != (1.0,):
        found = f"{space.attributes.get('low', '?')} to {space.attributes.get('high', '?')}"
        raise refusal(model, f"has actions from {found[:_MOST_SHOWN]}, expected [-1.] to [1.]", 'use action="duty"')
    return None


def _activation(model: Sb3Model, module: str) -> Activation:
    text = model.policy_options.get("activation_fn")
    if text is None:
        return Activation.RELU if module == _SAC else Activation.TANH  # Stable-Baselines3's defaults
    name = re.fullmatch(r"<class 'torch\.nn\.modules\.activation\.(\w{1,40})'>", text)
    found = None if name is None else _ACTIVATIONS.get(name[1])
    if found is None:
        raise refusal(model, f"has the activation {text[:_MOST_SHOWN]}")
    return found


def _layers(model: Sb3Model, module: str) -> tuple[tuple[Array, Array], ...]:
    """The actor's layers, the outputs last; each tensor of the model must be known."""
    hidden, output, others = _ACTORS[module]
    numbers = set()
    for key in model.tensors:
        found = re.fullmatch(rf"{hidden}\.(weight|bias)", key)
        if found is not None:
            numbers.add(int(found[1]))
        elif not re.fullmatch(rf"{re.escape(output)}\.(weight|bias)|{others}", key):
            raise refusal(model, f"has the tensor {key[:_MOST_SHOWN]!r}, which is not known here")
    if len(numbers) not in (1, 2):
        raise refusal(model, f"has {len(numbers)} hidden layers")
    if numbers != {2 * number for number in range(len(numbers))}:  # an activation follows each
        raise refusal(model, f"has hidden layers at the places {sorted(numbers)}, with something else between them")
    prefix = hidden.partition(r"(\d+)")[0].replace("\\", "")
    names = [*(f"{prefix}{number}" for number in sorted(numbers)), output]
    layers = tuple((_tensor(model, f"{name}.weight", 2), _tensor(model, f"{name}.bias", 1)) for name in names)
    inputs = 4
    for number, (weight, bias) in enumerate(layers):
        rows = len(bias)
        if weight.shape != (rows, inputs):
            raise refusal(model, f"has a layer of shape {weight.shape}, expected {(rows, inputs)}")
        if number < len(layers) - 1 and rows > MAX_HIDDEN:
            raise refusal(model, f"has a hidden layer of {rows} units")
        inputs = rows
    return layers


def _tensor(model: Sb3Model, key: str, dimensions: int) -> Array:
    found = model.tensors.get(key)
    if found is None or found.ndim != dimensions or not found.size:
        raise refusal(model, f"has no {key} of {dimensions} dimensions")
    if not np.isfinite(found).all():
        raise refusal(model, f"has a number in {key} that is not finite", "its training diverged; train it again")
    return found


def _listed(numbers: Any) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)


def learner_record(model: Sb3Model, actor: Actor, more: Mapping[str, Any]) -> dict[str, Any]:
    """What a policy's provenance says of the model."""
    steps = model.settings.get("num_timesteps")
    return {
        "library": "stable-baselines3",
        "version": None if model.version is None else model.version[:40],
        "algorithm": actor.algorithm,
        "steps": steps if type(steps) is int and 0 <= steps < 2**53 else None,
        **more,
    }
