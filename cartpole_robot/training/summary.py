"""The results of a training, for `summary.json` and for a person."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.rollout.evaluation import Evaluation
from cartpole_robot.rollout.swing_up_evaluation import SwingUpEvaluation
from cartpole_robot.rollout.trials import TrialsRecord
from cartpole_robot.training.cart_progress import CartEvaluation
from cartpole_robot.training.guard import GuardRecord
from cartpole_robot.training.job import InitialPolicy
from cartpole_robot.training.log import EvaluationRow
from cartpole_robot.training.parity import agreement_text
from cartpole_robot.training.precision import Against

Rows = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Summary(ABC):
    """The part common to all trainings; `agreement` is that of `cartpole_robot.training.parity`."""

    preset: str
    cart: str
    seed: int
    steps: int
    episodes: int
    training_s: float
    agreement: Mapping[str, int]
    policy_hash: str
    machine: Mapping[str, Any]

    @property
    def title(self) -> str:
        return f"{self.preset} on {self.cart}, seed {self.seed}"

    @property
    @abstractmethod
    def rig_failures(self) -> Sequence[str]:
        """Rig faults that make the training fail."""

    @property
    @abstractmethod
    def _rows(self) -> Rows:
        """Names and texts of the lines below the title."""

    def as_dict(self) -> dict[str, Any]:
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def text(self) -> str:
        return "\n".join([self.title, *(f"  {name:<18} {text}" for name, text in self._rows)])


@dataclass(frozen=True, kw_only=True)
class LongRun:
    """One long episode: `steps` survived out of `of`."""

    steps: int
    of: int


@dataclass(frozen=True, kw_only=True)
class TrainingSummary(Summary):
    """Of a training in simulation; `exported_randomized` is None without randomised carts.

    `on_pybullet` repeats the first episodes of `exported` on PyBullet; None if that engine simulated them already, or
    is not there. `against_regulator` divides the figures of `exported` by those of the cart's regulator.
    """

    extension_steps: int
    first_verified_step: int | None
    trials: TrialsRecord
    collapse_guard: GuardRecord
    last_model: Evaluation
    selected_at_step: int
    exported: Evaluation
    exported_int16: Evaluation
    exported_randomized: Evaluation | None
    long_run: LongRun
    on_pybullet: Evaluation | None = None
    against_regulator: Against | None = None

    @property
    def rig_failures(self) -> Sequence[str]:
        return [fault for found in (self.last_model, self.exported, self.exported_int16) for fault in found.faults]

    @property
    def _rows(self) -> Rows:
        guard, drawn, again = self.collapse_guard.text, self.exported_randomized, self.on_pybullet
        return [
            ("training", training_text(self.steps, self.extension_steps, self.episodes, self.training_s)),
            *([("collapse guard", guard)] if guard else []),
            ("trials", self.trials.text),
            ("last model", verdict_text(self.last_model)),
            ("exported policy", f"{verdict_text(self.exported)} (network of training step {self.selected_at_step})"),
            ("exported as int16", verdict_text(self.exported_int16)),
            *([("on drawn carts", verdict_text(drawn))] if drawn is not None else []),
            *([("on PyBullet", verdict_text(again))] if again is not None else []),
            ("one long episode", f"{self.long_run.steps} of {self.long_run.of} steps"),
            *([("against LQR", self.against_regulator.text)] if self.against_regulator is not None else []),
            ("same action", agreement_text(self.agreement)),
        ]


@dataclass(frozen=True, kw_only=True)
class NoPolicy:
    """Of a training that reached the end of its extension without a network that passes every trial.

    `evaluated` networks were tried, of which `balanced` survived all their evaluation episodes. `closest` is the
    evaluation of the best of them, and `trials` are its trials.
    """

    preset: str
    cart: str
    seed: int
    extension_steps: int
    steps: int
    episodes: int
    training_s: float
    collapse_guard: GuardRecord
    evaluated: int
    balanced: int
    newest: EvaluationRow
    closest: EvaluationRow
    trials: TrialsRecord
    machine: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def text(self) -> str:
        guard, closest = self.collapse_guard.text, self.closest
        rows = [
            ("training", training_text(self.steps, self.extension_steps, self.episodes, self.training_s)),
            *([("collapse guard", guard)] if guard else []),
            ("networks", f"{self.evaluated} evaluated, {self.balanced} balanced; none passed every trial"),
            ("newest network", f"{self.newest.mean_steps:.1f} mean steps"),
            ("closest network", f"that of training step {closest.step}, {closest.mean_steps:.1f} mean steps"),
            ("its trials", self.trials.text),
        ]
        title = f"{self.preset} on {self.cart}, seed {self.seed}: no policy is exported"
        return "\n".join([title, *(f"  {name:<18} {text}" for name, text in rows)])


@dataclass(frozen=True, kw_only=True)
class CartSummary(Summary):
    """Of an exported policy that continued to learn on the real cart."""

    rig: str
    init: InitialPolicy
    episodes_at_most: int
    learning_episodes: int
    evaluation_episodes: int
    updates: int
    initial: CartEvaluation
    selected: CartEvaluation
    is_initial_kept: bool
    faults: Sequence[str]

    @property
    def title(self) -> str:
        return f"{self.preset} on {self.cart}, rig {self.rig}, seed {self.seed}"

    @property
    def rig_failures(self) -> Sequence[str]:
        """The fault of an evaluation that ended before any of its episodes had an outcome; else none.

        Training continues after a fault, and too many in a row end it without a summary.
        """
        return (self.selected.fault,) if self.selected.fault is not None and len(self.selected.steps) == 1 else ()

    @property
    def _rows(self) -> Rows:
        chosen = "the policy of --init: nothing better was found" if self.is_initial_kept else "learned on the cart"
        return [
            (
                "on the cart",
                f"{self.episodes} episodes of at most {self.episodes_at_most}: {self.learning_episodes} of learning "
                f"({self.steps} steps), {self.evaluation_episodes} of evaluation",
            ),
            ("between them", f"{self.updates} updates; {self.training_s:.1f} s in all"),
            ("policy of --init", _cart_text(self.initial)),
            ("exported policy", f"{_cart_text(self.selected)}: {chosen}"),
            ("same action", agreement_text(self.agreement)),
            *([("faults", f"{len(self.faults)}, the last: {self.faults[-1]}")] if self.faults else []),
        ]


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """How a training ended: with a summary and a policy, without a policy, or stopped with a checkpoint to resume."""

    folder: Path
    summary: Summary | None
    checkpoint: Path | None
    no_policy: NoPolicy | None = None


def _plain(value: Any) -> Any:
    if isinstance(value, Evaluation | SwingUpEvaluation | TrialsRecord):
        return value.as_dict()
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]


def training_text(steps: int, extension_steps: int, episodes: int, training_s: float) -> str:
    """How long a training took, for a person."""
    extended = f", {extension_steps} of them an extension" if extension_steps else ""
    return f"{steps} steps{extended}, {episodes} episodes, {training_s:.1f} s"


def verdict_text(found: Evaluation) -> str:
    """The survivors and the mean steps of an evaluation, as a clause."""
    survived = sum(steps >= found.max_steps for steps in found.steps)
    return (
        f"survived {survived} of {len(found.steps)} fresh episodes of {found.max_steps} steps, "
        f"mean {found.mean_steps:.1f} steps"
    )


def _cart_text(found: CartEvaluation) -> str:
    ended = ""
    if found.survived < len(found.steps):
        ended = f", then ended after {found.steps[-1]}" + (" by a rig fault" if found.fault is not None else "")
    elif not found.is_flawless:
        ended = f", and no episode was left for the rest of {found.planned}"
    return f"survived {MAX_EPISODE_STEPS} steps in {found.survived} of {len(found.steps)} episodes{ended}"
