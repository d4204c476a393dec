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
@pytest.mark.parametrize(("carts", "of_each_kind"), [(12, 5), pytest.param(200, 100, marks=pytest.mark.long)])
def test_both_engines_move_shipped_and_randomised_carts_alike(carts: int, of_each_kind: int) -> None:
    found = list(all_windows(carts=carts, windows=10, seed=1))
    assert len(found) == 10 * (carts + len(cart_names()))
    decided = [window for window in found if window.kind is Kind.ROUNDING]
    assert len(decided) < len(found) / 1000, decided
    beyond = [window for window in found if window.at_end > BOUND and window.kind is not Kind.ROUNDING]
    assert not beyond
    counted = Counter(window.kind for window in found)
    assert min(counted[kind] for kind in (Kind.FREE, Kind.STICTION, Kind.END_STOP)) >= of_each_kind, counted


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


@pytest.mark.parametrize("saturation", [0.0, 0.15])
@pytest.mark.pybullet
def test_both_engines_push_an_asymmetric_cart_alike_and_harder_to_the_stronger_side(saturation: float) -> None:
    cart = load_cart("diy_arduino")
    motor = dataclasses.replace(cart.motor, gain_asymmetry=-0.15, dead_zone_asymmetry_duty=0.015, saturation=saturation)
    ends = {}
    for engine in Engine:
        rig = simulated_rig(dataclasses.replace(cart, motor=motor), engine=engine)
        for duty in (-0.9, -0.06, 0.06, 0.9):
            rig.reset(State(0.0, 0.0, math.pi, 0.0), np.random.default_rng(0))
            for _ in range(10):
                measured = rig.step(duty)
            ends[engine, duty] = (measured.state(), measured.motor_power_w)
        rig.close()
    for duty in (-0.9, -0.06, 0.06, 0.9):
        (state, power_w), (native, native_w) = (ends[engine, duty] for engine in Engine)
        np.testing.assert_allclose((*state, power_w), (*native, native_w), rtol=1e-9, atol=1e-12)
    left, right = (ends[Engine.NATIVE, duty][0][0] for duty in (-0.9, 0.9))
    assert 0.65 < -right / left < 0.9


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


@pytest.mark.pybullet
def test_delay_that_may_be_drawn_too_long_is_simulated_by_pybullet(tmp_path: Path) -> None:
    cart = load_cart("diy_arduino")
    ranges = tmp_path / "late.toml"
    ranges.write_text("format = 1\n[delay]\nlatency_s = { between = [0.005, 5.0] }\n")
    randomization = load_randomization(ranges, cart)
    choice = chosen_engine(cart, None, randomization)
    assert choice.engine is Engine.PYBULLET
    assert str(choice.note).startswith(
        "PyBullet simulates this cart: the native engine cannot represent it: more than 64"
    )
    assert chosen_engine(cart).engine is Engine.NATIVE
    with pytest.raises(UsageError, match=r"more than 64 commands on their way.*leave out --engine native"):
        chosen_engine(cart, Engine.NATIVE, randomization)
    for make, way_out in (
        (gymnasium.make, "use the engine pybullet"),
        (gymnasium.make_vec, 'vectorization_mode="sync"'),
    ):
        with pytest.raises(UsageError, match=f"more than 64 commands on their way.*{way_out}"):
            make(MAKE_ID, cart=cart, randomization=randomization, engine="native")


@pytest.mark.pybullet
def test_check_that_diverges_leaves_the_cart_to_pybullet() -> None:
    cart = load_cart("diy_arduino")
    stiff = dataclasses.replace(cart, friction=dataclasses.replace(cart.friction, pole_viscous_n_m_s=1000.0))
    choice = chosen_engine(stiff)
    assert choice.engine is Engine.PYBULLET
    assert "the physics diverges, so there is nothing to compare" in str(choice.note)


@pytest.mark.pybullet
def test_check_moves_a_cart_of_a_long_control_period(monkeypatch: pytest.MonkeyPatch) -> None:
    cart = load_cart("diy_arduino")
    slow = dataclasses.replace(cart, timing=dataclasses.replace(cart.timing, control_period_s=1.5))
    other = dataclasses.replace(slow, pole_cart=dataclasses.replace(slow.pole_cart, gravity_m_s2=9.9))

    def mistaken(cart: CartParams, randomization: object = None, *, engine: Engine) -> Rig:
        return simulated_rig(other if engine is Engine.NATIVE else cart, engine=engine)

    monkeypatch.setattr(engine_choice, "simulated_rig", mistaken)
    assert "off PyBullet" in str(refusal(slow))


def test_any_truth_value_brakes() -> None:
    cart = load_cart("diy_arduino")
    found = []
    for brakes in (True, np.bool_(True), False):
        motor = dataclasses.replace(cart.motor, brakes_at_zero=brakes)  # type: ignore[arg-type]
        rig = simulated_rig(dataclasses.replace(cart, motor=motor), engine=Engine.NATIVE)
        rig.reset(State(0.0, 0.3, 0.0, 0.0), np.random.default_rng(0))
        found.append(rig.step(0.0).cart_position_m)
    assert found[0] == found[1] != found[2]


def test_objects_that_were_never_made_refuse() -> None:
    from collections import deque

    from cartpole_robot.simulation import _native
    from firmware_bridge._host import Firmware

    empty = [np.empty(0, kind) for kind in (np.int64, np.bool_, np.float32, np.bool_, np.float64)]
    cart = _native.NativeCart.__new__(_native.NativeCart)
    with pytest.raises(RuntimeError, match="no parameters"):
        cart.place(State(0.0, 0.0, 0.0, 0.0), np.random.PCG64(1))
    with pytest.raises(RuntimeError, match="no carts"):
        _native.Fleet.__new__(_native.Fleet).step(*empty)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="no parameters"):
        _native.BoardCart.__new__(_native.BoardCart).run(Firmware(), deque(), 5, 0, None, (0,) * 8)  # type: ignore[arg-type]


def test_windows_refuse_what_is_no_window() -> None:
    from cartpole_robot.simulation import _native

    times, duties = np.arange(5), np.zeros(5)
    for arrays, windows, error, message in (
        ((np.zeros(3, "V0"), np.zeros(3)), [], ValueError, "times_us: expected an array of int64"),
        ((duties, duties), [], ValueError, "times_us: expected an array of int64"),
        ((times, times), [], ValueError, "duties: expected an array of float64"),
        ((times, duties), ["abcd"], TypeError, "expected a tuple of four numbers"),
        ((np.zeros(5, np.int64), duties), [(0, 5, 0, 5)], ValueError, "its last time is not after its first"),
    ):
        with pytest.raises(error, match=message):
            _native.Windows(*arrays, windows)  # type: ignore[arg-type]
