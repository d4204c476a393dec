"""The collapse guard on real learners: its events, actions and reports."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback

from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.training.checkpoint import TrainingState
from cartpole_robot.training.config import GuardAction, LearnerReward, TrainingConfig, load_preset
from cartpole_robot.training.dqn.learner import new_learner
from cartpole_robot.training.environment import training_env
from cartpole_robot.training.guard import (
    VALUES_EVERY_STEPS,
    CollapseGuard,
    falls_in,
    guard_record,
    mean_value,
    returns_range,
    spans_since,
)
from cartpole_robot.training.learners import Learner
from cartpole_robot.training.learning import run_learner
from cartpole_robot.training.log import GuardEvent, GuardRow, LearningLog


class Hook(BaseCallback):
    """Calls a function with the model between two blocks of steps, at the first from `at_step` on."""

    def __init__(self, at_step: int, act: Any) -> None:
        super().__init__()
        self._at_step, self._act, self._is_due = at_step, act, True

    def _on_rollout_start(self) -> None:
        if self._is_due and self.model.num_timesteps >= self._at_step:
            self._is_due = False
            self._act(self.model)

    def _on_step(self) -> bool:
        return True


def config(**changes: Any) -> TrainingConfig:
    return dataclasses.replace(load_preset("recommended"), **changes)


def state_of(cart: CartParams, asked: TrainingConfig) -> TrainingState:
    return TrainingState(
        new_learner(asked, cart, training_env(cart, "sim", asked), seed=1, tensorboard=None), LearningLog()
    )


def trained(
    cart: CartParams, asked: TrainingConfig, *hooks: BaseCallback, said: list[str] | None = None
) -> TrainingState:
    state = state_of(cart, asked)
    run_learner(state, asked, hooks, name="test", on_event=None if said is None else said.append)
    return state


def forget_falls(model: DQN) -> None:
    assert model.replay_buffer is not None
    model.replay_buffer.dones[:] = 0.0


def settle(model: DQN) -> None:
    """A memory without falls, and with the cart in the middle of the track."""
    forget_falls(model)
    assert model.replay_buffer is not None
    model.replay_buffer.observations[:] = 0.0


def weights(model: DQN) -> torch.Tensor:
    return torch.cat([tensor.detach().flatten().clone() for tensor in model.q_net.parameters()])


@pytest.mark.parametrize("learner", list(Learner))
def test_updates_of_a_settled_learner_are_held_until_the_next_fall(gym_cart: CartParams, learner: Learner) -> None:
    said: list[str] = []
    asked = config(steps=800, learner=learner)
    state = trained(gym_cart, asked, Hook(600, settle), said=said)
    none, settled, again = state.log.guard
    assert [row.event for row in state.log.guard] == [GuardEvent.NO_FALLS, GuardEvent.SETTLED, GuardEvent.FALLS_AGAIN]
    assert 600 <= none.step == settled.step < again.step
    # one update per four steps, except between the two events
    assert state.model._n_updates == (800 - asked.learning_starts - (again.step - settled.step)) // 4
    assert said[0] == f"step {none.step}: no fall is left in the replay memory"
    assert said[1].endswith("mm (RMS) in the replay memory; updates are held until a fall comes")
    assert dataclasses.asdict(guard_record(state.log.guard, asked, 800)) == {
        "action": "hold",
        "times": 1,
        "steps_without_falls": again.step - none.step,
        "steps_settled": again.step - settled.step,
        "drifts": 0,
    }


def test_held_network_stays_as_it_is(gym_cart: CartParams) -> None:
    seen: list[torch.Tensor] = []
    look = [Hook(step, lambda model: seen.append(weights(model))) for step in (604, 608, 612)]
    # the guard runs before the hooks: it sees the change of step 604 at 608, one update later
    state = trained(gym_cart, config(steps=616), Hook(604, settle), *look)
    assert [(row.step, row.event) for row in state.log.guard] == [(608, GuardEvent.NO_FALLS), (608, GuardEvent.SETTLED)]
    assert (seen[0] != seen[1]).any()
    assert (seen[1] == seen[2]).all()
    assert (seen[1] == weights(state.model)).all()


def test_a_learner_whose_cart_strays_continues(gym_cart: CartParams) -> None:
    def stray(model: DQN) -> None:
        settle(model)
        assert model.replay_buffer is not None
        model.replay_buffer.observations[:, 0, 0] = 0.06 * gym_cart.limits.cart_position_m

    asked = config(steps=616)
    state = trained(gym_cart, asked, Hook(604, stray))
    assert [row.event for row in state.log.guard] == [GuardEvent.NO_FALLS]
    assert state.model._n_updates == (616 - asked.learning_starts) // 4


def test_watching_reports_and_changes_nothing(gym_cart: CartParams) -> None:
    said: list[str] = []
    guarded = trained(gym_cart, config(steps=700, collapse_guard=GuardAction.WATCH), Hook(600, settle), said=said)
    alone = trained(gym_cart, config(steps=700, collapse_guard=GuardAction.OFF), Hook(600, settle))
    assert (weights(guarded.model) == weights(alone.model)).all()
    assert guarded.log.guard
    assert not alone.log.guard
    assert said[1].endswith("the guard only watches")


def raise_values(model: DQN) -> None:
    with torch.no_grad():
        model.q_net.q_net[-1].bias += 5.0  # type: ignore[operator]


def test_drifting_values_restore_the_last_sound_network(gym_cart: CartParams) -> None:
    said: list[str] = []
    asked = config(steps=760)
    found: dict[str, float] = {}

    def look(model: DQN) -> None:
        assert model.replay_buffer is not None
        found["value"] = mean_value(model, model.replay_buffer)

    state = trained(gym_cart, asked, Hook(2 * VALUES_EVERY_STEPS + 4, raise_values), Hook(748, look), said=said)
    assert found["value"] > 1.0
    row = next(row for row in state.log.guard if row.event is GuardEvent.DRIFT)
    assert row.measured > 1.0
    assert "the values drift" in said[-1]
    assert "returns lie in -1 to 0" in said[-1]
    assert guard_record(state.log.guard, asked, 760).drifts == 1


def test_mean_value_of_a_large_memory_is_that_of_an_even_share(gym_cart: CartParams) -> None:
    model = state_of(gym_cart, config(replay_memory=12_000)).model
    memory = model.replay_buffer
    assert memory is not None
    rng = np.random.default_rng(0)
    memory.observations[:] = rng.normal(size=memory.observations.shape)
    with torch.no_grad():
        values = model.q_net(torch.from_numpy(memory.observations[:, 0])).amax(dim=1)
    memory.pos = 4000
    assert mean_value(model, memory) == pytest.approx(float(values[:4000].mean()))
    memory.full = True
    assert mean_value(model, memory) == pytest.approx(float(values[::3].mean()))
    assert mean_value(model, memory) == pytest.approx(float(values.mean()), abs=0.1 * float(values.std()))


def test_drift_restores_weights_target_and_optimizer(gym_cart: CartParams) -> None:
    asked = config(steps=10_000)
    state = state_of(gym_cart, asked)
    model = state.model
    guard = CollapseGuard(state.log, asked, 2.4)
    run_learner(state, dataclasses.replace(asked, steps=600, collapse_guard=GuardAction.OFF), [guard], name="test")
    sound = guard._sound
    assert sound is not None, "the values of a young network are sound"
    kept = [tensor.clone() for tensor in sound.tensors]
    raise_values(model)
    assert model.replay_buffer is not None
    guard._watch_values(model, model.replay_buffer)
    now = [*model.q_net.parameters(), *model.q_net_target.parameters()]
    assert all((a == b).all() for a, b in zip(now, kept, strict=True))
    assert all(float(s["exp_avg"].abs().sum()) == 0.0 for s in model.policy.optimizer.state.values())
    assert abs(mean_value(model, model.replay_buffer)) < 1.25
    model.train(4)  # learning continues from there, in the native update, too
    assert any((a != b).any() for a, b in zip(model.q_net.parameters(), kept[:4], strict=True))


def test_a_truncated_episode_is_not_a_fall(gym_cart: CartParams) -> None:
    state = trained(gym_cart, config(steps=400, max_steps=5))
    memory = state.model.replay_buffer
    assert memory is not None
    assert memory.dones.sum() > 70
    assert falls_in(memory) == 0
    assert state.log.guard[0].event is GuardEvent.NO_FALLS


def test_ranges_of_returns() -> None:
    assert returns_range(config()) == (-1.0, 0.0)
    low, high = returns_range(config(learner_reward=LearnerReward.STEP, gamma=0.5))
    assert (low, high) == (0.0, 2.0)
    assert returns_range(config(learner_reward=LearnerReward.STEP, gamma=1.0))[1] == float("inf")


def test_spans_end_with_a_fall_or_the_training() -> None:
    rows = [
        GuardRow(10, GuardEvent.NO_FALLS, 0.0),
        GuardRow(12, GuardEvent.SETTLED, 0.01),
        GuardRow(15, GuardEvent.DRIFT, 3.0),
        GuardRow(20, GuardEvent.FALLS_AGAIN, 2.0),
        GuardRow(40, GuardEvent.NO_FALLS, 0.0),
    ]
    assert spans_since(GuardEvent.NO_FALLS, rows, 50) == [(10, 20), (40, 50)]
    assert spans_since(GuardEvent.SETTLED, rows, 50) == [(12, 20)]


def test_log_stores_the_events_and_reads_folders_without_them(tmp_path: Path) -> None:
    log = LearningLog(guard=[GuardRow(10, GuardEvent.NO_FALLS, 0.0), GuardRow(12, GuardEvent.DRIFT, 1.5)])
    log.save(tmp_path)
    assert LearningLog.load(tmp_path).guard == log.guard
    (tmp_path / "guard.csv").unlink()
    assert LearningLog.load(tmp_path).guard == []
    (tmp_path / "evaluations.csv").write_text("step,mean_steps,rms_position_m\n10,9.0,0.1\n")
    assert LearningLog.load(tmp_path).evaluations[0].trials == 0
    (tmp_path / "guard.csv").write_text(f"step,event,measured\n10,{'x' * 200_000},1.0\n")
    with pytest.raises(UsageError, match=r"guard\.csv: row 2 is damaged \(field larger than field limit"):
        LearningLog.load(tmp_path)


def test_a_settled_learner_continues_in_an_extension(gym_cart: CartParams) -> None:
    said: list[str] = []
    asked = config(steps=800, extension_steps=400)
    state = state_of(gym_cart, asked)
    run_learner(state, asked, [Hook(700, settle)], name="test")
    held = state.model._n_updates
    assert state.model.gradient_steps == 0
    # settled from the extension's first step on, which the guard notes at once
    run_learner(state, asked, [Hook(800, settle)], name="test", on_event=said.append, until=1200)
    assert state.model._n_updates == held + 400 // 4
    assert not any("held" in text for text in said)
    record = guard_record(state.log.guard, asked, 1200)
    settled_at = state.log.guard[1].step
    assert record.steps_settled == 800 - settled_at, "updates were held until then"
