"""The state of random generators as plain JSON values, and back."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from cartpole_robot.files.records import require

_MT_WORDS = 624


def global_state() -> dict[str, Any]:
    """The state of the global generators of Python, NumPy and PyTorch."""
    version, words, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=False)
    numpy_state["state"]["key"] = numpy_state["state"]["key"].tolist()
    return {
        "python": {"version": version, "words": list(words), "gauss": gauss},
        "numpy": numpy_state,
        "torch": torch.get_rng_state().numpy().tobytes().hex(),
    }


def restore_global(state: Any) -> None:
    """Restore what `global_state` returned. Raises ValueError, TypeError, KeyError or RuntimeError for other values."""
    own = state["python"]
    try:
        random.setstate((own["version"], tuple(own["words"]), own["gauss"]))
    except OverflowError as error:
        raise ValueError(str(error)) from None
    numpy_state = state["numpy"]
    inner = numpy_state["state"]
    key = np.array(inner["key"], np.uint32)
    require(key.shape == (_MT_WORDS,), f"the key of NumPy's generator has shape {key.shape}")
    require(type(inner["pos"]) is int and 0 <= inner["pos"] <= _MT_WORDS, "NumPy's generator is at no possible place")
    require(isinstance(numpy_state["gauss"], float), "the gauss of NumPy's generator is no number")
    np.random.set_state({**numpy_state, "state": {"key": key, "pos": inner["pos"]}})
    words = np.frombuffer(bytearray(bytes.fromhex(state["torch"])), np.uint8)
    torch.set_rng_state(torch.from_numpy(words))


def restore_generator(generator: np.random.Generator, state: Any) -> None:
    """Restore a generator of PCG64 from its `bit_generator.state`. Raises ValueError, TypeError or KeyError."""
    numbers = [state["state"]["state"], state["state"]["inc"], state["has_uint32"], state["uinteger"]]
    for number, bits in zip(numbers, (128, 128, 1, 32), strict=True):
        require(type(number) is int and 0 <= number < 1 << bits, f"{number!r} is no part of a generator's state")
    generator.bit_generator.state = state
