"""The training configuration and its presets (`presets/*.toml`)."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.files.packaged import PRESETS
from cartpole_robot.files.records import read_toml, record_from_table, require, require_not_negative, require_positive
from cartpole_robot.policy.history import check_history_length
from cartpole_robot.rollout.evaluation import SELECTION_SEED
from cartpole_robot.task import Task
from cartpole_robot.training.learners import Learner
from firmware_bridge.constants import MAX_HIDDEN


class Loss(enum.StrEnum):
    """The loss on the temporal-difference error."""

    HUBER = "huber"  # Huber loss
    MSE = "mse"  # mean squared error


class Optimizer(enum.StrEnum):
    """The optimizer."""

    ADAMW = "adamw"  # AdamW
    ADAGRAD = "adagrad"  # Adagrad


class LearnerReward(enum.StrEnum):
    """The reward that the learner sees. Learning curves and scores always count survived steps."""

    STEP = "step"  # 1 for every step: the environment's own reward
    FALL = "fall"  # -1 for the step that ends in a fall, else 0: centred, bounded, with the same best policy
    TASK = "task"  # the swing-up task's reward times 1 - gamma: returns lie in [0, 1]
    PRECISION = "precision"  # -1 for a fall, else -(1 - gamma) times a cost in [0, 1): returns lie in [-1, 0]


class ActionTable(enum.StrEnum):
    """Which of the cart's action tables the policy chooses from."""

    DUTY = "duty"  # the table of balancing
    PRECISE = "precise_duty"  # the finer one


class Symmetry(enum.StrEnum):
    """How the learner uses the cart's mirror image, in which signals and duties have the opposite sign."""

    NONE = "none"  # not at all
    MIRRORED = "mirrored"  # every second step of a batch is replaced by its mirror image
    ODD = "odd"  # the network is its own mirror image, by construction


class Selection(enum.StrEnum):
    """The criterion that selects the best of the networks that balance."""

    POSITION = "position"  # the smallest RMS position
    REGULATOR = "regulator"  # the smallest worst figure relative to the cart's regulator


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Weights of the cost c of a step without a fall; the reward is -(1 - gamma) c / (1 + c)."""

    position: float  # weight of the squared position, relative to the RMS position under the cart's regulator
    angle: float  # weight of the squared angle, relative to the RMS angle under the cart's regulator
    duty: float  # weight of the squared duty, relative to the largest duty of the action table
    reversal: float  # cost of a push to the other side than the last one
    # `training.adaptive_cost`
    adapts_from: float | None = (
        None  # share of the steps after which the evaluations adapt the first three; none: never
    )

    def __post_init__(self) -> None:
        require_not_negative(self, "position", "angle", "duty", "reversal")
        if self.adapts_from is not None:
            require(
                0.0 <= self.adapts_from <= 1.0, f"cost.adapts_from = {self.adapts_from:g}, expected 0 to 1; correct it"
            )
        require(self.position > 0.0 and self.angle > 0.0, "cost.position and cost.angle must be above 0; raise them")


class EpsilonClock(enum.StrEnum):
    """What the epsilon schedule counts."""

    STEPS = "steps"  # training steps
    EPISODES = "episodes"  # training episodes


class GuardAction(enum.StrEnum):
    """What the collapse guard does."""

    OFF = "off"  # nothing
    WATCH = "watch"  # reports events
    HOLD = "hold"  # also holds updates while there is nothing to learn from, and reverts drifting values


_LONGEST_NAME = 255  # as that of a file
_CEILINGS = {
    "hidden_units": MAX_HIDDEN,
    "replay_memory": 10_000_000,
    "batch_size": 1_000_000,
    "gradient_steps": 10_000,
    "evaluation_episodes": 10_000,  # the seeds after theirs are those of the trials
    "learning_rate": 1.0,
    "weight_decay": 10.0,
    "steps": 1_000_000_000,
    "extension_steps": 1_000_000_000,
    "max_steps": 10_000_000,
    "input_gain": 16.0,
}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that defines a training except the cart, the rig and the seed.

    The algorithm is the plain DQN of the blog post, without double Q-learning.
    """

    name: str
    description: str  # one line for the summary
    task: Task = Task.BALANCE  # what the policy learns
    steps: int  # control periods to train for
    extension_steps: int = 0  # most additional steps until a network passes every trial and the newest one balances
    episodes: int | None = None  # most episodes; none: no limit
    max_steps: int  # longest episode, in steps
    replay_memory: int  # steps in the replay memory
    batch_size: int  # steps in a batch
    hidden_units: int  # units in the hidden layer (ReLU)
    history_length: int = 1  # steps that the network sees, 1 to 6, with their duties
    learning_starts: int  # steps before the first update
    train_every_steps: int  # steps between updates
    gradient_steps: int  # gradient steps per update
    gamma: float  # discount factor
    n_steps: int  # rewards in a return before the target network's estimate
    tau: float  # share by which the target network follows in one target update
    target_update_every_steps: int  # steps between target updates
    epsilon_start: float  # probability of a random action at the start
    epsilon_end: float  # probability of a random action at the end of the schedule
    epsilon_fraction: float  # share of the training over which epsilon falls linearly
    epsilon_clock: EpsilonClock  # what the epsilon schedule counts
    optimizer: Optimizer  # algorithm of the gradient steps
    learning_rate: float  # initial learning rate
    learning_rate_end: float | None = None  # final learning rate, reached linearly; none: constant
    learning_rate_fraction: float = 1.0  # share of `steps` after which it is reached
    optimizer_epsilon: float  # the optimizer's term against division by zero
    weight_decay: float  # weight decay of AdamW
    loss: Loss  # loss on the temporal-difference error
    learner_reward: LearnerReward  # reward that the learner sees
    cost: StepCost | None = None  # for learner_reward "precision" only
    actions: ActionTable = ActionTable.DUTY  # which of the cart's action tables
    symmetry: Symmetry = Symmetry.NONE  # use of the cart's mirror image
    selection: Selection = Selection.POSITION  # criterion for the best network
    scale_observations: bool  # divide observations by the cart's [observation_scale]
    input_gain: float = 1.0  # factor on the scaled inputs
    learner: Learner = Learner.LEAN  # DQN class
    collapse_guard: GuardAction = GuardAction.OFF  # what the collapse guard does
    averaged_steps: int | None = None  # use the network's running mean over this many steps; none: the newest network
    hard_start_share: float = 0.0  # swing-up only: share of episodes at starts from which the policy has failed
    wide_start_share: float = 0.0  # with "precision" only: share of episodes that start as after a push
    ends_when_verified: bool = False  # swing-up only: end with the first network that passes all trials
    evaluate_every_steps: int  # steps between greedy evaluations
    evaluation_episodes: int  # episodes in a greedy evaluation
    checkpoint_every_steps: int  # steps between checkpoints

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
                "input_gain",
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
            "wide_start_share",
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
        self._check_precision()
        if self.learner is Learner.STOCK:
            require(
                self.loss is Loss.HUBER and self.epsilon_clock is EpsilonClock.STEPS,
                "learner = 'stock' has the Huber loss and counts epsilon in steps; use learner = 'lean' for the others",
            )
            require(
                self.symmetry is Symmetry.NONE,
                f"learner = 'stock' with symmetry = {str(self.symmetry)!r}, expected 'none'; use learner = 'lean'",
            )

    def _check_task(self) -> None:
        swings_up = self.task is Task.SWING_UP
        require(
            swings_up == (self.learner_reward is LearnerReward.TASK),
            f"learner_reward = {str(self.learner_reward)!r} with task = {str(self.task)!r}, expected 'task' for "
            "'swing_up' and 'step', 'fall' or 'precision' for 'balance'; correct one",
        )
        require(
            self.gamma < 1.0 or self.learner_reward not in (LearnerReward.TASK, LearnerReward.PRECISION),
            f"gamma = 1 with learner_reward = {str(self.learner_reward)!r}, expected less than 1: a step counts by "
            "1 - gamma; lower it",
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
            swings_up or (not self.hard_start_share and not self.ends_when_verified),
            f"hard_start_share and ends_when_verified with task = {str(self.task)!r}: they are for 'swing_up'; leave "
            "them out",
        )
        if self.averaged_steps is not None:
            require_positive(self, "averaged_steps")

    def _check_precision(self) -> None:
        is_precise = self.learner_reward is LearnerReward.PRECISION
        require(
            is_precise == (self.cost is not None),
            f"learner_reward = {str(self.learner_reward)!r} {'without' if is_precise else 'with'} a section [cost]: "
            "'precision' needs one, and no other has one; correct one",
        )
        for name, value, plain in (
            ("actions", self.actions, ActionTable.DUTY),
            ("symmetry", self.symmetry, Symmetry.NONE),
            ("selection", self.selection, Selection.POSITION),
        ):
            require(
                self.task is Task.BALANCE or value is plain,
                f"{name} = {str(value)!r} with task = {str(self.task)!r}: it is for 'balance'; leave it out",
            )
        adapts = self.cost is not None and self.cost.adapts_from is not None
        require(
            not adapts or self.selection is Selection.REGULATOR,
            f"cost.adapts_from with selection = {str(self.selection)!r}, expected 'regulator': it compares with that; "
            "correct one",
        )
        require(
            is_precise or not self.wide_start_share,
            f"wide_start_share = {self.wide_start_share:g} with learner_reward = {str(self.learner_reward)!r}: it is "
            "for 'precision'; leave it out",
        )
        require(
            not (is_precise and self.collapse_guard is GuardAction.HOLD),
            "collapse_guard = 'hold' with learner_reward = 'precision': a guard that holds updates while no pole falls "
            "would end what makes a policy precise; use 'off' or 'watch'",
        )
        require(
            self.symmetry is not Symmetry.ODD or self.hidden_units % 2 == 0,
            f"hidden_units = {self.hidden_units} with symmetry = 'odd', expected an even number: each unit has a "
            "mirror image; change it",
        )
        require(
            self.input_gain == 1.0 or self.scale_observations,
            f"input_gain = {self.input_gain:g} with scale_observations = false: it multiplies scaled inputs; leave it "
            "out",
        )

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


def cart_to_learn(config: TrainingConfig, cart: CartParams) -> CartParams:
    """`cart` with the action table that `config` chooses from, as the one it has."""
    return cart.with_table(cart.precise_table) if config.actions is ActionTable.PRECISE else cart


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
    return PRESETS.names()


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
