"""SHA-256 of what a refactoring must not change: trained weights, recorded rollouts, the firmware's image.

    python -m benchmarks.fingerprints

The command line produces everything, so versions with different module names can be compared. The host's clock readings
are left out, and so is the firmware's id, which covers the comments in its sources.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet

from benchmarks.machine_load import machine_line
from firmware_bridge import build

CARTS = ("gym", "diy_arduino")
RIGS = ("sim", "virtual", "avr")
WEIGHTS = ("input_gain", "hidden_weight", "hidden_bias", "output_weight", "output_bias")
HOST_CLOCK = ("host_time_s", "lateness_s")


def weights_hash(policy: Path) -> str:
    """The hash of a policy bundle's five weight arrays, with their names, types and shapes."""
    digest = hashlib.sha256()
    with np.load(policy, allow_pickle=False) as bundle:
        for name in WEIGHTS:
            array = bundle[name]
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def rollout_hash(recording: Path) -> tuple[str, int]:
    """The hash of a recording's columns except the host's clock, and its number of rows."""
    table = pyarrow.parquet.read_table(recording)
    digest = hashlib.sha256()
    for column in table.column_names:
        if column not in HOST_CLOCK:
            values = table.column(column).fill_null(-(2**31)) if "counts" in column else table.column(column)
            array = values.to_numpy()
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest(), table.num_rows


def image_hash(folder: Path) -> str:
    """The hash of firmware.hex, built with the firmware's id set to 0."""
    build.firmware_id = lambda sources: 0
    return hashlib.sha256(build.build_firmware(folder).hex.read_bytes()).hexdigest()


def run(*words: object) -> None:
    """Run one verb; a failure prints its output and ends the benchmark."""
    done = subprocess.run(
        [sys.executable, "-m", "cartpole_robot", *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"cartpole-robot {' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}")


def main() -> None:
    """Print one line per hash."""
    with tempfile.TemporaryDirectory(prefix="fingerprints-") as name:
        folder = Path(name)
        for cart in CARTS:
            run("train", "--cart", cart, "--seed", 0, "--out", folder / cart)
            print(f"weights   {cart:<12} seed 0           {weights_hash(folder / cart / 'policy.npz')}", flush=True)
        for rig in RIGS:
            for policy in ("lqr", folder / "diy_arduino"):
                out = folder / f"{Path(policy).name}-{rig}.parquet"
                run("record", policy, "--cart", "diy_arduino", "--rig", rig, "--seed", 0, "--out", out)
                found, rows = rollout_hash(out)
                print(f"rollout   {rig:<12} {Path(policy).name:<11} {rows:>4} {found}", flush=True)
        print(f"firmware  firmware.hex with id 0        {image_hash(folder / 'firmware')}", flush=True)
    print(machine_line())


if __name__ == "__main__":
    main()
