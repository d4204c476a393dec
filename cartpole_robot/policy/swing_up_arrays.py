"""The design of a swing-up as arrays of a policy bundle, so that a small board needs no SciPy for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.files.records import require
from cartpole_robot.policy.lqr import Lqr
from cartpole_robot.policy.network import arrays_digest
from cartpole_robot.policy.swing_up import SwingUpDesign

NAMES = ("swing_up_state_gain", "swing_up_duty_gain", "swing_up_catch_cost")
_MOST_DUTY_GAINS = 64
_LARGEST = 1e9


def arrays_of(design: SwingUpDesign) -> dict[str, NDArray[Any]]:
    """The arrays called `NAMES`."""
    return dict(zip(NAMES, (design.lqr.state_gain, design.lqr.duty_gain, design.catch_cost), strict=True))


def digest_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 (hex) of the arrays called `NAMES`. Raises KeyError for one that is missing."""
    return arrays_digest(*(arrays[name] for name in NAMES)).hex()


def design_of(arrays: Mapping[str, NDArray[Any]], digest: object) -> SwingUpDesign:
    """The design in a bundle's arrays with that digest. Raises ValueError, and KeyError as `digest_of`."""
    require(digest_of(arrays) == digest, "its swing-up was altered")
    state_gain, duty_gain, catch_cost = (arrays[name] for name in NAMES)
    require(
        state_gain.shape == (4,) and duty_gain.ndim == 1 and len(duty_gain) <= _MOST_DUTY_GAINS,
        f"its swing-up has gains of shape {state_gain.shape} and {duty_gain.shape}",
    )
    size = 4 + len(duty_gain)
    require(
        catch_cost.shape == (size, size),
        f"its swing-up has a catch_cost of shape {catch_cost.shape}, expected {(size, size)}",
    )
    for array in (state_gain, duty_gain, catch_cost):
        require(array.dtype == np.float64, f"its swing-up has numbers of type {array.dtype}, expected float64")
        require(bool(np.all(np.abs(array) <= _LARGEST)), f"its swing-up has a number beyond {_LARGEST:g}")
    return SwingUpDesign(lqr=Lqr(state_gain=state_gain, duty_gain=duty_gain), catch_cost=catch_cost)
