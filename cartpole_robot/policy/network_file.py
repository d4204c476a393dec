"""A network's weights in a NumPy archive of their own: what a training keeps besides Stable-Baselines3's files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cartpole_robot.files.arrays import read_arrays
from cartpole_robot.policy.network import Network

_LARGEST_BYTES = 1 << 24
NAMES = tuple(field.name for field in dataclasses.fields(Network))


def write_network(file: BinaryIO, network: Network) -> None:
    """Write the weights to an open file."""
    np.savez(file, allow_pickle=False, **{name: getattr(network, name) for name in NAMES})


def read_network(path: Path) -> Network:
    """The weights in that file. Raises `ValueError` for a file that does not hold a network, and `OSError`."""
    arrays = read_arrays(path, NAMES, most_bytes=_LARGEST_BYTES)
    missing = [name for name in NAMES if name not in arrays]
    if missing:
        raise ValueError(f"it holds no {missing[0]}")
    return Network(**arrays)
