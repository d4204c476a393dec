"""The vector environment as Stable-Baselines3 expects it.

envs = gymnasium.make_vec(
    "cartpole_robot.env:cartpole_robot/CartPole-v1", num_envs=64, cart="diy_arduino", autoreset_mode="SameStep"
)
model = PPO("MlpPolicy", VecMonitor(CartPoleVecEnv(envs)))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices

from cartpole_robot.errors import UsageError
from cartpole_robot.vector_env import CartPoleVectorEnv


class CartPoleVecEnv(VecEnv):
    """A `CartPoleVectorEnv` as Stable-Baselines3's `VecEnv`.

    An episode that ends begins again in the same step; its last observation is `terminal_observation` in that
    environment's info, and `TimeLimit.truncated` is true if the episode was truncated. Infos are otherwise
    those of `CartPoleEnv`: of the step that was taken, also where it ended an episode.
    """

    def __init__(self, vector_env: VectorEnv[Any, Any, Any]) -> None:
        """Raises `UsageError` for a vector environment of another kind or autoreset mode."""
        if not isinstance(vector_env, CartPoleVectorEnv):
            raise UsageError(f"{vector_env} is no CartPoleVectorEnv; give what gymnasium.make_vec returns, unwrapped")
        mode = vector_env.metadata["autoreset_mode"]
        if mode is not AutoresetMode.SAME_STEP:
            raise UsageError(
                f"autoreset_mode is {mode.value!r}, expected 'SameStep', where episodes begin again in the step that "
                "ends them; give it to gymnasium.make_vec"
            )
        self.vector_env = vector_env
        self._actions: NDArray[Any] | None = None
        super().__init__(vector_env.num_envs, vector_env.single_observation_space, vector_env.single_action_space)

    def reset(self) -> NDArray[np.float32]:
        """The first observations, shape (num_envs, 4), with the seeds and options that were set for this reset."""
        if all(options == self._options[0] for options in self._options):
            observations, infos = self.vector_env.reset(seed=self._seeds, options=self._options[0])
        else:
            for number, options in enumerate(self._options):
                mask = np.arange(self.num_envs) == number
                observations, infos = self.vector_env.reset(seed=self._seeds, options={**options, "reset_mask": mask})
        keys = [key for key in infos if not key.startswith("_")]
        self.reset_infos = [{key: float(infos[key][number]) for key in keys} for number in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Observations, rewards as float32, whether each episode is over, and a dict for each environment."""
        if self._actions is None:
            raise gymnasium.error.ResetNeeded("no actions are waiting; call step_async() before step_wait()")
        actions, self._actions = self._actions, None
        observations, rewards, terminated, truncated, found = self.vector_env.step(actions)
        dones = terminated | truncated
        infos = self._infos(found)
        for number in np.flatnonzero(dones).tolist():
            infos[number] = {
                **self._final_info(found["final_info"], number),
                "terminal_observation": found["final_obs"][number],
                "TimeLimit.truncated": bool(truncated[number] and not terminated[number]),
            }
        return observations, rewards.astype(np.float32), dones, infos

    def _infos(self, found: dict[str, Any]) -> list[dict[str, Any]]:
        """The info of each environment; of one whose episode has ended it is replaced."""
        keys = [key for key in ("requested_duty", "applied_duty", "motor_power_w") if key in found]
        columns = zip(*(found[key].tolist() for key in keys), strict=True)
        infos = [dict(zip(keys, row, strict=True)) for row in columns]
        for info in infos:
            info["TimeLimit.truncated"] = False
        return infos

    def _final_info(self, found: dict[str, Any], number: int) -> dict[str, Any]:
        return {
            key: values[number].item() if isinstance(values[number], np.generic) else values[number]
            for key, values in found.items()
            if not key.startswith("_") and found[f"_{key}"][number]
        }

    def close(self) -> None:
        """Close the vector environment. May be called twice."""
        self.vector_env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A picture of each cart, shape (360, 640, 3)."""
        return list(self.vector_env.render() or [None] * self.num_envs)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The vector environment's attribute, once for each environment."""
        value = getattr(self.vector_env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: the environments are one object. Raises `UsageError`."""
        raise UsageError(f"attribute {attr_name!r}: the carts are one object and share it; make another environment")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> Any:
        """Refuse: the environments are one object. Raises `UsageError`."""
        raise UsageError(f"method {method_name!r}: the carts are one object; call it on the attribute vector_env")

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """False for each: environments have no wrappers."""
        return [False for _ in self._get_indices(indices)]
