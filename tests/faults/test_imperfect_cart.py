"""The virtual cart with the imperfections of a workbench, in lockstep: what it does to firmware and driver."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cartpole_robot.campaign.killed_host import fast_cart
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.cart.firmware_figures import quickly_homing
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RigError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.simulation.imperfections.belt import Belt
from cartpole_robot.simulation.imperfections.boot import Boot
from cartpole_robot.simulation.imperfections.bridge import Bridge
from cartpole_robot.simulation.imperfections.contacts import Contacts
from cartpole_robot.simulation.imperfections.encoders import Chatter
from cartpole_robot.simulation.imperfections.imperfect import spoil
from cartpole_robot.simulation.imperfections.profile import IDEAL, Profile, load_profile
from cartpole_robot.simulation.imperfections.supply import Rail, Supply
from cartpole_robot.simulation.imperfections.usb import Usb

CART = quickly_homing(load_cart("diy_arduino"))
EXTERNAL, WATCHDOG = 2, 8


def spoilt(profile: Profile, seed: int = 0, cart: CartParams = CART) -> VirtualRig:
    rig = VirtualRig(cart)
    spoil(rig.virtual_cart, cart, profile, seed)
    return rig


def balanced(profile: Profile, seed: int = 0, steps: int = 250) -> tuple[int, VirtualRig]:
    """How many steps the regulator survives, and the closed rig."""
    rig, controller = spoilt(profile, seed), regulator_of(CART)
    measured, step = start_rollout(rig, seed), 0
    while step < steps and rig.is_running:
        measured = rig.step(controller.duty(np.array(measured.state())))
        step += 1
    rig.close()
    return step, rig


def test_imperfections_of_no_amount_send_the_bytes_of_an_ideal_cart() -> None:
    nothing = Profile(
        usb=Usb(), contacts=Contacts(), encoders=Chatter(), bridge=Bridge(), rail=Rail(), boot=Boot(), belt=Belt()
    )
    assert balanced(nothing)[1].telemetry_sha256 == balanced(IDEAL)[1].telemetry_sha256


def test_same_seed_sends_the_same_bytes_and_another_seed_others() -> None:
    workbench = load_profile("workbench")
    first, again = (balanced(workbench, 3, steps=50)[1].telemetry_sha256 for _ in range(2))
    rig = spoilt(workbench, 4)
    start_rollout(rig, 3)
    rig.close()
    assert first == again
    assert first != rig.telemetry_sha256


@pytest.mark.parametrize("name", ["workbench", "ftdi", "ftdi_slow"])
def test_regulator_balances_with_a_shipped_profile(name: str) -> None:
    steps, rig = balanced(load_profile(name))
    assert steps == 250
    assert rig.fault is None


def test_usb_chip_delays_what_the_host_hears() -> None:
    for flush_s, least_ms, most_ms in ((0.0, 0, 0), (0.016, 13, 17)):
        rig = spoilt(dataclasses.replace(IDEAL, usb=Usb(flush_s=flush_s, packet_bytes=4096)))
        start_rollout(rig, 0)
        waited_ms = []
        while rig.is_running:
            rig.step(0.0)
            waited_ms.append((rig.virtual_cart.board.time_us - rig.state.time_us) / 1000)
        assert least_ms <= max(waited_ms) <= most_ms
        rig.close()


def test_low_rail_hides_a_low_supply() -> None:
    """A rail of 4 V reads 12 V as 15 V, the limit; 8 V, which is too little, as 10 V, which is enough."""
    assert CART.firmware is not None
    cart = dataclasses.replace(CART, firmware=dataclasses.replace(CART.firmware, supply_max_v=15.0))
    rig = spoilt(dataclasses.replace(IDEAL, rail=Rail(rail_v=3.9)), cart=cart)
    with pytest.raises(RigError, match="UNHEALTHY: SUPPLY_HIGH"):
        start_rollout(rig, 0)
    rig.virtual_cart.supply_mv = 8000
    start_rollout(rig, 0)
    rig.close()


def test_small_capacitor_lets_the_supply_rise_past_its_limit() -> None:
    with pytest.raises(RigError, match="SUPPLY_HIGH at "):
        drive_hard(dataclasses.replace(IDEAL, supply=Supply(bulk_f=1e-4)))
    drive_hard(dataclasses.replace(IDEAL, supply=Supply(bulk_f=10e-3)))
    drive_hard(dataclasses.replace(IDEAL, supply=Supply(bulk_f=1e-4, clamp_v=16.8, clamp_ohm=0.09)))


def drive_hard(profile: Profile) -> None:
    """Accelerate, then let the duty fall far below the speed: the motor feeds back."""
    rig = spoilt(profile, cart=fast_cart(CART))
    start_rollout(rig, 0)
    for duty in [0.6] * 8 + [0.12] * 3:
        rig.step(duty)
    rig.close()


def rolled_m(cause: int | None, boot: Boot) -> tuple[float, int]:
    """How far the cart rolls within 0.3 s of a reset at speed, and how long its bridge is open; None: it is braked."""
    rig = spoilt(dataclasses.replace(IDEAL, boot=boot), cart=fast_cart(CART))
    start_rollout(rig, 0)
    for _ in range(6):
        rig.step(0.5)
    virtual = rig.virtual_cart
    begin_m, open_ms = virtual.true_state().cart_position_m, 0
    if cause is None:
        virtual.is_estop_pressed = True
    else:
        virtual.board.restart(cause)
    for _ in range(300):
        virtual.pass_ms()
        open_ms += virtual.drive is None
    rolled = abs(virtual.true_state().cart_position_m - begin_m)
    for _ in range(1000):
        virtual.pass_ms()
    rig.close()
    return rolled, open_ms


def test_cart_rolls_on_while_the_board_starts() -> None:
    boot = Boot(start_s=0.066, loader_s=1.0)
    braked_m, _ = rolled_m(None, boot)
    for cause in (EXTERNAL, WATCHDOG):
        rolled, open_ms = rolled_m(cause, boot)
        assert open_ms == 300
        assert rolled > 1.5 * braked_m


@pytest.mark.parametrize("seed", [17, 23, 29, 30])
def test_encoder_that_flickers_where_the_middle_begins_does_not_end_homing(seed: int) -> None:
    """In these the cart stops where one count decides whether it has arrived."""
    rig = spoilt(dataclasses.replace(IDEAL, encoders=Chatter(counts=1.0)), seed)
    rig.make_ready()
    assert abs(rig.virtual_cart.true_state().cart_position_m) < 0.01
    rig.close()


def test_bouncing_end_switch_ends_homing_as_a_clean_one_does() -> None:
    clean, bouncing = (spoilt(dataclasses.replace(IDEAL, contacts=Contacts(bounce_s=s))) for s in (0.0, 0.0062))
    for rig in (clean, bouncing):
        start_rollout(rig, 0)
    # the middle of the track, found by both switches; at 0.6 m/s a contact that bounces for 6 ms is 4 mm late
    offsets_m = [
        rig.state.cart_counts / 5555.6 - rig.virtual_cart.true_state().cart_position_m for rig in (clean, bouncing)
    ]
    assert offsets_m[0] == pytest.approx(offsets_m[1], abs=0.004)
    for rig in (clean, bouncing):
        rig.close()
