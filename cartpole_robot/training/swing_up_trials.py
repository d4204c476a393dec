"""What a training that swings up does besides learning: trials of a network, its running mean, and hard starts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any, cast

import gymnasium
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import CartPoleSwingUpEnv
from cartpole_robot.policy.controllers import SwingUpPolicyController
from cartpole_robot.policy.network import ActionFunction, float_action_function
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.swing_up_evaluation import HELD, SwingUpEvaluation, evaluate_swing_up
from cartpole_robot.rollout.trials import FailedTrial, TrialsRecord
from cartpole_robot.swing_up_task import start_state
from cartpole_robot.training.checkpoint import TrainingState
from cartpole_robot.training.config import TrainingConfig
from cartpole_robot.training.dqn.learner import network_of

CATCH_STEPS = 150  # three seconds after which a caught pole seldom falls
HOLD_STEPS = 3000  # a minute, for which a policy that swings up must hold the pole
PRACTICE_SEED = 5_000_000  # and the training step: starts from which the newest network is looked at
CATCH, MINUTE, BEHIND_FIRMWARE = "catch", "minute", " behind the firmware"
_CATCHES, _BEHIND_FIRMWARE = 150, 50  # for each of the preset's evaluation_episodes
_MINUTE_OF = 25  # trials behind the firmware: there a calm cart may look stuck
_GIVEN_UP_SHARE = 300
_PRACTICE_EPISODES = 200
_PRACTICE_AFTER = 0.25  # of the training's steps: before, every start is hard
_MOST_HARD_STARTS = 200


class SwingUpTrials:
    """What a policy that swings up must do to be trusted: catch from many starts, and then hold for a minute from some.

    Almost good policies fail in the first second upright, in one catch of hundreds, and seldom later. A part of the
    catches is behind the firmware, of a cart that has one: it looks at its limits every millisecond.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], config: TrainingConfig, *, first_seed: int) -> None:
        self._env = env
        self._cart: CartParams = env.get_wrapper_attr("cart")
        many = config.evaluation_episodes
        self._minutes_from = _CATCHES * many
        self._behind_firmware_from = self._minutes_from + many
        self._first_seed = first_seed
        self._switched_on: VirtualRig | None = None
        # In this order: trials that a network has failed come first, so that the next one is judged soon.
        behind_firmware = 0 if self._cart.firmware is None else _BEHIND_FIRMWARE * many
        self._order = list(range(self._behind_firmware_from + behind_firmware))

    def __len__(self) -> int:
        return len(self._order)

    def survived(self, act: ActionFunction, least: int = 0) -> int:
        """How many it passes; it is given up once that will be less than `least`, or has failed one in 300."""
        most_failures = min(len(self) - least, len(self) // _GIVEN_UP_SHARE)
        failed: list[int] = []
        passed = 0
        with ExitStack() as stack:
            for number in self._order:
                if self._passes(act, number, stack):
                    passed += 1
                    continue
                failed.append(number)
                if len(failed) > most_failures:
                    break
        known = set(failed)
        self._order = [*failed, *(number for number in self._order if number not in known)]
        return passed

    def record(self, act: ActionFunction) -> TrialsRecord:
        """Which trials it fails, until it is given up."""
        failed: list[FailedTrial] = []
        ran = 0
        with ExitStack() as stack:
            for number in self._order:
                found = self._episode(act, number, stack)
                ran += 1
                if found.successes == 1:
                    continue
                episode, kind = found.episodes[0], CATCH if found.hold_steps == CATCH_STEPS else MINUTE
                place = BEHIND_FIRMWARE if number >= self._behind_firmware_from else ""
                failed.append(
                    FailedTrial(
                        kind=kind + place,
                        seed=found.first_seed,
                        steps=episode.held_steps,
                        of=found.hold_steps,
                        fault=episode.end,
                    )
                )
                if len(failed) > len(self) // _GIVEN_UP_SHARE:
                    break
        return TrialsRecord(of=len(self), failed=tuple(failed), skipped=len(self) - ran)

    def _passes(self, act: ActionFunction, number: int, stack: ExitStack) -> bool:
        return self._episode(act, number, stack).successes == 1

    def _episode(self, act: ActionFunction, number: int, stack: ExitStack) -> SwingUpEvaluation:
        seed = self._first_seed + number
        steps = CATCH_STEPS if number < self._minutes_from else HOLD_STEPS
        if number >= self._behind_firmware_from:
            steps = CATCH_STEPS if number % _MINUTE_OF else HOLD_STEPS
            controller = SwingUpPolicyController(act, self._cart.swing_up_table)
            return evaluate_swing_up(controller, self._rig(stack), episodes=1, first_seed=seed, hold_steps=steps)
        return swung_up(act, self._env, episodes=1, first_seed=seed, hold_steps=steps)

    def _rig(self, stack: ExitStack) -> VirtualRig:
        """The cart behind its firmware, switched on once for a look at a network."""
        if self._switched_on is None:
            self._switched_on = stack.enter_context(closing(VirtualRig(self._cart)))
            stack.callback(self._forget_rig)
        return self._switched_on

    def _forget_rig(self) -> None:
        self._switched_on = None


def swung_up(
    act: ActionFunction,
    env: gymnasium.Env[Any, Any],
    *,
    episodes: int,
    first_seed: int,
    hold_steps: int,
    on_episode: Callable[[], object] | None = None,
) -> SwingUpEvaluation:
    """`evaluate_swing_up` of a policy on the rig of a `CartPoleSwingUpEnv`, which then needs a reset."""
    inner = env.unwrapped
    assert isinstance(inner, CartPoleSwingUpEnv)
    controller = SwingUpPolicyController(act, inner.cart.swing_up_table)
    inner.disarm()
    return evaluate_swing_up(
        controller,
        inner.rig,
        episodes=episodes,
        first_seed=first_seed,
        hold_steps=hold_steps,
        on_episode=on_episode,
    )


class Practice(BaseCallback):
    """Looks where the newest network fails, every `evaluate_every_steps`: episodes of the training begin there.

    The newest `_MOST_HARD_STARTS` of such starts are kept.
    """

    def __init__(self, state: TrainingState, config: TrainingConfig, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__()
        self._state, self._config, self._env = state, config, env

    def _on_training_start(self) -> None:
        training = cast(DummyVecEnv, self._state.model.env).envs[0]
        starts = training.get_wrapper_attr("hard_starts")
        starts[:] = self._state.hard_starts
        self._state.hard_starts = starts  # one list, of which the environment draws

    def _on_step(self) -> bool:
        step, config = self.num_timesteps, self._config
        if step % config.evaluate_every_steps or step < _PRACTICE_AFTER * config.steps:
            return True
        first = PRACTICE_SEED + step
        act = float_action_function(network_of(self._state.model))
        found = swung_up(act, self._env, episodes=_PRACTICE_EPISODES, first_seed=first, hold_steps=CATCH_STEPS)
        cart = self._env.get_wrapper_attr("cart")
        starts = self._state.hard_starts
        starts += [
            start_state(cart, np.random.default_rng(first + number))
            for number, episode in enumerate(found.episodes)
            if episode.end != HELD
        ]
        del starts[:-_MOST_HARD_STARTS]
        return True
