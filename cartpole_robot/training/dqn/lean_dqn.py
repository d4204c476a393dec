"""The leaner subclass of Stable-Baselines3's DQN that the presets' trainings use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.type_aliases import RolloutReturn, TrainFreq
from stable_baselines3.common.utils import polyak_update
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from cartpole_robot.training.config import Loss, Symmetry
from cartpole_robot.training.dqn.collecting import TransitionStore, can_collect, collect, end_stored_episode
from cartpole_robot.training.dqn.epsilon import annealed_epsilon
from cartpole_robot.training.dqn.native_update import Lesson, NativeUpdate, has_one_hidden_layer, input_gain
from cartpole_robot.training.dqn.quiet_steps import QuietSteps, quiet_steps
from cartpole_robot.training.dqn.symmetry import half_mirrored, make_gradient_odd


class LeanDQN(DQN):
    """SB3's DQN with the same arithmetic in fewer calls, plus the loss and epsilon clock of the blog's preset.

    An update is one call of C on the memory of the torch tensors, or without the extension a handful of tensor
    operations; steps are stored without the copies of a vectorised environment of one. Draws, losses and parameters
    follow the stock class (tests compare the two). Files are SB3's: plain `DQN.load` opens them.
    """

    loss: Loss = Loss.HUBER
    epsilon_episodes: int | None = None  # episodes of the whole training, if epsilon counts episodes
    is_native: bool = True  # False: update in PyTorch even if the extension exists
    symmetry: Symmetry = Symmetry.NONE
    steps_in_c: bool = True  # False: take every step in Python even if C can take those between callbacks

    _update: NativeUpdate | None = None
    _store: TransitionStore | None = None
    _quiet: QuietSteps | None = None
    _loud: gymnasium.Env[Any, Any] | None = None  # an environment that C cannot step

    def _excluded_save_params(self) -> list[str]:
        # SB3 derives the replay class from n_steps; if saved, the next load would take it for a caller's choice.
        own = ["_update", "_store", "_quiet", "_loud", "replay_buffer_class", "replay_buffer_kwargs"]
        return [*super()._excluded_save_params(), *own]

    def _native_update(self) -> NativeUpdate | None:
        update = self._update
        if update is not None and update.is_current():
            return update
        self._update = NativeUpdate(self) if self.is_native and NativeUpdate.fits(self) else None
        return self._update

    def greedy_action(self) -> Callable[[NDArray[np.float32]], int]:
        """A function from an observation (inputs,) to the action with the largest value under the current weights."""
        update = self._native_update()
        if update is not None:
            return update.act
        if not has_one_hidden_layer(self):
            return lambda observation: int(self.policy.predict(observation, deterministic=True)[0])
        gain, hidden_weight, hidden_bias, output_weight, output_bias = (
            tensor.detach().numpy() for tensor in network_tensors(self)
        )

        def act(observation: NDArray[np.float32]) -> int:
            hidden = hidden_weight.dot(observation * gain)
            hidden += hidden_bias
            np.maximum(hidden, 0.0, out=hidden)
            return int((output_weight.dot(hidden) + output_bias).argmax())

        return act

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        train_freq: TrainFreq,
        replay_buffer: ReplayBuffer,
        action_noise: ActionNoise | None = None,
        learning_starts: int = 0,
        log_interval: int | None = None,
    ) -> RolloutReturn:
        """As in SB3; a single environment takes the fast path (collecting.py)."""
        if not can_collect(self, env, replay_buffer, action_noise):
            return super().collect_rollouts(
                env, callback, train_freq, replay_buffer, action_noise, learning_starts, log_interval
            )
        store = self._store
        if store is None or not store.is_of(replay_buffer):
            store = self._store = TransitionStore(replay_buffer)
        try:
            return collect(self, cast(DummyVecEnv, env), store, callback, train_freq, learning_starts, log_interval)
        except KeyboardInterrupt:  # in the middle of a step, or after steps in C that are not counted
            self.drop_episode()
            raise

    def drop_episode(self) -> None:
        """Forget the unfinished episode: the next `learn` begins with a reset."""
        self._last_obs = None
        end_stored_episode(self)

    def quiet_steps(self, env: gymnasium.Env[Any, Any]) -> QuietSteps | None:
        """The steps that C takes in `env`; None where Python takes all."""
        if not self.steps_in_c or type(self) is not LeanDQN or env is self._loud or self._native_update() is None:
            return None
        if self._quiet is None or not self._quiet.is_of(env):
            self._quiet = quiet_steps(env, self.action_space)
            self._loud = env if self._quiet is None else None
        return self._quiet

    def _on_step(self) -> None:
        self._n_calls += 1
        if self._n_calls % max(self.target_update_interval // self.n_envs, 1) == 0:
            self.follow_target()
        self.exploration_rate = self.epsilon_at(self._current_progress_remaining)

    def epsilon_at(self, progress_remaining: float) -> float:
        """Epsilon while that share of the training remains and no episode ends."""
        if self.epsilon_episodes is None:
            return self.exploration_schedule(progress_remaining)
        return annealed_epsilon(
            self._episode_num / self.epsilon_episodes,
            start=self.exploration_initial_eps,
            end=self.exploration_final_eps,
            fraction=self.exploration_fraction,
        )

    def lesson(self) -> Lesson:
        """The updates after a rollout, as C takes them."""
        assert self._update is not None
        return self._update.lesson(self.gradient_steps, self.batch_size, is_mse=self.loss is Loss.MSE)

    def follow_target(self) -> None:
        """Move the target network by the share `tau` towards the network."""
        update = self._native_update()
        if update is not None:
            update.follow(self.tau)
        else:
            polyak_update(self.q_net.parameters(), self.q_net_target.parameters(), self.tau)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Make `gradient_steps` updates on batches of the memory, as the stock class does, with a choice of loss."""
        self._update_learning_rate(self.policy.optimizer)
        update = self._native_update()
        if update is not None:
            is_mse = self.loss is Loss.MSE
            losses = update.learn(gradient_steps, batch_size, is_mse=is_mse)
        else:
            losses = tuple(self._torch_update(batch_size) for _ in range(gradient_steps))
        self.note_updates(gradient_steps, losses, self.exploration_rate)

    def note_updates(self, updates: int, losses: tuple[float, ...], epsilon: float) -> None:
        """Count updates, and log the newest with its losses and epsilon."""
        self._n_updates += updates
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", sum(losses) / max(1, len(losses)))
        self.logger.record("rollout/exploration_rate", epsilon)

    def _torch_update(self, batch_size: int) -> float:
        assert self.replay_buffer is not None
        batch = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
        if self.symmetry is Symmetry.MIRRORED:
            batch = half_mirrored(batch, int(cast(gymnasium.spaces.Discrete, self.action_space).n))
        discounts = self.gamma if batch.discounts is None else batch.discounts
        with torch.no_grad():
            following = self.q_net_target(batch.next_observations).amax(dim=1, keepdim=True)
            target = batch.rewards + (1 - batch.dones) * discounts * following
        current = self.q_net(batch.observations).gather(1, batch.actions)
        if self.loss is Loss.MSE:
            loss = torch.nn.functional.mse_loss(current, target)
        else:
            loss = torch.nn.functional.smooth_l1_loss(current, target)
        optimizer = self.policy.optimizer
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.symmetry is Symmetry.ODD:
            make_gradient_odd(self.q_net)
        torch.nn.utils.clip_grad_norm_(self.q_net.parameters(), self.max_grad_norm)
        optimizer.step()
        return loss.item()


def network_tensors(model: DQN) -> tuple[torch.Tensor, ...]:
    """Input gain, hidden weight and bias, output weight and bias: the model's own tensors."""
    hidden, _, output = (cast(torch.nn.Linear, layer) for layer in model.q_net.q_net.children())
    return (input_gain(model), hidden.weight, hidden.bias, output.weight, output.bias)
