"""Results of a study: a row per cell, a row per grid point, and the finding in a sentence."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from cartpole_robot.experiments.study.study import Cell, Study, Value, field_text, point_text, value_text
from cartpole_robot.task import SUCCESS_STEPS

GOOD_SHARE = 0.9


@dataclass(frozen=True, kw_only=True)
class Group:
    """One grid point of one preset on one cart: its finished seeds.

    `last_steps` and `selected_steps` are mean steps over 100 fresh episodes, a value per seed, 0 for a training that
    diverged.
    """

    preset: str
    cart: str
    point: Mapping[str, Value]
    of: int
    last_steps: tuple[float, ...]
    selected_steps: tuple[float, ...]
    first_500_steps: tuple[int, ...]
    training_s: tuple[float, ...]

    @property
    def seeds(self) -> int:
        """Number of finished seeds."""
        return len(self.last_steps)

    @property
    def successes(self) -> int:
        """Number of seeds whose last model survives at least `SUCCESS_STEPS` on average."""
        return sum(steps >= SUCCESS_STEPS for steps in self.last_steps)

    @property
    def selected_successes(self) -> int:
        """As `successes`, for the selected models."""
        return sum(steps >= SUCCESS_STEPS for steps in self.selected_steps)

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of the share of seeds whose last model balances, 95 % (Wilson)."""
        return wilson(self.successes, self.seeds)

    @property
    def is_good(self) -> bool:
        """Whether at least `GOOD_SHARE` of all seeds, finished or not, succeed."""
        return self.successes >= math.ceil(GOOD_SHARE * self.of)

    def as_dict(self) -> dict[str, Any]:
        low, high = self.interval
        return {
            "preset": self.preset,
            "cart": self.cart,
            **self.point,
            "seeds": self.seeds,
            "of": self.of,
            "last_at_least_475": self.successes,
            "last_share_low": low,
            "last_share_high": high,
            "last_median_steps": statistics.median(self.last_steps) if self.seeds else None,
            "last_lowest_steps": min(self.last_steps, default=None),
            "selected_at_least_475": self.selected_successes,
            "selected_median_steps": statistics.median(self.selected_steps) if self.seeds else None,
            "reached_500": len(self.first_500_steps),
            "first_500_median_step": statistics.median(self.first_500_steps) if self.first_500_steps else None,
            "training_median_s": statistics.median(self.training_s) if self.training_s else None,
        }


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score; 0 to 1 for no trial (E. B. Wilson, JASA 22, 1927)."""
    if count == 0:
        return 0.0, 1.0
    found = binomtest(successes, count).proportion_ci(confidence_level=0.95, method="wilson")
    return float(found.low), float(found.high)


def cell_row(cell: Cell, record: Mapping[str, Any]) -> dict[str, Any]:
    """A finished cell as a flat row: its place in the grid and its results, None if it has none."""
    names = (
        *("last_mean_steps", "selected_mean_steps", "on_pybullet_episodes", "on_pybullet_mean_steps"),
        *("selected_at_step", "steps", "episodes", "first_500_step"),
    )
    return {
        "key": cell.key,
        "preset": cell.preset,
        "cart": cell.cart,
        **{name: cell.point[name] for name in cell.point},
        "seed": cell.seed,
        **{f"trained_{name}" if name in cell.point else name: record.get(name) for name in names},
        **{
            name: record.get(name)
            for name in ("engine", "first_500_s", "training_s", "wall_s", "cpu_s", "host", "version", "commit", "error")
        },
    }


def groups_of(study: Study, records: Mapping[str, Mapping[str, Any]]) -> list[Group]:
    """A group for each preset, cart and grid point, in the study's order."""
    groups = []
    by_place: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in study.cells:
        by_place.setdefault((cell.preset, cell.cart, json.dumps(dict(cell.point))), []).append(cell)
    for preset, cart in study.series:
        for point in study.points:
            cells = by_place.get((preset, cart, json.dumps(dict(point))), [])
            found = [records[cell.key] for cell in cells if cell.key in records]
            groups.append(
                Group(
                    preset=preset,
                    cart=cart,
                    point=point,
                    of=len(cells),
                    last_steps=tuple(float(one.get("last_mean_steps") or 0.0) for one in found),
                    selected_steps=tuple(float(one.get("selected_mean_steps") or 0.0) for one in found),
                    first_500_steps=tuple(one["first_500_step"] for one in found if one.get("first_500_step")),
                    training_s=tuple(one["training_s"] for one in found if one.get("training_s") is not None),
                )
            )
    return groups


def study_text(study: Study, groups: Sequence[Group]) -> str:
    """The table and the findings, for a person."""
    heads = [
        *map(field_text, study.fields),
        "preset",
        "seeds",
        f"last >= {SUCCESS_STEPS:.0f}",
        "95 % within",
        "median",
        "lowest",
    ]
    heads += [f"selected >= {SUCCESS_STEPS:.0f}", "first 500 at step", "training s"]
    rows = [heads]
    for group in groups:
        record = group.as_dict()
        low, high = group.interval
        has_any = group.seeds > 0
        first = record["first_500_median_step"]
        rows.append(
            [
                *(value_text(group.point[field]) for field in study.fields),
                study.series_name(group.preset, group.cart),
                f"{group.seeds} of {group.of}",
                f"{group.successes} of {group.seeds}" if has_any else "-",
                f"{low:.0%} to {high:.0%}" if has_any else "-",
                f"{record['last_median_steps']:.1f}" if has_any else "-",
                f"{record['last_lowest_steps']:.1f}" if has_any else "-",
                f"{group.selected_successes} of {group.seeds}" if has_any else "-",
                f"{first:,.0f} ({record['reached_500']} of {group.seeds})" if first else "-",
                f"{record['training_median_s']:.1f}" if group.training_s else "-",
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = ["   ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([study.title, *lines, *finding(study, groups)])


def finding(study: Study, groups: Sequence[Group]) -> list[str]:
    """A sentence for each preset on each cart: the values with which the last model balances or does not."""
    sentences = []
    for preset, cart in study.series:
        own = [group for group in groups if (group.preset, group.cart) == (preset, cart)]
        name = study.series_name(preset, cart)
        if any(group.seeds < group.of for group in own):
            done, total = sum(group.seeds for group in own), sum(group.of for group in own)
            sentences.append(f"{name}: {done} of {total} cells are finished; no finding yet.")
            continue
        needed = f"{math.ceil(GOOD_SHARE * own[0].of)} of {own[0].of} seeds"
        good, bad = [group for group in own if group.is_good], [group for group in own if not group.is_good]
        if not good:
            best = max(own, key=lambda group: (group.successes, statistics.median(group.last_steps)))
            sentences.append(
                f"{name}: no value reaches {SUCCESS_STEPS:.0f} mean steps in at least {needed}; the best is "
                f"{point_text(best.point)} with {best.successes} of {best.of} and a median of "
                f"{statistics.median(best.last_steps):.1f}."
            )
            continue
        text = f"{name}: at least {needed} reach {SUCCESS_STEPS:.0f} mean steps with {_values(study, good)}"
        if bad:
            text += f"; not with {_values(study, bad, with_counts=True)}"
        sentences.append(f"{text}.")
    return sentences


def _values(study: Study, groups: Sequence[Group], *, with_counts: bool = False) -> str:
    words = []
    for group in groups:
        word = value_text(group.point[study.fields[0]]) if len(study.fields) == 1 else point_text(group.point)
        words.append(f"{word} ({group.successes} of {group.of})" if with_counts else word)
    listed = words[0] if len(words) == 1 else f"{'; '.join(words[:-1])} and {words[-1]}"
    return f"{field_text(study.fields[0])} {listed}" if len(study.fields) == 1 else listed
