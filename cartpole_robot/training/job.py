"""What is to be trained: the record a run folder keeps of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartpole_robot.cart.drive_keys import recorded_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.randomization import Randomization, randomization_from_dict
from cartpole_robot.errors import UsageError
from cartpole_robot.files import provenance
from cartpole_robot.files.records import record_from_table, require
from cartpole_robot.files.run_folder import RUN_FILE, read_run
from cartpole_robot.rig import Start
from cartpole_robot.simulation.engine import Engine, engine_named
from cartpole_robot.start import start_named
from cartpole_robot.training.config import TrainingConfig, check_seed

_LONGEST_TEXT = 1000  # characters, of a path or a version


@dataclass(frozen=True, kw_only=True)
class InitialPolicy:
    """The exported policy that a training begins with: where it came from, and its hash."""

    path: str
    policy_hash: str


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What is to be trained, and where its run folder is.

    With a `randomization` every episode of training and selection draws a cart from it; the verdicts use `cart` itself,
    and one more uses drawn carts. With an `init` that policy continues to learn, on the cart at the rig. `engine` is
    that of the rig sim, None on other rigs; `engine_note` is what a user should know about that choice as the training
    begins, and is not recorded. `start` is how
    the episodes on a cart start. `versions` and `commit` are those of the code that began the training.
    """

    config: TrainingConfig
    cart: CartParams
    rig: str
    seed: int
    folder: Path
    tensorboard: bool
    randomization: Randomization | None = None
    init: InitialPolicy | None = None
    engine: Engine | None = None
    engine_note: str | None = None
    start: Start = Start.BY_HAND
    versions: Mapping[str, str] = field(default_factory=provenance.versions)
    commit: str | None = field(default_factory=provenance.commit)

    @property
    def title(self) -> str:
        rig = "" if self.init is None else f", rig {self.rig}"
        return f"{self.config.name} on {self.cart.name}{rig}, seed {self.seed}"

    def as_dict(self) -> dict[str, Any]:
        """The record that `run.json` keeps and `job_from_folder` reads."""
        return {
            "kind": "training",
            "rig": self.rig,
            "engine": self.engine,
            "start": self.start,
            "seed": self.seed,
            "tensorboard": self.tensorboard,
            "config": dataclasses.asdict(self.config),
            "cart": self.cart.as_dict(),
            "cart_sources": dict(self.cart.sources),
            "randomization": None if self.randomization is None else self.randomization.as_dict(),
            "init": None if self.init is None else dataclasses.asdict(self.init),
            "versions": dict(self.versions),
            "commit": self.commit,
        }


@dataclass(frozen=True, kw_only=True)
class _Origin:
    """What a record says of where the training ran, and of the code and the cart's numbers."""

    rig: str
    cart_sources: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None

    def __post_init__(self) -> None:
        texts = {"rig": self.rig, "commit": self.commit or "", **self.versions}
        for name, text in texts.items():
            require(
                len(text) <= _LONGEST_TEXT,
                f"{name} has {len(text)} characters, expected at most {_LONGEST_TEXT}; train into a new folder",
            )


def job_from_folder(folder: Path) -> TrainingJob:
    """The job recorded in the run folder `folder`. Raises `UsageError`."""
    record = read_run(folder)
    where = f"{folder / RUN_FILE}"
    if record.get("kind") != "training":
        raise UsageError(f"{where}: is a {record.get('kind')!r} run, expected 'training'; check the path")
    seed, tensorboard = record.get("seed"), record.get("tensorboard")
    if not (type(seed) is int and isinstance(tensorboard, bool)):
        raise UsageError(
            f"{where}: seed = {seed!r}, tensorboard = {tensorboard!r}: not a training's record; train into a new folder"
        )
    check_seed(seed)
    known = [item.name for item in dataclasses.fields(_Origin)]
    origin = record_from_table(_Origin, {name: record[name] for name in known if name in record}, where=where)
    try:
        cart = recorded_cart(record["cart"], f"{where}: cart")
        ranges, init = record.get("randomization"), record.get("init")
        return TrainingJob(
            config=record_from_table(TrainingConfig, record["config"], where=f"{where}: config"),
            cart=dataclasses.replace(cart, sources=origin.cart_sources),
            rig=origin.rig,
            seed=seed,
            folder=folder,
            tensorboard=tensorboard,
            randomization=None
            if ranges is None
            else randomization_from_dict(ranges, cart, where=f"{where}: randomization"),
            init=None if init is None else record_from_table(InitialPolicy, init, where=f"{where}: init"),
            engine=None if (engine := record.get("engine")) is None else engine_named(str(engine)),
            start=start_named(str(record.get("start", Start.BY_HAND))),
            versions=origin.versions,
            commit=origin.commit,
        )
    except KeyError as error:
        raise UsageError(f"{where}: {error} is missing; train into a new folder") from None
