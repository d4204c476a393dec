"""The inference of boards/avr/policy_image.c alone, on the chip in simavr, and what the int16 model computes."""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.firmware_image import policy_header
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.history import input_gain
from cartpole_robot.policy.network import Int16Network
from tests.conftest import make_network, need

KERNELS = (  # steps of history, hidden units, outputs, and the shift of their activations, None: the policy's own
    (1, 100, 2, None),
    (1, 1, 2, None),
    (1, 7, 3, 0),
    (1, 9, 5, 7),
    (1, 33, 8, 15),
    (1, 65, 2, 16),
    (1, 100, 2, 8),
    (1, 20, 3, 17),
    (1, 20, 2, 24),
    (1, 130, 3, None),  # more than 128 units: the values in a loop
    (2, 64, 7, None),
    (2, 9, 2, 0),
    (3, 33, 8, 7),
    (3, 7, 2, 17),
)
UNITS_OF_A_SLICE = {  # hidden ones by history and outputs, a quarter of a millisecond: bytes wait for one slice at most
    **{(1, 2): 11, (1, 3): 10, (1, 5): 7, (1, 8): 5},
    **{(2, 7): 4, (2, 2): 7, (3, 8): 3, (3, 2): 5},
}
KERNEL = "boards/avr/policy_image.c"


def chip_values(folder: Path, header: str, kernel: str | None = None) -> list[list[int]]:
    """The values and the slices that each golden example takes, by the kernel in simavr or the text of another.

    Raises `CalledProcessError` where that does not compile.
    """
    need(shutil.which("simavr") is not None, "simavr")
    source = resources.files("firmware_bridge.firmware")
    board = folder / "boards" / "avr"
    board.mkdir(parents=True)
    for name in ("hal.h", "policy_image.h", "policy.h", KERNEL):
        text = kernel if kernel is not None and name == KERNEL else source.joinpath(name).read_text()
        (folder / name).write_text(text)
    (board / "policy_bytes.h").write_text(header)
    (board / "kernel.c").write_text((Path(__file__).parent / "kernel.c").read_text())
    options = ["-mmcu=atmega328p", "-DF_CPU=16000000UL", "-std=c11", "-O2", "-flto", "-fno-tree-pre"]
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wconversion"] if kernel is None else ["-w"]
    words = ["avr-gcc", *options, *warnings, "kernel.c", "policy_image.c", "-o", "kernel.elf"]
    subprocess.run(words, cwd=board, check=True, capture_output=kernel is not None)
    line = f"ulimit -t 3; exec simavr -m atmega328p -f 16000000 {shlex.quote(str(board / 'kernel.elf'))}"
    try:  # one that never ends has 3 s of the processor, and one that sleeps half a minute
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False, timeout=30.0)
    except subprocess.TimeoutExpired:
        return []
    rows = re.findall(r"((?:[0-9a-f]{8} )+)", done.stdout + done.stderr)
    return [[(int(word, 16) ^ 0x80000000) - 0x80000000 for word in row.split()] for row in rows]


def model_values(network: Int16Network, observation: np.ndarray) -> list[int]:
    """In NumPy's 64 bits."""
    sums = np.maximum(network.hidden_weight.astype(np.int64) @ observation + network.hidden_bias, 0)
    hidden = np.minimum((sums + (1 << network.hidden_shift >> 1)) >> network.hidden_shift, 32767)
    return [int(value) for value in network.output_weight.astype(np.int64) @ hidden + network.output_bias]


def kernel_case(
    cart: CartParams, history: int, hidden: int, outputs: int, shift: int | None
) -> tuple[str, list[list[int]]]:
    """The header of a random policy, and what `chip_values` should be, by the model."""
    rng = np.random.default_rng(hidden + outputs)
    duties = tuple(float(each) for each in np.linspace(-0.4, 0.4, outputs))
    other = dataclasses.replace(cart, action_duties=duties)
    scale, inputs = 1.0 / input_gain(other, history), 5 * history - 1
    network = dataclasses.replace(
        make_network(hidden, inputs=inputs, hidden=hidden, outputs=outputs), input_gain=input_gain(other, history)
    )
    visited = (rng.normal(size=(100, inputs)) * scale).astype(np.float32)
    bundle = bundle_of(network, other, visited, {}, history_length=history)
    sizes = rng.choice([0.01, 0.3, 2.0, 9.0], (60, 1))
    observations = (rng.normal(size=(60, inputs)) * scale * sizes).astype(np.float32)
    signs = np.resize([1.0, -1.0], inputs)
    observations[:8] = np.array([signs * signs, -signs * signs, signs, 0.0 * signs] * 2) * scale * 9.0
    int16 = bundle.int16
    if shift is not None:
        int16 = dataclasses.replace(
            int16, hidden_weight=int16.hidden_weight // 2, hidden_bias=int16.hidden_bias // 2, hidden_shift=shift
        )
    if shift is not None and shift <= 8:  # at an observation of 0 the first units are where an activation saturates
        beyond = (32768 << shift) - (1 << shift >> 1)
        bias = int16.hidden_bias.copy()
        bias[:5] = (beyond, beyond - 1, beyond + 255, beyond - 256, 100 << shift)
        int16 = dataclasses.replace(int16, hidden_bias=bias)
    golden = dataclasses.replace(
        bundle.golden,
        observations=observations,
        values=np.zeros((60, outputs), np.float32),
        actions=np.zeros(60, np.int32),
        int16_actions=np.array([int16.act(row) for row in observations], np.int32),
    )
    bundle = dataclasses.replace(bundle, int16=int16, golden=golden)
    slices = -(-hidden // UNITS_OF_A_SLICE[history, outputs])
    expected = [  # where a tick is nearly due a slice ends after one unit
        [*model_values(int16, int16.quantized(row)), hidden if k % 2 else slices] for k, row in enumerate(observations)
    ]
    return policy_header(bundle, other, len(observations)), expected
