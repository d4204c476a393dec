"""The training configuration and its presets (`presets/*.toml`)."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import read_toml, record_from_table, require, require_not_negative, require_positive
from cartpole_robot.policy.history import check_history_length
from cartpole_robot.rollout.evaluation import SELECTION_SEED
from cartpole_robot.task import Task
from cartpole_robot.training.learners import Learner
from firmware_bridge.constants import MAX_HIDDEN


class Loss(enum.StrEnum):
    """The loss on the temporal-difference error."""

    HUBER = "huber"
    MSE = "mse"


class Optimizer(enum.StrEnum):
    """The optimizer."""

    ADAMW = "adamw"
    ADAGRAD = "adagrad"


class LearnerReward(enum.StrEnum):
    """The learner's reward. Curves and scores count steps survived in either case."""

    STEP = "step"  # 1 for every step: the environment's own reward
    FALL = "fall"  # -1 for the step that ends in a fall, else 0: centred, bounded, with the same best policy
    TASK = "task"  # that of the swing-up task times 1 - gamma: returns lie in [0, 1]


class EpsilonClock(enum.StrEnum):
    """What the epsilon schedule counts."""

    STEPS = "steps"
    EPISODES = "episodes"


class GuardAction(enum.StrEnum):
    """What the collapse guard does (guard.py)."""

    OFF = "off"
    WATCH = "watch"  # reports events and changes nothing
    HOLD = "hold"  # also holds updates while there is nothing left to learn from, and reverts drifting values


_LONGEST_NAME = 255  # as that of a file
_CEILINGS = {
    "hidden_units": MAX_HIDDEN,
    "replay_memory": 10_000_000,
    "batch_size": 1_000_000,
    "learning_rate": 1.0,
    "weight_decay": 10.0,
    "steps": 1_000_000_000,
    "extension_steps": 1_000_000_000,
    "max_steps": 10_000_000,
}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that defines a training except the cart, the rig and the seed.

    A training ends after `steps` steps or, if given, after `episodes` episodes, whichever comes first. With
    `extension_steps` it continues, by that many steps at most, until a network has passed every trial and the newest
    one balances. The algorithm is the plain DQN of the blog post, without double Q-learning. A swing-up may also
    evaluate and export the running mean of the network over `averaged_steps`, begin the share `hard_start_share` of
    its episodes at starts from which the policy has failed, and end with the first network that passes all trials.
    With a `history_length` above 1 the network also sees the duties and observations of earlier steps
    (`cartpole_robot.policy.history`).
    """

    name: str
    description: str
    task: Task = Task.BALANCE
    steps: int
    extension_steps: int = 0
    episodes: int | None = None
    max_steps: int
    replay_memory: int
    batch_size: int
    hidden_units: int
    history_length: int = 1
    learning_starts: int
    train_every_steps: int
    gradient_steps: int
    gamma: float
    n_steps: int
    tau: float
    target_update_every_steps: int
    epsilon_start: float
    epsilon_end: float
    epsilon_fraction: float
    epsilon_clock: EpsilonClock
    optimizer: Optimizer
    learning_rate: float
    learning_rate_end: float | None = None  # reached linearly; None: constant
    learning_rate_fraction: float = 1.0  # of `steps`, after which it is reached
    optimizer_epsilon: float
    weight_decay: float
    loss: Loss
    learner_reward: LearnerReward
    scale_observations: bool
    learner: Learner = Learner.LEAN
    collapse_guard: GuardAction = GuardAction.OFF
    averaged_steps: int | None = None  # None: the newest network
    hard_start_share: float = 0.0
    ends_when_verified: bool = False
    evaluate_every_steps: int
    evaluation_episodes: int
    checkpoint_every_steps: int

    def __post_init__(self) -> None:
        require(
            0 < len(self.name) <= _LONGEST_NAME,
            f"name has {len(self.name)} characters, expected 1 to {_LONGEST_NAME}; shorten it",
        )
        require_positive(
            self,
            *("steps", "max_steps", "replay_memory", "batch_size", "hidden_units", "train_every_steps"),
            *("gradient_steps", "n_steps", "target_update_every_steps", "learning_rate", "epsilon_fraction"),
            *(
                "learning_rate_fraction",
                "optimizer_epsilon",
                "evaluate_every_steps",
                "evaluation_episodes",
                "checkpoint_every_steps",
            ),
        )
        for name in (
            "gamma",
            "tau",
            "epsilon_start",
            "epsilon_end",
            "epsilon_fraction",
            "learning_rate_fraction",
            "hard_start_share",
        ):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"{name} = {value:g}, expected 0 to 1; correct it")
        require(
            self.epsilon_end <= self.epsilon_start,
            f"epsilon_end = {self.epsilon_end:g} is above epsilon_start = {self.epsilon_start:g}; swap them",
        )
        require(
            self.episodes is None or self.episodes > 0, f"episodes = {self.episodes}, expected at least 1; correct it"
        )
        require(
            self.epsilon_clock is EpsilonClock.STEPS or self.episodes is not None,
            "epsilon_clock = 'episodes' needs episodes = a number; add it",
        )
        require(
            self.n_steps <= self.replay_memory,
            f"n_steps = {self.n_steps} is more than replay_memory = {self.replay_memory} holds; lower it",
        )
        require_not_negative(self, "learning_starts", "weight_decay", "extension_steps")
        require(
            not (self.extension_steps and self.episodes),
            f"extension_steps = {self.extension_steps} with episodes = {self.episodes}: an extension follows a number "
            "of steps; leave one out",
        )
        check_history_length(self.history_length)
        if self.learning_rate_end is not None:
            require_positive(self, "learning_rate_end")
            require(
                self.learning_rate_end <= self.learning_rate,
                f"learning_rate_end = {self.learning_rate_end:g} is above learning_rate = {self.learning_rate:g}; "
                "swap them",
            )
        for name, most in _CEILINGS.items():
            value = getattr(self, name)
            require(value <= most, f"{name} = {value:g}, expected at most {most:g}; lower it")
        self._check_task()
        if self.learner is Learner.STOCK:
            require(
                self.loss is Loss.HUBER and self.epsilon_clock is EpsilonClock.STEPS,
                "learner = 'stock' has the Huber loss and counts epsilon in steps; use learner = 'lean' for the others",
            )

    def _check_task(self) -> None:
        swings_up = self.task is Task.SWING_UP
        require(
            swings_up == (self.learner_reward is LearnerReward.TASK),
            f"learner_reward = {str(self.learner_reward)!r} with task = {str(self.task)!r}, expected 'task' for "
            "'swing_up' and 'fall' or 'step' for 'balance'; correct one",
        )
        require(
            not swings_up or (self.history_length == 1 and self.collapse_guard is GuardAction.OFF),
            f"history_length = {self.history_length} and collapse_guard = {str(self.collapse_guard)!r} with task = "
            "'swing_up', expected 1 and 'off': a history and the guard are for balancing; correct them",
        )
        require(
            not (swings_up and self.extension_steps),
            f"extension_steps = {self.extension_steps} with task = 'swing_up': that one ends with ends_when_verified, "
            "or with its steps; leave it out",
        )
        require(
            swings_up or (self.averaged_steps is None and not self.hard_start_share and not self.ends_when_verified),
            f"averaged_steps, hard_start_share and ends_when_verified with task = {str(self.task)!r}: they are for "
            "'swing_up'; leave them out",
        )
        if self.averaged_steps is not None:
            require_positive(self, "averaged_steps")

    def changed(
        self, *, steps: int | None = None, episodes: int | None = None, learner: Learner | None = None
    ) -> TrainingConfig:
        """A copy with another length or learner; None keeps the value. Raises `UsageError`.

        A training whose length is given is not extended.
        """
        try:
            return dataclasses.replace(
                self,
                steps=steps or self.steps,
                episodes=episodes or self.episodes,
                extension_steps=0 if steps or episodes else self.extension_steps,
                learner=learner or self.learner,
            )
        except ValueError as error:
            raise UsageError(f"preset {self.name}: {error}") from None


def extended_to(config: TrainingConfig, steps: int) -> int:
    """The step at which an extension ends that begins, or is resumed, at step `steps`.

    A training that has reached the end of its extension has another of the same length before it.
    """
    if not config.extension_steps:
        return config.steps
    ended = max(0, steps - config.steps) // config.extension_steps
    return config.steps + (ended + 1) * config.extension_steps


def extended_by(config: TrainingConfig, steps: int) -> int:
    """How many of `steps` steps were those of an extension; without one a block of steps may exceed the planned end."""
    beyond = steps - config.steps
    return beyond if config.extension_steps and beyond >= config.train_every_steps else 0


def preset_names() -> tuple[str, ...]:
    """Names of the package's presets, sorted."""
    folder = resources.files("cartpole_robot.training.presets")
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml")))


def load_preset(preset: str | Path) -> TrainingConfig:
    """Load a preset by name or from a .toml file. Raises `UsageError` naming file, key and value."""
    path = Path(preset)
    if path.suffix != ".toml":
        if str(preset) not in preset_names():
            raise UsageError(
                f"preset {str(preset)!r} is not known; expected one of {', '.join(preset_names())}, or a .toml file"
            )
        with resources.as_file(resources.files("cartpole_robot.training.presets").joinpath(f"{preset}.toml")) as file:
            return _parsed(file)
    return _parsed(path)


def _parsed(path: Path) -> TrainingConfig:
    table = read_toml(path, purpose="preset")
    if "name" in table:
        raise UsageError(f"{path}: name = {table['name']!r}: a preset is named after its file; remove that line")
    return record_from_table(TrainingConfig, {"name": path.stem, **table}, where=str(path))


def check_seed(seed: int) -> None:
    """Raise `UsageError` for a seed that is reserved for evaluation."""
    if not 0 <= seed < SELECTION_SEED:
        raise UsageError(f"seed {seed}, expected 0 to {SELECTION_SEED - 1}: the others are reserved for evaluation")
