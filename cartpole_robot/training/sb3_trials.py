"""The trials of a policy that was trained elsewhere: those of a training, in whatever form it decides."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.controllers import policy_controller
from cartpole_robot.rigs.engine_choice import EngineChoice
from cartpole_robot.rollout.evaluation import VERDICT_SEED, Evaluation, evaluate_controller
from cartpole_robot.rollout.trials import BEHIND_FIRMWARE, TrialsRecord
from cartpole_robot.terminal.lines import say
from cartpole_robot.terminal.progress import progress_bar
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.learning import VERDICT_EPISODES
from cartpole_robot.training.summary import verdict_text
from cartpole_robot.training.trials import TRIAL_STEPS, TRIALS, trials_of_model

_WHAT_TO_DO = (
    "train it longer, name the cart it was trained on, or export the living model if observations were normalized "
    "(VecNormalize)"
)
_WHAT_TO_DO_BEHIND_FIRMWARE = (
    "the firmware protects cart and motor: let the reward cost duty, reversals and distance, and train again"
)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """How a policy did in its trials, and in fresh episodes, in its int16 form too if it has one."""

    trials: TrialsRecord
    episodes: Evaluation
    int16: Evaluation | None

    @property
    def summary(self) -> str:
        """As a clause: the trials, and how close it came."""
        return f"{self.trials.text}; {verdict_text(self.episodes)}"

    @property
    def remedy(self) -> str:
        """What the user of a policy that failed trials can do, as a clause."""
        is_behind = all(one.kind.endswith(BEHIND_FIRMWARE) for one in self.trials.failed)
        return _WHAT_TO_DO_BEHIND_FIRMWARE if is_behind else _WHAT_TO_DO

    def as_dict(self) -> dict[str, Any]:
        """For JSON, by the names that a training's provenance has."""
        return {
            "trials": self.trials.as_dict(),
            "evaluation": self.episodes.as_dict(),
            "evaluation_int16": None if self.int16 is None else self.int16.as_dict(),
        }

    def rows(self) -> dict[str, str]:
        """Names and texts for a person."""
        return {
            "trials": self.trials.text,
            "episodes": verdict_text(self.episodes),
            **({} if self.int16 is None else {"as int16": verdict_text(self.int16)}),
        }


def tried(bundle: PolicyBundle, cart: CartParams, choice: EngineChoice) -> Tried:
    """The trials of a policy that balances: on the rig sim on that engine, and behind the cart's firmware."""
    if choice.note is not None:
        say(choice.note)
    with closing(balancing_env(cart, "sim", TRIAL_STEPS, engine=choice.engine)) as env:

        def survives(backend: Backend) -> Evaluation:
            return evaluate_controller(
                policy_controller(bundle, backend),
                env,
                episodes=VERDICT_EPISODES,
                first_seed=VERDICT_SEED,
                max_steps=TRIALS.max_steps,
                on_episode=bar.update,
            )

        trials = trials_of_model(env, choice.engine, say)
        count = len(trials) + VERDICT_EPISODES * (1 if bundle.int16 is None else 2)
        with progress_bar(count, "judging", " episodes", quiet=True) as bar:
            return Tried(
                trials=trials.record(policy_controller(bundle), bar.update),
                episodes=survives(Backend.C),
                int16=None if bundle.int16 is None else survives(Backend.INT16),
            )
