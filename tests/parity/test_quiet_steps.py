"""Steps that a training takes in C are those it takes in Python: draws, memory, weights and counters, bit for bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor

from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay, StartSpread
from cartpole_robot.cart.randomization import Randomization, load_randomization
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.engine import Engine, is_installed
from cartpole_robot.simulation.native_cart import native_cart
from cartpole_robot.training.averaging import Averaging
from cartpole_robot.training.callbacks import EpisodeLogging, TrainingCallbacks
from cartpole_robot.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from cartpole_robot.training.config import TrainingConfig, cart_to_learn, load_preset
from cartpole_robot.training.dqn import quiet_steps as module
from cartpole_robot.training.dqn.lean_dqn import LeanDQN
from cartpole_robot.training.dqn.learner import new_learner
from cartpole_robot.training.dqn.native_update import _update
from cartpole_robot.training.dqn.quiet_steps import quiet_steps
from cartpole_robot.training.environment import FallReward, judging_env, training_env
from cartpole_robot.training.generators import global_state
from cartpole_robot.training.greedy_evaluation import GreedyEvaluation
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.precision import PrecisionReward
from tests.virtual_cart_process import quick_cart


class Witness(BaseCallback):
    """Records what callbacks see, the log too, and changes the price of the steps as a training may."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.calls: BaseCallback = self

    def _on_step(self) -> bool:
        found, model = self.locals, self.model
        assert isinstance(model, LeanDQN)
        (info,) = found["infos"]
        shown = {name: str(value) for name, value in info.items() if name != "episode"}
        episode = info.get("episode", {})
        arrays = [found[name].tobytes() for name in ("actions", "new_obs", "rewards", "dones")]
        counts = (found["num_collected_steps"], found["num_collected_episodes"], found["replay_buffer"].pos)
        own = (self.num_timesteps, self.n_calls, self.calls.n_calls, model.exploration_rate, model._n_calls)
        logged = [(name, value) for name, value in model.logger.name_to_value.items() if "time" not in name]
        self.seen.append((own, arrays, shown, episode.get("r"), episode.get("l"), counts, logged))
        env = found["env"].envs[0]
        if isinstance(env, PrecisionReward):
            env._duty *= 1.01
        return True


class RolloutWitness(Witness):
    """Also records the rollouts, each of which matters to it then."""

    def _on_rollout_start(self) -> None:
        self.seen.append(("start", self.num_timesteps))

    def _on_rollout_end(self) -> None:
        self.seen.append(("end", self.num_timesteps))


def learner(
    config: TrainingConfig, cart: CartParams, randomization: Randomization | None = None, *, in_c: bool
) -> LeanDQN:
    cart = cart_to_learn(config, cart)
    env = training_env(cart, "sim", config, randomization, engine=Engine.NATIVE)
    model = new_learner(config, cart, env, seed=7, tensorboard=None)
    assert isinstance(model, LeanDQN)
    model.steps_in_c = in_c
    return model


def learn(model: LeanDQN, config: TrainingConfig, kind: type[Witness] = Witness) -> list[Any]:
    witness = kind()
    witness.calls = callbacks = TrainingCallbacks([witness], config)
    model.learn(config.steps, callback=callbacks, reset_num_timesteps=False)
    return witness.seen


def everything(model: LeanDQN) -> dict[str, Any]:
    """All that a training leaves, times apart."""
    env, memory = model.env.envs[0], model.replay_buffer  # type: ignore[union-attr]
    assert memory is not None
    wrappers: dict[str, Any] = {}
    while env is not env.unwrapped:
        wrappers[type(env).__name__] = env
        env = env.env
    monitor, limit = wrappers["Monitor"], wrappers["TimeLimit"]
    past = wrappers.get("HistoryObservation")
    reward = wrappers.get("PrecisionReward")
    columns = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
    moments = model.policy.optimizer.state_dict()["state"].values()
    values = {name: value for name, value in model.logger.name_to_value.items() if not name.startswith("time/")}
    return {
        **{name: getattr(memory, name).tobytes() for name in columns},
        "memory": (memory.pos, memory.full),
        "weights": [tensor.numpy().tobytes() for tensor in model.policy.state_dict().values()],
        "moments": [tensor.numpy().tobytes() for state in moments for tensor in state.values()],
        "counters": (model.num_timesteps, model._n_calls, model._n_updates, model._episode_num),
        "shares": (model.exploration_rate, model._current_progress_remaining),
        "episodes": [(one["r"], one["l"]) for one in model.ep_info_buffer],  # type: ignore[union-attr]
        "observations now": (model._last_obs.tobytes(), model._last_obs.dtype, model._last_obs.shape),  # type: ignore[union-attr]
        "observations before": model._last_original_obs.tobytes(),  # type: ignore[union-attr]
        "monitor": (monitor.episode_returns, monitor.episode_lengths, monitor.total_steps, monitor.rewards),
        "limit": limit._elapsed_steps,
        "history": None if past is None else past._history.inputs.tobytes(),
        "side": None if reward is None else reward._side,
        "cart": (repr(env.rig._measurement), env.rig.true_state(), env.is_running),
        "global generators": global_state(),
        "generators": [one.np_random.bit_generator.state for one in (env, model.action_space)],
        "logged": values,
    }


def same(
    config: TrainingConfig, cart: CartParams, randomization: Randomization | None = None, kind: type[Witness] = Witness
) -> LeanDQN:
    """The model that learned in C; fails where the two ways differ."""
    found = []
    for in_c in (False, True):
        model = learner(config, cart, randomization, in_c=in_c)
        found.append((learn(model, config, kind), everything(model)))
        assert (model._quiet is not None) == in_c
    (seen, expected), (seen_in_c, in_c_too) = found
    assert seen_in_c == seen
    assert len(seen) > 10
    for name, value in expected.items():
        assert in_c_too[name] == value, name
    return model


def short(preset: str, **changes: Any) -> TrainingConfig:
    return dataclasses.replace(load_preset(preset), steps=1500, learning_starts=30, **changes)


@pytest.mark.parametrize(
    ("preset", "name", "changes"),
    [
        ("precise", "quanser_ip02", {}),
        ("precise", "diy_arduino", {"wide_start_share": 0.7, "max_steps": 37}),
        ("precise", "gym", {"history_length": 1, "wide_start_share": 0.0}),
        ("recommended", "gym", {}),
        ("recommended", "sensorsini", {"history_length": 3, "max_steps": 20}),
        ("recommended", "quanser_ip02", {"train_every_steps": 60, "target_update_every_steps": 7}),
        ("blog", "gym", {}),
        ("precise", "diy_stepper", {"wide_start_share": 0.7}),
        ("recommended", "diy_stepper", {}),
    ],
)
def test_presets(preset: str, name: str, changes: dict[str, Any]) -> None:
    model = same(short(preset, **changes), load_cart(name))
    if "max_steps" in changes:
        memory = model.replay_buffer
        assert memory is not None
        assert memory.timeouts.any(), "an episode was cut"
        assert (memory.dones > memory.timeouts).any(), "an episode ended with a fall"


@pytest.mark.parametrize("preset", ["precise", "recommended"])
def test_callbacks_that_heed_each_rollout(preset: str) -> None:
    same(short(preset), load_cart("quanser_ip02"), kind=RolloutWitness)


def with_delay(cart: CartParams) -> CartParams:
    delay = Delay(latency_s=0.004, jitter_s=0.03, drop_probability=0.1, apply=Apply.ON_ARRIVAL)
    return dataclasses.replace(cart, delay=delay)


def compensating() -> CartParams:
    cart = quick_cart()
    assert cart.firmware is not None
    return dataclasses.replace(
        cart,
        motor=dataclasses.replace(cart.motor, dead_zone_duty=0.1, dead_zone_asymmetry_duty=0.05),
        firmware=dataclasses.replace(cart.firmware, compensates_dead_zone=True, moving_duty=0.45),
        action_duties=(-0.5, 0.0, 0.5),
    )


def test_delays_and_losses_come_from_the_same_numbers() -> None:
    same(short("recommended"), with_delay(load_cart("diy_arduino")))


def test_cart_whose_firmware_compensates_its_dead_zone() -> None:
    same(short("recommended"), compensating())


def test_carts_that_are_drawn() -> None:
    cart = with_actions(load_cart("diy_arduino"), (-0.4, -0.2, 0.2, 0.4), given="the test")
    same(short("recommended"), cart, load_randomization(Path("diy_arduino"), cart))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["gym", "diy_arduino"])
def test_simulation_that_diverges_is_the_same_fault(name: str) -> None:
    spread = StartSpread(cart_position_m=0.01, cart_speed_m_s=0.0, pole_angle_rad=0.01, pole_speed_rad_s=1e200)
    cart = dataclasses.replace(load_cart(name), start=spread)
    config = short("recommended")
    found = []
    for in_c in (False, True):
        model = learner(config, cart, in_c=in_c)
        model.gradient_steps = 0  # the observations are not finite
        found.append((learn(model, config), everything(model)))
    assert found[0] == found[1]
    assert any("the simulation diverged at" in str(row) for row in found[0][0])


def test_rollouts_of_episodes() -> None:
    found = []
    config = short("recommended", max_steps=90)
    for in_c in (False, True):
        model = learner(config, load_cart("gym"), in_c=in_c)
        model.train_freq = (2, "episode")  # type: ignore[assignment]
        model._convert_train_freq()
        found.append((learn(model, config), everything(model)))
    assert found[0] == found[1]


def followed(config: TrainingConfig, cart: CartParams, folder: Path, *, in_c: bool) -> Any:
    """The log of a training that goes from its checkpoint to its end, and what it leaves."""
    model = learner(config, cart, in_c=in_c)
    judging = judging_env(config, cart_to_learn(config, cart), "sim", 500, engine=Engine.NATIVE)

    def train(state: TrainingState, steps: int) -> None:
        callbacks = [EpisodeLogging(state, None), Averaging(state, 500), GreedyEvaluation(state, config, judging)]
        state.model.learn(steps, callback=TrainingCallbacks(callbacks, config), reset_num_timesteps=False)

    state = TrainingState(model, LearningLog())
    train(state, 1010)  # in the middle of an episode
    checkpoint = save_checkpoint(folder, state)
    resumed = learner(config, cart, in_c=in_c)
    np.random.seed(1)  # what the checkpoint has to restore
    state = load_checkpoint(checkpoint, resumed)
    train(state, 990)
    assert state.averaged is not None
    assert state.selected is not None
    weights = [getattr(one, "hidden_weight").tobytes() for one in (state.averaged, state.selected.network)]  # noqa: B009
    return everything(resumed), state.log.episodes, state.log.evaluations, weights


@pytest.mark.parametrize(("preset", "name"), [("precise", "quanser_ip02"), ("recommended", "gym")])
def test_checkpoint_and_resume(preset: str, name: str, tmp_path: Path) -> None:
    config = short(preset, evaluate_every_steps=250, evaluation_episodes=2)
    found = [followed(config, load_cart(name), tmp_path / str(in_c), in_c=in_c) for in_c in (False, True)]
    assert found[0] == found[1]
    assert len(found[0][2]) == 8
    stored = [sorted((tmp_path / str(in_c)).rglob("*.npz")) for in_c in (False, True)]
    assert [path.read_bytes() for path in stored[0]] == [path.read_bytes() for path in stored[1]]


def test_training_that_changes_between_the_two_ways_stays_the_same() -> None:
    """Each way finds all that the other leaves: the history, the side of the push, the count of the time limit."""
    config = short("precise")
    found = []
    for ways in ((False, False, False), (True, False, True)):
        model = learner(config, load_cart("quanser_ip02"), in_c=True)
        for in_c in ways:
            model.steps_in_c = in_c
            learn(model, dataclasses.replace(config, steps=333))
        found.append(everything(model))
    assert found[0] == found[1]


class Unpriced(PrecisionReward):
    """Has a step of its own, and no price of its own."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, 2.0 * float(reward), *rest


def test_python_takes_every_step_of_another_environment() -> None:
    config = short("precise")
    cart = cart_to_learn(config, load_cart("quanser_ip02"))
    env = training_env(cart, "sim", config, engine=Engine.NATIVE)
    assert isinstance(env, PrecisionReward)
    actions = env.action_space
    assert quiet_steps(env, actions) is not None
    monitor = env.env
    assert quiet_steps(monitor, actions) is not None
    assert quiet_steps(FallReward(monitor), actions) is not None
    assert config.cost is not None
    others = [
        Unpriced(monitor, config.cost, env.regulator, 0.99),
        monitor.env,  # without Monitor
        Monitor(env),  # which would count the learner's rewards
        gymnasium.wrappers.ClipReward(env, -1.0, 0.0),
        FallReward(Monitor(gymnasium.wrappers.ClipReward(monitor.env, -1.0, 0.0))),
        env.unwrapped,
    ]
    if is_installed(Engine.PYBULLET):
        plain = training_env(cart, "sim", short("recommended"), engine=Engine.PYBULLET)
        assert isinstance(plain, FallReward)
        others += [plain, PrecisionReward(plain.env, config.cost, env.regulator, 0.99)]
    for other in others:
        assert quiet_steps(other, actions) is None, other
    assert quiet_steps(env, gymnasium.spaces.Discrete(int(actions.n) - 1)) is None  # type: ignore[attr-defined]
    assert quiet_steps(env, gymnasium.spaces.Discrete(int(actions.n), start=1)) is None  # type: ignore[attr-defined]
    env.unwrapped.render_mode = "rgb_array"
    assert quiet_steps(env, actions) is None


def test_other_callbacks_and_other_generators_take_every_step_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    config = short("recommended")
    model = learner(config, load_cart("gym"), in_c=True)
    model.learn(200, callback=Witness())
    assert model._quiet is None, "a callback that is called on every step"
    monkeypatch.setattr(module, "_draws_agree", lambda: False)
    learn(model, config)
    assert model._quiet is None
    assert model._loud is model.env.envs[0]  # type: ignore[union-attr]


def test_environment_that_needs_a_reset_says_so() -> None:
    config = short("recommended")
    model = learner(config, load_cart("gym"), in_c=True)
    learn(model, dataclasses.replace(config, steps=120))
    model.env.envs[0].unwrapped.disarm()  # type: ignore[union-attr]
    with pytest.raises(gymnasium.error.ResetNeeded):
        learn(model, dataclasses.replace(config, steps=120))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9, 64])
def test_actions_are_drawn_as_gymnasium_draws_them(count: int) -> None:
    space, twin = gymnasium.spaces.Discrete(count, seed=3), gymnasium.spaces.Discrete(count, seed=3)
    bits = twin.np_random.bit_generator
    assert [_update.drawn(bits, count) for _ in range(500)] == [int(space.sample()) for _ in range(500)]
    assert space.np_random.bit_generator.state == bits.state


@pytest.mark.parametrize("stored", [1, 2, 100, 128, 129])
def test_batches_are_drawn_as_numpy_draws_them(stored: int) -> None:
    """Seen in the order in which each step of the memory was used: its action is one the network does not have."""
    model = learner(short("blog"), load_cart("gym"), in_c=True).learn(200)
    update, memory = model._native_update(), model.replay_buffer
    assert update is not None
    assert memory is not None
    drawn = np.random.RandomState(5).randint(0, stored, size=40)
    rules = (1, 0.99, False, 10.0), (False, 1e-3, 1e-5, 0.1, 0.9, 0.999)
    for k, step in enumerate(drawn):
        if step in drawn[:k]:
            continue
        memory.actions[:] = 0
        memory.actions[step] = 10 + step
        random, expected = np.random.RandomState(5), np.random.RandomState(5)
        expected.randint(0, stored, size=k + 1)
        with pytest.raises(IndexError, match=f"action {10 + step},"):
            update._learn((1, k + 1, *rules), random._bit_generator, stored, 0)
        assert repr(random.get_state()) == repr(expected.get_state())


def collector(cart: CartParams, history_length: int = 1) -> tuple[Any, Any]:
    native = native_cart(cart, Measurement())
    made = _update.Collector(
        cart=native,
        requested=cart.action_duties,
        sent=cart.action_duties,
        limits=(cart.limits.cart_position_m, cart.limits.pole_angle_rad),
        history_length=history_length,
    )
    return native, made


LESSON = (1, 10, (1, 0.99, False, 10.0), (False, 1e-3, 1e-5, 0.1, 0.9, 0.999))


def take(made: Any, model: LeanDQN, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "update": model._native_update().object,  # type: ignore[union-attr]
        "observation": np.zeros(4, np.float32),
        "epsilons": (0.5,) * 4,
        "place": (0, 0),
        "reward": 1.0,
        "side": 0.0,
        "whether": np.random.PCG64(0),
        "which": np.random.PCG64(0),
        "target": (0, 4, 0.5),
        "plan": None,
        **changes,
    }
    return made.take(*values.values())


def test_period_taken_ahead_is_delivered_by_the_next_step(gym_cart: CartParams) -> None:
    model = learner(short("blog"), gym_cart, in_c=True)
    native, made = collector(gym_cart)
    twin = native_cart(gym_cart, Measurement())
    start = State(0.0, 0.0, gym_cart.limits.pole_angle_rad, 3.0)  # past the limit after any period
    for cart in (native, twin):
        cart.place(start, np.random.PCG64(0))
    taken, action, side, times, losses = take(made, model)
    assert (taken, side, times, losses) == (0, 0.0, 0, ())
    duty = gym_cart.action_duties[action]
    for refused in (
        lambda: native.step(0.5 * duty),
        native.restart,
        lambda: native.push(1.0, 0.0),
        lambda: take(made, model),
    ):
        with pytest.raises(RuntimeError, match="the cart is ahead by a period"):
            refused()
    assert repr(native.step(duty)) == repr(twin.step(duty))
    assert repr(native.step(duty)) == repr(twin.step(duty)), "once"
    for cart in (native, twin):
        cart.place(start, np.random.PCG64(0))
    take(made, model)
    native.place(State(0.0, 0.0, 0.0, 0.0), np.random.PCG64(0))
    native.step(0.5 * duty)


def test_c_refuses_what_does_not_fit(gym_cart: CartParams) -> None:
    model = learner(short("blog"), gym_cart, in_c=True)
    native, made = collector(gym_cart)
    with pytest.raises(RuntimeError, match="has not been placed"):
        take(made, model)
    native.place(State(0.0, 0.0, 0.0, 0.0), np.random.PCG64(0))
    before = repr(native.restart())
    for changes, error, message in (
        ({"update": native}, TypeError, "an Update"),
        ({"observation": np.zeros(4)}, ValueError, "4 numbers, float32"),
        ({"observation": np.zeros(5, np.float32)}, ValueError, "4 numbers, float32"),
        ({"epsilons": (0.1,) * 5000}, ValueError, "epsilons: expected 0 to 4096 numbers, got 5000"),
        ({"epsilons": ("a",)}, TypeError, "real number"),
        ({"place": (model.buffer_size, 0)}, ValueError, f"step {model.buffer_size} of a memory"),
        ({"place": (-1, 0)}, ValueError, "step -1"),
        ({"place": (0, -1)}, ValueError, "-1 steps stored"),
        ({"target": (0, 0, 0.5)}, ValueError, "the target follows every 0"),
        ({"epsilons": [0.1]}, TypeError, "epsilons: expected a tuple"),
        ({"plan": [2, 4, LESSON, (0.1,)]}, TypeError, "plan: expected a tuple or None"),
        ({"epsilons": [0.1]}, TypeError, "epsilons: expected a tuple"),
        ({"plan": [2, 4, LESSON, (0.1,)]}, TypeError, "plan: expected a tuple or None"),
        ({"plan": (2, 0, LESSON, (0.1,))}, ValueError, "updates after 2 and every 0 steps"),
        ({"plan": (1, 2**63 - 1, LESSON, (0.1,))}, ValueError, "updates after 1 and every 9223372036854775807 steps"),
        ({"plan": (1, 2**63 - 1, LESSON, (0.1,))}, ValueError, "updates after 1 and every 9223372036854775807 steps"),
        ({"plan": (2, 4, (1, 0, *LESSON[2:]), (0.1,))}, ValueError, "1 updates on batches of 0"),
        ({"plan": (0, 4, LESSON, (0.1,))}, ValueError, "updates on 0 steps"),
        ({"plan": (0, 4, LESSON, ())}, ValueError, "0 learning rates"),
        ({"reward": (1.0, 2.0)}, ValueError, "reward: expected 5 to 5 numbers, got 2"),
        ({"reward": None}, TypeError, "real number"),
        ({"which": np.random}, AttributeError, "capsule"),
    ):
        with pytest.raises(error, match=message):
            take(made, model, **changes)
    assert repr(native.restart()) == before
    placed, with_past = collector(gym_cart, 2)
    placed.place(State(0.0, 0.0, 0.0, 0.0), np.random.PCG64(0))
    with pytest.raises(ValueError, match="a network 4 -> 2 and step 0 of a memory, expected 9 -> 2"):
        take(with_past, model)
    options = {"cart": native, "requested": (0.1,), "sent": (0.1,), "limits": (1.0, 1.0), "history_length": 1}
    for changes, message in (
        ({"sent": ()}, "sent: expected 1 to 1 numbers, got 0"),
        ({"requested": (0.1,) * 65}, "requested: expected 1 to 64"),
        ({"history_length": 7}, "history_length = 7, expected 1 to 6"),
    ):
        with pytest.raises(ValueError, match=message):
            _update.Collector(**{**options, **changes})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a NativeCart"):
        take(_update.Collector(**{**options, "cart": 3, "requested": (0.1, 0.2), "sent": (0.1, 0.2)}), model)  # type: ignore[arg-type]
