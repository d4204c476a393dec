"""Continued learning on the cart: what it begins with, when it learns, and what stops it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError, RunError, UsageError
from cartpole_robot.policy.bundle import PolicyBundle, load_policy
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.history import input_gain
from cartpole_robot.policy.lqr_design import design_lqr
from cartpole_robot.policy.network import Network
from cartpole_robot.rig import Start
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.training.cart_progress import CartEvaluation, CartProgress
from cartpole_robot.training.checkpoint import TrainingState, latest_checkpoint
from cartpole_robot.training.config import TrainingConfig, load_preset
from cartpole_robot.training.dqn.epsilon import annealed_epsilon
from cartpole_robot.training.dqn.lean_dqn import LeanDQN
from cartpole_robot.training.dqn.learner import network_of
from cartpole_robot.training.job import InitialPolicy, TrainingJob, job_from_folder
from cartpole_robot.training.log import EvaluationRow
from cartpole_robot.training.on_cart.episode import StopBetweenSteps
from cartpole_robot.training.on_cart.initial import initial_policy
from cartpole_robot.training.on_cart.learning import CartLearning
from cartpole_robot.training.on_cart.run import begin_on_cart, start_on_cart
from cartpole_robot.training.reexport import export_run
from cartpole_robot.training.run import resume_training
from cartpole_robot.training.summary import CartSummary
from firmware_bridge.errors import NotDisarmedError
from tests.conftest import Completed, quick_cart

CART = load_cart("diy_arduino")


def config(**changes: Any) -> TrainingConfig:
    return dataclasses.replace(load_preset("on_cart"), **changes)


def bundle(network: Network, cart: CartParams = CART, **provenance: Any) -> PolicyBundle:
    rng = np.random.default_rng(0)
    visited = (rng.normal(size=(200, 4)) * 0.3 * np.array(cart.observation_scale.as_tuple())).astype(np.float32)
    return bundle_of(network, cart, visited, {"cart": cart.as_dict(), **provenance})


def pushing(gains: tuple[float, ...] | np.ndarray, cart: CartParams = CART) -> Network:
    """A network of the preset's size that pushes to the side of gains · observation."""
    scale = np.array(cart.observation_scale.as_tuple(), np.float32)
    row = (np.asarray(gains, np.float64) * scale).astype(np.float32)
    hidden = np.zeros((100, 4), np.float32)
    hidden[0], hidden[1] = row, -row
    output = np.zeros((2, 100), np.float32)
    output[0, 1] = output[1, 0] = 0.01
    return Network(
        input_gain=np.array([1.0 / size for size in cart.observation_scale.as_tuple()], np.float32),
        hidden_weight=hidden,
        hidden_bias=np.zeros(100, np.float32),
        output_weight=output,
        output_bias=np.zeros(2, np.float32),
    )


def balancing() -> Network:
    return pushing(-design_lqr(CART).state_gain)


FALLING = (0.0, 0.0, -1.0, 0.0)  # pushes away from the side to which the pole leans


def job(folder: Path, initial: PolicyBundle, **changes: Any) -> TrainingJob:
    return TrainingJob(
        config=config(**changes),
        cart=CART,
        rig="virtual",
        seed=0,
        folder=folder,
        tensorboard=False,
        init=InitialPolicy(path="somewhere/policy.npz", policy_hash=initial.policy_hash()),
    )


class Bench:
    """Learning on the virtual rig without a run folder."""

    def __init__(self, folder: Path, network: Network, *, is_evaluated: bool = True, **changes: Any) -> None:
        self.rig = VirtualRig(CART)
        self.env = CartPoleEnv(rig=self.rig)
        self.config = config(**changes)
        self.job = dataclasses.replace(job(folder, bundle(network)), config=self.config)
        self.state: TrainingState = begin_on_cart(self.job, bundle(network), self.env)
        assert self.state.on_cart is not None
        self.progress: CartProgress = self.state.on_cart
        if is_evaluated:  # pretend a perfect evaluation, so that none follows
            lucky = CartEvaluation(step=0, steps=(499,), survived=0, planned=20, rms_position_m=0.0)
            self.progress.initial = self.progress.best = lucky
            self.state.log.evaluations.append(EvaluationRow(0, 499.0, 0.0))
        self.stop = StopBetweenSteps()
        self.episodes: list[int] = []
        self.learning = CartLearning(
            self.config, self.state, self.env, folder / "checkpoints", self.stop, self.episodes.append
        )

    def state_of_cart(self) -> str:
        link = self.rig.link
        link.forget_states()
        state = link.newest_state(link.clock() + 0.5)
        assert state is not None
        return str(link.protocol.enums["cart_state"](state.state).name)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(network: Network | None = None, **changes: Any) -> Bench:
        made.append(Bench(tmp_path, pushing(FALLING) if network is None else network, **changes))
        return made[-1]

    yield make
    for one in made:
        one.env.close()


NO_EVALUATION = {"evaluate_every_steps": 10**6}


def test_it_begins_with_the_policys_weights_in_network_and_target(bench: Callable[..., Bench]) -> None:
    network = balancing()
    model = bench(network).state.model
    for name in ("input_gain", "hidden_weight", "hidden_bias", "output_weight", "output_bias"):
        assert (getattr(network_of(model), name) == getattr(network, name)).all(), name
    for ours, target in zip(model.q_net.parameters(), model.q_net_target.parameters(), strict=True):
        assert torch.equal(ours, target)


@pytest.mark.parametrize("network", [pushing(FALLING), balancing()], ids=["falls", "is cut"])
def test_it_learns_only_between_episodes_while_the_cart_is_disarmed(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, network: Network
) -> None:
    made = bench(network, episodes=4, max_steps=60, learning_starts=0, epsilon_start=0.01, **NO_EVALUATION)
    seen: list[tuple[str, float]] = []
    learn = LeanDQN.train

    def train(self: LeanDQN, gradient_steps: int, batch_size: int = 100) -> None:
        if not seen or len(seen) % 10 == 0:
            seen.append((made.state_of_cart(), made.rig.virtual_cart.drive or 0.0))
        else:
            seen.append(seen[-1])
        learn(self, gradient_steps, batch_size)

    monkeypatch.setattr(LeanDQN, "train", train)
    assert made.learning.run()
    assert len(made.episodes) == 4
    assert (max(made.episodes) == 60) == (network.hidden_weight[0, 2] > 0)
    assert set(seen) == {("READY", 0.0)}
    assert made.progress.updates == len(seen) == sum(made.episodes[:-1]), "as many as there were steps to learn from"
    assert made.progress.faults == []
    assert made.rig.link.health().late_commands == 0


def test_every_step_is_in_the_memory_once_and_only_a_fall_is_an_end(bench: Callable[..., Bench]) -> None:
    made = bench(balancing(), episodes=2, max_steps=50, learning_starts=10**6, **NO_EVALUATION)
    assert made.learning.run()
    memory = made.state.model.replay_buffer
    assert memory is not None
    assert (made.episodes, memory.size(), memory.buffer_size) == ([50, 50], 100, 1000)
    assert np.flatnonzero(memory.timeouts[:100]).tolist() == [49, 99]
    assert not memory.rewards[:100].any()
    assert (memory.next_observations[:49, 0] == memory.observations[1:50, 0]).all()


def test_fall_is_worth_minus_one_and_no_timeout(bench: Callable[..., Bench]) -> None:
    made = bench(episodes=1, **NO_EVALUATION)
    assert made.learning.run()
    memory = made.state.model.replay_buffer
    assert memory is not None
    steps = memory.size()
    assert 3 < steps < 60
    assert np.flatnonzero(memory.rewards[:steps]).tolist() == [steps - 1]
    assert memory.rewards[steps - 1] == -1.0
    assert memory.dones[steps - 1] == 1.0
    assert memory.timeouts[steps - 1] == 0.0


def test_epsilon_falls_with_the_episodes_of_the_budget_by_the_simulations_schedule(
    bench: Callable[..., Bench],
) -> None:
    made = bench(episodes=8, epsilon_start=0.4, epsilon_end=0.1, learning_starts=10**6, **NO_EVALUATION)
    assert made.learning.run()
    found = [row.epsilon for row in made.state.log.episodes]
    assert found == [annealed_epsilon(k / 8, start=0.4, end=0.1, fraction=0.5) for k in range(8)]
    assert found[-4:] == [0.1] * 4


def test_evaluation_stores_no_steps_and_leaves_the_starts_unchanged(bench: Callable[..., Bench]) -> None:
    made = bench(is_evaluated=False, episodes=1)
    before = made.env.np_random.bit_generator.state
    weights = network_of(made.state.model)
    assert made.learning.run()
    assert (made.learning.episodes, made.progress.evaluation_episodes) == (1, 1)
    memory = made.state.model.replay_buffer
    assert memory is not None
    assert memory.size() == 0
    assert made.env.np_random.bit_generator.state == before
    assert (network_of(made.state.model).hidden_weight == weights.hidden_weight).all()
    assert made.progress.initial is not None
    assert made.progress.initial.steps == tuple(made.episodes)
    assert made.state.model.num_timesteps == 0


def test_first_fall_ends_an_evaluation(bench: Callable[..., Bench]) -> None:
    made = bench(is_evaluated=False, episodes=50, steps=1)
    made.learning.run()
    assert made.progress.initial is not None
    assert (made.progress.initial.survived, len(made.progress.initial.steps)) == (0, 1)


def test_policy_that_already_balances_is_kept_bit_identical(tmp_path: Path) -> None:
    initial = bundle(balancing())
    run = tmp_path / "run"
    outcome = start_on_cart(job(run, initial, evaluation_episodes=2), initial)
    summary = outcome.summary
    assert isinstance(summary, CartSummary)
    assert summary.is_initial_kept
    assert (summary.episodes, summary.learning_episodes, summary.evaluation_episodes) == (2, 0, 2)
    kept = load_policy(run / "policy.npz")
    assert kept.policy_hash() == initial.policy_hash() == summary.policy_hash
    assert kept.provenance["init"] == {"path": "somewhere/policy.npz", "policy_hash": initial.policy_hash()}
    assert kept.provenance["rig"] == "virtual"
    assert "nothing better was found" in summary.text()
    assert export_run(run, tmp_path / "again", which="selected").bundle.policy_hash() == initial.policy_hash()
    record = json.loads((run / "summary.json").read_text())
    for evaluation, problem in (
        ({"note": "x" * 70_000}, "selected takes 70012 bytes, expected at most 65536"),
        (["x"], "selected is list, expected a table of figures"),
    ):
        (run / "summary.json").write_text(json.dumps({**record, "selected": evaluation}))
        with pytest.raises(UsageError, match=problem):
            export_run(run, tmp_path / "none", which="selected")
        assert not (tmp_path / "none").exists()


def test_fault_does_not_count_as_a_fall_and_learning_continues(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(balancing(), episodes=3, max_steps=30, learning_starts=10**6, **NO_EVALUATION)
    step, reset = made.rig.step, made.rig.reset
    calls = 0

    def pressed(duty: float) -> Any:
        nonlocal calls
        calls += 1
        made.rig.virtual_cart.is_estop_pressed = calls == 20
        return step(duty)

    def released(*arguments: Any) -> Any:
        virtual = made.rig.virtual_cart
        for is_pressed in (virtual.is_estop_pressed, False):  # the supply falls, and is there again
            virtual.is_estop_pressed = is_pressed
            for _ in range(350):
                virtual.pass_ms()
        return reset(*arguments)

    monkeypatch.setattr(made.env, "_rig_step", pressed)
    monkeypatch.setattr(made.rig, "reset", released)
    assert made.learning.run()
    assert len(made.progress.faults) == 1
    assert "ESTOP" in made.progress.faults[0]
    assert len(made.episodes) == 3
    assert made.episodes[0] < 30
    assert made.episodes[1:] == [30, 30]
    memory = made.state.model.replay_buffer
    assert memory is not None
    assert np.flatnonzero(memory.timeouts).tolist() == [made.episodes[0] - 1, made.episodes[0] + 29, memory.size() - 1]
    assert not memory.rewards.any(), "a fault is not punished"


def test_training_whose_only_evaluation_ends_with_a_fault_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = VirtualRig.step

    def pressed(rig: VirtualRig, duty: float) -> Any:
        rig.virtual_cart.is_estop_pressed = rig.control_tick > 0
        return step(rig, duty)

    monkeypatch.setattr(VirtualRig, "step", pressed)
    initial = bundle(balancing())
    summary = start_on_cart(job(tmp_path / "run", initial, episodes=1), initial).summary
    assert isinstance(summary, CartSummary)
    assert summary.evaluation_episodes == 1
    (fault,) = summary.rig_failures
    assert fault.startswith("ESTOP at ")
    assert "by a rig fault" in summary.text()


def test_cart_that_swings_up_learns_without_a_hand(tmp_path: Path) -> None:
    initial, run = bundle(pushing(FALLING)), tmp_path / "run"
    asked = dataclasses.replace(job(run, initial, episodes=4, evaluation_episodes=2), start=Start.SWING_UP)
    summary = start_on_cart(asked, initial).summary
    assert isinstance(summary, CartSummary)
    assert (summary.episodes, summary.learning_episodes, summary.rig_failures) == (4, 2, ())
    assert job_from_folder(run).start is Start.SWING_UP


def test_three_false_starts_in_a_row_end_it_with_a_message_and_a_checkpoint(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    made = bench(episodes=50, **NO_EVALUATION)
    made.rig.virtual_cart.is_estop_pressed = True
    with pytest.raises(RunError, match=r"3 episodes in a row ended with a rig fault, the last: .*--resume"):
        made.learning.run()
    assert latest_checkpoint(tmp_path / "checkpoints") is not None
    assert made.learning.episodes == 0, "none of them began"


def test_ten_faults_in_a_row_in_mid_episode_end_it(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(balancing(), episodes=50, max_steps=30, learning_starts=10**6, **NO_EVALUATION)
    step = made.rig.step

    def failing(duty: float) -> Any:
        measurement = step(duty)
        if measurement.tick == 5:
            raise RigError("COMMAND_TIMEOUT")
        return measurement

    monkeypatch.setattr(made.env, "_rig_step", failing)
    with pytest.raises(RunError, match="10 episodes in a row ended with a rig fault, the last: COMMAND_TIMEOUT"):
        made.learning.run()
    assert made.learning.episodes == 10, "all of them count"


def test_cart_that_does_not_confirm_disarm_ends_it_with_a_checkpoint(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(episodes=50, learning_starts=0, **NO_EVALUATION)
    disarm, calls = made.rig.link.disarm, 0

    def not_heard() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise NotDisarmedError("no answer, 10 times asked")
        disarm()

    monkeypatch.setattr(made.rig.link, "disarm", not_heard)
    with pytest.raises(RunError, match=r"the cart did not confirm DISARM; switch it off .*--resume"):
        made.learning.run()
    assert len(made.episodes) == 2
    assert made.progress.updates > 0, "after the first"
    assert latest_checkpoint(tmp_path / "checkpoints") is not None
    memory = made.state.model.replay_buffer
    assert memory is not None
    assert memory.size() == sum(made.episodes), "the steps of the last episode are kept"


def test_stop_in_mid_episode_disarms_keeps_the_steps_and_resumes(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(balancing(), episodes=3, max_steps=40, **NO_EVALUATION)
    step = made.rig.step

    def asked(duty: float) -> Any:
        made.stop.was_asked = made.state.model.num_timesteps == 40
        return step(duty)

    monkeypatch.setattr(made.env, "_rig_step", asked)
    assert not made.learning.run()
    assert made.state_of_cart() == "READY"
    assert made.state.model.num_timesteps == 41
    path = latest_checkpoint(made.job.folder / "checkpoints")
    assert path is not None
    assert path.name == "step_00000041"


def test_stopped_learning_continues_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    initial = bundle(pushing(FALLING))
    run = tmp_path / "run"
    remember = CartLearning._remember

    def stop_after_four(self: CartLearning, *arguments: Any) -> None:
        remember(self, *arguments)
        self._stop.was_asked = len(self._state.log.episodes) == 4

    monkeypatch.setattr(CartLearning, "_remember", stop_after_four)
    outcome = start_on_cart(job(run, initial, episodes=12, learning_starts=0, evaluate_every_steps=10**6), initial)
    assert outcome.summary is None
    assert outcome.checkpoint is not None
    stopped = CartProgress.load(outcome.checkpoint)
    assert stopped is not None
    assert stopped.updates > 0
    monkeypatch.setattr(CartLearning, "_remember", remember)
    assert job_from_folder(run).init == InitialPolicy(path="somewhere/policy.npz", policy_hash=initial.policy_hash())
    summary = resume_training(run).summary
    assert isinstance(summary, CartSummary)
    assert (summary.episodes, summary.learning_episodes, summary.evaluation_episodes) == (12, 11, 1)
    assert summary.updates > stopped.updates
    assert (run / "policy.onnx").exists()
    assert (run / "policy_weights.h").exists()
    with pytest.raises(UsageError, match="is finished"):
        resume_training(run)


def test_policy_with_history_continues_to_learn_with_it(tmp_path: Path) -> None:
    """The preset for the cart sets no history, so the policy's is used."""
    plain = pushing(FALLING)
    network = dataclasses.replace(
        plain,
        input_gain=input_gain(CART, 2),
        hidden_weight=np.hstack([plain.hidden_weight, np.zeros((100, 5), np.float32)]),
    )
    rng = np.random.default_rng(0)
    visited = rng.normal(size=(200, 9)).astype(np.float32)
    bundle_of(network, CART, visited, {"cart": CART.as_dict()}, history_length=2).save(tmp_path / "policy.npz")
    initial, _, cart, found = initial_policy(tmp_path / "policy.npz", None, config(episodes=6, **NO_EVALUATION))
    assert (found.history_length, cart.action_duties) == (2, CART.action_duties)
    outcome = start_on_cart(dataclasses.replace(job(tmp_path / "run", initial), config=found), initial)
    assert isinstance(outcome.summary, CartSummary)
    assert outcome.summary.learning_episodes > 0
    counts = outcome.summary.agreement
    assert counts["c"] == counts["states"] == counts["onnxruntime"]
    learned = load_policy(tmp_path / "run" / "policy.npz")
    assert (learned.interface.history_length, learned.network.inputs) == (2, 9)
    checkpoint = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert checkpoint is not None
    seen = CartProgress.load(checkpoint)
    assert seen is not None
    rows = seen.observations()
    assert rows.shape[1] == 9
    assert {*np.unique(rows[:, 4]).tolist()} == {0.0, *np.float32(CART.action_duties).tolist()}


@pytest.mark.realtime
def test_in_real_time_behind_a_port_it_learns_without_a_fault(tmp_path: Path, port: str) -> None:
    initial = bundle(pushing(FALLING))
    asked = job(tmp_path / "run", initial, episodes=4, learning_starts=0, evaluate_every_steps=10**6)
    summary = start_on_cart(dataclasses.replace(asked, cart=quick_cart(), rig=f"serial:{port}"), initial).summary
    assert isinstance(summary, CartSummary)
    assert summary.faults == []
    assert summary.episodes == 4
    assert summary.updates > 0


def test_disarm_of_a_closed_rig_is_an_error() -> None:
    rig = VirtualRig(CART)
    rig.close()
    with pytest.raises(RigError, match="closed"):
        rig.disarm()


def saved(path: Path, **changes: Any) -> Path:
    made = bundle(balancing(), config={"learner_reward": "fall"})
    interface = dataclasses.replace(made.interface, **changes)
    dataclasses.replace(made, interface=interface).save(path)
    return path


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"control_period_s": 0.01}, ("control_period_s is 0.01", "has 0.02")),
        ({"action_duties": (-0.3, 0.3)}, ("action_duties is [-0.3, 0.3]", "has [-0.2, 0.2]")),
        ({"observation": ("a", "b", "c", "d")}, ("observation is [a, b, c, d]", "has [cart_position_m")),
        ({"observation_scale": (1.0, 1.0, 1.0, 1.0)}, ("observation_scale is [1, 1, 1, 1]", "has [0.4, 0.5, 0.21")),
    ],
)
def test_policy_of_another_interface_is_refused_with_both_values(
    tmp_path: Path, changes: dict[str, Any], parts: tuple[str, ...]
) -> None:
    path = saved(tmp_path / "policy.npz", **changes)
    with pytest.raises(UsageError) as refused:
        initial_policy(path, "diy_arduino", config())
    for part in (str(path), *parts):
        assert part in str(refused.value)


def test_preset_whose_reward_charges_steps_is_refused(tmp_path: Path) -> None:
    """On the cart nothing charges a step: each would count +1 for values that lie in [-1, 0]."""
    with pytest.raises(UsageError, match="preset precise: learner_reward = 'precision', expected 'fall' or 'step'"):
        initial_policy(saved(tmp_path / "policy.npz"), None, load_preset("precise"))
    path = tmp_path / "precise.npz"
    bundle(balancing(), config={"learner_reward": "precision"}).save(path)
    with pytest.raises(UsageError, match=r"precise\.npz: learner_reward = 'precision', expected 'fall' or 'step'"):
        initial_policy(path, None, config())


@pytest.mark.parametrize(
    ("preset", "parts"),
    [
        (load_preset("blog"), ("input gain is [2.5, 2, 4.762, 0.6667]", "preset blog", "is [1, 1, 1, 1]")),
        (config(hidden_units=64), ("100 hidden units", "has 64")),
        (config(history_length=2), ("history_length is 1", "preset on_cart has 2")),
        (config(learner_reward="step"), ("learner_reward = 'fall'", "'step'")),
    ],
)
def test_preset_that_learns_something_else_is_refused_with_both_values(
    tmp_path: Path, preset: TrainingConfig, parts: tuple[str, ...]
) -> None:
    path = saved(tmp_path / "policy.npz")
    with pytest.raises(UsageError) as refused:
        initial_policy(path, None, preset)
    for part in (str(path), *parts):
        assert part in str(refused.value)


def test_policys_own_cart_is_the_default_and_other_physics_is_accepted(tmp_path: Path) -> None:
    path = saved(tmp_path / "policy.npz")
    assert initial_policy(path, None, config())[2].fingerprint() == CART.fingerprint()
    heavy = tmp_path / "heavy.toml"
    text = (Path(__file__).parents[3] / "cartpole_robot/cart/known/diy_arduino.toml").read_text()
    heavy.write_text(text.replace("value = 0.65", "value = 0.9"))
    assert initial_policy(path, str(heavy), config())[2].pole_cart.cart_mass_kg == 0.9


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--init", "nowhere.npz"), ("nowhere.npz", "no such policy")),
        (("--init", "bad.npz"), ("bad.npz", "is not a readable policy bundle")),
        (("--init", "good.npz", "--rig", "serial:/dev/null"), ("moves a real cart", "--arm")),
        (("--init", "good.npz", "--randomize", "r.toml"), ("--randomize and --init", "leave one out")),
        (("--resume", "nowhere", "--init", "good.npz"), ("leave out --init",)),
        (("--init", "good.npz", "--cart", "gym"), ("control_period_s", "gym")),
    ],
)
def test_error_with_init_is_one_line(
    command_line: Callable[..., Completed], tmp_path: Path, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    saved(tmp_path / "good.npz", **({"control_period_s": 0.01} if "gym" in words else {}))
    (tmp_path / "bad.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:-2000])
    done = command_line("train", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr
    assert not (tmp_path / "runs").exists()
