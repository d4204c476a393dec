"""The policy bundle: one file with what a policy needs of a cart, what it computes, and where it comes from.

A bundle is a NumPy `.npz` without pickles, so that it opens with NumPy alone. It is a contract in two parts: the
*interface*, which must match the cart it is to run on, and the *provenance*, whose differences are reported. Golden
examples travel with it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.files.arrays import read_arrays
from cartpole_robot.files.atomic_file import atomic_file
from cartpole_robot.files.formats import check_format
from cartpole_robot.files.new_file import not_written
from cartpole_robot.files.plain_data import parse_json
from cartpole_robot.files.records import record_from_table, require
from cartpole_robot.policy import host_arrays, swing_up_arrays
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.history import input_layout
from cartpole_robot.policy.host_network import SAME_DUTY, DecisionFunction, HostNetwork, host_decision_function
from cartpole_robot.policy.interface import Command, Interface
from cartpole_robot.policy.lqr import Lqr
from cartpole_robot.policy.network import (
    ActionFunction,
    Int16Network,
    Network,
    arrays_digest,
    float_action_function,
    int16_action_function,
)
from cartpole_robot.policy.swing_up import SwingUpDesign
from cartpole_robot.task import Task

__all__ = ["BUNDLE_FORMAT", "Golden", "Interface", "PolicyBundle", "load_policy"]

BUNDLE_FORMAT = 2  # of a network that a microcontroller can compute; `host_arrays.FORMAT` of the others
_LARGEST_BYTES = 1 << 24  # the largest network takes 200 kB
_MOST_EXAMPLES = 1024
_MOST_DUTY_GAINS = 64  # a delay in control periods
_LARGEST_GAIN = 1e9
_FLOAT_ARRAYS = ("input_gain", "hidden_weight", "hidden_bias", "output_weight", "output_bias")
_NAMES = (
    "header",
    *_FLOAT_ARRAYS,
    *(f"int16_{name}" for name in _FLOAT_ARRAYS),
    "golden_observations",
    "golden_values",
    "golden_actions",
    "golden_int16_actions",
    "lqr_state_gain",
    "lqr_duty_gain",
)


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Visited inputs (N, inputs), and the policy's values (N, outputs) and actions (N,) for them.

    The inputs of a policy with history include the history. Actions are indices, or float32 duties if the policy
    commands the duty itself. The int16 form may choose differently near a tie, so its actions are stored too; they are
    empty for a policy without that form.
    """

    observations: NDArray[np.float32]
    values: NDArray[np.float32]
    actions: NDArray[np.int32] | NDArray[np.float32]
    int16_actions: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class PolicyBundle:
    """A complete policy: interface, network in both forms, golden examples, provenance (plain JSON values).

    A network that only a host computes has no `int16` form.
    `lqr` is the regulator of the training cart, used as a fallback, and `swing_up` the swing-up controller that starts
    an episode; None if the cart has none.
    """

    interface: Interface
    network: Network | HostNetwork
    int16: Int16Network | None
    golden: Golden
    lqr: Lqr | None = None
    swing_up: SwingUpDesign | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError where interface and network do not fit each other."""
        interface, network = self.interface, self.network
        inputs = len(input_layout(interface.history_length, interface.observation))
        commands_duty = isinstance(network, HostNetwork) and network.commands_duty
        command = Command.DUTY if commands_duty else Command.TABLE
        require(interface.command is command, f"its network is for the command {command}, not {interface.command}")
        outputs = 1 if commands_duty else len(interface.action_duties)
        pairs = [("inputs", network.inputs, inputs), ("outputs", network.outputs, outputs)]
        require(
            isinstance(network, Network) == (self.int16 is not None),
            "a network of one hidden layer of ReLU has an int16 form, any other none",
        )
        if self.int16 is not None:
            pairs += [
                ("int16 inputs", self.int16.hidden_weight.shape[1], inputs),
                ("int16 outputs", self.int16.output_weight.shape[0], outputs),
            ]
        for name, found, expected in pairs:
            if found != expected:
                raise ValueError(
                    f"the network has {found} {name}, the interface {expected} "
                    f"(history_length = {interface.history_length})"
                )
        self._check_golden(inputs, network.outputs)

    def _check_golden(self, inputs: int, outputs: int) -> None:
        shape = self.golden.observations.shape
        require(shape[1:] == (inputs,), f"its golden observations have shape {shape}, expected (N, {inputs})")
        count = shape[0]
        require(count <= _MOST_EXAMPLES, f"it has {count} golden examples, expected at most {_MOST_EXAMPLES}")
        expected: tuple[tuple[str, tuple[int, ...], type[np.generic]], ...] = (
            ("observations", shape, np.float32),
            ("values", (count, outputs), np.float32),
            ("actions", (count,), np.float32 if self.interface.command is Command.DUTY else np.int32),
            ("int16_actions", (0 if self.int16 is None else count,), np.int32),
        )
        for name, shape, kind in expected:
            array = getattr(self.golden, name)
            require(
                array.shape == shape and array.dtype == kind,
                f"its golden {name} are {array.dtype} of shape {array.shape}, expected {kind.__name__} of {shape}",
            )
        require(bool(np.isfinite(self.golden.observations).all()), "a golden observation is not finite")

    @property
    def host_only(self) -> str | None:
        """Why no microcontroller can compute it, as a clause; None if one can."""
        if isinstance(self.network, Network):
            return None
        found = ", ".join(self.network.differences)
        return f"its network has {found}; the int16 form takes one hidden layer of ReLU and an action table"

    def check_int16(self, where: str) -> Int16Network:
        """The int16 form. Raises `UsageError`, beginning with `where`, for a policy without one."""
        if self.int16 is None:
            raise UsageError(f"{where}: {self.host_only}; run the policy on a host, with the backend c or numpy")
        return self.int16

    def decision_function(self, backend: Backend = Backend.C) -> DecisionFunction:
        """A callable from the policy's inputs, float32 or float64, SI units, to an action or a duty; the fast path.

        They are one observation, (4,) or for a swing-up (5,), or with history the (5 H - 1,) that
        `cartpole_robot.policy.history` keeps. Raises `UsageError` for the backend int16 of a policy without that form.
        """
        if backend is Backend.INT16:
            return int16_action_function(self.check_int16("backend int16"))
        use_numpy = backend is Backend.NUMPY
        if isinstance(self.network, Network):
            return float_action_function(self.network, use_numpy=use_numpy)
        return host_decision_function(self.network, use_numpy=use_numpy)

    def action_function(self, backend: Backend = Backend.C) -> ActionFunction:
        """As `decision_function`, to an index into the action table. Raises `UsageError` also where there is none."""
        if self.interface.command is Command.DUTY:
            raise UsageError("this policy commands a duty and has no actions; call decision_function()")
        act: Any = self.decision_function(backend)
        found: ActionFunction = act
        return found

    def policy_hash(self) -> str:
        """SHA-256 (hex) of interface and weights: what firmware, recordings and reports call this policy."""
        interface = np.frombuffer(json.dumps(self.interface.as_dict(), sort_keys=True).encode(), np.uint8)
        if isinstance(self.network, HostNetwork):
            form = np.frombuffer(json.dumps(host_arrays.form_of(self.network), sort_keys=True).encode(), np.uint8)
            return arrays_digest(interface, form, *host_arrays.arrays_of(self.network).values()).hex()
        assert self.int16 is not None  # for the type checker: __post_init__ has refused it
        weights = (getattr(self.network, name) for name in _FLOAT_ARRAYS)
        integers = (getattr(self.int16, name) for name in _FLOAT_ARRAYS)
        shift = np.array([self.int16.hidden_shift])
        return arrays_digest(interface, *weights, *integers, shift).hex()

    def fitted(self, cart: CartParams) -> CartParams:
        """`cart` with the one of its action tables that the policy chooses from, or `cart` itself if it has no such."""
        return cart if self.interface.task is Task.SWING_UP else cart.with_table(self.interface.action_duties)

    def check_fits(self, cart: CartParams, *, name: str) -> None:
        """Raise `UsageError`, naming both values of the first misfit, unless the policy can run on `cart`."""
        own = self.interface
        offered = Interface.of(cart, own.history_length, own.task, own.command)
        for f in dataclasses.fields(Interface):
            wanted, found = getattr(self.interface, f.name), getattr(offered, f.name)
            if wanted != found:
                raise UsageError(
                    f"{name}: the policy's {f.name} is {_shown(wanted)}, the cart {cart.name!r} has {_shown(found)}; "
                    f"use the cart it was trained for, or train one for {cart.name!r}"
                )

    def save(self, path: Path) -> None:
        """Write the bundle; a crash leaves the old file or none, never half of one. Raises `UsageError`."""
        header: dict[str, Any] = {
            "format": BUNDLE_FORMAT,
            "interface": self.interface.as_dict(),
            "int16_hidden_shift": 0 if self.int16 is None else self.int16.hidden_shift,
            "policy_hash": self.policy_hash(),
            "provenance": dict(self.provenance),
        }
        arrays: dict[str, NDArray[Any]] = {}
        if isinstance(self.network, HostNetwork):
            header |= {"format": host_arrays.FORMAT, "host_network": host_arrays.form_of(self.network)}
            arrays |= host_arrays.arrays_of(self.network)
        else:
            for name in _FLOAT_ARRAYS:
                arrays[name] = getattr(self.network, name)
                arrays[f"int16_{name}"] = getattr(self.int16, name)
        for f in dataclasses.fields(Golden):
            arrays[f"golden_{f.name}"] = getattr(self.golden, f.name)
        for f in dataclasses.fields(Lqr):
            arrays[f"lqr_{f.name}"] = getattr(self.lqr, f.name) if self.lqr is not None else np.zeros(0)
        if self.swing_up is not None:  # by itself, so that earlier versions open the bundle
            arrays |= swing_up_arrays.arrays_of(self.swing_up)
            header["swing_up_digest"] = swing_up_arrays.digest_of(arrays)
        header["digest"] = _digest(header, arrays)
        arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True, indent=1).encode(), np.uint8)
        try:
            with atomic_file(path, may_replace=True) as file:
                np.savez(file, allow_pickle=False, **arrays)
        except OSError as error:
            raise UsageError(not_written(path, error, option="folder")) from None


def load_policy(path: str | Path) -> PolicyBundle:
    """The bundle in that file. Raises `UsageError` for one that is missing, truncated, altered or of another format."""
    path = Path(path)
    remedy = "export the policy again"
    try:
        arrays = read_arrays(path, (*_NAMES, *host_arrays.NAMES, *swing_up_arrays.NAMES), most_bytes=_LARGEST_BYTES)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such policy; train or export one, or check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, expected a policy bundle; name the policy.npz in it") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: is not a readable policy bundle ({error}); {remedy}") from None
    missing = [name for name in _NAMES if name not in arrays]
    if missing:
        raise UsageError(f"{path}: holds no {missing[0]}, expected a policy bundle (policy.npz); {remedy}")
    try:
        header = parse_json(arrays["header"].tobytes())
        if not isinstance(header, dict):
            raise TypeError("its header is no table")
        writer = header.get("provenance", {})
        require(isinstance(writer, Mapping), "its provenance is no table")
        require(len(arrays["golden_actions"]) > 0, "it has no golden examples")
        require(type(header["int16_hidden_shift"]) is int, "its int16_hidden_shift is no whole number")
        check_format(
            path,
            "bundle",
            {**dict(writer), "format": header["format"]},
            expected=host_arrays.FORMAT if header["format"] == host_arrays.FORMAT else BUNDLE_FORMAT,
            remedy="train it again",
        )
        network, int16 = _networks(header, arrays)
        bundle = PolicyBundle(
            interface=record_from_table(Interface, header["interface"], where=f"{path}: interface"),
            network=network,
            int16=int16,
            golden=Golden(**{f.name: arrays[f"golden_{f.name}"] for f in dataclasses.fields(Golden)}),
            lqr=_lqr(arrays),
            swing_up=swing_up_arrays.design_of(arrays, stated) if (stated := header.get("swing_up_digest")) else None,
            provenance=header["provenance"],
        )
    except UsageError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: is not a valid policy bundle ({error}); {remedy}") from None
    stated, found = header.pop("digest", None), _digest(header, arrays)
    if stated != found or bundle.policy_hash() != header.get("policy_hash"):
        raise UsageError(
            f"{path}: its contents hash to {found[:12]}, its header says {str(stated)[:12]}; "
            f"the file was altered, {remedy}"
        )
    act, most = bundle.decision_function(), SAME_DUTY if bundle.interface.command is Command.DUTY else 0
    golden = zip(bundle.golden.observations, bundle.golden.actions.tolist(), strict=True)
    wrong = sum(not abs(act(row) - action) <= most for row, action in golden)
    if wrong:
        raise UsageError(
            f"{path}: computes {wrong} of its {len(bundle.golden.actions)} golden examples otherwise on this machine, "
            f"expected none; {remedy}"
        )
    return bundle


def _networks(
    header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> tuple[Network | HostNetwork, Int16Network | None]:
    """Both forms among a bundle's arrays. Raises ValueError and KeyError."""
    if header["format"] == host_arrays.FORMAT:
        form = header["host_network"]
        require(isinstance(form, Mapping), "its host_network is no table")
        return host_arrays.network_of(arrays, form), None
    shift = header["int16_hidden_shift"]
    int16 = Int16Network(**{name: arrays[f"int16_{name}"] for name in _FLOAT_ARRAYS}, hidden_shift=shift)
    return Network(**{name: arrays[name] for name in _FLOAT_ARRAYS}), int16


def _lqr(arrays: Mapping[str, NDArray[Any]]) -> Lqr | None:
    """The regulator among a bundle's arrays; raises ValueError for one of another shape."""
    state_gain, duty_gain = arrays["lqr_state_gain"], arrays["lqr_duty_gain"]
    if state_gain.shape == (0,):
        return None
    if state_gain.shape != (4,) or duty_gain.ndim != 1 or len(duty_gain) > _MOST_DUTY_GAINS:
        raise ValueError(f"its regulator has gains of shape {state_gain.shape} and {duty_gain.shape}")
    if not np.all(np.abs([*state_gain, *duty_gain]) <= _LARGEST_GAIN):
        raise ValueError(f"its regulator has a gain beyond {_LARGEST_GAIN:g}")
    return Lqr(state_gain=state_gain, duty_gain=duty_gain)


def _digest(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 (hex) of everything in the file but the digest itself."""
    text = np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)
    names = (*_NAMES[1:], *(host_arrays.NAMES if header.get("format") == host_arrays.FORMAT else ()))
    return arrays_digest(text, *(arrays[name] for name in names)).hex()


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
