"""What decides the duty: an exported policy or a regulator, behind one interface."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.drive_keys import recorded_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.backend import LQR, Backend
from cartpole_robot.policy.bundle import PolicyBundle, load_policy
from cartpole_robot.policy.history import History
from cartpole_robot.policy.host_network import DecisionFunction
from cartpole_robot.policy.interface import Command
from cartpole_robot.policy.network import ActionFunction
from cartpole_robot.policy.swing_up import SwingUpDesign
from cartpole_robot.swing_up_task import seen_by_policy
from cartpole_robot.task import Task


class Controller(Protocol):
    """Maps observations to duties."""

    def reset(self) -> None:
        """Start an episode: forget the previous one."""

    def duty(self, observation: NDArray[Any]) -> float:
        """The duty in [-1, 1] for an observation (4,), SI units."""


class PolicyController:
    """A policy over an action table; implements `Controller`."""

    history_length = 1

    def __init__(self, act: ActionFunction, duties: tuple[float, ...]) -> None:
        self.act = act
        self.action_duties = duties

    def reset(self) -> None:
        """Do nothing: without history a policy has no memory."""

    def duty(self, observation: NDArray[Any]) -> float:
        """The chosen action's entry in the action table."""
        return self.action_duties[self.act(observation)]

    def sent(self, duty: float) -> None:
        """Record that `duty` was sent in place of the newest answer."""

    def watch(self, observation: NDArray[Any], duty: float) -> None:
        """Record that another controller answered `observation` with `duty`."""


class HistoryController(PolicyController):
    """A policy that also sees earlier steps; `reset` it before each episode. Implements `Controller`."""

    def __init__(self, act: ActionFunction, duties: tuple[float, ...], history_length: int) -> None:
        """`act` takes the inputs of that history length."""
        super().__init__(act, duties)
        self.history_length = history_length
        self._history = History(history_length)

    def reset(self) -> None:
        self._history.reset()

    def duty(self, observation: NDArray[Any]) -> float:
        """The chosen action's entry in the action table, remembered as the duty of this step."""
        history = self._history
        duty = history.duty = self.action_duties[self.act(history.observe(observation))]
        return duty

    def sent(self, duty: float) -> None:
        """Record that `duty` was sent in place of the newest answer."""
        self._history.duty = duty

    def watch(self, observation: NDArray[Any], duty: float) -> None:
        """Record that another controller answered `observation` with `duty`."""
        self._history.observe(observation)
        self._history.duty = duty


class SwingUpPolicyController(PolicyController):
    """A policy that swings up: it sees the angle as sine and cosine. Implements `Controller`."""

    def duty(self, observation: NDArray[Any]) -> float:
        """The chosen action's entry in the action table, at any angle."""
        return self.action_duties[self.act(seen_by_policy(observation))]


class DutyController(PolicyController):
    """A policy that commands its duty itself. Implements `Controller`."""

    def __init__(self, decide: DecisionFunction) -> None:
        """`decide` takes an observation and returns a duty in [-1, 1]."""
        act: Any = decide
        super().__init__(act, ())

    def duty(self, observation: NDArray[Any]) -> float:
        """The network's duty."""
        return self.act(observation)


def policy_controller(bundle: PolicyBundle, backend: Backend = Backend.C) -> PolicyController:
    """The bundle's policy, with its history; `reset` it before each episode."""
    interface = bundle.interface
    if interface.command is Command.DUTY:
        return DutyController(bundle.decision_function(backend))
    act = bundle.action_function(backend)
    if interface.task is Task.SWING_UP:
        return SwingUpPolicyController(act, interface.action_duties)
    if interface.history_length == 1:
        return PolicyController(act, interface.action_duties)
    return HistoryController(act, interface.action_duties, interface.history_length)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A controller, the cart it is for, and what results record about it.

    `bundle` is the policy's, None for a regulator. `swing_up` is the bundle's design of a swing-up, None unless `cart`
    is the cart it was designed for. `record` has "policy", "policy_hash" and "backend"; `note` says so if the cart is
    not the one of the training.
    """

    controller: Controller
    cart: CartParams
    record: Mapping[str, Any]
    bundle: PolicyBundle | None = None
    swing_up: SwingUpDesign | None = None
    note: str | None = None

    @property
    def task(self) -> Task:
        """What the controller does; a regulator balances."""
        return Task.BALANCE if self.bundle is None else self.bundle.interface.task


def _homing_alike(cart: CartParams, other: CartParams) -> CartParams:
    """`cart` with the homing of `other`: how a cart finds its zeros is nothing to a policy."""
    if cart.firmware is None or other.firmware is None:
        return cart
    homing = {name: getattr(other.firmware, name) for name in ("homing_speed_m_s", "homing_duty")}
    return dataclasses.replace(cart, firmware=dataclasses.replace(cart.firmware, **homing))


def choose_controller(policy: Path, cart: str | CartParams | None, backend: str) -> Chosen:
    """The controller for `policy`: a bundle, a run folder that has one, or "lqr".

    `cart` is a name, a file or the cart itself; None means the one the policy was trained on. Raises `UsageError` for a
    policy that cannot be read or does not fit the cart.
    """
    if str(policy) == LQR:
        return _regulator(cart)
    bundle, path = open_policy(policy)
    trained_on = own_cart(bundle, path)
    if cart is None and trained_on is None:
        raise UsageError(f"{path}: does not say which cart it was trained on; name one with --cart")
    chosen = trained_on if cart is None else load_cart(cart)
    assert chosen is not None  # for the type checker: one of the two is there
    chosen = bundle.fitted(chosen)
    bundle.check_fits(chosen, name=str(path))
    note = None
    is_the_same = trained_on is not None and chosen.fingerprint() == trained_on.fingerprint()
    if trained_on is not None and _homing_alike(chosen, trained_on).fingerprint() != trained_on.fingerprint():
        note = f"the policy was trained on other parameters than those of the cart {chosen.name!r}"
    return Chosen(
        controller=policy_controller(bundle, Backend(backend)),
        cart=chosen,
        record={"policy": str(path), "policy_hash": bundle.policy_hash(), "backend": backend},
        bundle=bundle,
        swing_up=bundle.swing_up if is_the_same else None,
        note=note,
    )


def open_policy(policy: Path) -> tuple[PolicyBundle, Path]:
    """The bundle in that file or run folder, and its path. Raises `UsageError`."""
    path = policy / "policy.npz" if policy.is_dir() else policy
    return load_policy(path), path


def _regulator(cart: str | CartParams | None) -> Chosen:
    if cart is None:
        raise UsageError("policy lqr: a regulator is designed for one cart; name it with --cart")
    from cartpole_robot.policy.lqr_design import regulator_of

    chosen = load_cart(cart)
    return Chosen(
        controller=regulator_of(chosen),
        cart=chosen,
        record={"policy": LQR, "policy_hash": None, "backend": "any duty"},
    )


def own_cart(bundle: PolicyBundle, path: Path) -> CartParams | None:
    """The cart the policy was trained on, from its provenance; None if that does not say. Raises `UsageError`."""
    record, sources = bundle.provenance.get("cart"), bundle.provenance.get("cart_sources")
    if not isinstance(record, Mapping):
        return None
    return recorded_cart({**record, "sources": sources or {}}, f"{path}: cart")
