"""The running normalization of observations around a living model, folded into its network's first layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnvWrapper, VecNormalize

from cartpole_robot.cart.params import CartParams
from cartpole_robot.training.sb3_form import refusal
from cartpole_robot.training.sb3_model import Sb3Model

_OUT_OF_REACH = 100.0  # times the cart's observation scale: no cart has such a speed


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """The network sees gain * observation + offset, of observations clipped to `bound` (2, 4); None clips nothing."""

    gain: NDArray[np.float64]
    offset: NDArray[np.float64]
    bound: NDArray[np.float32] | None = None

    @staticmethod
    def none() -> Normalization:
        """Observations as they are."""
        return Normalization(gain=np.ones(4), offset=np.zeros(4))


def normalizer_of(model: Any, given: VecNormalize | None, described: Sb3Model) -> VecNormalize | None:
    """The `VecNormalize` that was given, or is around the model's environment, and normalizes observations.

    Raises `ModelRefusedError` for one of another class, or a second one.
    """
    layer = model.get_env() if given is None else given
    found = []
    while isinstance(layer, VecEnvWrapper):
        if isinstance(layer, VecNormalize) and layer.norm_obs:
            found.append(layer)
        layer = layer.venv
    if len(found) > 1:
        raise refusal(described, f"is normalized {len(found)} times (VecNormalize)", "use one VecNormalize")
    if found and type(found[0]) is not VecNormalize:
        kind = type(found[0]).__name__
        raise refusal(described, f"is normalized by {kind}, expected VecNormalize itself", "train with VecNormalize")
    return found[0] if found else None


def normalization_of(normalizer: VecNormalize | None, cart: CartParams, described: Sb3Model) -> Normalization:
    """What `normalizer` does to an observation of `cart`. Raises `ModelRefusedError` for statistics of another kind."""
    if normalizer is None:
        return Normalization.none()
    statistics: Any = normalizer.obs_rms
    if type(statistics) is not RunningMeanStd or np.shape(statistics.mean) != (4,):
        raise refusal(described, "has VecNormalize statistics of something else than 4 numbers", "train it again")
    gain = 1.0 / np.sqrt(np.asarray(statistics.var, np.float64) + normalizer.epsilon)
    mean = np.asarray(statistics.mean, np.float64)
    if not (np.isfinite(gain).all() and np.isfinite(mean).all()):
        raise refusal(described, "has VecNormalize statistics that are not finite", "train it again")
    bound = np.stack((mean - normalizer.clip_obs / gain, mean + normalizer.clip_obs / gain))
    limits, scale = cart.limits, np.array(cart.observation_scale.as_tuple())
    reach = _OUT_OF_REACH * scale
    reach[[0, 2]] = limits.cart_position_m, limits.pole_angle_rad  # beyond them every episode ends
    is_reached = bool((bound[0] > -reach).any() or (bound[1] < reach).any())
    return Normalization(gain=gain, offset=-gain * mean, bound=bound.astype(np.float32) if is_reached else None)
