"""The metadata of a recording: cart, rig and controller, origin and outcome.

In files these records are JSON objects with the same names.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cartpole_robot.cart.drive_keys import check_one_drive
from cartpole_robot.cart.params import CartParams


class RolloutEnd(enum.StrEnum):
    """Why a rollout ended."""

    DURATION = "duration"  # it reached its duration
    FALL = "fall"  # the cart or the pole passed its limit
    FAULT = "fault"  # the rig failed, motor off
    STOPPED = "stopped"  # the user stopped it
    DISK = "disk"  # the recording could not continue


@dataclass(frozen=True, kw_only=True)
class SwingUpRecord:
    """The swing-up before a rollout, of which no row is recorded.

    `swing_up_s` is how long the last of `swing_ups` attempts took, `swing_up_farthest_m` how far from the middle of the
    track the cart was in any, and `swing_up_failures` has the reasons of the others. A pole that still stood upright
    needed none.
    """

    swing_up_s: float
    swing_ups: int
    swing_up_farthest_m: float
    swing_up_failures: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """A clause for a person."""
        if not self.swing_ups:
            return "not needed: the pole stood upright"
        return (
            f"upright and settled after {self.swing_up_s:.1f} s, attempt {len(self.swing_up_failures) + 1}, "
            f"{1000.0 * self.swing_up_farthest_m:.0f} mm from the middle at most"
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a rollout ended; `reason` is one line or None. `rows_lost` counts rows that did not reach the disk in time.

    `handovers` counts changes between policy and regulator in a deployment. `swing_up` is None for a pole raised by
    hand.
    """

    end: RolloutEnd
    steps: int
    reason: str | None = None
    rows_lost: int = 0
    handovers: int | None = None
    swing_up: SwingUpRecord | None = None


@dataclass(frozen=True, kw_only=True)
class ControllerRecord:
    """The controller: a bundle's path, "lqr", or the name of an imported file; the hash is a bundle's."""

    policy: str
    policy_hash: str | None = None
    backend: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeploymentRecord:
    """The options of a deployment; `late` is what the firmware does without a new command.

    `profile` names what was imperfect about a simulated cart; None for a real one, and in older files.
    """

    late: str
    has_fallback: bool
    is_shadow: bool
    is_on_board: bool
    profile: str | None = None


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """An imported file."""

    file: str
    sha256: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class ImportFindings:
    """What an import found in its file; `clock`, `angle` and `duty` are the evidence, as plain JSON values.

    `shape` is what was special about the file. The recording is the `part` of `parts` that the file fell into.
    """

    clock: Mapping[str, Any]
    angle_sign: int
    angle: Mapping[str, Any]
    duty_sign: int
    duty: Mapping[str, Any]
    clipped_rows: int
    unread_rows: int
    speeds: str
    warnings: tuple[str, ...]
    shape: tuple[str, ...] = ()
    part: int = 1
    parts: int = 1


@dataclass(frozen=True, kw_only=True)
class ImportRecord:
    """Where an imported recording comes from; `map` is the column map as plain JSON values."""

    source: SourceFile
    map: Mapping[str, Any]
    found: ImportFindings


@dataclass(frozen=True, kw_only=True)
class RecordingMetadata:
    """The metadata of a recording.

    `cart` is the cart that was driven, with the source of each number; `randomization` has the ranges from which it was
    drawn. `engine` is the simulator of the rig sim, None for other rigs. Times are ISO 8601. `machine` and `versions`
    describe the host. `deployed` and `imported` are set for deployments and imports.
    """

    cart: CartParams
    rig: str
    controller: ControllerRecord
    seed: int | None = None
    duration_s: float | None = None
    note: str | None = None
    engine: str | None = None
    is_excited: bool = False
    randomization: Mapping[str, Mapping[str, list[float]]] | None = None
    started_at: str | None = None
    imported_at: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    deployed: DeploymentRecord | None = None
    imported: ImportRecord | None = None


def plain_metadata(metadata: RecordingMetadata) -> dict[str, Any]:
    """The metadata as plain values for a file; its cart has a motor or a stepper, not both."""
    plain = dataclasses.asdict(metadata)
    del plain["cart"]["stepper" if metadata.cart.stepper is None else "motor"]
    return plain


def check_plain_metadata(plain: Any, where: str) -> None:
    """Raises `UsageError` beginning with `where` for a cart with both drives.

    `plain` is what a file holds and may be anything; whatever else is wrong is for its conversion to find.
    """
    cart = plain.get("cart") if isinstance(plain, Mapping) else None
    if isinstance(cart, Mapping) and cart.get("motor") is not None and cart.get("stepper") is not None:
        check_one_drive(cart, f"{where[:-1]}.cart]")
