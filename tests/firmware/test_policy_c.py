"""The exported C header with policy.c, compiled as a firmware would, under the sanitizers."""

from __future__ import annotations

import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.bundle import PolicyBundle, load_policy
from cartpole_robot.policy.c_header import c_header
from cartpole_robot.policy.export import bundle_of
from tests.conftest import make_network

FIRMWARE = Path(str(resources.files("firmware_bridge.firmware").joinpath("policy.c"))).parent
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-O1", "-g"]
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

GOLDEN_MAIN = """
#include <stdio.h>
#include "policy_weights.h"

int main(void)
{
    float values[POLICY_MAX_OUTPUTS];
    int32_t sums[POLICY_MAX_OUTPUTS];
    int16_t quantized[POLICY_MAX_INPUTS];
    const uint16_t inputs = policy_weights_float.inputs;
    int wrong = policy_int16_is_safe(&policy_weights_int16) ? 0 : 1000;
    for (size_t i = 0; i < POLICY_GOLDEN_EXAMPLES; i++) {
        const float *observation = policy_golden_observations + i * inputs;
        const int16_t *integers = policy_golden_int16_observations + i * inputs;
        wrong += policy_float_act(&policy_weights_float, observation, values) != policy_golden_actions[i];
        wrong += policy_int16_act(&policy_weights_int16, integers, sums) != policy_golden_int16_actions[i];
        policy_quantize(inputs, policy_int16_input_gain, observation, quantized);
        for (size_t k = 0; k < inputs; k++)
            wrong += quantized[k] != integers[k];
    }
    /* The corners of the input range: no sum may overflow there, which UBSan would tell. */
    for (unsigned corner = 0; corner < 1u << inputs; corner++) {
        int16_t extreme[POLICY_MAX_INPUTS];
        for (unsigned k = 0; k < inputs; k++)
            extreme[k] = (corner >> k) & 1u ? INT16_MAX : INT16_MIN;
        (void)policy_int16_act(&policy_weights_int16, extreme, sums);
    }
    printf("%d of %d wrong, hash %.8s\\n", wrong, POLICY_GOLDEN_EXAMPLES, POLICY_HASH);
    return wrong != 0;
}
"""


def run_golden(bundle: PolicyBundle, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "policy_weights.h").write_text(c_header(bundle))
    (folder / "main.c").write_text("#include <stddef.h>\n" + GOLDEN_MAIN)
    program = folder / "golden"
    words = ["gcc", *STRICT, *SANITIZED, f"-I{FIRMWARE}", f"-I{folder}"]
    subprocess.run([*words, str(folder / "main.c"), str(FIRMWARE / "policy.c"), "-o", str(program)], check=True)
    return subprocess.run([str(program)], capture_output=True, text=True, check=False)


def test_trained_policy_passes_its_golden_examples_in_c(trained_run: Path, tmp_path: Path) -> None:
    bundle = load_policy(trained_run / "policy.npz")
    done = run_golden(bundle, tmp_path)
    assert done.stdout == f"0 of 32 wrong, hash {bundle.policy_hash()[:8]}\n", done.stderr


@pytest.mark.parametrize(("hidden", "seed", "history_length"), [(1, 0, 1), (9, 1, 1), (256, 2, 1), (100, 3, 3)])
def test_any_network_passes_its_golden_examples_in_c(
    gym_cart: CartParams, tmp_path: Path, hidden: int, seed: int, history_length: int
) -> None:
    inputs = 5 * history_length - 1
    visited = np.random.default_rng(seed).normal(size=(300, inputs)).astype(np.float32)
    network = make_network(seed, inputs=inputs, hidden=hidden)
    bundle = bundle_of(network, gym_cart, visited, {}, history_length=history_length)
    done = run_golden(bundle, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_wrong_golden_example_is_found(gym_cart: CartParams, tmp_path: Path) -> None:
    visited = np.random.default_rng(1).normal(size=(300, 4)).astype(np.float32)
    bundle = bundle_of(make_network(1), gym_cart, visited, {})
    bundle.golden.actions[3] ^= 1
    assert run_golden(bundle, tmp_path).stdout.startswith("1 of 32 wrong")
