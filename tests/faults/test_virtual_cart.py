"""Wrong wires, stuck parts and lost links on the virtual cart: each a named fault, and the motor off."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import CartPoleEnv
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rigs.cfg_message import cfg_message
from cartpole_robot.rigs.firmware_rig import FirmwareRig
from cartpole_robot.rigs.pty_cart import PtyCart
from cartpole_robot.rigs.pybullet_rigs import SimRig
from cartpole_robot.rigs.virtual import LockstepTransport, SimulatedHand, VirtualRig
from cartpole_robot.rollout.evaluation import evaluate
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.signals import State
from cartpole_robot.simulation.virtual_cart import VirtualCart
from firmware_bridge.clock import ArrivalClock
from firmware_bridge.link import Link
from firmware_bridge.transport import SerialTransport

ROOT = Path(__file__).parent.parent.parent
HANGING = State(0.0, 0.0, math.pi, 0.0)


def changed(section: str, name: str = "diy_arduino", **values: Any) -> CartParams:
    cart = load_cart(name)
    return dataclasses.replace(cart, **{section: dataclasses.replace(getattr(cart, section), **values)})


class Tampered:
    """A board between the cart and its firmware that changes what the firmware reads."""

    def __init__(self, firmware: Any, change: Callable[[int, int, int, int], tuple[int, int, int, int]]) -> None:
        self._firmware = firmware
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._firmware, name)

    def tick(self, *inputs: int) -> int | None:
        drive: int | None = self._firmware.tick(*self._change(*inputs))
        return drive


def rig_on(virtual: VirtualCart, assumed: CartParams) -> FirmwareRig:
    """A rig whose host assumes the parameters `assumed`."""
    return FirmwareRig(assumed, Link(LockstepTransport(virtual)), SimulatedHand(virtual, 20))


def fault_at_start(virtual: VirtualCart, assumed: CartParams) -> str:
    rig = rig_on(virtual, assumed)
    with pytest.raises(RigError) as failure:
        start_rollout(rig, 0)
    state = virtual.true_state()
    assert abs(state.cart_position_m) < 0.4801  # at most it leans on the end stop, creeping
    for _ in range(600):
        virtual.pass_ms()
    assert virtual.true_state().cart_speed_m_s == pytest.approx(0.0, abs=0.02), "the motor is off"
    rig.close()
    assert "\n" not in str(failure.value)
    return str(failure.value)


@pytest.mark.parametrize("name", ["diy_arduino", "quanser_ip02"])
@pytest.mark.parametrize("position_m", [0.0, -0.3, 0.3, 0.38])
def test_cart_finds_both_zeros_wherever_it_is_switched_on(name: str, position_m: float) -> None:
    cart = load_cart(name)
    virtual = VirtualCart(cart, start=HANGING._replace(cart_position_m=position_m))
    rig = rig_on(virtual, cart)
    measured = start_rollout(rig, 1)
    true = virtual.true_state()
    assert measured.cart_position_m == pytest.approx(true.cart_position_m, abs=0.002)
    assert math.remainder(measured.pole_angle_rad - true.pole_angle_rad, 2.0 * math.pi) == pytest.approx(0.0, abs=0.004)
    rig.close()


def test_cart_on_its_left_switch_leaves_it_first() -> None:
    cart = load_cart("diy_arduino")
    virtual = VirtualCart(cart, start=HANGING._replace(cart_position_m=-0.474))
    rig = rig_on(virtual, cart)
    assert start_rollout(rig, 1).cart_position_m == pytest.approx(virtual.true_state().cart_position_m, abs=0.002)
    rig.close()


@pytest.mark.parametrize(
    ("wired", "fault"),
    [
        ({"is_motor_reversed": True}, "POLARITY"),
        ({"is_cart_reversed": True}, "POLARITY"),
        ({"is_motor_reversed": True, "is_cart_reversed": True}, "POLE_SIGN"),  # a mirror, in which the pole is wrong
        ({"is_pole_reversed": True}, "POLE_SIGN"),
    ],
)
def test_wrong_polarity_is_named_and_stops_before_the_end(wired: dict[str, bool], fault: str) -> None:
    """The host assumes a wiring that the cart does not have."""
    assumed = changed("firmware", **wired)
    assert fault_at_start(VirtualCart(load_cart("diy_arduino")), assumed).startswith(f"{fault} at ")


def test_pole_stuck_upright_is_named() -> None:
    stuck = changed("friction", pole_coulomb_n_m=50.0)
    for angle_rad in (0.0, 0.3):
        virtual = VirtualCart(stuck, start=State(0.0, 0.0, angle_rad, 0.0))
        assert fault_at_start(virtual, load_cart("diy_arduino")).startswith(("POLE_STUCK at ", "POLE_PERIOD at "))


@pytest.mark.parametrize("angle_rad", [0.0, 0.005, -0.01])
@pytest.mark.parametrize(("friction_n_m", "swings"), [(1e-3, True), (2e-3, True), (3e-3, False), (8e-3, False)])
def test_pole_that_stands_upright_when_homing_begins_is_never_taken_for_hanging(
    angle_rad: float, friction_n_m: float, swings: bool
) -> None:
    """It balances on its friction and falls once the cart moves. One that then sticks is named; else it is measured."""
    virtual = VirtualCart(changed("friction", pole_coulomb_n_m=friction_n_m), start=State(0.0, 0.0, angle_rad, 0.0))
    rig = rig_on(virtual, load_cart("diy_arduino"))
    if not swings:
        with pytest.raises(RigError, match="POLE_STUCK at "):
            rig.make_ready()
        return
    rig.make_ready()
    state = rig.link.newest_state(rig.link.clock() + 0.5)
    assert state is not None
    off_rad = state.pole_counts * 2.0 * math.pi / 2400 - virtual.true_state().pole_angle_rad
    assert abs(math.remainder(off_rad, 2.0 * math.pi)) < 0.05


@pytest.mark.parametrize("times", [2.4, 5.0])
def test_pole_of_another_length_is_named(times: float) -> None:
    """One so long that it seldom passes where it hung is kicked again and again first."""
    body = load_cart("diy_arduino").pole_cart
    half_length_m, inertia_kg_m2 = body.pole_half_length_m * times, body.pole_inertia_kg_m2 * times**2
    longer = changed("pole_cart", pole_half_length_m=half_length_m, pole_inertia_kg_m2=inertia_kg_m2)
    assert fault_at_start(VirtualCart(longer), load_cart("diy_arduino")).startswith("POLE_PERIOD at ")


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda x, p, i, mv: (0, p, i, mv), ("CART_STUCK", "END_SWITCH", "HOMING_SWITCH")),
        (lambda x, p, i, mv: (x & 1, p, i, mv), ("CART_STUCK",)),
        (lambda x, p, i, mv: (x, 0, i, mv), ("POLE_STUCK",)),
        (lambda x, p, i, mv: (x, p, i & ~2, mv), ("CART_STUCK", "HOMING_TRAVEL")),
        (lambda x, p, i, mv: (x, p, i & ~1, mv), ("CART_STUCK", "HOMING_TRAVEL")),
        (lambda x, p, i, mv: (x, p, 3, mv), ("HOMING_SWITCH",)),
        (lambda x, p, i, mv: (x, p, i | 1, mv), ("CART_STUCK", "HOMING_TRAVEL", "HOMING_SWITCH")),
        (lambda x, p, i, mv: (x, p, i, 3000), ("the cart refuses HOME: UNHEALTHY: SUPPLY_LOW",)),
        (lambda x, p, i, mv: (x, p, i | 4, mv), ("ESTOP", "the cart refuses CLEAR: UNHEALTHY: ESTOP")),
    ],
)
def test_cut_wires_and_stuck_switches_end_homing_by_name(
    change: Callable[[int, int, int, int], tuple[int, int, int, int]], faults: tuple[str, ...]
) -> None:
    virtual = VirtualCart(load_cart("diy_arduino"))
    virtual.board = Tampered(virtual.board, change)
    assert fault_at_start(virtual, load_cart("diy_arduino")).startswith(faults)


def running_rig() -> tuple[VirtualRig, Any, Any]:
    rig = VirtualRig(load_cart("diy_arduino"))
    return rig, regulator_of(rig.cart), start_rollout(rig, 2)


def drive_until_fault(rig: VirtualRig, controller: Any, measured: Any, most: int = 200) -> str:
    try:
        for _ in range(most):
            measured = rig.step(controller.duty(np.array(measured.state())))
    except RigError as error:
        return str(error)
    return pytest.fail("nothing happened")


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda x, p, i, mv, at: (at[0], p, i, mv), ("CART_STUCK",)),
        (lambda x, p, i, mv, at: (at[0] + (x & 1), p, i, mv), ("CART_STUCK",)),
        (lambda x, p, i, mv, at: (x, at[1], i, mv), ("POLE_STILL", "TRAVEL_LIMIT")),
        (lambda x, p, i, mv, at: (x + 500, p, i, mv), ("CART_ENCODER",)),
        (lambda x, p, i, mv, at: (x, p - 700, i, mv), ("POLE_ENCODER",)),
        (lambda x, p, i, mv, at: (x, p, i | 1, mv), ("END_SWITCH",)),
        (lambda x, p, i, mv, at: (x, p, i | 4, mv), ("ESTOP",)),
        (lambda x, p, i, mv, at: (x, p, i, 8000), ("SUPPLY_LOW",)),
        (lambda x, p, i, mv, at: (x, p, i, 21000), ("SUPPLY_HIGH",)),
    ],
)
def test_fault_while_balancing_is_named_within_50_mm_of_travel(
    change: Callable[..., Any], faults: tuple[str, ...]
) -> None:
    rig, controller, measured = running_rig()
    for _ in range(50):
        measured = rig.step(controller.duty(np.array(measured.state())))
    while faults == ("CART_STUCK",) and abs(measured.cart_speed_m_s) < 0.02:  # at rest a frozen encoder is right
        measured = rig.step(controller.duty(np.array(measured.state())))
    virtual = rig.virtual_cart
    zeros = virtual._cart_zero, virtual._pole_zero
    state = virtual.true_state()
    at = (round(state.cart_position_m * 5555.6) - zeros[0], round(state.pole_angle_rad * 2400 / 2 / math.pi) - zeros[1])
    virtual.board = Tampered(virtual.board, lambda x, p, i, mv: change(x, p, i, mv, at))
    begin_m = state.cart_position_m
    fault = drive_until_fault(rig, controller, measured)
    assert fault.startswith(tuple(f"{name} at " for name in faults)), fault
    assert abs(virtual.true_state().cart_position_m - begin_m) < 0.05
    for _ in range(500):
        virtual.pass_ms()
    assert abs(virtual.true_state().cart_position_m - begin_m) < 0.1
    assert abs(virtual.true_state().cart_speed_m_s) < 0.01
    rig.close()


@pytest.mark.parametrize("pole_counts_per_turn", [1200, 2400])
@pytest.mark.parametrize(("encoder", "fault"), [("cart", "POLARITY"), ("pole", "POLE_SIGN")])
def test_encoder_that_begins_to_count_backwards_is_named_within_50_mm(
    encoder: str, fault: str, pole_counts_per_turn: int
) -> None:
    """Like a plug put back the wrong way round; a pole of 1200 counts a turn balances until then."""
    cart = changed("encoders", pole_counts_per_turn=pole_counts_per_turn)
    rig, controller = VirtualRig(cart), regulator_of(cart)
    measured = start_rollout(rig, 2)
    for _ in range(200):
        measured = rig.step(controller.duty(np.array(measured.state())))
    virtual = rig.virtual_cart
    at: list[int] = []

    def mirrored(x: int, p: int, inputs: int, supply_mv: int) -> tuple[int, int, int, int]:
        at.extend([x, p][len(at) :])
        return (2 * at[0] - x, p, inputs, supply_mv) if encoder == "cart" else (x, 2 * at[1] - p, inputs, supply_mv)

    virtual.board = Tampered(virtual.board, mirrored)
    begin_m = virtual.true_state().cart_position_m
    assert drive_until_fault(rig, controller, measured).startswith(f"{fault} at ")
    assert abs(virtual.true_state().cart_position_m - begin_m) < 0.05
    rig.close()


def test_silent_host_stops_the_motor_within_its_deadline() -> None:
    rig, controller, measured = running_rig()
    for _ in range(20):
        measured = rig.step(controller.duty(np.array(measured.state())))
    measured = rig.step(0.1)
    virtual = rig.virtual_cart
    for _ in range(39):  # 20 ms have passed since that command
        virtual.pass_ms()
    assert virtual.drive == pytest.approx(0.1, abs=1e-4)
    virtual.pass_ms()
    assert virtual.drive == 0.0  # shorted: it brakes
    assert drive_until_fault(rig, controller, measured).startswith("COMMAND_TIMEOUT at ")
    rig.close()


def test_restarted_cart_is_not_mistaken_for_the_one_it_was() -> None:
    rig, controller, measured = running_rig()
    measured = rig.step(0.1)
    rig.virtual_cart.board.restart(8)
    fault = drive_until_fault(rig, controller, measured)
    assert fault.startswith("the cart has restarted (WATCHDOG): its firmware hung; ")
    assert fault.endswith("; its zeros are lost, home it again")
    assert rig.virtual_cart.drive is None
    begin_ms = rig.virtual_cart.time_ms
    rig.virtual_cart._simulated.place(HANGING)
    assert start_rollout(rig, 3).tick == 0
    assert rig.virtual_cart.time_ms - begin_ms > 5000, "it was homed again"
    rig.close()


def test_clock_of_a_restarted_cart_is_fitted_again() -> None:
    virtual = VirtualCart(load_cart("diy_arduino"))
    link = Link(LockstepTransport(virtual))
    link.open()
    for _ in range(5):
        for _ in range(1000):
            virtual.pass_ms()
        link.ping()
    assert link.host_time_s(5_000_000) == pytest.approx(5.0, abs=0.002)
    virtual.board.restart(8)
    link.open()
    for _ in range(3):
        link.ping()
    assert link.host_time_s(0) == pytest.approx(5.0, abs=0.002)
    link.close()


def test_arrival_clock_restarts_with_the_session_and_announces_each_measurement() -> None:
    errors_s: list[float] = []

    class Noting(LockstepTransport):
        def expect(self, due_s: float) -> None:
            errors_s.append(abs(due_s - self.clock() - 0.02))

    cart = load_cart("diy_arduino")
    virtual = VirtualCart(cart)
    rig = FirmwareRig(cart, Link(Noting(virtual)), SimulatedHand(virtual, 20), arrivals=ArrivalClock())
    sessions = set()
    for seed in range(2):
        start_rollout(rig, seed)
        sessions.add(rig.link.session)
        for _ in range(20):
            assert 0.0 <= rig.step(0.0).lateness_s <= 0.001
        virtual.board.restart(int(rig.link.protocol.enums["reset_cause"]["EXTERNAL"]))
    assert len(sessions) == 2
    assert len(errors_s) > 1000, "homing too"
    assert max(errors_s) < 0.0015
    rig.close()


@pytest.mark.realtime
def test_line_that_filled_up_while_the_host_slept_answers_once_it_is_read_empty() -> None:
    """A STATE every 2 ms: 0.9 s of the cart's time fill the terminal's 16 kB, and the last frame is cut."""
    known = load_cart("diy_arduino")
    cart = dataclasses.replace(known, timing=dataclasses.replace(known.timing, control_period_s=0.002))
    is_over = threading.Event()
    with PtyCart(cart, has_hand=False) as pty_cart, contextlib.closing(Link(SerialTransport(pty_cart.path))) as link:

        def serve() -> None:
            pty_cart.serve(until=is_over.is_set)

        serving = threading.Thread(target=serve)
        serving.start()
        link.open()
        link.configure(cfg_message(cart))
        is_over.set()
        serving.join()
        for _ in range(900):
            pty_cart._tick(None)
        is_over.clear()
        serving = threading.Thread(target=serve)
        serving.start()
        link.drain()
        trip_s = link.ping()
        is_over.set()
        serving.join()
    assert trip_s < 0.2


def test_lateness_is_unknown_without_an_arrival_clock() -> None:
    rig, _, measured = running_rig()
    assert math.isnan(measured.lateness_s)
    assert math.isnan(rig.step(0.0).lateness_s)
    rig.close()


def test_pole_that_is_never_raised_is_reported_after_a_minute_of_the_carts_time() -> None:
    class AbsentHand(SimulatedHand):
        def raise_pole(self, start: State) -> None: ...

        def has_arrived(self) -> bool:
            return True

    cart = load_cart("diy_arduino")
    virtual = VirtualCart(cart)
    rig = FirmwareRig(cart, Link(LockstepTransport(virtual)), AbsentHand(virtual, 20))
    with pytest.raises(RigError, match=r"not held upright and still within 60 s: it stands at -?3\.1\d rad"):
        start_rollout(rig, 0)
    assert virtual.drive is None
    rig.close()


def test_emergency_stop_frame_needs_no_session() -> None:
    rig, controller, measured = running_rig()
    measured = rig.step(0.1)
    rig._link.session = 4711
    rig._link.post_mode("ESTOP")
    rig._link.session = 1
    rig.virtual_cart.pass_ms()
    assert rig.virtual_cart.drive == 0.0
    assert drive_until_fault(rig, controller, measured).startswith("ESTOP at ")
    rig.close()


def test_fault_in_an_episode_truncates_it_and_the_next_one_starts() -> None:
    env = CartPoleEnv(rig="virtual", cart="diy_arduino")
    env.reset(seed=0)
    virtual = env._rig.virtual_cart  # type: ignore[attr-defined]
    virtual.is_estop_pressed = True
    _, reward, terminated, truncated, info = env.step(0)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["fault"].startswith("ESTOP at ")
    with pytest.raises(RigError, match="refuses CLEAR: UNHEALTHY: ESTOP"):
        env.reset(seed=1)
    virtual.is_estop_pressed = False
    with pytest.raises(RigError, match="refuses CLEAR: UNHEALTHY: RELAY_WELDED"):  # it was released too soon
        env.reset(seed=1)
    virtual.is_estop_pressed = True
    pass_until_low(virtual)
    virtual.is_estop_pressed = False
    for _ in range(100):  # the capacitor charges, then START is pressed
        virtual.pass_ms()
    env.reset(seed=1)
    assert not env.step(0)[3]
    env.close()


def pass_until_low(virtual: VirtualCart) -> None:
    """Let the supply fall below 9 V, e-stop pressed, as long as docs/hardware/building.md says and 20 ms more."""
    before_ms = virtual.time_ms
    while virtual.bridge_mv >= 9000:
        virtual.pass_ms()
    assert virtual.time_ms - before_ms <= 300
    for _ in range(21):
        virtual.pass_ms()


def test_supply_falls_only_where_the_cart_file_says_that_the_estop_cuts_it() -> None:
    cart = load_cart("diy_arduino")
    assert cart.firmware is not None
    uncut = dataclasses.replace(cart, firmware=dataclasses.replace(cart.firmware, estop_cuts_supply=False))
    for each, least_mv, most_mv in ((cart, 4400, 4600), (uncut, 12000, 12000)):
        virtual = VirtualCart(each)
        virtual.is_estop_pressed = True
        for _ in range(1000):
            virtual.pass_ms()
        assert least_mv <= virtual.bridge_mv <= most_mv
        virtual.is_estop_pressed = False
        for _ in range(200):
            virtual.pass_ms()
        assert virtual.bridge_mv == 12000
        virtual.close()


@pytest.mark.parametrize(
    ("cart", "message"),
    [("gym", r"no \[encoders\] section"), ("sensorsini", "firmware")],
)
def test_cart_that_no_firmware_can_drive_is_refused(cart: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        VirtualRig(load_cart(cart))


def test_virtual_rig_behaves_as_the_simulated_one() -> None:
    """The regulator on the same 100 starts: reversals and RMS within 5 %."""
    cart = load_cart("diy_arduino")
    found = []
    for name in ("sim", "virtual"):
        env = CartPoleEnv(rig=name, cart=cart)
        controller = regulator_of(cart)
        found.append(
            evaluate(
                controller.duty,
                env,
                episodes=100,
                first_seed=2_000_000,
                max_steps=250,
                take_step=env.step_duty,
                on_reset=controller.reset,
            )
        )
        env.close()
    simulated, virtual = found
    assert simulated.mean_steps == virtual.mean_steps == 250.0
    for name in ("rms_position_m", "rms_angle_rad", "reversals_per_step"):
        assert getattr(virtual, name) == pytest.approx(getattr(simulated, name), rel=0.05), name


@pytest.mark.pybullet
def test_virtual_rig_counts_as_the_simulated_one_from_the_same_start() -> None:
    """A hundred ticks, count by count, under duties that a bridge with 800 steps can make."""
    cart = load_cart("diy_arduino")
    simulated, virtual = SimRig(cart, cart.encoders), VirtualRig(cart)
    offset = start_rollout(virtual, 1).cart_counts - start_rollout(simulated, 1).cart_counts
    for seed in range(10):
        measured = [start_rollout(rig, seed) for rig in (simulated, virtual)]
        controllers = [regulator_of(cart), regulator_of(cart)]
        for _ in range(100):
            first, second = measured
            assert (first.pole_counts, first.cart_counts + offset) == (second.pole_counts, second.cart_counts)
            assert second.pole_speed_rad_s == pytest.approx(first.pole_speed_rad_s, abs=0.03)
            state = np.array(first.state())
            measured = [
                rig.step(round(controller.duty(state) * 800) / 800)
                for rig, controller in zip((simulated, virtual), controllers, strict=True)
            ]
    simulated.close()
    virtual.close()


TELEMETRY = """
import numpy as np
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rigs.pybullet_rigs import SimRig
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import run_rollout, start_rollout
from cartpole_robot.rollout.pilot import SinglePilot
rig = VirtualRig(load_cart("diy_arduino"))
for seed in (5, 6):
    run_rollout(rig, SinglePilot(regulator_of(rig.cart)), start_rollout(rig, seed), max_steps=300)
print(rig.telemetry_sha256)
"""


def test_same_seed_sends_the_same_bytes_in_two_processes() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", TELEMETRY], capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout.strip()
        for _ in range(2)
    }
    assert len(digests) == 1
    assert digests != {hashlib.sha256().hexdigest()}


@pytest.mark.parametrize("latency_s", [0.0, 0.004, 0.0195])
def test_command_within_its_period_works_at_the_next_tick(latency_s: float) -> None:
    rig = VirtualRig(changed("delay", latency_s=latency_s))
    start_rollout(rig, 0)
    applied = [rig.step(duty).applied_duty for duty in (0.2, 0.1, -0.2)]
    assert applied == pytest.approx([0.0, 0.2, 0.1], abs=1e-4)
    rig.close()


def test_randomized_virtual_cart_balances_under_the_limits_of_the_nominal_one(tmp_path: Path) -> None:
    ranges = tmp_path / "ranges.toml"
    ranges.write_text(
        "format = 1\n[motor]\nstall_force_n = { factor = [0.8, 1.2] }\n"
        "[pole_cart]\npole_half_length_m = { factor = [0.8, 1.2] }\n"
    )
    env = CartPoleEnv(rig="virtual", cart="diy_arduino", randomization=ranges)
    controller = regulator_of(load_cart("diy_arduino"))
    result = evaluate(
        controller.duty,
        env,
        episodes=5,
        first_seed=1,
        max_steps=200,
        take_step=env.step_duty,
        on_reset=controller.reset,
    )
    assert result.mean_steps == 200.0
    assert env.episode_cart.pole_cart != load_cart("diy_arduino").pole_cart
    env.close()


def test_drawn_cart_may_be_one_that_could_not_home(tmp_path: Path) -> None:
    ranges = tmp_path / "ranges.toml"
    ranges.write_text(
        "format = 1\n[motor]\nstall_force_n = { factor = [0.3, 0.3] }\n"
        "[friction]\ncart_coulomb_n = { factor = [1.5, 1.5] }\npole_coulomb_n_m = { factor = [2.5, 2.5] }\n"
    )
    cart = dataclasses.replace(load_cart("diy_arduino"), action_duties=(-0.4, 0.4))
    env = CartPoleEnv(rig="virtual", cart=cart, randomization=ranges)
    env.reset(seed=0)
    alone = CartPoleEnv(rig="virtual", cart=env.episode_cart)
    with pytest.raises(RigError):
        alone.reset(seed=0)
    alone.close()
    applied = [env.step_duty(duty)[-1]["applied_duty"] for duty in (0.3, 0.0)]
    assert applied == pytest.approx([0.0, 0.3], abs=1e-3)
    assert env.episode_cart.motor.stall_force_n == pytest.approx(0.3 * cart.motor.stall_force_n)
    env.close()
