"""The policy in the firmware's image, on the host's board: what it sees, what it may, what ends it."""

from __future__ import annotations

import binascii
import dataclasses
import struct
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from cartpole_robot.cart.params import CartParams
from cartpole_robot.deployment.firmware_image import policy_image_bytes
from cartpole_robot.deployment.on_board import check_on_board, on_board_fit, on_board_policy
from cartpole_robot.errors import RigError, UsageError
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.rigs.firmware_rig import FirmwareOptions, FirmwareRig
from cartpole_robot.rigs.virtual import SimulatedHand, VirtualRig
from cartpole_robot.rollout.loop import start_rollout
from firmware_bridge._host import Firmware, PolicyImage
from firmware_bridge.protocol import read_protocol
from tests.policy_on_board import follow, regulating_policy
from tests.virtual_cart_process import quick_cart

PROTOCOL = read_protocol()
ON_BOARD, HOST_MAY_LEAVE, LATE_BRAKES = 4, 8, 1
INPUT_ON_BOARD = 64
COUNTS = ("cart_counts", "cart_speed", "pole_counts", "pole_speed")
Carry = Callable[..., VirtualRig]


@pytest.fixture(scope="module")
def cart() -> CartParams:
    return quick_cart()


@pytest.fixture(scope="module")
def bundle(cart: CartParams) -> PolicyBundle:
    return regulating_policy(cart)


@pytest.fixture
def carry(cart: CartParams, bundle: PolicyBundle) -> Iterator[Carry]:
    """A rig whose firmware carries the policy, or that image, None for no policy; armed with those options."""
    made: list[VirtualRig] = []

    def build(options: int, image: bytes | None = b"", of: CartParams = cart) -> VirtualRig:
        if image == b"":
            image = policy_image_bytes(bundle, cart)
        policy = None if image is None else PolicyImage(image)
        rig = VirtualRig(of, board=Firmware(policy=policy), options=FirmwareOptions(arm=options))
        made.append(rig)
        return rig

    yield build
    for rig in made:
        rig.close()


def armed_by_the_host(rig: VirtualRig) -> FirmwareRig:
    """Another rig on the same firmware, armed with no options."""
    return FirmwareRig(rig.cart, rig.link, SimulatedHand(rig.virtual_cart, 20))


def test_counts_become_the_observation_that_the_host_would_quantize(cart: CartParams, bundle: PolicyBundle) -> None:
    policy = on_board_policy(bundle, cart)
    assert cart.encoders is not None
    per_count = np.array([1.0 / cart.encoders.cart_counts_per_m] * 2 + [1.0 / cart.encoders.pole_counts_per_rad] * 2)
    per_count[1::2] /= 16.0
    rng = np.random.default_rng(1)
    for _ in range(2000):
        counts = (rng.normal(size=4) * np.array([1500, 60000, 80, 12000])).round().astype(int)
        expected = bundle.int16.quantized(counts * per_count)
        assert np.abs(np.array(policy.observe(*map(int, counts))) - expected).max() <= 2
    assert policy.observe(2**31 - 1, -(2**31), 2**31 - 1, -(2**31)) == (32767, -32767, 32767, -32767)
    fit = on_board_fit(bundle, cart)
    beyond = policy.observe(*(largest + 1 for largest in fit.largest))
    assert beyond == (32767, 32767, 32767, 32767)
    for seen, multiplier in zip(policy.observe(*(-largest for largest in fit.largest)), fit.multiplier, strict=True):
        assert -32767 <= seen <= -32767 + multiplier / 65536 + 1
    assert [policy.duty_q15(k) for k in range(2)] == [-6553, 6553]


def test_actions_are_those_of_the_int16_model(cart: CartParams, bundle: PolicyBundle) -> None:
    policy, rng = on_board_policy(bundle, cart), np.random.default_rng(2)
    network = bundle.int16
    for _ in range(500):
        counts = [int(each) for each in rng.normal(size=4) * (1500, 60000, 80, 12000)]
        sums = network.hidden_weight.astype(np.int64) @ np.array(policy.observe(*counts)) + network.hidden_bias
        hidden = np.minimum((np.maximum(sums, 0) + (1 << network.hidden_shift >> 1)) >> network.hidden_shift, 32767)
        values = network.output_weight.astype(np.int64) @ hidden + network.output_bias
        assert policy.act(*counts) == int(values.argmax())


def test_policy_drives_and_a_host_only_watches(carry: Carry) -> None:
    rig = carry(ON_BOARD)
    start_rollout(rig, 1)
    applied = set()
    for _ in range(200):
        rig.step(1.0)  # full drive, which is ignored
        applied.add(rig.state.applied_q15)
        assert rig.state.inputs & INPUT_ON_BOARD
    assert applied - {0} == {-6553, 6553}
    rig.link.mode("DISARM")
    rig.link.forget_states()
    state = rig.link.newest_state(rig.link.clock() + 0.5)
    assert state is not None
    assert not state.inputs & INPUT_ON_BOARD


def test_action_on_one_state_is_in_force_at_the_one_after_the_next(
    carry: Carry, cart: CartParams, bundle: PolicyBundle
) -> None:
    rig, policy = carry(ON_BOARD | HOST_MAY_LEAVE), on_board_policy(bundle, cart)
    start_rollout(rig, 2)
    states = [rig.state]
    for _ in range(500):
        rig.measure()
        states.append(rig.state)
    decided = [policy.duty_q15(policy.act(*(getattr(state, name) for name in COUNTS))) for state in states]
    assert decided[:-2] == [state.applied_q15 for state in states[2:]]
    assert rig.link.health().late_commands == 0


def test_command_to_a_policy_that_needs_nobody_is_accepted_and_changes_nothing(carry: Carry) -> None:
    rig = carry(ON_BOARD | HOST_MAY_LEAVE)
    start_rollout(rig, 2)
    for _ in range(10):
        rig.step(1.0)
        assert abs(rig.state.applied_q15) in (0, 6553)
    assert rig.link.health().refused == 0


def silent_ms(rig: VirtualRig) -> tuple[int, str]:
    """How long the motor ran without a host, and the fault then."""
    start_rollout(rig, 3)
    for _ in range(20):
        rig.step(0.0)
    rig.command(0.0)
    cart, began = rig.virtual_cart, rig.virtual_cart.time_ms
    for _ in range(300):
        cart.pass_ms()
        if cart.drive in (None, 0.0):
            break
    stopped = cart.time_ms - began
    with pytest.raises(RigError) as caught:
        follow(rig, 30)
    return stopped, str(caught.value).split(" at ")[0]


def test_silence_of_a_host_that_must_watch_stops_the_motor_within_60_ms(carry: Carry) -> None:
    stopped, fault = silent_ms(carry(ON_BOARD))
    assert fault == "COMMAND_TIMEOUT"
    assert 55 <= stopped <= 60


def test_host_may_leave_says_nothing_without_a_policy_on_board(carry: Carry) -> None:
    rig = carry(HOST_MAY_LEAVE)
    start_rollout(rig, 3)
    rig.step(0.2)
    with pytest.raises(RigError, match="COMMAND_TIMEOUT"):
        follow(rig, 10)
    assert not rig.state.inputs & INPUT_ON_BOARD


def test_cart_goes_on_when_its_host_may_leave(carry: Carry) -> None:
    rig = carry(ON_BOARD | HOST_MAY_LEAVE)
    start_rollout(rig, 3)
    for _ in range(1000):
        rig.virtual_cart.pass_ms()
    follow(rig, 100)
    assert rig.is_running


def test_another_hosts_hello_and_an_estop_stop_it(carry: Carry) -> None:
    rig = carry(ON_BOARD | HOST_MAY_LEAVE)
    start_rollout(rig, 4)
    rig.measure()
    rig.link.open()
    assert rig.link.hello.state == PROTOCOL.enums["cart_state"]["READY"]
    start_rollout(rig, 5)
    rig.measure()
    rig.virtual_cart.is_estop_pressed = True
    rig.virtual_cart.pass_ms()
    assert rig.virtual_cart.drive == 0.0
    with pytest.raises(RigError, match="ESTOP"):
        rig.measure()


def test_it_works_again_after_a_fault(carry: Carry) -> None:
    rig = carry(ON_BOARD)
    for _ in range(2):
        start_rollout(rig, 6)
        with pytest.raises(RigError, match="COMMAND_TIMEOUT"):
            follow(rig, 10)
    start_rollout(rig, 6)
    for _ in range(100):
        rig.step(0.0)


def test_firmware_without_a_policy_refuses_and_says_so(carry: Carry, cart: CartParams, bundle: PolicyBundle) -> None:
    rig = carry(ON_BOARD, None)
    with pytest.raises(RigError, match="refuses ARM: NO_POLICY"):
        start_rollout(rig, 0)
    assert set(rig.link.policy()) == {0}
    with pytest.raises(UsageError, match="there is no policy in the cart's firmware; build and flash it: cartpole-"):
        check_on_board(rig.link, bundle, cart)
    start_rollout(armed_by_the_host(rig), 0)


def sealed(body: bytes) -> bytes:
    """That image with the CRC it should have."""
    return struct.pack("<H", binascii.crc_hqx(body[2:], 0xFFFF)) + body[2:]


def test_damaged_image_arms_nothing(carry: Carry, cart: CartParams, bundle: PolicyBundle) -> None:
    image = policy_image_bytes(bundle, cart)
    for at in (0, 20, 56, 64, 71, len(image) // 2, len(image) - 100, len(image) - 1):
        damaged = bytearray(image)
        damaged[at] ^= 1
        for options in (0, ON_BOARD):
            rig = carry(options, bytes(damaged))
            with pytest.raises(RigError, match="refuses ARM: SELF_TEST: TEST_FAILED"):
                start_rollout(rig, 0)
            assert rig.link.policy().self_test == 3


def test_wrong_golden_example_arms_nothing(carry: Carry, cart: CartParams, bundle: PolicyBundle) -> None:
    """The bytes are sound and the arithmetic says otherwise: another compiler, another byte order."""
    wrong = bytearray(policy_image_bytes(bundle, cart))
    wrong[-1] ^= 1
    rig = carry(0, sealed(bytes(wrong)))
    with pytest.raises(RigError, match="refuses ARM: SELF_TEST: TEST_FAILED"):
        start_rollout(rig, 0)
    with pytest.raises(UsageError, match="fails its self-test"):
        check_on_board(rig.link, bundle, cart)


def test_what_is_no_image_is_no_image(cart: CartParams, bundle: PolicyBundle) -> None:
    image = policy_image_bytes(bundle, cart)
    other_version, shifted_too_far = image[:50] + b"\xff" + image[51:], image[:53] + b"\x1f" + image[54:]
    for damaged in (b"", image[:-1], image + b"\0", other_version, shifted_too_far, bytes(len(image))):
        with pytest.raises(ValueError, match="no policy image"):
            PolicyImage(damaged)


def test_policy_of_another_period_is_refused(carry: Carry, cart: CartParams, bundle: PolicyBundle) -> None:
    timing = dataclasses.replace(cart.timing, control_period_s=0.01)
    rig = carry(ON_BOARD, of=dataclasses.replace(cart, timing=timing))
    with pytest.raises(RigError, match="refuses ARM: POLICY_PERIOD: the policy in the image is for 20 ms"):
        start_rollout(rig, 0)
    start_rollout(armed_by_the_host(rig), 0)


def test_host_refuses_an_image_that_is_not_its_policy_naming_both(
    carry: Carry, cart: CartParams, bundle: PolicyBundle
) -> None:
    rig = carry(0)
    check_on_board(rig.link, bundle, cart)
    other = regulating_policy(cart, seed=1)
    mine, theirs = bundle.policy_hash()[:16], other.policy_hash()[:16]
    with pytest.raises(UsageError, match=f"is {mine}, expected {theirs}; build and flash it: REMEDY"):
        check_on_board(rig.link, other, cart, remedy="REMEDY")
    assert cart.encoders is not None
    encoders = dataclasses.replace(cart.encoders, cart_counts_per_m=5000.0)
    finer = dataclasses.replace(cart, encoders=encoders)
    found, expected = (f"{on_board_fit(bundle, each).crc:08x}" for each in (cart, finer))
    with pytest.raises(UsageError, match=f"is {found}, expected {expected}"):
        check_on_board(rig.link, bundle, finer)


def test_encoder_that_16_bits_cannot_hold_is_named(cart: CartParams, bundle: PolicyBundle) -> None:
    assert cart.encoders is not None
    encoders = dataclasses.replace(cart.encoders, cart_counts_per_m=5e6)
    with pytest.raises(UsageError, match="count of cart_speed_m_s is worth 13, expected at least 128"):
        on_board_fit(bundle, dataclasses.replace(cart, encoders=encoders))


def test_gain_that_32_bits_cannot_hold_is_named(cart: CartParams, bundle: PolicyBundle) -> None:
    gain = bundle.int16.input_gain * np.array([1.0, 1.0, 1e20, 1.0], np.float32)
    network = dataclasses.replace(bundle.int16, input_gain=gain)
    with pytest.raises(UsageError, match=r"count of pole_angle_rad is worth \d{20,}, expected at most 4294967295"):
        on_board_fit(dataclasses.replace(bundle, int16=network), cart)
