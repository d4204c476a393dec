"""A stability map: policies, grids, and a cell for each policy and cart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.errors import UsageError
from cartpole_robot.experiments.cells.folder import CellRecord
from cartpole_robot.experiments.stability.grid import STRONGEST, Grid, Point
from cartpole_robot.files.records import require
from cartpole_robot.policy.backend import LQR, Backend
from cartpole_robot.policy.controllers import Chosen, choose_controller, open_policy
from cartpole_robot.policy.interface import Command
from cartpole_robot.rigs.open_rig import PLANT_RIGS
from cartpole_robot.rollout.evaluation import VERDICT_SEED
from cartpole_robot.simulation.engine import Engine

LQR_TRUE = "lqr-true"
KIND = "stability map"


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How every cell is judged: `episodes` seeded `first_seed`, `first_seed` + 1, ..., of at most `max_steps` steps.

    `rig` is "virtual", where the firmware drives and guards the cart, or "sim", where nothing but a fall ends an
    episode; `backend` computes a policy's actions. `engine` simulates the carts; None, which no map keeps, stands for
    the choice of `rigs.engine_choice` for the map's own cart.
    """

    rig: str = "virtual"
    episodes: int = 10
    max_steps: int = MAX_EPISODE_STEPS
    first_seed: int = VERDICT_SEED
    backend: str = "c"
    engine: Engine | None = None

    def __post_init__(self) -> None:
        for name in ("episodes", "max_steps"):
            require(getattr(self, name) >= 1, f"{name} = {getattr(self, name)}, expected at least 1; correct it")
        require(self.first_seed >= 0, f"first_seed = {self.first_seed}, expected at least 0; correct it")
        Backend(self.backend)


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A policy on the map: its label, and its source: a bundle, a run folder, "lqr" or "lqr-true".

    `cart` is the nominal cart of the map with the policy's own action table; policy, driver and firmware are configured
    for it; `has_table` is whether it has one. `note` reports that the policy was trained on other parameters.
    """

    label: str
    policy: str
    policy_hash: str | None
    cart: CartParams
    note: str | None = None
    has_table: bool = True

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        actions = list(self.cart.action_duties) if self.policy_hash is not None and self.has_table else None
        return {"label": self.label, "policy": self.policy, "policy_hash": self.policy_hash, "actions": actions}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One policy at one grid point with a possible cart; `key` identifies all its result depends on but the code."""

    key: str
    entrant: Entrant
    grid: Grid
    point: Point

    @property
    def label(self) -> str:
        x, y = self.grid.axes
        return f"{self.entrant.label}, {x.name} {x.shown(self.point.x)}, {y.name} {y.shown(self.point.y)}"


@dataclass(frozen=True, kw_only=True)
class MapCellRecord(CellRecord):
    """The file of a finished cell: the steps of each episode, and which ended by a fault or did not begin."""

    steps: tuple[int, ...]
    rms_position_m: float
    rms_angle_rad: float
    faults: tuple[str, ...]
    refused: str | None


@dataclass(frozen=True, kw_only=True)
class MapTask:
    """Everything a cell needs, as plain values that can be sent to another process.

    Policy, driver and firmware are configured for `cart`; `plant` is the simulated cart.
    """

    key: str
    label: str
    policy: str
    policy_hash: str | None
    cart: dict[str, Any]
    plant: dict[str, Any]
    conditions: Conditions
    package_version: str


@dataclass(frozen=True, kw_only=True)
class StabilityMap:
    """A stability map: policies are configured for `cart`; `cells` are in the order in which they run.

    `engine_note` is what a user should know about the choice of the engine.
    """

    cart: CartParams
    entrants: tuple[Entrant, ...]
    grids: tuple[Grid, ...]
    conditions: Conditions
    cells: tuple[Cell, ...]
    engine_note: str | None = None

    @property
    def kind(self) -> str:
        return KIND

    @property
    def name(self) -> str:
        return f"{KIND} of {self.cart.name}"

    @property
    def keys(self) -> Iterable[str]:
        """The keys of its cells; a cart on two grids has the same key on both."""
        return (cell.key for cell in self.cells)

    @property
    def record(self) -> dict[str, Any]:
        """Everything that identifies this map, for JSON."""
        conditions = self.conditions
        cart = self.cart.as_dict()
        for table in ("action_duties", "precise_duties"):  # each policy has its own
            cart.pop(table, None)
        return {
            "cart": cart,
            "rig": conditions.rig,
            "engine": conditions.engine,
            "episodes": conditions.episodes,
            "steps": conditions.max_steps,
            "first_seed": conditions.first_seed,
            "backend": conditions.backend,
            "maps": [grid.as_dict() for grid in self.grids],
            "policies": [entrant.as_dict() for entrant in self.entrants],
        }

    @property
    def record_kind(self) -> type[CellRecord]:
        return MapCellRecord

    def has_grown(self, name: str, before: Any, now: Any) -> bool:
        """Policies may be added."""
        if name != "policies":
            return False
        known = [(one["label"], one["policy_hash"]) for one in now]
        return all((one["label"], one["policy_hash"]) in known for one in before)


def planned_map(
    cart: CartParams, entrants: Sequence[Entrant], grids: Sequence[Grid], conditions: Conditions
) -> StabilityMap:
    """The map of those policies on those grids around `cart`."""
    cells = [
        Cell(key=cell_key(entrant, point.plant, conditions), entrant=entrant, grid=grid, point=point)
        for grid in grids
        for entrant in entrants
        for point in grid.points
        if point.plant is not None
    ]
    return StabilityMap(
        cart=cart, entrants=tuple(entrants), grids=tuple(grids), conditions=conditions, cells=tuple(cells)
    )


def cell_key(entrant: Entrant, plant: CartParams, conditions: Conditions) -> str:
    """A hash of all that a cell's result depends on, except the code; without names of policies, carts and maps."""
    values = {
        "policy": entrant.policy_hash or entrant.policy,
        "cart": entrant.cart.fingerprint(),
        "plant": plant.fingerprint(),
        **vars(conditions),
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:20]


def task_of(whole: StabilityMap, cell: Cell, package_version: str) -> MapTask:
    """What another process needs to run that cell."""
    assert cell.point.plant is not None
    return MapTask(
        key=cell.key,
        label=cell.label,
        policy=cell.entrant.policy,
        policy_hash=cell.entrant.policy_hash,
        cart=cell.entrant.cart.as_dict(),
        plant=cell.point.plant.as_dict(),
        conditions=whole.conditions,
        package_version=package_version,
    )


def controller_of(
    policy: str, cart: CartParams | str | None, backend: str, *, plant: CartParams | None = None
) -> Chosen:
    """The controller of an entrant, made for `cart`; "lqr-true" is made for `plant` if one is given.

    Raises `UsageError` for a policy that cannot be read or does not fit the cart.
    """
    if policy == LQR_TRUE:
        return choose_controller(Path(LQR), plant or cart, backend)
    return choose_controller(Path(policy), cart, backend)


def entered(
    policies: Sequence[str], cart: str | CartParams | None, conditions: Conditions
) -> tuple[CartParams, list[Entrant]]:
    """The nominal cart and the checked policies.

    The default cart is the one that the first bundle was trained on. Raises `UsageError` for a policy that cannot be
    read or does not fit the cart, for one named twice, and for a cart that the rig cannot drive.
    """
    if not policies:
        raise UsageError("a stability map needs a policy: a bundle, a run folder, lqr or lqr-true")
    if conditions.rig not in PLANT_RIGS:
        raise UsageError(f"rig {conditions.rig!r} has no carts to choose from; expected {' or '.join(PLANT_RIGS)}")
    bundles = [policy for policy in policies if policy not in (LQR, LQR_TRUE)]
    if cart is None and not bundles:
        raise UsageError(f"policy {policies[0]}: a regulator is made for one cart; name it with --cart")
    known = choose_controller(Path(bundles[0]), None, conditions.backend).cart if cart is None else load_cart(cart)
    if conditions.rig == "virtual":
        encoders_and_settings(known)
    entrants: list[Entrant] = []
    for policy, label in zip(policies, _labels(policies), strict=True):
        nominal = with_actions(known, _actions(policy), given=f"the action table of {policy}")
        chosen = controller_of(policy, nominal, conditions.backend)
        found = chosen.record["policy_hash"]
        for other in entrants:
            if (other.policy_hash or other.policy) == (found or policy):
                raise UsageError(f"{policy}: is the same policy as {other.policy}; leave one of them out")
        has_table = chosen.bundle is None or chosen.bundle.interface.command is Command.TABLE
        entrants.append(
            Entrant(label=label, policy=policy, policy_hash=found, cart=nominal, note=chosen.note, has_table=has_table)
        )
    return known, entrants


def _actions(policy: str) -> tuple[float, ...]:
    """The policy's action table; for what may use any duty, a regulator for one, the two strongest actions."""
    if policy in (LQR, LQR_TRUE):
        return STRONGEST
    bundle, _ = open_policy(Path(policy))
    return bundle.interface.action_duties or STRONGEST


def _labels(policies: Sequence[str]) -> list[str]:
    """A short name for each policy, or its whole path if short names collide."""
    short = [_short(policy) for policy in policies]
    return [policy if short.count(name) > 1 else name for policy, name in zip(policies, short, strict=True)]


def _short(policy: str) -> str:
    path = Path(policy)
    if path.name == "policy.npz":
        return path.resolve().parent.name
    return path.stem if path.suffix == ".npz" else path.resolve().name if policy not in (LQR, LQR_TRUE) else policy


def cells_at(whole: StabilityMap, entrant: Entrant, grid: Grid) -> Mapping[tuple[int, int], Cell]:
    """The policy's cells on that grid, by their indices on x and y."""
    return {(cell.point.x, cell.point.y): cell for cell in whole.cells if cell.entrant is entrant and cell.grid is grid}
