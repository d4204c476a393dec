"""A score: contenders, rows, and a cell for each value of a row and each contender."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.experiments.cells.folder import CellRecord
from cartpole_robot.experiments.score.parts import REPORT_SEED, Part, Row, rows_of
from cartpole_robot.experiments.score.ranges import ScoreRanges, score_ranges
from cartpole_robot.policy.backend import LQR
from cartpole_robot.policy.controllers import choose_controller
from cartpole_robot.task import Task

KIND = "score"
SWING_UP = "swing-up controller"  # which also balances
FIRST = "swing-up,"  # before what only balances


@dataclass(frozen=True, kw_only=True)
class Contender:
    """What is scored: `source` is a bundle, a run folder, "lqr", or `SWING_UP`; `cart` has its action table."""

    label: str
    source: str
    policy_hash: str | None
    cart: CartParams
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One contender at one value of a row; `key` identifies all that its result depends on but the code."""

    key: str
    contender: Contender
    row: Row
    index: int

    @property
    def label(self) -> str:
        return f"{self.contender.label}, {self.row.name} {self.row.values[self.index]:g}"


@dataclass(frozen=True, kw_only=True)
class ScoreCellRecord(CellRecord):
    """The file of a finished cell: a figure for each run; `up_s` is -1 where the pole was not up at the end."""

    up_shares: tuple[float, ...]
    up_s: tuple[float, ...]
    longest_s: tuple[float, ...]
    at_goal: tuple[bool, ...]
    stops: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ScoreTask:
    """Everything a cell needs, as plain values that can be sent to another process."""

    key: str
    label: str
    source: str
    policy_hash: str | None
    cart: dict[str, Any]
    ranges: ScoreRanges
    row: str
    index: int
    seed: int
    package_version: str


@dataclass(frozen=True, kw_only=True)
class Score:
    """The cells in the order in which they run. Other contenders share a folder: their cells have other keys."""

    cart: CartParams
    contenders: tuple[Contender, ...]
    ranges: ScoreRanges
    rows: tuple[Row, ...]
    seed: int = REPORT_SEED

    @property
    def kind(self) -> str:
        return KIND

    @property
    def name(self) -> str:
        return f"{KIND} on {self.cart.name}"

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One for each contender and value."""
        return tuple(
            Cell(key=self.key(contender, row, index), contender=contender, row=row, index=index)
            for contender in self.contenders
            for row in self.rows
            for index in range(len(row.values))
        )

    def key(self, contender: Contender, row: Row, index: int) -> str:
        """A hash of all that a cell's result depends on, except the code."""
        ranges = self.ranges.with_runs(1).as_dict()  # how many runs there are does not change one
        values = {
            "policy": contender.policy_hash or contender.source,
            "cart": contender.cart.fingerprint(),
            "ranges": ranges,
            "row": row.name,
            "index": index,
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:20]

    @property
    def keys(self) -> Iterable[str]:
        """The keys of its cells."""
        return (cell.key for cell in self.cells)

    @property
    def record(self) -> dict[str, Any]:
        """What every contender of a folder shares, for JSON."""
        cart = self.cart.as_dict()
        for each in ("action_duties", "swing_up_duties", "precise_duties"):  # each policy has its own
            cart.pop(each, None)
        return {"cart": cart, "ranges": self.ranges.with_runs(1).as_dict(), "seed": self.seed}

    @property
    def record_kind(self) -> type[CellRecord]:
        return ScoreCellRecord

    def has_grown(self, name: str, before: Any, now: Any) -> bool:
        """Never: a folder has one cart and one set of ranges."""
        return False


def planned_score(
    policy: Path, cart: str | CartParams | None, *, runs: int | None = None, parts: Iterable[Part] = tuple(Part)
) -> Score:
    """The score of `policy` next to the references, on `cart`; None is the one that it was trained on.

    `runs` replaces the number of swing-ups and minutes. Raises `UsageError` for a policy that cannot be read or does
    not fit the cart, and for an ideal cart.
    """
    chosen = choose_controller(policy, cart, "c")
    known = chosen.cart
    _check_can_be_scored(known)
    contenders = [Contender(label=f"{FIRST} {LQR}", source=LQR, policy_hash=None, cart=known)]
    if chosen.bundle is not None:
        contenders.insert(
            0,
            Contender(
                label=_short(policy) if chosen.task is Task.SWING_UP else f"{FIRST} {_short(policy)}",
                source=str(policy),
                policy_hash=chosen.record["policy_hash"],
                cart=known,
                note=chosen.note,
            ),
        )
    contenders.append(Contender(label=SWING_UP, source=SWING_UP, policy_hash=None, cart=known))
    ranges = score_ranges().with_runs(runs)
    wanted = tuple(parts)
    rows = tuple(row for row in rows_of(known, ranges) if row.part in wanted)
    return Score(cart=known, contenders=tuple(contenders), ranges=ranges, rows=rows)


def _check_can_be_scored(cart: CartParams) -> None:
    """Raises `UsageError` for a cart without motor and encoders."""
    if cart.encoders is None:
        raise UsageError(
            f"cart {cart.name!r}: an ideal cart has no motor and no encoders, and so no force, delay or speed noise "
            "that a score could vary; choose a cart with [encoders], such as diy_arduino"
        )


def task_of(score: Score, cell: Cell, package_version: str) -> ScoreTask:
    """What another process needs to run that cell."""
    return ScoreTask(
        key=cell.key,
        label=cell.label,
        source=cell.contender.source,
        policy_hash=cell.contender.policy_hash,
        cart=cell.contender.cart.as_dict(),
        ranges=score.ranges,
        row=cell.row.name,
        index=cell.index,
        seed=score.seed,
        package_version=package_version,
    )


def finished_rows(score: Score, contender: Contender, records: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The records of a contender, in the order of the values, by the name of the row."""
    return {
        row.name: [records[score.key(contender, row, index)] for index in range(len(row.values))] for row in score.rows
    }


def _short(policy: Path) -> str:
    if policy.name == "policy.npz":
        return policy.resolve().parent.name
    return policy.stem if policy.suffix == ".npz" else policy.resolve().name
