"""The trials of a policy that was trained elsewhere: those at the end of a training, in whatever form it decides."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.policy.backend import Backend
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.controllers import policy_controller
from cartpole_robot.rigs.engine_choice import EngineChoice
from cartpole_robot.rollout.evaluation import LONG_RUN_SEED, VERDICT_SEED, Evaluation, evaluate_controller
from cartpole_robot.simulation.engine import Engine, is_installed
from cartpole_robot.terminal.progress import progress_bar, say
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.learning import REPEATED_EPISODES, VERDICT_EPISODES
from cartpole_robot.training.run import LONG_RUN_STEPS
from cartpole_robot.training.summary import LongRun, verdict_text


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How a policy did: in fresh episodes, in its int16 form if it has one, on PyBullet, and in one long episode."""

    episodes: Evaluation
    int16: Evaluation | None
    on_pybullet: Evaluation | None
    long_run: LongRun

    @property
    def is_survived(self) -> bool:
        """Whether no episode of the float form ended early, the long one included."""
        found = [self.episodes, *([self.on_pybullet] if self.on_pybullet is not None else [])]
        return all(min(each.steps) >= each.max_steps for each in found) and self.long_run.steps >= self.long_run.of

    @property
    def summary(self) -> str:
        """As a clause: how many episodes and steps it survives."""
        again = self.on_pybullet
        more = "" if again is None else f", {_survived(again)} of {len(again.steps)} of them on PyBullet"
        return (
            f"survives {_survived(self.episodes)} of {len(self.episodes.steps)} episodes of {self.episodes.max_steps} "
            f"steps{more}, and {self.long_run.steps} of {self.long_run.of} steps of a long one"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON, by the names that a training's provenance and summary have."""
        return {
            "evaluation": self.episodes.as_dict(),
            "evaluation_int16": None if self.int16 is None else self.int16.as_dict(),
            "evaluation_on_pybullet": None if self.on_pybullet is None else self.on_pybullet.as_dict(),
            "long_run": dataclasses.asdict(self.long_run),
        }

    def rows(self) -> dict[str, str]:
        """Names and texts for a person."""
        return {
            "episodes": verdict_text(self.episodes),
            **({} if self.int16 is None else {"as int16": verdict_text(self.int16)}),
            **({} if self.on_pybullet is None else {"on PyBullet": verdict_text(self.on_pybullet)}),
            "long episode": f"{self.long_run.steps} of {self.long_run.of} steps",
        }


def tried(bundle: PolicyBundle, cart: CartParams, choice: EngineChoice) -> Trial:
    """The trials of a policy that balances, in simulation on that engine."""
    if choice.note is not None:
        say(choice.note)
    count = VERDICT_EPISODES * (1 if bundle.int16 is None else 2)
    with progress_bar(count, "judging", " episodes", quiet=True) as bar:

        def survives(episodes: int, seed: int, steps: int, **options: Any) -> Evaluation:
            return _evaluated(bundle, cart, episodes, seed, steps, **{"engine": choice.engine, **options})

        long_run = survives(1, LONG_RUN_SEED, LONG_RUN_STEPS)
        repeats = choice.engine is Engine.NATIVE and is_installed(Engine.PYBULLET)
        return Trial(
            episodes=survives(VERDICT_EPISODES, VERDICT_SEED, MAX_EPISODE_STEPS, on_episode=bar.update),
            int16=None
            if bundle.int16 is None
            else survives(
                VERDICT_EPISODES, VERDICT_SEED, MAX_EPISODE_STEPS, backend=Backend.INT16, on_episode=bar.update
            ),
            on_pybullet=survives(REPEATED_EPISODES, VERDICT_SEED, MAX_EPISODE_STEPS, engine=Engine.PYBULLET)
            if repeats
            else None,
            long_run=LongRun(steps=long_run.steps[0], of=LONG_RUN_STEPS),
        )


def _evaluated(
    bundle: PolicyBundle,
    cart: CartParams,
    episodes: int,
    seed: int,
    steps: int,
    *,
    engine: Engine | None,
    backend: Backend = Backend.C,
    on_episode: Any = None,
) -> Evaluation:
    controller = policy_controller(bundle, backend)
    with closing(balancing_env(cart, "sim", steps, engine=engine)) as env:
        return evaluate_controller(
            controller, env, episodes=episodes, first_seed=seed, max_steps=steps, on_episode=on_episode
        )


def _survived(found: Evaluation) -> int:
    return sum(steps >= found.max_steps for steps in found.steps)
