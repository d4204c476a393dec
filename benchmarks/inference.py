"""One observation to one action: the exported policy's C against other ways to run the same network.

python -m benchmarks.inference RUN

RUN is the run folder of a training with its policy.npz, policy.onnx and model_selected.zip. The contenders alternate,
round by round, on the same visited observations. The table has the median over the rounds of a batch's mean; for single
calls it has percentiles next to the timer's own cost, which is not subtracted. --json prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from stable_baselines3 import DQN

from benchmarks.machine_load import machine_line
from cartpole_robot.deployment.realtime import punctual
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import load_policy

BATCH, ROUNDS, SINGLES = 1000, 25, 200_000
MUST_P50_NS, MUST_P999_NS, MUST_SB3, MUST_ONNX = 150.0, 2000.0, 200.0, 20.0


def contenders(run: Path) -> dict[str, Callable[[Any], object]]:
    """By name, a function from the policy's inputs, float32, to an action."""
    bundle = load_policy(run / "policy.npz")
    model = DQN.load(run / "model_selected.zip", device="cpu")
    torch.set_num_threads(1)
    network = model.q_net.eval()
    script = torch.jit.trace(network, torch.zeros(1, bundle.network.inputs))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(run / "policy.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def torch_module(observation: Any) -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(observation)[None]).argmax()

    def torch_script(observation: Any) -> object:
        with torch.inference_mode():
            return script(torch.from_numpy(observation)[None]).argmax()

    return {
        "C, float32": bundle.action_function(),
        "C, int16": bundle.action_function(Backend.INT16),
        "NumPy": bundle.action_function(Backend.NUMPY),
        "ONNX Runtime": lambda observation: session.run(None, {name: observation[None]}),
        "TorchScript": torch_script,
        "torch module": torch_module,
        "SB3 predict": lambda observation: model.predict(observation, deterministic=True),
    }


def batch_ns(act: Callable[[Any], object], observations: list[Any], calls: int) -> float:
    """Mean ns per call over `calls` successive calls."""
    chosen = [observations[k % len(observations)] for k in range(calls)]
    began = time.perf_counter_ns()
    for observation in chosen:
        act(observation)
    return (time.perf_counter_ns() - began) / calls


def singles_ns(act: Callable[[Any], object], observations: list[Any], calls: int) -> dict[str, float]:
    """Percentiles in ns of single calls, each between two clock readings."""
    clock = time.perf_counter_ns
    took = np.empty(calls)
    count = len(observations)
    for k in range(calls):
        observation = observations[k % count]
        began = clock()
        act(observation)
        took[k] = clock() - began
    return {f"p{p:g}": float(np.percentile(took, p)) for p in (50, 99, 99.9)}


def main() -> int:
    """Print the table; returns 1 where a figure falls short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    acts = contenders(arguments.run)
    observations = [row.copy() for row in load_policy(arguments.run / "policy.npz").golden.observations]
    calls = {name: BATCH if name.startswith(("C,", "NumPy")) else BATCH // 5 for name in acts}
    rounds: dict[str, list[float]] = {name: [] for name in acts}
    with punctual():
        for _ in range(ROUNDS):
            for name, act in acts.items():
                rounds[name].append(batch_ns(act, observations, calls[name]))
        timer = singles_ns(lambda _: None, observations, SINGLES)
        single = singles_ns(acts["C, float32"], observations, SINGLES)
    p50 = {name: statistics.median(found) for name, found in rounds.items()}
    times_sb3 = statistics.median(s / c for s, c in zip(rounds["SB3 predict"], rounds["C, float32"], strict=True))
    times_onnx = statistics.median(s / c for s, c in zip(rounds["ONNX Runtime"], rounds["C, float32"], strict=True))
    holds = {
        f"p50 of batches at most {MUST_P50_NS:g} ns": p50["C, float32"] <= MUST_P50_NS,
        f"p99.9 of single calls at most {MUST_P999_NS:g} ns": single["p99.9"] <= MUST_P999_NS,
        f"at least {MUST_SB3:g} times faster than SB3 predict": times_sb3 >= MUST_SB3,
        f"at least {MUST_ONNX:g} times faster than ONNX Runtime": times_onnx >= MUST_ONNX,
    }
    if arguments.json:
        record = {"p50_ns": p50, "single_ns": single, "timer_ns": timer, "sb3": times_sb3, "onnx": times_onnx}
        print(json.dumps({**record, "holds": holds, "load": machine_line()}, indent=2))
        return 0 if all(holds.values()) else 1
    print(f"one observation, p50 of {ROUNDS} rounds; {machine_line()}")
    for name, ns in p50.items():
        print(f"  {name:<14}{ns:>10.0f} ns   {ns / p50['C, float32']:>7.1f} times the C")
    print("single calls of the C, and of nothing: the timer's own cost:")
    for what, found in (("C, float32", single), ("nothing", timer)):
        print(f"  {what:<14}" + "".join(f"   {name} {ns:.0f} ns" for name, ns in found.items()))
    print(f"in this run {times_sb3:.0f} times faster than SB3 predict, {times_onnx:.0f} than ONNX Runtime")
    for what, is_so in holds.items():
        print(f"  {'ok  ' if is_so else 'FAIL'} {what}")
    return 0 if all(holds.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
