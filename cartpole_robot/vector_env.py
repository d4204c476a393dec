"""`CartPoleVectorEnv`: many simulated carts in one Gymnasium vector environment, stepped by one call of C.

gymnasium.make_vec("cartpole_robot.env:cartpole_robot/CartPole-v1", num_envs=1024, cart="diy_arduino")
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from cartpole_robot import task
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.drawing.cart_pole import draw_cart_pole
from cartpole_robot.env import action_space, checked_action, checked_rig, loaded_ranges, start_state
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rig import Rig, Start
from cartpole_robot.rigs.open_rig import check_rig_name
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.signals import State
from cartpole_robot.simulation.engine import Engine, engine_named, refuse_closed
from cartpole_robot.simulation.native_cart import NotRepresentedError, native_fleet
from cartpole_robot.start import start_named

if TYPE_CHECKING:
    from cartpole_robot.cart.randomization import Randomization

Observations = NDArray[np.float32]
StepResult = tuple[Observations, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]
_NO_LIMIT = 2**62  # steps
_MOST_CARTS = 1_000_000  # at about a kilobyte each
_INSTEAD = 'gymnasium.make_vec(..., vectorization_mode="sync") takes every rig, engine and start'


class CartPoleVectorEnv(VectorEnv[Observations, NDArray[Any], NDArray[Any]]):
    """`num_envs` carts of `CartPoleEnv` on the native engine, with its spaces, rewards, ends and infos.

    Environment i after `reset(seed=s)` runs exactly as `gymnasium.make(..., engine="native")` after
    `reset(seed=s + i)`. Observations have shape (num_envs, 4), float32; rewards (float64), terminations and truncations
    have shape (num_envs,); infos are those of `gymnasium.vector.SyncVectorEnv`. The caller owns
    the returned arrays. An environment whose physics diverges is truncated alone, with the cause in `info["fault"]`.
    """

    _observation_bound = staticmethod(task.observation_bound)

    def __init__(
        self,
        num_envs: int = 1,
        rig: str | Rig = "sim",
        cart: str | Path | CartParams = "gym",
        render_mode: str | None = None,
        randomization: str | Path | Randomization | None = None,
        engine: str | Engine | None = None,
        max_episode_steps: int | None = MAX_EPISODE_STEPS,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        action: str = "table",
        start: str | Start = Start.BY_HAND,
    ) -> None:
        """The arguments of `CartPoleEnv`; each cart draws its own episodes from `randomization`.

        `max_episode_steps` None or -1 means no limit. `autoreset_mode` is Gymnasium's, or its value ("NextStep",
        "SameStep", "Disabled"). Raises `UsageError`, also for a rig or an engine that steps one cart at a time.
        """
        self._takes_duties = checked_action(action) == "duty"
        self.num_envs = _counted(num_envs, "num_envs", _MOST_CARTS)
        self.cart = load_cart(cart)
        self._ranges = loaded_ranges(randomization, self.cart)
        _check_is_native(rig, engine)
        if start_named(start) is not Start.BY_HAND:
            raise UsageError(f"start {start!r}: many carts at once are placed upright; {_INSTEAD}")
        if render_mode not in (None, "rgb_array"):
            raise UsageError(f"render_mode {render_mode!r} is not known; expected 'rgb_array', or None")
        try:
            simulated_rig(self.cart, self._ranges, engine=Engine.NATIVE).close()  # it checks the cart
        except NotRepresentedError as error:
            raise UsageError(f"cart {self.cart.name!r}: {error.reason}; {_INSTEAD}") from None
        self.render_mode = render_mode
        self._mode = _mode_named(autoreset_mode)
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": max(1, round(1.0 / self.cart.timing.control_period_s)),
            "autoreset_mode": self._mode,
        }
        bound = self._observation_bound(self.cart)
        self.single_observation_space = gymnasium.spaces.Box(-bound, bound, dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.single_action_space: gymnasium.Space[Any] = action_space(action, self.cart.action_duties)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        is_endless = max_episode_steps in (None, -1)
        most_steps = _NO_LIMIT if is_endless else _counted(max_episode_steps, "max_episode_steps", _NO_LIMIT)
        limits = (self.cart.limits.cart_position_m, self.cart.limits.pole_angle_rad)
        duties = tuple(map(self.cart.bridge_duty, self.cart.action_duties))
        self._fleet = native_fleet(self.cart, self.num_envs, duties, limits, most_steps)
        self._table = np.array(self.cart.action_duties)
        self._has_motor = self.cart.encoders is not None
        self._carts = [self.cart] * self.num_envs
        self._generators: list[np.random.Generator | None] = [None] * self.num_envs
        self._seeds = [-1] * self.num_envs
        self._spread = np.array(self.cart.start.as_tuple())
        self._c_draws_alike = _draws_without_fusion(self._spread)
        self._nobody = np.zeros(self.num_envs, np.bool_)
        self._ended = self._nobody.copy()  # whose episode is over
        self._waiting = ~self._nobody  # which have not begun, or failed to
        self._needs_reset = True
        self._requested = np.zeros(self.num_envs)

    @property
    def episode_carts(self) -> tuple[CartParams, ...]:
        """The cart of each environment's episode: `cart`, or the one that the randomisation drew."""
        return tuple(self._carts)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]  # as SyncVectorEnv
        """The random generator of each environment."""
        return tuple(self._generator(number) for number in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of each environment's generator."""
        return tuple(self._seeds) if self.np_random else ()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """The first observations of new episodes.

        With an int as `seed` environment i is seeded with seed + i; with a list, each with its own. `options` are
        those of `CartPoleEnv.reset` for every environment, and `reset_mask`, a bool array of shape (num_envs,): only
        those environments begin an episode, the others keep their observation. Raises `RigError` for a start from
        which the physics has no finite answer, and once the environment is closed.
        """
        if self.closed:
            refuse_closed()
        seeds = self._seeds_of(seed)
        options = dict(options or {})
        mask = _checked_mask(options.pop("reset_mask"), self.num_envs) if "reset_mask" in options else ~self._nobody
        numbers = np.flatnonzero(mask)
        self._needs_reset = True
        self._waiting[numbers] = True
        for number in numbers.tolist():
            if (given := seeds[number]) is not None:
                self._generators[number], self._seeds[number] = seeding.np_random(given)
        observations, flags, figures = self._arrays()
        self._fleet.step(self._nobody.astype(np.int64), ~self._nobody, observations, flags, figures)
        self._begin(numbers, options or None, observations)
        self._waiting[numbers] = self._ended[numbers] = False
        self._requested[numbers] = 0.0
        self._needs_reset = bool(self._waiting.any())
        keys = ("requested_duty", "applied_duty")
        return observations, _masked({key: np.zeros(self.num_envs) for key in keys}, mask)

    def step(self, actions: NDArray[Any]) -> StepResult:
        """One control period of every environment, with one action of the table for each, shape (num_envs,).

        With `action="duty"` it is a duty for each, shape (num_envs, 1), which counts as ±1 beyond that.
        Raises `gymnasium.error.InvalidAction` for other actions, and nothing has moved then;
        `gymnasium.error.ResetNeeded` before the first reset, and with autoreset disabled while any episode is over.
        """
        if self._needs_reset:
            raise gymnasium.error.ResetNeeded("some environment has begun no episode; call reset() before step()")
        chosen = self._duties(actions) if self._takes_duties else self._whole_numbers(actions)
        is_next_step = self._mode is AutoresetMode.NEXT_STEP
        if self._mode is AutoresetMode.DISABLED and self._ended.any():
            raise gymnasium.error.ResetNeeded(
                f"the episode of environment {int(self._ended.argmax())} has ended; call reset() with the option "
                "reset_mask before step()"
            )
        resting = self._ended if is_next_step else self._nobody
        observations, flags, figures = self._arrays()
        try:
            faults = self._stepped(chosen, resting, observations, flags, figures)
        except ValueError as error:
            raise gymnasium.error.InvalidAction(str(error)) from None
        rewards, requested, _, _ = figures
        terminated, truncated, faulty = flags
        ended = terminated | truncated
        begun = np.flatnonzero(resting if is_next_step else ended)
        moved = ~resting
        if self._mode is AutoresetMode.SAME_STEP and len(begun):
            infos = self._infos(np.where(ended, 0.0, figures), self._nobody, moved & ~ended)
            infos |= self._finals(observations, np.where(ended, figures, 0.0), faulty, ended)
        else:
            infos = self._infos(figures, faulty if faults else self._nobody, moved)
        if self._mode is AutoresetMode.DISABLED or not len(begun):
            self._ended = ended
        else:
            self._begin_again(begun, observations)
            self._ended = ended if is_next_step else self._nobody
        if self.render_mode is not None:
            self._requested = requested.copy()
        return observations, rewards, terminated, truncated, infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Each cart as measured: RGB arrays of shape (360, 640, 3), uint8."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() without a render_mode; make the environment with render_mode="rgb_array"')
            return None
        if self._needs_reset:
            raise gymnasium.error.ResetNeeded("nothing to draw yet; call reset() before render()")
        return tuple(
            np.asarray(draw_cart_pole(self.cart, State(*self._fleet.measured(number)), duty=duty))
            for number, duty in enumerate(self._requested.tolist())
        )

    def close_extras(self, **_: Any) -> None:
        """Refuse every further step; the carts hold nothing else."""
        self._needs_reset = True

    def _generator(self, number: int) -> np.random.Generator:
        found = self._generators[number]
        if found is None:
            found, self._seeds[number] = seeding.np_random()
            self._generators[number] = found
        return found

    def _seeds_of(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if isinstance(seed, bool) or not (seed is None or isinstance(seed, int | np.integer | Sequence | np.ndarray)):
            raise UsageError(f"seed = {seed!r}, expected a whole number, one for each environment, or None")
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + number for number in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise UsageError(f"{len(seed)} seeds for {self.num_envs} environments; give one for each, or one number")
        found: list[int | None] = np.asarray(seed, object).tolist()  # of an array, Python's own numbers
        return found

    def _arrays(self) -> tuple[Observations, NDArray[np.bool_], NDArray[np.float64]]:
        """New arrays for what the fleet writes."""
        count = self.num_envs
        return np.empty((count, 4), np.float32), np.empty((3, count), np.bool_), np.empty((4, count))

    def _begin(self, numbers: NDArray[np.int64], options: dict[str, Any] | None, observations: Observations) -> None:
        """Begin episodes of those environments, and write their rows of `observations`."""
        generators = [self._generators[number] or self._generator(number) for number in numbers.tolist()]
        bits = [rng.bit_generator for rng in generators]
        try:
            if options is None and self._ranges is None and self._c_draws_alike:
                self._fleet.draw(numbers, self._spread, bits, observations)
                return
            states = np.empty((len(numbers), 4))
            for row, (number, rng) in enumerate(zip(numbers.tolist(), generators, strict=True)):
                states[row] = (
                    rng.uniform(-self._spread, self._spread)  # `task.start_state` in short
                    if options is None
                    else start_state(self.cart, options, rng)
                )
                if self._ranges is not None:
                    self._carts[number] = drawn = self._ranges.draw(rng)
                    self._fleet.change(number, drawn)
            self._fleet.place(numbers, states, bits, observations)
        except ArithmeticError as error:
            raise RigError(f"{error}; use a shorter physics step") from None

    def _begin_again(self, numbers: NDArray[np.int64], observations: Observations) -> None:
        self._needs_reset = True
        self._waiting[numbers] = True
        self._begin(numbers, None, observations)
        self._waiting[numbers] = False
        self._needs_reset = False

    def _whole_numbers(self, actions: Any) -> NDArray[np.int64]:
        array = np.asarray(actions)
        if array.shape != (self.num_envs,) or array.dtype.kind not in "iub":
            raise gymnasium.error.InvalidAction(
                f"actions of shape {array.shape} and type {array.dtype}, expected {self.num_envs} whole numbers"
            )
        return np.ascontiguousarray(array, np.int64)

    def _duties(self, actions: Any) -> NDArray[np.float64]:
        """Duties in [-1, 1], NaN where there is none."""
        try:
            array = np.asarray(actions, np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != (self.num_envs, 1):
            raise gymnasium.error.InvalidAction(
                f"actions {actions!r}, expected an array of shape ({self.num_envs}, 1) with duties in [-1, 1]"
            )
        duties = array[:, 0]
        return np.where(np.isfinite(duties), np.clip(duties, -1.0, 1.0), np.nan)

    def _stepped(
        self,
        chosen: NDArray[Any],
        resting: NDArray[np.bool_],
        observations: Observations,
        flags: NDArray[np.bool_],
        figures: NDArray[np.float64],
    ) -> int:
        """How many carts are faulty after the period, of which it writes the outcome. Raises ValueError for actions."""
        step: Callable[..., int] = self._fleet.step_duties if self._takes_duties else self._fleet.step
        sent = chosen
        if self._takes_duties and self.cart.compensates_dead_zone:
            sent = np.array([self.cart.bridge_duty(duty) for duty in chosen.tolist()])
        faults = step(sent, resting, observations, flags, figures)
        if self.cart.compensates_dead_zone:  # requested is what the caller asked for, not what the bridge got
            moved = ~resting
            figures[1, moved] = chosen[moved] if self._takes_duties else self._table[chosen[moved]]
        return faults

    def _infos(
        self, figures: NDArray[np.float64], faulty: NDArray[np.bool_], moved: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """The infos of a step of those that `moved`, and of a reset of the others."""
        infos = _masked({"requested_duty": figures[1], "applied_duty": figures[2]}, ~self._nobody)
        if self._has_motor and (measured := moved & ~faulty).any():
            infos |= _masked({"motor_power_w": figures[3]}, measured)
        if faulty.any():
            infos |= _masked({"fault": self._faults(faulty)}, faulty)
        return infos

    def _finals(
        self,
        observations: Observations,
        figures: NDArray[np.float64],
        faulty: NDArray[np.bool_],
        ended: NDArray[np.bool_],
    ) -> dict[str, Any]:
        """The last observations and infos of the episodes that have `ended`."""
        final_obs = np.full(self.num_envs, None, dtype=object)
        for number in np.flatnonzero(ended).tolist():
            final_obs[number] = observations[number].copy()
        final_info = self._infos(figures, faulty, ended)
        final_info |= {key: ended.copy() for key in ("_requested_duty", "_applied_duty")}
        return _masked({"final_obs": final_obs, "final_info": final_info}, ended)

    def _faults(self, faulty: NDArray[np.bool_]) -> NDArray[np.object_]:
        causes = np.full(self.num_envs, None, dtype=object)
        for number in np.flatnonzero(faulty).tolist():
            at = self._fleet.state(number)
            causes[number] = f"the simulation diverged at {at}; use a shorter physics step"
        return causes


class CartPoleVectorEnvV0(CartPoleVectorEnv):
    """As `CartPoleEnvV0`."""

    _observation_bound = staticmethod(task.observation_bound_v0)


def _masked(values: dict[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """`values`, each with a copy of the mask of the environments that have it."""
    return {**values, **{f"_{key}": mask.copy() for key in values}}


def _counted(value: object, name: str, most: int) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if isinstance(value, bool) or not 1 <= number <= most:
        raise UsageError(f"{name} = {value!r}, expected a whole number from 1 to {most}")
    return number


def _draws_without_fusion(spread: NDArray[np.float64]) -> bool:
    """Whether NumPy rounds the product in its uniform numbers, as C does here; on some processors it does not."""
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    width = spread - -spread
    return all(np.array_equal(one.uniform(-spread, spread), -spread + width * other.random(4)) for _ in range(100))


def _mode_named(mode: str | AutoresetMode) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = ", ".join(repr(one.value) for one in AutoresetMode)
        raise UsageError(f"autoreset_mode {mode!r} is not known; expected one of {known}") from None


def _check_is_native(rig: str | Rig, engine: str | Engine | None) -> None:
    if isinstance(rig, str):
        check_rig_name(rig)
    else:
        checked_rig(rig)
    if rig != "sim":
        shown = repr(rig) if isinstance(rig, str) else type(rig).__name__
        raise UsageError(f"rig {shown} is stepped one at a time, the vector environment is the rig sim; {_INSTEAD}")
    if engine is not None and engine_named(engine) is not Engine.NATIVE:
        raise UsageError(f"engine {engine} steps one cart at a time, the vector environment is native; {_INSTEAD}")


def _checked_mask(mask: Any, count: int) -> NDArray[np.bool_]:
    """A copy of the mask. Raises `UsageError` for anything else."""
    if isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (count,) and mask.any():
        return np.array(mask)
    raise UsageError(f"reset option reset_mask = {mask!r}, expected a bool array of shape ({count},), not all False")
