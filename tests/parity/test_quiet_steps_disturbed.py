"""Steps in C under what a caller may do to a learner: replace its parts in a callback, or interrupt it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.buffers import NStepReplayBuffer

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.training.callbacks import TrainingCallbacks
from cartpole_robot.training.config import Symmetry
from cartpole_robot.training.dqn import collecting, optimizers
from cartpole_robot.training.dqn.lean_dqn import LeanDQN
from cartpole_robot.training.dqn.native_update import global_bits
from tests.parity.test_quiet_steps import Witness, everything, learn, learner, same, short

CONFIG = dataclasses.replace(short("recommended"), train_every_steps=3, batch_size=20)
CART = load_cart("quanser_ip02")


def another_memory(model: LeanDQN) -> None:
    old = model.replay_buffer
    assert isinstance(old, NStepReplayBuffer)
    model.replay_buffer = NStepReplayBuffer(
        800, old.observation_space, old.action_space, device="cpu", n_steps=old.n_steps, gamma=old.gamma
    )
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        getattr(model.replay_buffer, name)[:600] = getattr(old, name)[:600]
    model.replay_buffer.pos = 600


def another_column(model: LeanDQN) -> None:
    assert model.replay_buffer is not None
    model.replay_buffer.rewards = model.replay_buffer.rewards.copy()


def fewer_steps_in_a_return(model: LeanDQN) -> None:
    assert isinstance(model.replay_buffer, NStepReplayBuffer)
    model.replay_buffer.n_steps = 1


def another_optimizer(model: LeanDQN) -> None:
    model.policy.optimizer = optimizers.AdamW(model.q_net.parameters(), lr=1e-3, eps=1e-5)


def another_layer(model: LeanDQN) -> None:
    for network in (model.q_net, model.q_net_target):
        network.q_net[2].weight.data = network.q_net[2].weight.data.clone()


def rarer_updates(model: LeanDQN) -> None:
    model.train_freq = 10  # type: ignore[assignment]
    model._convert_train_freq()


def another_symmetry(model: LeanDQN) -> None:
    model.symmetry = Symmetry.MIRRORED


def another_environment(model: LeanDQN) -> None:
    envs = model.env.envs  # type: ignore[union-attr]
    envs[0] = gymnasium.wrappers.TransformReward(envs[0], lambda reward: 0.5 * float(reward))


def another_seed(model: LeanDQN) -> None:
    model.set_random_seed(3)


def python_only(model: LeanDQN) -> None:
    model.steps_in_c = False


class Disturbing(Witness):
    """Changes something at the evaluation before step 700."""

    def __init__(self, disturb: Callable[[LeanDQN], object]) -> None:
        super().__init__()
        self._disturb: Callable[[LeanDQN], object] | None = disturb

    def _on_step(self) -> bool:
        if self._disturb is not None and self.num_timesteps >= 650:
            assert isinstance(self.model, LeanDQN)
            self._disturb(self.model)
            self._disturb = None
        return super()._on_step()


@pytest.mark.parametrize(
    "disturb",
    [
        another_memory,
        another_column,
        fewer_steps_in_a_return,
        another_optimizer,
        another_layer,
        rarer_updates,
        another_symmetry,
        another_seed,
        python_only,
    ],
)
def test_parts_that_a_callback_replaces_are_used_from_the_next_rollout_on(
    disturb: Callable[[LeanDQN], object],
) -> None:
    found = []
    for in_c in (False, True):
        model = learner(CONFIG, CART, in_c=in_c)
        witness = Disturbing(disturb)
        model.learn(CONFIG.steps, callback=TrainingCallbacks([witness], CONFIG))
        assert witness._disturb is None
        found.append((witness.seen, everything(model)))
    (seen, expected), (seen_in_c, in_c_too) = found
    assert seen_in_c == seen
    for name, value in expected.items():
        assert in_c_too[name] == value, name


def test_environment_that_a_callback_wraps_is_used_from_the_next_rollout_on() -> None:
    found = []
    for in_c in (False, True):
        model = learner(CONFIG, CART, in_c=in_c)
        witness = Disturbing(another_environment)
        model.learn(CONFIG.steps, callback=TrainingCallbacks([witness], CONFIG))
        memory = model.replay_buffer
        assert memory is not None
        found.append((witness.seen, memory.rewards.tobytes(), model.policy.state_dict()["q_net.q_net.0.bias"].tolist()))
    assert found[0] == found[1]


def test_batches_of_many_steps_do_not_keep_signals_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batches of one call of C have at most `MOST_ROWS` steps, but a call makes at least one update."""
    plans = []
    planned = collecting._plan
    monkeypatch.setattr(collecting, "_plan", lambda *given: plans.append(planned(*given)) or plans[-1])
    for rows, most in ((60, 3), (1, 1)):
        plans.clear()
        monkeypatch.setattr(collecting, "MOST_ROWS", rows)
        same(CONFIG, CART)
        assert max(len(rates) for _, _, _, rates in plans) == most


def broken_joints(model: LeanDQN) -> int:
    """How often a stored step, of those of one episode, does not begin where the step before ended."""
    memory = model.replay_buffer
    assert memory is not None
    assert not memory.full
    ends = memory.dones[: memory.pos - 1, 0] > 0
    is_joined = (memory.next_observations[: memory.pos - 1] == memory.observations[1 : memory.pos]).all(axis=(1, 2))
    return int(np.count_nonzero(~is_joined & ~ends))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interrupted_training_can_be_continued(error: type[BaseException]) -> None:
    """A signal handler runs when C returns: steps and a period taken ahead are then counted nowhere."""
    config = dataclasses.replace(CONFIG, replay_memory=5000)
    model = learner(config, CART, in_c=True)
    learn(model, dataclasses.replace(config, steps=100))
    quiet = model._quiet
    assert quiet is not None
    take = quiet._take
    endings: list[int] = []

    def interrupted(*given: Any) -> Any:
        taken, action, *_ = take(*given)
        if taken and (action >= 0) == (len(endings) % 2 == 0):
            endings.append(action)
            raise error
        return (taken, action, *_)

    for _ in range(20):
        quiet._take = interrupted
        with pytest.raises(error):
            learn(model, dataclasses.replace(config, steps=1000))
        assert model._last_obs is None
        quiet._take = take
        learn(model, dataclasses.replace(config, steps=7))
    assert broken_joints(model) == 0
    assert min(endings) < 0 <= max(endings), "also a period taken ahead"


def test_interrupt_in_the_step_that_delivers_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(CONFIG, replay_memory=5000)
    model = learner(config, CART, in_c=True)
    learn(model, dataclasses.replace(config, steps=100))
    env = model.env.envs[0]  # type: ignore[union-attr]

    def interrupted(action: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(env, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        learn(model, config)
    monkeypatch.undo()
    learn(model, dataclasses.replace(config, steps=200))
    assert broken_joints(model) == 0


@pytest.mark.parametrize("steps_in_c", [False, True])
def test_numbers_are_drawn_only_while_no_other_thread_draws(*, steps_in_c: bool) -> None:
    """NumPy draws arrays without the GIL, under the generator's lock."""
    model = learner(CONFIG, CART, in_c=steps_in_c)
    learn(model, dataclasses.replace(CONFIG, steps=100))
    bits = global_bits()
    is_held, states = threading.Event(), []

    def hold() -> None:
        with bits.lock:
            is_held.set()
            for _ in range(2):
                states.append(repr(bits.state))
                time.sleep(0.1)

    other = threading.Thread(target=hold)
    other.start()
    is_held.wait()
    model.train(1, 20) if not steps_in_c else learn(model, dataclasses.replace(CONFIG, steps=100))
    other.join()
    assert states[0] == states[1] != repr(bits.state)
