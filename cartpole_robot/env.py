"""`CartPoleEnv`, the one Gymnasium environment, for every rig, and its second task, `CartPoleSwingUpEnv`.

    gymnasium.make("cartpole_robot.env:cartpole_robot/CartPole-v1", rig="sim", cart="gym")
    gymnasium.make("cartpole_robot.env:cartpole_robot/CartPoleSwingUp-v0", rig="sim", cart="diy_arduino")

work in a fresh interpreter; once this module is imported the plain ids do too.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import utils as reset_bounds
from numpy.typing import NDArray

from cartpole_robot import swing_up_task, task
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.drawing.cart_pole import CartPoleWindow, check_window, draw_cart_pole
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rig import Rig, Start
from cartpole_robot.rigs.hanging_start import PlacingRig, begin_hanging, check_can_swing
from cartpole_robot.rigs.lockstep_rig import LockstepRig
from cartpole_robot.rigs.open_rig import RIG_NAMES, open_rig
from cartpole_robot.rigs.swing_start import SwingStart
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.engine import Engine, engine_named, reference_note
from cartpole_robot.start import start_named, starting

if TYPE_CHECKING:
    from cartpole_robot.cart.randomization import Randomization

ENV_ID = "cartpole_robot/CartPole-v1"
MAKE_ID = f"{__name__}:{ENV_ID}"
SWING_UP_ID = "cartpole_robot/CartPoleSwingUp-v0"

Observation = NDArray[np.float32]
ACTION_KINDS = ("table", "duty")


class CartPoleEnv(gymnasium.Env[Observation, Any]):
    """Balance the pole of a cart-pole, simulated or real.

    Observation: float32, shape (4,): cart position m, cart speed m/s, pole angle rad (0 upright, positive toward
    +x), pole speed rad/s. Actions: indices into the cart's action table, or with `action="duty"` any duty in [-1, 1] as
    an array of shape (1,), float32. Reward: 1 per step. An episode terminates at
    the cart's limits; the 500 steps are the registration's TimeLimit. `info` has the duty that was requested and
    the one applied, and for a cart with a motor its power in W (NaN if unknown). The spaces of the cart "gym" equal
    those of Gymnasium's CartPole-v1.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium's own declaration
        "render_modes": ["human", "rgb_array"],
        "render_fps": 50,
    }

    _observation_bound = staticmethod(task.observation_bound)
    _observe = staticmethod(task.observation)
    _is_terminated = staticmethod(task.is_terminated)
    _may_hang = False

    def __init__(
        self,
        rig: str | Rig = "sim",
        cart: str | Path | CartParams = "gym",
        render_mode: str | None = None,
        randomization: str | Path | Randomization | None = None,
        engine: str | Engine | None = None,
        action: str = "table",
        start: str | Start = Start.BY_HAND,
    ) -> None:
        """Open `rig` ("sim") with `cart` (a name, a file, or `CartParams`).

        With `randomization` (a name or a file) each episode draws its own cart, which is `episode_cart`. `engine`
        ("pybullet" or "native") simulates the rig sim; None is PyBullet, or without it the native engine and a
        warning. With `start` "swing_up" the cart swings up its pole at each reset, which needs no operator. A `Rig`
        object brings its own cart, and `cart`, `randomization` and `engine` are ignored. Raises `UsageError`.
        """
        starts = start_named(start)
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise UsageError(f"render_mode {render_mode!r} is not known; expected one of {', '.join(modes)}, or None")
        checked_action(action)
        if render_mode == "human":
            check_window()
        opened = _opened(rig, load_cart(cart), randomization, engine) if isinstance(rig, str) else checked_rig(rig)
        try:
            self._rig = starting(opened, starts)
        except UsageError:
            opened.close()
            raise
        self.cart = self._rig.cart
        period_s = self.cart.timing.control_period_s
        self.metadata = {**type(self).metadata, "render_fps": max(1, round(1.0 / period_s))}
        self.render_mode = render_mode
        bound = self._observation_bound(self.cart)
        self.observation_space = gymnasium.spaces.Box(-bound, bound, dtype=np.float32)
        self._duties = self._table()
        self.action_space = action_space(action, self._duties)
        self._takes_duties = action == "duty"
        self._limits = self.cart.limits
        self._rig_step = self._rig.step
        self._has_motor = self.cart.encoders is not None
        self._measurement: Measurement | None = None  # the rig's own, which it writes each tick into
        self._window: CartPoleWindow | None = None
        self._requested_duty = 0.0
        self._needs_reset = True

    @property
    def rig(self) -> Rig:
        """The rig that the environment steps."""
        return self._rig

    @property
    def is_running(self) -> bool:
        """Whether an episode is running; wrappers may have ended it."""
        return not self._needs_reset

    @property
    def episode_cart(self) -> CartParams:
        """The cart of this episode: `cart`, or the one that the randomisation drew."""
        return self._rig.episode_cart

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """The first observation of a new episode.

        `options` may hold `state` (four numbers: start exactly there, for tests and replays) or, as in CartPole-v1,
        `low` and `high` (start uniformly between them, every signal alike); a rig that swings up its pole brings
        it into the cart's start spread instead. Its `info` has how long that took, "swing_up_s", and how many attempts,
        "swing_ups". Raises `RigError` when the rig cannot start.
        """
        self._needs_reset = True  # until the rig has started: a failed reset leaves nothing to step
        super().reset(seed=seed)
        self._requested_duty = 0.0
        self._measurement = self._begin(options)
        self._needs_reset = False
        if self.render_mode == "human":
            self.render()
        info = {"requested_duty": 0.0, "applied_duty": self._measurement.applied_duty}
        if isinstance(self._rig, SwingStart) and self._rig.newest is not None:
            info.update(dataclasses.asdict(self._rig.newest))
        return self._observe(self._measurement), info

    def _table(self) -> tuple[float, ...]:
        """The duty of each action."""
        return self.cart.action_duties

    def _begin(self, options: dict[str, Any] | None) -> Measurement:
        """The first measurement of an episode under those options of `reset`."""
        return self._rig.reset(start_state(self.cart, options, self.np_random), self.np_random)

    def _reward(self, measurement: Measurement, duty: float) -> float:
        """The reward of a step with `duty` that led to `measurement`."""
        return task.REWARD_PER_STEP

    def step(self, action: SupportsIndex | NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One control period with that action's duty; a duty beyond ±1 counts as ±1.

        A rig that fails during an episode has stopped its motor: the episode is truncated, the cause is in
        `info["fault"]` and the observation is the last one measured. Raises `gymnasium.error.ResetNeeded` after the
        end of an episode and `gymnasium.error.InvalidAction` for an action that is not in the table, or is no duty.
        """
        if self._takes_duties:
            return self.step_duty(_duty_of(action))
        try:
            index = operator.index(action)
            if index < 0:
                raise IndexError
            duty = self._duties[index]
        except (IndexError, TypeError):
            raise gymnasium.error.InvalidAction(
                f"action {action!r}, expected a whole number from 0 to {len(self._duties) - 1}"
            ) from None
        return self.step_duty(duty)

    def step_duty(self, duty: float) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One control period with any duty in [-1, 1], for regulators that need no action table; else like `step`."""
        if self._needs_reset:
            raise gymnasium.error.ResetNeeded("the episode has ended (or none began); call reset() before step()")
        try:
            measurement = self._rig_step(duty)
        except RigError as error:
            return self._aborted(duty, error)
        observation = self._observe(measurement)
        terminated = self._is_terminated(measurement, self._limits)
        self._needs_reset = terminated
        self._measurement = measurement
        self._requested_duty = duty
        if self.render_mode == "human":
            self.render()
        info = {"requested_duty": duty, "applied_duty": measurement.applied_duty}
        if self._has_motor:
            info["motor_power_w"] = measurement.motor_power_w
        return observation, self._reward(measurement, duty), terminated, False, info

    def _aborted(self, duty: float, error: RigError) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self._needs_reset = True
        assert self._measurement is not None  # for the type checker: step() needs a reset() before it
        info = {"requested_duty": duty, "applied_duty": 0.0, "fault": str(error)}
        return self._observe(self._measurement), 0.0, False, True, info

    def render(self) -> Any:
        """The cart as measured: an RGB array of shape (360, 640, 3), uint8, or PyBullet's window brought up to date."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() without a render_mode; make the environment with render_mode="rgb_array"')
            return None
        if self._measurement is None:
            raise gymnasium.error.ResetNeeded("nothing to draw yet; call reset() before render()")
        state = self._measurement.state()
        if self.render_mode == "rgb_array":
            return np.asarray(draw_cart_pole(self.cart, state, duty=self._requested_duty, may_hang=self._may_hang))
        if self._window is None:
            self._window = CartPoleWindow(self.cart)
        self._window.show(state)
        return None

    def disarm(self) -> None:
        """Motor off, the episode over, so that the caller may take longer than a control period. Raises `RigError`.

        An episode that its TimeLimit ended is not over for the rig: a real cart is still armed then.
        """
        self._needs_reset = True
        self._rig.disarm()

    def close(self) -> None:
        """Motor off, rig and window released. May be called twice."""
        self._needs_reset = True
        if self._window is not None:
            self._window.close()
            self._window = None
        self._rig.close()


class CartPoleEnvV0(CartPoleEnv):
    """The environment with version 0's observation space, in which the speeds have bounds; nothing else differs."""

    _observation_bound = staticmethod(task.observation_bound_v0)


class CartPoleSwingUpEnv(CartPoleEnv):
    """Swing the hanging pole up and hold it; the pole turns freely.

    Observation: float32, shape (5,): cart position m, cart speed m/s, sine and cosine of the pole's angle (0 upright,
    positive toward +x), pole speed rad/s. Actions: indices into the cart's swing-up table, or with `action="duty"` any
    duty. Reward: in [0, 1], dm_control's for its cartpole swingup (`cartpole_robot.swing_up_task`). An episode
    terminates where the cart passes its limit. Simulated carts begin at a drawn start; a real
    one takes the pole in whatever motion it has, and `reset` has no options there. Once the pole is up, a firmware
    stops the motor where it falls, which truncates the episode. All else is as in `CartPoleEnv`.
    """

    _observation_bound = staticmethod(swing_up_task.observation_bound)
    _observe = staticmethod(swing_up_task.observation)
    _is_terminated = staticmethod(swing_up_task.is_terminated)
    _may_hang = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As `CartPoleEnv`. Raises `UsageError` also for a rig that cannot begin with a hanging pole."""
        super().__init__(*arguments, **options)
        try:
            if isinstance(self._rig, SwingStart):
                raise UsageError("start = 'swing_up': this task begins with a hanging pole; leave start out")
            check_can_swing(self._rig)
        except UsageError:
            self.close()
            raise

    def _table(self) -> tuple[float, ...]:
        return self.cart.swing_up_table

    def _begin(self, options: dict[str, Any] | None) -> Measurement:
        if options and not isinstance(self._rig, LockstepRig | PlacingRig):
            raise UsageError(
                f"reset options {options!r}: this rig begins in whatever motion its pole has; leave them out"
            )
        start = start_state(self.cart, options, self.np_random, swing_up_task.start_state)
        return begin_hanging(self._rig, start, self.np_random)

    def _reward(self, measurement: Measurement, duty: float) -> float:
        return swing_up_task.reward(measurement, duty, self.cart)


def start_state(
    cart: CartParams,
    options: dict[str, Any] | None,
    rng: np.random.Generator,
    drawn: Callable[[CartParams, np.random.Generator], State] | None = None,
) -> State:
    """Where an episode of `cart` begins under those options of `reset`, drawn from `rng`. Raises `UsageError`.

    Without options `drawn` draws it, by default uniformly within the cart's start spread.
    """
    if options is not None and "state" in options:
        try:
            numbers = np.asarray(options["state"], dtype=np.float64)
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if numbers.shape != (4,) or not np.isfinite(numbers).all():
            raise UsageError(f"reset option state = {options['state']!r}, expected four finite numbers")
        return State(*numbers.tolist())
    if options:
        unknown = [key for key in options if key not in ("low", "high")]
        if unknown:
            raise UsageError(f"reset option {unknown[0]!r} is not known; expected state, or low and high")
        try:
            low, high = reset_bounds.maybe_parse_reset_bounds(options, -0.05, 0.05)
        except (TypeError, ValueError) as error:
            raise UsageError(f"reset options {options!r}: {error}") from None
        if not math.isfinite(high - low):
            raise UsageError(f"reset options {options!r}, expected finite numbers")
        return State(*rng.uniform(low, high, size=4).tolist())
    return task.start_state(cart.start, rng) if drawn is None else drawn(cart, rng)


def _duty_of(action: object) -> float:
    """The duty of a continuous action. Raises `gymnasium.error.InvalidAction`."""
    try:
        numbers = np.asarray(action, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (1,) or not math.isfinite(numbers[0]):
        raise gymnasium.error.InvalidAction(
            f"action {action!r}, expected an array of shape (1,) with a duty in [-1, 1]"
        )
    return min(1.0, max(-1.0, float(numbers[0])))


def checked_action(action: str) -> str:
    """`action`, which says what an action is. Raises `UsageError` for another than `ACTION_KINDS`."""
    if action not in ACTION_KINDS:
        raise UsageError(f"action {action!r} is not known; expected one of {', '.join(ACTION_KINDS)}")
    return action


def action_space(action: str, duties: tuple[float, ...]) -> gymnasium.Space[Any]:
    """The actions of a table with those duties, or with `action` "duty" any duty, of shape (1,)."""
    if action == "table":
        return gymnasium.spaces.Discrete(len(duties))
    return gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)


def checked_rig(rig: Rig) -> Rig:
    """`rig`, which the caller made. Raises `UsageError` for what is no rig."""
    if isinstance(rig, type) or not isinstance(getattr(rig, "cart", None), CartParams):
        raise UsageError(f"rig = {rig!r}, expected one of {', '.join(RIG_NAMES)}, or an object with a rig's methods")
    return rig


def loaded_ranges(randomization: str | Path | Randomization | None, cart: CartParams) -> Randomization | None:
    """The ranges of that name or file around `cart`, or those given. Raises `UsageError`."""
    if randomization is None:
        return None
    from cartpole_robot.cart.randomization import Randomization, load_randomization

    if isinstance(randomization, Randomization):
        return randomization
    if not isinstance(randomization, str | Path):
        raise UsageError(f"randomization = {randomization!r}, expected a name, a .toml file, or a Randomization")
    return load_randomization(Path(randomization), cart)


def _opened(
    rig: str, cart: CartParams, randomization: str | Path | Randomization | None, engine: str | Engine | None
) -> Rig:
    ranges = loaded_ranges(randomization, cart)
    if rig == "sim" and engine is None:
        _warn_of_engine()
    return open_rig(rig, cart, ranges, engine=None if engine is None else engine_named(engine))


@functools.cache
def _warn_of_engine() -> None:
    note = reference_note()
    if note is not None:
        gymnasium.logger.warn(note)


for _id, _suffix in ((ENV_ID, ""), (ENV_ID.replace("-v1", "-v0"), "V0")):
    gymnasium.register(
        id=_id,
        entry_point=f"{__name__}:CartPoleEnv{_suffix}",
        vector_entry_point=f"cartpole_robot.vector_env:CartPoleVectorEnv{_suffix}",
        max_episode_steps=MAX_EPISODE_STEPS,
        reward_threshold=task.SUCCESS_STEPS,
    )
gymnasium.register(  # make_vec runs it in a SyncVectorEnv: the vector environment in C balances only
    id=SWING_UP_ID, entry_point=f"{__name__}:CartPoleSwingUpEnv", max_episode_steps=MAX_EPISODE_STEPS
)
