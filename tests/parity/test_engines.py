"""The native engine moves every cart as PyBullet does."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from benchmarks.engine_equality import BOUND, Kind, all_windows, randomised, stepwise
from cartpole_robot.cart.cart_file import cart_names, load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Apply, Delay
from cartpole_robot.cart.randomization import load_randomization
from cartpole_robot.env import MAKE_ID
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.rig import Rig
from cartpole_robot.rigs import engine_choice
from cartpole_robot.rigs.engine_choice import EngineChoice, chosen_engine, refusal
from cartpole_robot.rigs.sim import simulated_rig
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.engine import Engine

MOTOR_CARTS = [name for name in cart_names() if load_cart(name).encoders is not None]


@pytest.mark.pybullet
def test_both_engines_move_shipped_and_randomised_carts_alike() -> None:
    found = list(all_windows(carts=200, windows=10, seed=1))
    assert len(found) == 10 * (200 + len(cart_names()))
    decided = [window for window in found if window.kind is Kind.ROUNDING]
    assert len(decided) < len(found) / 1000, decided
    beyond = [window for window in found if window.at_end > BOUND and window.kind is not Kind.ROUNDING]
    assert not beyond
    counted = Counter(window.kind for window in found)
    assert min(counted[kind] for kind in (Kind.FREE, Kind.STICTION, Kind.END_STOP)) >= 100, counted


def delays() -> Iterator[Delay]:
    for apply in (Apply.NEXT_TICK, Apply.ON_ARRIVAL):
        yield Delay(apply=apply, latency_s=0.003)
        yield Delay(apply=apply, latency_s=0.0204)
        yield Delay(apply=apply, latency_s=0.055, jitter_s=0.031)
        yield Delay(apply=apply, latency_s=0.001, jitter_s=0.09, drop_probability=0.3)
        yield Delay(apply=apply, latency_s=0.01, drop_probability=0.5)


def signals(measured: Measurement) -> tuple[float, ...]:
    return tuple(getattr(measured, field.name) for field in dataclasses.fields(measured))


@pytest.mark.parametrize("delay", list(delays()), ids=str)
@pytest.mark.pybullet
def test_same_seed_gives_the_same_delays_and_losses(delay: Delay) -> None:
    cart = dataclasses.replace(load_cart("diy_arduino"), delay=delay)
    rigs = [simulated_rig(cart, engine=engine) for engine in Engine]
    rng = np.random.default_rng(3)
    for seed in range(5):
        start = State(0.05, 0.0, 0.02, 0.1)
        found = [rig.reset(start, np.random.default_rng(seed)) for rig in rigs]
        for duty in rng.uniform(-1.2, 1.2, 100).tolist():
            np.testing.assert_allclose(*map(signals, found), rtol=0.0, atol=1e-9)
            found = [rig.step(duty) for rig in rigs]


@pytest.mark.parametrize(("cart", "is_randomised"), [*((name, False) for name in cart_names()), ("diy_arduino", True)])
@pytest.mark.pybullet
def test_same_seed_gives_the_same_episode(cart: str, is_randomised: bool) -> None:
    params = load_cart(cart)
    if is_randomised:
        params = with_actions(params, (-0.4, -0.2, 0.2, 0.4), given="the test")
    ranges = load_randomization(Path("diy_arduino"), params) if is_randomised else None
    envs = [gymnasium.make(MAKE_ID, cart=params, randomization=ranges, engine=engine) for engine in Engine]
    rng = np.random.default_rng(0)
    for seed in range(10):
        observations = [env.reset(seed=seed)[0] for env in envs]
        np.testing.assert_array_almost_equal_nulp(*observations, nulp=2)
        is_over = False
        while not is_over:
            action = int(rng.integers(len(params.action_duties)))
            results = [env.step(action) for env in envs]
            np.testing.assert_allclose(results[0][0], results[1][0], rtol=0.0, atol=1e-6)
            assert results[0][1:4] == results[1][1:4]
            is_over = results[0][2] or results[0][3]
    for env in envs:
        env.close()


@pytest.mark.pybullet
def test_engine_is_chosen_by_name_and_an_unknown_one_is_refused() -> None:
    for engine in ("native", "pybullet"):
        gymnasium.make(MAKE_ID, engine=engine).close()
    with pytest.raises(UsageError, match="engine 'mujoco' is not known; expected one of pybullet, native"):
        gymnasium.make(MAKE_ID, engine="mujoco")
    with pytest.raises(UsageError, match="rig 'virtual' has no choice of engine"):
        gymnasium.make(MAKE_ID, rig="virtual", cart="diy_arduino", engine="native")


@pytest.mark.pybullet
def test_cart_that_the_native_engine_cannot_represent_runs_on_pybullet() -> None:
    late = dataclasses.replace(load_cart("diy_arduino"), delay=Delay(apply=Apply.ON_ARRIVAL, latency_s=1.3))
    with pytest.raises(UsageError, match=r"more than 64 commands on their way.*use the engine pybullet"):
        simulated_rig(late, engine=Engine.NATIVE)
    choice = chosen_engine(late)
    assert choice.engine is Engine.PYBULLET
    assert "more than 64 commands on their way" in str(choice.note)
    with pytest.raises(UsageError, match="leave out --engine native"):
        chosen_engine(late, Engine.NATIVE)


@pytest.mark.parametrize("cart", cart_names())
@pytest.mark.pybullet
def test_shipped_carts_pass_the_check(cart: str) -> None:
    assert chosen_engine(load_cart(cart)) == EngineChoice(Engine.NATIVE)
    assert chosen_engine(load_cart(cart), Engine.PYBULLET) == EngineChoice(Engine.PYBULLET)


@pytest.mark.parametrize("number", range(12))
@pytest.mark.pybullet
def test_randomised_carts_pass_the_check(number: int) -> None:
    assert refusal(randomised(number, 5)) is None


@pytest.mark.pybullet
def test_engine_that_moves_the_cart_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def heavier(cart: CartParams, *_: object, engine: Engine) -> object:
        body = dataclasses.replace(cart.pole_cart, cart_mass_kg=cart.pole_cart.cart_mass_kg * (1.0 + 1e-6))
        return simulated_rig(
            dataclasses.replace(cart, pole_cart=body) if engine is Engine.NATIVE else cart, engine=engine
        )

    monkeypatch.setattr(engine_choice, "simulated_rig", heavier)
    choice = chosen_engine(load_cart("diy_arduino"))
    assert choice.engine is Engine.PYBULLET
    assert "off PyBullet, window 'upright'" in str(choice.note)


def test_missing_engines_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cart = load_cart("gym")
    for missing, other in ((Engine.PYBULLET, Engine.NATIVE), (Engine.NATIVE, Engine.PYBULLET)):
        monkeypatch.setattr(engine_choice, "is_installed", lambda engine, gone=missing: engine is not gone)
        choice = chosen_engine(cart)
        assert choice.engine is other
        assert "is not installed" in str(choice.note)


@pytest.mark.parametrize("engine", list(Engine))
@pytest.mark.pybullet
def test_closed_simulation_refuses_every_call(engine: Engine) -> None:
    rig = simulated_rig(load_cart("diy_arduino"), engine=engine)
    rig.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
    rig.close()
    rig.close()
    with pytest.raises(RigError, match="this simulation is closed"):
        rig.step(0.0)
    with pytest.raises(RigError, match="this simulation is closed"):
        rig.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))


def test_step_before_the_first_reset_and_a_duty_that_is_no_number_are_errors() -> None:
    rig = simulated_rig(load_cart("diy_arduino"), engine=Engine.NATIVE)
    with pytest.raises(RuntimeError, match="has not been placed yet"):
        rig.step(0.0)
    rig.reset(State(0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
    with pytest.raises(TypeError):
        rig.step("0.1")  # type: ignore[arg-type]


def started(name: str, start: State) -> Rig:
    rig = simulated_rig(load_cart(name), engine=Engine.NATIVE)
    rig.reset(start, np.random.default_rng(0))
    return rig


@pytest.mark.parametrize("name", ["gym", "diy_arduino"])
def test_simulation_that_diverges_is_a_rig_error(name: str) -> None:
    with pytest.raises(RigError, match=r"the simulation diverged at .*; use a shorter physics step"):
        started(name, State(0.0, 0.0, math.inf, math.nan))
    rig = started(name, State(0.0, 0.0, 0.1, 1e200))
    with pytest.raises(RigError, match=r"the simulation diverged at .*; use a shorter physics step"):
        rig.step(0.0)


@pytest.mark.pybullet
def test_bit_generator_lives_as_long_as_the_episode() -> None:
    """The engine draws from the generator's own memory."""
    cart = dataclasses.replace(
        load_cart("diy_arduino"), delay=Delay(apply=Apply.ON_ARRIVAL, latency_s=0.01, jitter_s=0.02)
    )
    rigs = [simulated_rig(cart, engine=engine) for engine in Engine]
    found = []
    for rig in rigs:
        rig.reset(State(0.0, 0.0, 0.01, 0.0), np.random.default_rng(7))
        np.random.default_rng(8).random(1000)
        found.append([rig.step(0.3 * (-1) ** k).command_age_s for k in range(50)])
    np.testing.assert_array_equal(*found)


def test_stepwise_carts_have_one_physics_step_per_period() -> None:
    assert stepwise(load_cart("diy_arduino")).timing.physics_steps_per_period == 1
