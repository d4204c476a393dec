"""The policy on the chip itself: bit-identical, in time, and refused where one bit of it is wrong."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cartpole_robot.campaign.bench import Bench, Subject
from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.firmware_image import policy_header, policy_image_bytes
from cartpole_robot.deployment.on_board import on_board_image, on_board_policy
from cartpole_robot.deployment.on_board_time import check_in_time
from cartpole_robot.errors import RigError
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.rigs.avr import AvrRig
from cartpole_robot.rigs.firmware_rig import FirmwareOptions
from cartpole_robot.rollout.loop import start_rollout
from firmware_bridge import build
from tests.conftest import Completed
from tests.firmware.kernel import KERNELS, chip_values, kernel_case
from tests.policy_on_board import follow, regulating_policy
from tests.virtual_cart_process import quick_cart

ON_BOARD, HOST_MAY_LEAVE, LATE_DISARMS = 4, 8, 2
COUNTS = ("cart_counts", "cart_speed", "pole_counts", "pole_speed")


@pytest.fixture(scope="module")
def cart() -> CartParams:
    return quick_cart()


@pytest.fixture(scope="module")
def bundle(cart: CartParams) -> PolicyBundle:
    return regulating_policy(cart)


@pytest.fixture(scope="module")
def image(chip_tools: None, cart: CartParams, bundle: PolicyBundle) -> Path:
    return on_board_image(bundle, cart)


@pytest.fixture
def rig(request: pytest.FixtureRequest, cart: CartParams, image: Path) -> Iterator[AvrRig]:
    arm = getattr(request, "param", ON_BOARD | HOST_MAY_LEAVE)
    made = AvrRig(cart, image=image, options=FirmwareOptions(arm=arm))
    yield made
    made.close()


def test_chip_balances_by_itself_and_decides_as_the_host_does(
    rig: AvrRig, cart: CartParams, bundle: PolicyBundle
) -> None:
    policy = on_board_policy(bundle, cart)
    for seed in range(3):
        start_rollout(rig, seed)
        states = [rig.state]
        for _ in range(500):
            rig.measure()
            states.append(rig.state)
        assert rig.is_running
        decided = [policy.duty_q15(policy.act(*(getattr(state, name) for name in COUNTS))) for state in states]
        assert decided[:-2] == [state.applied_q15 for state in states[2:]]
    health = rig.link.health()
    assert (health.late_commands, health.missed_ticks, health.frame_errors) == (0, 0, 0)
    assert health.stack_free >= 300


@pytest.mark.parametrize("rig", [ON_BOARD], indirect=True)
def test_silence_stops_the_motor_within_60_ms_where_the_host_must_watch(rig: AvrRig) -> None:
    start_rollout(rig, 0)
    for _ in range(30):
        rig.step(0.0)
    rig.command(0.0)
    cart, began = rig.virtual_cart, rig.virtual_cart.time_ms
    while cart.drive not in (None, 0.0):
        cart.pass_ms()
    assert 50 <= cart.time_ms - began <= 61  # the command takes half a millisecond to arrive
    with pytest.raises(RigError, match="COMMAND_TIMEOUT"):
        follow(rig, 10)


def test_estop_is_off_at_once(rig: AvrRig) -> None:
    start_rollout(rig, 0)
    follow(rig, 30)
    rig.virtual_cart.is_estop_pressed = True
    rig.virtual_cart.pass_ms()
    assert rig.virtual_cart.drive == 0.0
    with pytest.raises(RigError, match="ESTOP"):
        rig.measure()


@pytest.mark.parametrize("options", [0, ON_BOARD])
def test_one_flipped_bit_in_flash_arms_nothing(
    cart: CartParams, bundle: PolicyBundle, image: Path, tmp_path: Path, options: int
) -> None:
    policy, content = policy_image_bytes(bundle, cart), image.read_bytes()
    place = content.index(policy)
    damaged = bytearray(content)
    damaged[place + 56 + 12 + 16 * 50 + 5] ^= 1  # a weight of the fiftieth hidden unit
    other = tmp_path / "damaged.elf"
    other.write_bytes(damaged)
    rig = AvrRig(cart, image=other, options=FirmwareOptions(arm=options))
    try:
        with pytest.raises(RigError, match="refuses ARM: SELF_TEST: TEST_FAILED"):
            start_rollout(rig, 0)
    finally:
        rig.close()


def test_self_test_runs_from_boot_on_and_passes_before_anybody_can_home(rig: AvrRig) -> None:
    rig.chip.restart(2)
    for _ in range(200):
        rig.virtual_cart.pass_ms()
    rig.link.open()
    assert rig.link.policy().self_test == 2


@pytest.mark.long
def test_decision_that_is_late_is_a_late_command(chip_tools: None, cart: CartParams) -> None:
    """A control period of 2 ms is too short for 100 units and the safety ticks between them."""
    assert cart.encoders is not None
    hasty = dataclasses.replace(
        cart,
        timing=dataclasses.replace(cart.timing, control_period_s=0.002),
        encoders=dataclasses.replace(cart.encoders, pole_counts_per_turn=10_000),
    )
    policy = regulating_policy(hasty)
    options = FirmwareOptions(arm=ON_BOARD | HOST_MAY_LEAVE | LATE_DISARMS)
    rig = AvrRig(hasty, image=on_board_image(policy, hasty), options=options)
    try:
        start_rollout(rig, 0)
        with pytest.raises(RigError, match="COMMAND_LATE"):
            follow(rig, 10)
        assert rig.link.health().late_commands == 1
    finally:
        rig.close()


@pytest.mark.long
def test_campaign_of_the_policy_on_board_holds(
    chip_tools: None, bundle: PolicyBundle, tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    policy = tmp_path / "policy.npz"
    bundle.save(policy)
    words = ("--policy", policy, "--cart", "diy_arduino", "--only", "onboard", "--short", "--json")
    done = command_line("firmware", "campaign", *words, "--out", tmp_path / "out", timeout_s=400.0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "group onboard: 6 trials" in done.stderr  # what runs, where no terminal shows a bar
    worst = {row["name"]: row["worst"] for row in json.loads(done.stdout)["trials"]}
    assert worst["500 steps by itself"] == 500
    assert worst["actions against the host's"] == 0
    assert 1.0 < worst["inference alone"] <= 3.5
    assert 1.0 < worst["decision time"] <= 5.0
    assert worst["unused stack"] >= 300
    assert worst["on board: host falls silent"] <= 60
    print(worst)


def test_image_without_a_policy_is_none_the_larger(
    chip_tools: None, cart: CartParams, bundle: PolicyBundle, tmp_path: Path
) -> None:
    assert not {"onboard.c", "policy.c", "boards/avr/policy_image.c"} & build.firmware_sources().keys()
    without = build.build_firmware(tmp_path / "without").flash_bytes
    with_policy = build.build_firmware(tmp_path / "with", policy_header(bundle, cart)).flash_bytes
    assert with_policy - without > 4_000  # weights, kernel and self-test


def test_policy_is_part_of_the_firmware_id(cart: CartParams, bundle: PolicyBundle) -> None:
    headers = (None, policy_header(bundle, cart), policy_header(regulating_policy(cart, seed=1), cart))
    assert len({build.firmware_id(build.firmware_sources(header)) for header in headers}) == 3


def test_command_line_builds_it_and_says_what_it_carries(
    chip_tools: None, bundle: PolicyBundle, tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    policy = tmp_path / "policy.npz"
    bundle.save(policy)
    done = command_line(
        "firmware", "build", "--policy", policy, "--cart", "diy_arduino", "--out", tmp_path / "firmware", "--json"
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["policy"], summary["cart"]) == (bundle.policy_hash()[:16], "diy_arduino")
    assert summary["decision_ms"] == pytest.approx(check_in_time(bundle.check_int16("here")), abs=0.01)
    assert 2.0 < summary["decision_ms"] < 12.0
    assert summary["flash_bytes"] <= 32_256
    assert summary["ram_bytes"] <= 2048 - 600
    for words, expected in (
        (("build", "--cart", "gym"), "has no [firmware] section"),
        (("build", "--policy", policy, "--cart", "quanser_ip02"), "observation_scale is"),
        (("build", "--policy", "lqr"), "no such policy"),
        (("flash", "--port", "/dev/none", "--policy", policy, "--cart", "diy_arduino", "--hex", "x.hex"), "leave one"),
    ):
        refused = (
            command_line("firmware", *words, "--out", tmp_path / "other")
            if words[0] == "build"
            else command_line("firmware", *words)
        )
        assert refused.returncode == 2, refused.stdout
        assert expected in refused.stderr


def test_bench_without_a_policy_in_its_image_says_so(chip_tools: None, cart: CartParams) -> None:
    subject = Subject(policy=Path("lqr"), cart="diy_arduino")
    with Bench(subject, options=FirmwareOptions(arm=ON_BOARD)) as bench, pytest.raises(RigError, match="NO_POLICY"):
        bench.begin(0)


# ---- the kernel alone ----


@pytest.mark.parametrize(("history", "hidden", "outputs", "shift"), KERNELS)
def test_kernel_has_every_value_of_the_reference(
    chip_tools: None, cart: CartParams, tmp_path: Path, history: int, hidden: int, outputs: int, shift: int | None
) -> None:
    header, expected = kernel_case(cart, history, hidden, outputs, shift)
    assert chip_values(tmp_path, header) == expected
