"""The figures by which a score is found, from `score_ranges.toml`, which names the source of each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from cartpole_robot.files.records import read_toml, record_from_table, require_positive
from cartpole_robot.files.sourced import plain_numbers

RANGES_FORMAT = 1
_FILE = "score_ranges.toml"
Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Pendulum:
    """The machine on which the ranges are defined: its largest torque, and how fast it swings."""

    torque_n_m: float
    natural_rad_s: float

    def __post_init__(self) -> None:
        require_positive(self, "torque_n_m", "natural_rad_s")


@dataclass(frozen=True, kw_only=True)
class Success:
    """When a pole is up, and when a run of `run_s` succeeds by its last state."""

    height_share: float
    final_angle_rad: float
    final_speed_rad_s: float
    run_s: float
    share_of_repeats: float


@dataclass(frozen=True, kw_only=True)
class Varied:
    """What is varied, in units of the double pendulum; see `parts` for what becomes of it on a cart."""

    values: int
    step_s: float
    noise_repeats: int
    factor: Span
    viscous_n_m_s: float
    coulomb_n_m: float
    speed_noise_rad_s: Span
    torque_noise_n_m: Span
    response: Span
    delay_s: Span


@dataclass(frozen=True, kw_only=True)
class PushRanges:
    """Gaussian pushes of a run of 10 s: `each` on cart and on pole, with `torque_n_m` times `scale` as their height."""

    profiles: int
    each: int
    apart_s: float
    width_s: Span
    torque_n_m: Span
    scale: float


@dataclass(frozen=True, kw_only=True)
class LongRun:
    """Runs of a minute under `pushes`, evenly spaced but for `jitter_s`."""

    duration_s: float
    pushes: int
    jitter_s: float
    runs: int


@dataclass(frozen=True, kw_only=True)
class SwingUps:
    """How many swing-ups are tried."""

    runs: int


@dataclass(frozen=True, kw_only=True)
class ScoreRanges:
    """Everything in the file."""

    pendulum: Pendulum
    success: Success
    varied: Varied
    pushes: PushRanges
    long_run: LongRun
    swing_ups: SwingUps

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    def with_runs(self, runs: int | None) -> ScoreRanges:
        """A copy with this number of swing-ups and of minutes under pushes; None keeps the file's number."""
        if runs is None:
            return self
        return dataclasses.replace(
            self,
            long_run=dataclasses.replace(self.long_run, runs=runs),
            swing_ups=dataclasses.replace(self.swing_ups, runs=runs),
        )

    def with_scale(self, scale: float) -> ScoreRanges:
        """With pushes of another strength."""
        return dataclasses.replace(self, pushes=dataclasses.replace(self.pushes, scale=scale))


def score_ranges() -> ScoreRanges:
    """The package's ranges."""
    with resources.as_file(resources.files(__package__).joinpath(_FILE)) as path:
        return _read(path)


def _read(path: Path) -> ScoreRanges:
    tables = read_toml(path, purpose="file of score ranges", expected_format=RANGES_FORMAT)
    sources: dict[str, str] = {}
    plain = {section: plain_numbers(table, section, sources, "", path) for section, table in tables.items()}
    return record_from_table(ScoreRanges, plain, where=str(path))
