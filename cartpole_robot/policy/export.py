"""Exports a trained network as a bundle, ONNX and, where a microcontroller can compute it, a C header."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.new_file import not_written
from cartpole_robot.policy.bundle import Golden, PolicyBundle
from cartpole_robot.policy.c_header import c_header
from cartpole_robot.policy.host_network import HostNetwork, host_decision_function
from cartpole_robot.policy.interface import Command, Interface
from cartpole_robot.policy.lqr import Lqr
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.network import Network, float_action_function, int16_action_function, quantized
from cartpole_robot.policy.onnx_model import onnx_model
from cartpole_robot.policy.swing_up import SwingUpDesign
from cartpole_robot.policy.swing_up_design import design_swing_up
from cartpole_robot.task import Task

GOLDEN_EXAMPLES = 32


@dataclass(frozen=True, kw_only=True)
class ExportedFiles:
    """Where an export was written; there is no header of a policy that only a host computes."""

    bundle: Path
    onnx: Path
    header: Path | None


def bundle_of(
    network: Network | HostNetwork,
    cart: CartParams,
    visited: NDArray[np.float32],
    provenance: Mapping[str, Any],
    *,
    history_length: int = 1,
    task: Task = Task.BALANCE,
) -> PolicyBundle:
    """The bundle of a network trained for `task` on `cart`, which sees `history_length` steps.

    `visited`, shape (N, inputs), are inputs the policy met: they scale the int16 form, and golden examples are
    taken evenly from them. The cart's regulator is included, and for a policy that balances behind a firmware the
    design of a swing-up. Raises ValueError if network and history do not fit.
    """
    chosen = np.linspace(0, len(visited) - 1, num=min(GOLDEN_EXAMPLES, len(visited)), dtype=np.int64)
    observations = np.ascontiguousarray(visited[chosen], dtype=np.float32)
    command, int16 = Command.TABLE, None
    if isinstance(network, HostNetwork):
        act, int16_actions = host_decision_function(network), []
        command = Command.DUTY if network.commands_duty else Command.TABLE
    else:
        int16 = quantized(network, visited)
        act, int16_act = float_action_function(network), int16_action_function(int16)
        int16_actions = [int16_act(row) for row in observations]
    decisions = [act(row) for row in observations]
    golden = Golden(
        observations=observations,
        values=network.values(observations),
        actions=np.array(decisions, np.float32) if command is Command.DUTY else np.array(decisions, np.int32),
        int16_actions=np.array(int16_actions, np.int32),
    )
    return PolicyBundle(
        interface=Interface.of(cart, history_length, task, command),
        network=network,
        int16=int16,
        golden=golden,
        lqr=_regulator(cart),
        swing_up=_swing_up(cart) if task is Task.BALANCE and cart.firmware is not None else None,
        provenance=dict(provenance),
    )


def _regulator(cart: CartParams) -> Lqr | None:
    try:
        return design_lqr(cart)
    except UsageError:  # a cart that no linear regulator can balance
        return None


@functools.cache
def _swing_up(cart: CartParams) -> SwingUpDesign | None:
    try:
        return design_swing_up(cart)
    except UsageError:  # no region from which its regulator catches the pole
        return None


def write_export(bundle: PolicyBundle, folder: Path) -> ExportedFiles:
    """Write `policy.npz`, `policy.onnx` and, unless only a host computes it, `policy_weights.h`; returns the paths.

    Raises `UsageError` if they cannot be written; a folder that was made for them is then removed again.
    """
    files = ExportedFiles(
        bundle=folder / "policy.npz",
        onnx=folder / "policy.onnx",
        header=folder / "policy_weights.h" if bundle.host_only is None else None,
    )
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        bundle.save(files.bundle)
        contents = [(files.onnx, onnx_model(bundle))]
        if files.header is not None:
            contents.append((files.header, c_header(bundle).encode()))
        for path, content in contents:
            with atomic_file(path, may_replace=True) as file:
                file.write(content)
    except OSError as error:
        _remove_partial(folder, is_new)
        raise UsageError(not_written(folder, error)) from None
    except BaseException:
        _remove_partial(folder, is_new)
        raise
    return files


def _remove_partial(folder: Path, is_new: bool) -> None:
    if is_new:
        shutil.rmtree(folder, ignore_errors=True)
