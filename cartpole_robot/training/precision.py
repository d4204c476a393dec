"""What a precise policy is measured by: how it compares with the regulator of its cart.

`RegulatorReference` has the regulator's figures on given starts; `PrecisionReward` charges each step of a training in
units of them, and `against` compares an evaluation with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, SupportsFloat

import gymnasium
import numpy as np

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.policy.network import ActionFunction
from cartpole_robot.rollout.evaluation import SELECTION_SEED, EpisodesInPython, Evaluation, evaluate_controller
from cartpole_robot.rollout.native_episodes import episodes_in_c
from cartpole_robot.signals import State
from cartpole_robot.training.config import StepCost
from cartpole_robot.training.priced_steps import PricedSteps, StepPrice

FIGURES = ("rms_position_m", "rms_angle_rad", "mean_power_w", "reversals_per_step")
_PUSHED_SPEED = 1.5  # times the scale of the pole speed
_PUSHED_STARTS, _PUSHED_STEPS = 60, 150
_PUSH_WEIGHT = 2.0
_MEAN_SHARE = 0.25  # of the mean over the figures, next to the largest: of two equal networks the calmer one


@dataclass(frozen=True, kw_only=True)
class Against:
    """The figures of a policy divided by those of the regulator, below 1 where the policy is better.

    A figure that the environment does not report is NaN.
    """

    rms_position_m: float
    rms_angle_rad: float
    mean_power_w: float
    reversals_per_step: float

    @property
    def text(self) -> str:
        """A line for a person, such as "RMS position 0.94, RMS angle 0.95 times its"."""
        figures = {
            "RMS position": self.rms_position_m,
            "RMS angle": self.rms_angle_rad,
            "motor power": self.mean_power_w,
            "reversals": self.reversals_per_step,
        }
        known = [f"{name} {value:.2f}" for name, value in figures.items() if not math.isnan(value)]
        return f"{', '.join(known)} times its"

    @property
    def score(self) -> float:
        """What selection minimises: the largest of the figures known, plus a quarter of their mean."""
        figures = (self.rms_position_m, self.rms_angle_rad, self.mean_power_w, self.reversals_per_step)
        known = [value for value in figures if not math.isnan(value)]
        return max(known) + _MEAN_SHARE * sum(known) / len(known)


def check_regulator(cart: CartParams) -> None:
    """Raise `UsageError` for a cart that has no regulator, or whose starts leave it nothing to do."""
    regulator_of(cart)
    if not any(cart.start.as_tuple()):
        raise _nothing_to_compare(cart)


def _nothing_to_compare(cart: CartParams) -> UsageError:
    return UsageError(
        f"cart {cart.name!r}: from its [start] the regulator need not move, so there is nothing to compare a policy "
        "with; widen [start]"
    )


def regulator_evaluation(
    env: gymnasium.Env[Any, Any], *, episodes: int, first_seed: int = SELECTION_SEED
) -> Evaluation:
    """The regulator of the cart of `env`, a `CartPoleEnv` or wrapped; `env` then needs a reset.

    The default starts are those by which a training selects its network. Raises `UsageError` where no regulator exists.
    """
    regulator = regulator_of(env.get_wrapper_attr("cart"))
    return evaluate_controller(regulator, env, episodes=episodes, first_seed=first_seed, max_steps=MAX_EPISODE_STEPS)


class RegulatorReference:
    """The regulator of a cart on the starts by which a training selects its network.

    `figures` are its evaluation over the ordinary starts. Of starts as after a push (`wide_start`) it keeps those from
    which the regulator recovers.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], *, episodes: int) -> None:
        """`env` is a `CartPoleEnv` or wrapped; it then needs a reset. Raises `UsageError` as `check_regulator` does."""
        self.figures = regulator_evaluation(env, episodes=episodes)
        inner = env.unwrapped
        assert isinstance(inner, CartPoleEnv)
        if not (self.figures.rms_position_m and self.figures.rms_angle_rad):
            raise _nothing_to_compare(inner.cart)
        regulator, random = regulator_of(inner.cart), np.random.default_rng(SELECTION_SEED)
        run = EpisodesInPython(regulator.duty, inner, inner.step_duty).run
        self._pushed = tuple(
            start
            for start in (wide_start(inner.cart, random) for _ in range(_PUSHED_STARTS))
            if not run(**_pushed(start), on_reset=regulator.reset).is_terminated
        )

    def score(self, found: Evaluation, act: ActionFunction, env: gymnasium.Env[Any, Any]) -> float:
        """`Against.score` of `found`, plus twice the share of the pushed starts from which `act` falls in `env`."""
        run = (episodes_in_c(act, env) or EpisodesInPython(act, env)).run
        fallen = sum(run(**_pushed(start)).is_terminated for start in self._pushed)
        return against(found, self.figures).score + _PUSH_WEIGHT * fallen / max(1, len(self._pushed))


def _pushed(start: State) -> dict[str, Any]:
    return {"seed": SELECTION_SEED, "max_steps": _PUSHED_STEPS, "options": {"state": start}}


def against(found: Evaluation, regulator: Evaluation) -> Against:
    """The figures of `found` divided by those of `regulator`, over the same starts."""
    return Against(**{name: _ratio(getattr(found, name), getattr(regulator, name)) for name in FIGURES})


def _ratio(found: float, reference: float) -> float:
    return found / reference if reference > 0.0 else math.nan


def wide_start(cart: CartParams, random: np.random.Generator) -> State:
    """A start as after a push: in the inner half of the track, leaning, with speeds beyond those of balancing."""
    limits, scale = cart.limits, cart.observation_scale
    sizes = (
        0.5 * limits.cart_position_m,
        scale.cart_speed_m_s,
        0.4 * limits.pole_angle_rad,
        _PUSHED_SPEED * scale.pole_speed_rad_s,
    )
    return State(*(float(size * random.uniform(-1.0, 1.0)) for size in sizes))


class PrecisionReward(PricedSteps):
    """Rewards a fall with -1 and another step with -(1 - gamma) c / (1 + c), c being its cost (`StepCost`).

    Returns lie in [-1, 0], and no cost makes a fall worth while. The share `wide_share` of the episodes begins at a
    `wide_start`: a policy that only ever balances does not know what to do after a push.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        cost: StepCost,
        regulator: RegulatorReference,
        gamma: float,
        wide_share: float = 0.0,
    ) -> None:
        """`env` observes a cart-pole; `regulator` gives the units of position and angle."""
        super().__init__(env)
        self._wide_share = wide_share
        self.regulator = regulator
        self._cart: CartParams = env.get_wrapper_attr("cart")
        self.set_cost(cost)
        self._scale = 1.0 - gamma
        self._side = 0.0

    def set_cost(self, cost: StepCost) -> None:
        """Charge the following steps by these weights."""
        figures = self.regulator.figures
        strongest = max(abs(duty) for duty in self._cart.action_duties)
        self._position = cost.position / figures.rms_position_m**2
        self._angle = cost.angle / figures.rms_angle_rad**2
        self._duty = cost.duty / strongest**2
        self._reversal = cost.reversal

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._side = 0.0
        if seed is None and options is None and self._wide_share:
            random = self.unwrapped.np_random
            if random.random() < self._wide_share:
                options = {"state": wide_start(self._cart, random)}
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = self.env.step(action)
        duty = info["requested_duty"]
        cost = self._duty * duty * duty
        if duty * self._side < 0.0:
            cost += self._reversal
        if duty:
            self._side = duty
        if terminated:
            return observation, -1.0, terminated, truncated, info
        position_m, angle_rad = float(observation[0]), float(observation[2])
        cost += self._position * position_m * position_m + self._angle * angle_rad * angle_rad
        return observation, -self._scale * cost / (1.0 + cost), terminated, truncated, info

    def price(self) -> StepPrice:
        return StepPrice(self._position, self._angle, self._duty, self._reversal, self._scale)
