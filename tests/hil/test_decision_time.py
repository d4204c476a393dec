"""From the control step to the action: the computed figure against the emulated chip, and what is refused by it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.campaign.bench import RecordedBoard
from cartpole_robot.campaign.edges import Spin
from cartpole_robot.campaign.onboard import insensible
from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.firmware_image import policy_header
from cartpole_robot.deployment.on_board import on_board_image, on_board_policy
from cartpole_robot.deployment.on_board_time import check_in_time, decision_cycles, decision_ms, most_hidden
from cartpole_robot.errors import UsageError
from cartpole_robot.recording.format import Flag
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.rigs.avr import AvrRig
from cartpole_robot.rigs.firmware_rig import FirmwareOptions
from cartpole_robot.rollout.loop import start_rollout
from firmware_bridge import build
from firmware_bridge.errors import BridgeError
from tests.conftest import Completed
from tests.policy_on_board import busiest_policy, follow, regulating_policy
from tests.virtual_cart_process import quick_cart

ON_BOARD, HOST_MAY_LEAVE = 4, 8
STEPS, THOUGHT_MS = 20, 16


def cart_with(duties: int) -> CartParams:
    """That many duties, and firmware that accepts a hand that turns both encoders."""
    return dataclasses.replace(insensible(quick_cart()), action_duties=tuple(np.linspace(-0.4, 0.4, duties).tolist()))


@pytest.mark.parametrize(
    ("history", "hidden", "duties", "shift"),
    [
        (1, 100, 2, None),
        (1, 64, 5, 10),
        (2, 64, 7, None),
        (3, 100, 8, None),
        *(pytest.param(*sizes, None, marks=pytest.mark.long) for sizes in ((1, 140, 4), (2, 100, 7), (3, 100, 7))),
    ],
)
def test_decision_takes_the_computed_time(
    chip_tools: None, history: int, hidden: int, duties: int, shift: int | None
) -> None:
    """Every unit active, both encoders at 20,000 edges a second."""
    cart = cart_with(duties)
    bundle = busiest_policy(cart, hidden, history, shift)
    image, options = on_board_image(bundle, cart), FirmwareOptions(arm=ON_BOARD | HOST_MAY_LEAVE)
    sizes = (5 * history - 1, hidden, duties, bundle.int16.hidden_shift)
    with contextlib.closing(AvrRig(cart, image=image, options=options)) as rig:
        start_rollout(rig, 0)
        world = rig.virtual_cart
        world.board = board = RecordedBoard(rig.chip)
        world.grab(world.true_state()._replace(cart_speed_m_s=0.0, pole_angle_rad=0.0, pole_speed_rad_s=0.0))
        board.spin = Spin(20)
        cycles = []
        for _ in range(STEPS):
            rig.measure()
            for _ in range(THOUGHT_MS):
                world.pass_ms()
            cycles.append(rig.chip.figures()["policy_cycles"])
        own, took_ms = int(np.diff(cycles).max()), rig.link.policy().longest_us / 1000.0
        health = rig.link.health()
    print(sizes, own, decision_cycles(*sizes), took_ms, decision_ms(*sizes))
    assert own == pytest.approx(decision_cycles(*sizes), rel=0.03)
    assert took_ms == pytest.approx(decision_ms(*sizes), rel=0.05)
    assert took_ms <= 12.0
    assert (health.missed_ticks, health.late_commands) == (0, 0)
    assert health.stack_free >= 350


def test_network_that_decides_too_late_is_refused_with_its_time(
    tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    """Before anything is compiled."""
    cart = dataclasses.replace(quick_cart(), action_duties=tuple(np.linspace(-0.4, 0.4, 7).tolist()))
    bundle = busiest_policy(cart, 200, 3)
    shift = bundle.int16.hidden_shift
    most = most_hidden(14, 7, shift)
    assert 100 <= most < 200
    expected = f"14 inputs, 200 hidden units and 7 actions decides {decision_ms(14, 200, 7, shift):.1f} ms ("
    with pytest.raises(UsageError, match=re.escape(expected)) as caught:
        on_board_image(bundle, cart)
    assert f"expected at most 12 ms; train one with at most {most} hidden units" in str(caught.value)
    policy = tmp_path / "policy.npz"
    dataclasses.replace(bundle, provenance={"cart": cart.as_dict()}).save(policy)
    built = command_line("firmware", "build", "--policy", policy, "--out", tmp_path / "out")
    deployed = command_line("deploy", policy, "--rig", "avr", "--on-board", "--record", tmp_path / "r.parquet")
    for refused in (built, deployed):
        assert refused.returncode == 2, refused.stdout
        assert expected in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["policy.npz"]
    check_in_time(busiest_policy(cart, most, 3).int16)
    with pytest.raises(UsageError, match=f"{most + 1} hidden units"):
        check_in_time(busiest_policy(cart, most + 1, 3).int16)


def test_history_that_the_chip_cannot_keep_is_refused_by_name() -> None:
    cart = quick_cart()
    with pytest.raises(UsageError, match="history_length is 4, expected at most 3: the microcontroller"):
        on_board_image(regulating_policy(cart, history_length=4), cart)
    bundle = regulating_policy(cart, history_length=2)
    gain = bundle.int16.input_gain.copy()
    gain[7] *= 2.0
    other = dataclasses.replace(bundle, int16=dataclasses.replace(bundle.int16, input_gain=gain))
    with pytest.raises(
        UsageError, match=r"takes pole_angle_rad\[t-1\] times \S+ and pole_angle_rad times \S+, expected"
    ):
        on_board_image(other, cart)


def test_image_beyond_flash_or_ram_is_refused_with_both_numbers(chip_tools: None, tmp_path: Path) -> None:
    cart = quick_cart()
    header = policy_header(regulating_policy(cart), cart)
    kept = "{}static void __attribute__((constructor)) keep(void) {{ {} }}\n"
    flash = kept.format("const uint8_t more[9000] PROGMEM = {1};\n", "GPIOR2 = pgm_read_byte(more + GPIOR2);")
    with pytest.raises(BridgeError, match=r"takes \d{5} bytes of flash, the chip has 32256; choose a smaller policy"):
        build.build_firmware(tmp_path, header + flash)
    ram = kept.format("static volatile uint8_t more[200];\n", "more[GPIOR2] = 1;")
    with pytest.raises(BridgeError, match=r"take 14\d\d bytes of RAM, the chip has 1348 next to its stack"):
        build.build_firmware(tmp_path, header + ram)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("history", [pytest.param(2, marks=pytest.mark.long), 3])
def test_chip_remembers_as_its_twin_on_the_host_does(chip_tools: None, history: int) -> None:
    """Visited states, episode after episode; a duty of the step before is in force one period later."""
    cart = dataclasses.replace(quick_cart(), action_duties=(-0.3, -0.15, 0.15, 0.3))
    bundle = regulating_policy(cart, history_length=history)
    policy, options = on_board_policy(bundle, cart), FirmwareOptions(arm=ON_BOARD | HOST_MAY_LEAVE)
    with contextlib.closing(AvrRig(cart, image=on_board_image(bundle, cart), options=options)) as rig:
        for seed in range(3):
            start_rollout(rig, seed)
            states = [rig.state]
            for _ in range(200):
                follow(rig, 1)
                states.append(rig.state)
            policy.reset()
            decided = [
                policy.duty_q15(policy.act(state.cart_counts, state.cart_speed, state.pole_counts, state.pole_speed))
                for state in states
            ]
            assert decided[:-2] == [state.applied_q15 for state in states[2:]]
            assert len(set(decided)) > 2
        assert rig.link.health().late_commands == 0


@pytest.mark.long
def test_deploy_drives_the_emulated_chip_by_a_policy_with_history(
    chip_tools: None, tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    cart = dataclasses.replace(quick_cart(), action_duties=(-0.3, -0.15, 0.15, 0.3))
    policy, record = tmp_path / "policy.npz", tmp_path / "r.parquet"
    bundle = regulating_policy(cart, history_length=2)
    dataclasses.replace(bundle, provenance={"cart": cart.as_dict()}).save(policy)
    words = ("--rig", "avr", "--on-board", "--duration-s", 3, "--no-view", "--profile", "ideal")
    done = command_line("deploy", policy, *words, "--record", record)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read_recording(record).rows
    assert len(rows) > 140
    assert set(rows["flags"][:-1]) == {Flag.ON_BOARD}
    assert rows["applied_duty"][2:] == pytest.approx(rows["requested_duty"][:-2], abs=1e-4)
    assert len(set(np.round(rows["requested_duty"][:-1], 3))) > 2
