"""The folder of a bring-up: which cart it is about, and what each finished stage left in it."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartpole_robot.bring_up.stage import StageName, StageResult
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.files.formats import check_format
from cartpole_robot.files.new_file import check_is_new
from cartpole_robot.files.records import record_from_table
from cartpole_robot.files.run_folder import LOCK_FILE, read_json, write_json
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.rigs.open_rig import SERIAL

FORMAT = 1
RECORD_FILE = "bring_up.json"
REPORT_FILE, SUMMARY_FILE = "report.html", "summary.txt"
FILES = {
    StageName.EXCITE: ("excited.parquet", "excited.parquet.journal"),
    StageName.IDENTIFY: ("identified.toml", "identification.json"),
    StageName.TRAIN: ("policy", "training.json"),
    StageName.BALANCE: ("balanced.parquet", "regulated.parquet"),
    StageName.COMPARE: (),
}
"""What each stage writes, and what is removed before it runs again."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a folder is about: the rig, and the cart file as it was given. Another port may be the same rig."""

    rig: str
    cart: str
    fingerprint: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class _Record:
    rig: str
    cart: str
    fingerprint: str
    seed: int
    stages: tuple[StageResult, ...] = ()


@dataclass
class BringUpFolder:
    """The folder at `path`, with the results of its finished stages by name, in order."""

    path: Path
    identity: Identity
    results: dict[StageName, StageResult] = field(default_factory=dict)

    def keep(self, result: StageResult) -> None:
        """Add the result of a finished stage; those of later stages are out of date then, and dropped."""
        names = list(StageName)
        kept = [name for name in self.results if names.index(name) < names.index(result.name)]
        self.results = {name: self.results[name] for name in kept} | {result.name: result}
        self.write()

    def clear(self, stage: StageName) -> None:
        """Remove what an unfinished run of that stage has left."""
        for name in FILES.get(stage, ()):
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def cart(self, stage: StageName) -> CartParams:
        """The cart file that the finished `stage` wrote."""
        return load_cart(str(self.path / FILES[stage][0]))

    def write_cart(self, stage: StageName, cart: CartParams) -> None:
        """Write the cart file of `stage`."""
        write_cart(self.path / FILES[stage][0], cart)

    def write(self) -> None:
        """Write what the folder is about, and the results."""
        stages = [dataclasses.asdict(result) for result in self.results.values()]
        write_json(
            self.path / RECORD_FILE, _plain({"format": FORMAT, **dataclasses.asdict(self.identity), "stages": stages})
        )


def open_folder(path: Path, identity: Identity) -> BringUpFolder:
    """A new folder, or the one in which the same bring-up has stopped; one without a finished stage may be any other's.

    Raises `UsageError` for a folder of another cart, rig or seed, and for one that is no bring-up's.
    """
    if not path.exists():
        check_is_new(path / RECORD_FILE)
        path.mkdir(parents=True)
    if path.is_dir() and {item.name for item in path.iterdir()} <= {LOCK_FILE}:
        return BringUpFolder(path, identity)
    record = read_json(
        path / RECORD_FILE,
        f"{path}: exists and is no bring-up (it has no readable {RECORD_FILE}); choose another --out",
    )
    check_format(path / RECORD_FILE, "bring-up", record, expected=FORMAT, remedy="begin in a new folder")
    del record["format"]
    found = record_from_table(_Record, record, where=str(path / RECORD_FILE))
    if found.stages:
        _check_same(path, found, identity)
    return BringUpFolder(path, identity, {result.name: result for result in found.stages})


def _check_same(path: Path, found: _Record, identity: Identity) -> None:
    remedy = "continue it with those, or choose another --out"
    are_ports = found.rig.startswith(SERIAL) and identity.rig.startswith(SERIAL)  # a board may be plugged in elsewhere
    if found.rig != identity.rig and not are_ports:
        raise UsageError(f"{path}: is the bring-up of rig {found.rig!r}, not of {identity.rig!r}; {remedy}")
    if found.fingerprint != identity.fingerprint:
        is_same_name = "in another state" if found.cart == identity.cart else f"not of {identity.cart!r}"
        raise UsageError(
            f"{path}: is the bring-up of the cart {found.cart!r} (fingerprint {found.fingerprint[:8]}), {is_same_name} "
            f"({identity.fingerprint[:8]}); {remedy}"
        )
    if found.seed != identity.seed:
        raise UsageError(f"{path}: began with --seed {found.seed}, not {identity.seed}; {remedy}")


def _plain(value: Any) -> Any:
    """For JSON, which has no NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
