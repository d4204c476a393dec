"""Each imperfection alone against its formula, and profiles."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.simulation.imperfections.belt import Belt, SlackBelt
from cartpole_robot.simulation.imperfections.boot import Boot, BootingBoard
from cartpole_robot.simulation.imperfections.bridge import Bridge
from cartpole_robot.simulation.imperfections.contacts import BouncingContacts, Contacts
from cartpole_robot.simulation.imperfections.encoders import Chatter, ChatteringEncoder
from cartpole_robot.simulation.imperfections.profile import IDEAL, fitting, load_profile, profile_names
from cartpole_robot.simulation.imperfections.supply import MotorSupply, Rail, Supply
from cartpole_robot.simulation.imperfections.usb import Usb, UsbChip
from firmware_bridge._host import Firmware

MOTOR = load_cart("diy_arduino").motor
WORKBENCH = load_profile("workbench")
FTDI = Usb(flush_s=0.016, packet_bytes=62, restarts_timer=True)


def waits_ms(usb: Usb, *, every_ms: int, count: int = 500, size: int = 30, seed: int = 0) -> list[int]:
    """How long each of `count` messages waits that are sent `every_ms`."""
    chip, found = UsbChip(usb, random.Random(seed)), []
    sent: list[int] = []
    for now_ms in range(count * every_ms + 100):
        data = b""
        if now_ms % every_ms == 0 and now_ms < count * every_ms:
            data = bytes([len(sent) % 251]) * size
            sent.append(now_ms)
        arrived = chip.to_host(data, now_ms)
        assert len(arrived) % size == 0 or usb.packet_bytes % size
        for number in range(0, len(arrived) - size + 1, size):
            assert set(arrived[number : number + size]) == {len(found) % 251}, "the order is kept"
            found.append(now_ms - sent[len(found)])
    assert len(found) == count
    return found


def test_16u2_waits_between_nothing_and_its_timer() -> None:
    found = waits_ms(Usb(flush_s=0.004096, packet_bytes=97), every_ms=20)
    assert (min(found), max(found)) == (1, 5)  # rounded up to the millisecond
    assert np.mean(found) == pytest.approx(4.096 / 2 + 0.5, abs=0.2)


def test_bus_adds_up_to_a_frame() -> None:
    found = waits_ms(dataclasses.replace(FTDI, flush_s=0.0, frame_s=0.008), every_ms=20)
    assert (min(found), max(found)) == (1, 8)
    assert np.mean(found) == pytest.approx(4.5, abs=0.3)


@pytest.mark.parametrize("seed", range(3))
def test_latency_timer_lets_no_byte_wait_longer(seed: int) -> None:
    found = waits_ms(FTDI, every_ms=19, seed=seed)
    assert min(found) <= 1
    assert 14 <= max(found) <= 17


def test_full_packet_does_not_wait() -> None:
    chip = UsbChip(Usb(flush_s=1.0, packet_bytes=62), random.Random(1))
    assert chip.to_host(bytes(61), 0) == b""
    assert chip.to_host(bytes(64), 1) == bytes(124)
    assert chip.to_host(b"", 900) in (b"", b"\0")


def test_timer_restarts_with_a_full_packet_on_an_ftdi_chip_alone() -> None:
    for restarts, waited in ((True, 16), (False, 10)):
        chip = UsbChip(dataclasses.replace(FTDI, restarts_timer=restarts), random.Random(0))
        assert chip.to_host(b"x", 0) == b""
        begin_ms = next(now for now in range(1, 100) if chip.to_host(b"", now))  # the timer has just run over
        for now_ms in range(begin_ms + 1, begin_ms + 6):
            assert chip.to_host(b"", now_ms) == b""
        assert chip.to_host(bytes(63), begin_ms + 6) == bytes(62)
        left = next(now for now in range(begin_ms + 7, begin_ms + 40) if chip.to_host(b"", now))
        assert left - begin_ms - 6 == pytest.approx(waited, abs=1)


def test_contact_bounces_no_longer_than_it_may_and_settles() -> None:
    lengths = []
    for seed in range(200):
        contacts = BouncingContacts(Contacts(bounce_s=0.006), random.Random(seed))
        assert [contacts.read(0, now) for now in range(5)] == [0] * 5
        read = [contacts.read(2, now) for now in range(5, 25)]
        assert set(read) <= {0, 2}
        lengths.append(max((k + 1 for k, seen in enumerate(read) if seen == 0), default=0))
        assert contacts.read(2, 30) == 2
    assert max(lengths) == 6
    assert 0 in lengths


def test_bounce_of_one_contact_leaves_the_others_alone() -> None:
    contacts = BouncingContacts(Contacts(bounce_s=0.05), random.Random(0))
    read = [contacts.read(4 | (1 if now >= 100 else 0), now) for now in range(300)]
    assert {seen & 4 for seen in read[60:]} == {4}
    assert {seen & 1 for seen in read[100:150]} == {0, 1}


def test_encoder_flickers_at_an_edge_and_nowhere_else() -> None:
    encoder = ChatteringEncoder(Chatter(counts=0.3), random.Random(0))
    assert {encoder.read(7.0 + off) for off in (-0.34, 0.0, 0.34) for _ in range(100)} == {7}
    at_edge = [encoder.read(7.5) for _ in range(1000)]
    assert set(at_edge) == {7, 8}
    assert 400 < at_edge.count(8) < 600
    assert [ChatteringEncoder(Chatter(), random.Random(0)).read(x) for x in (-0.5, 0.49, 0.5)] == [0, 0, 1]


def test_pulse_loses_its_microseconds_of_fifty() -> None:
    bridge = Bridge(pulse_loss_s=2e-6)
    assert bridge.left_of(0.2) == pytest.approx(0.16)
    assert bridge.left_of(-0.2) == pytest.approx(-0.16)
    assert bridge.left_of(0.03) == bridge.left_of(0.0) == 0.0
    assert bridge.left_of(-1.0) == -1.0


def test_supply_sags_by_its_resistance_times_what_is_drawn() -> None:
    supply = MotorSupply(Supply(source_ohm=0.1, bulk_f=2.2e-3, idle_a=0.05), MOTOR)
    assert supply.voltage(12.0, None, 0.0) == pytest.approx(12.0 - 0.1 * 0.05)
    assert supply.voltage(12.0, 1.0, 0.0) == pytest.approx(12.0 - 0.1 * 5.55)  # stall current 5.5 A
    assert supply.voltage(12.0, 0.0, 1.0) == pytest.approx(12.0 - 0.1 * 0.05), "a shorted motor draws nothing"


def test_braking_motor_charges_the_capacitor_with_its_energy() -> None:
    """At 0.8 m/s and duty 0.2: E = 12 * 13.4 * 0.8 / 25.7 = 5.005 V, which meets 0.2 U at 25 V."""
    supply = MotorSupply(Supply(bulk_f=2.2e-3), MOTOR)
    first_v = supply.voltage(12.0, 0.2, 0.8)
    motor_a = (0.2 * 12.0 - 5.0054) / (12.0 / 5.5)
    assert first_v == pytest.approx(12.0 - 0.2 * motor_a * 1e-3 / 2.2e-3, rel=1e-4)
    volts = [supply.voltage(12.0, 0.2, 0.8) for _ in range(1000)]
    assert volts == sorted(volts)
    assert volts[-1] == pytest.approx(25.0, abs=0.1)
    for _ in range(2000):
        last_v = supply.voltage(12.0, 0.2, 0.0)
    assert last_v == 12.0, "driving discharges it again"


def test_clamp_takes_what_a_braking_motor_feeds_back() -> None:
    supply = MotorSupply(Supply(bulk_f=2.2e-3, clamp_v=16.8, clamp_ohm=0.1), MOTOR)
    for _ in range(1000):
        volts = supply.voltage(12.0, 0.4, 1.6)
    returned_a = -0.4 * supply.motor_a
    assert returned_a > 0.1
    assert volts == pytest.approx(16.8 + 0.1 * returned_a, rel=1e-3), "all that the motor returns is in the clamp"
    before_j = supply.clamped_j
    supply.voltage(12.0, 0.4, 1.6)
    assert supply.clamped_j - before_j == pytest.approx(volts * returned_a * 0.001, rel=1e-2)


def test_low_rail_makes_the_supply_read_high() -> None:
    rail = Rail(rail_v=4.75, shared_ohm=0.05)
    assert rail.voltage(0.0) == 4.75
    assert rail.voltage(-5.0) == pytest.approx(4.5)
    assert rail.voltage(100.0) == 2.7


def test_board_is_silent_and_its_bridge_open_while_it_starts() -> None:
    board = BootingBoard(Firmware(session=1), Boot(start_s=0.066, loader_s=1.0))
    for _ in range(3):
        board.tick(0, 0, 0, 12000)
    for cause, silent_ms in ((8, 66), (2, 1066)):
        board.restart(cause)
        begin_us = board.time_us
        for _ in range(silent_ms):
            assert board.tick(0, 0, 0, 12000) is None
        assert board.time_us == begin_us
        board.tick(0, 0, 0, 12000)
        assert board.time_us == begin_us + 1000


def test_reset_that_the_board_makes_itself_is_noticed() -> None:
    inside = Firmware(session=1)
    board = BootingBoard(inside, Boot(start_s=0.02))
    for _ in range(3):
        board.tick(0, 0, 0, 12000)
    inside.restart(8)
    for _ in range(21):
        assert board.tick(0, 0, 0, 12000) is None
    assert board.time_us == 1000


def test_clock_that_wraps_is_no_reset() -> None:
    board = BootingBoard(Firmware(session=1, time_us=2**32 - 2500), Boot(start_s=1.0))
    for _ in range(5):
        board.tick(0, 0, 0, 12000)
    assert board.time_us == 2500


def free_cart(belt: SlackBelt, duties: list[float], *, mass_kg: float = 0.65) -> Iterator[tuple[float, float]]:
    """Position and speed of a frictionless cart behind `belt`, the motor without back-EMF."""
    position_m = speed_m_s = 0.0
    for duty in duties:
        given = belt.before(duty, speed_m_s)
        speed_m_s += (0.0 if given is None else STIFF.stall_force_n * STIFF.level(given)) / mass_kg * 1e-3
        position_m += speed_m_s * 1e-3
        belt.after(speed_m_s)
        yield position_m, speed_m_s


STIFF = dataclasses.replace(MOTOR, back_emf_n_s_m=0.0, dead_zone_duty=0.0)


def test_rotor_crosses_the_play_before_the_cart_feels_the_motor() -> None:
    """It falls through 0.5 mm in sqrt(2 * 0.0005 m * 0.3 kg / 5.14 N) = 7.6 ms, and no momentum is lost."""
    belt = SlackBelt(Belt(play_m=0.0005, rotor_share=0.3 / 0.65), STIFF, 0.65)
    moved = [speed_m_s for _, speed_m_s in free_cart(belt, [-0.2] * 100 + [0.2] * 100 + [0.0] * 100)]
    assert belt.offset_m == 0.00025
    turn_m_s = moved[99]
    assert turn_m_s == pytest.approx(-25.7 * 0.2 / 0.65 * 0.1, rel=0.02)
    assert moved[100:107] == [turn_m_s] * 7
    assert moved[110] > turn_m_s + 0.03
    assert moved[199] == pytest.approx(0.0, abs=0.02)


def test_belt_without_play_changes_nothing() -> None:
    belt = SlackBelt(Belt(play_m=0.0), STIFF, 0.65)
    for duty in (0.3, -0.3, None):
        assert belt.before(duty, 0.1) == duty
        belt.after(0.2)
    assert belt.offset_m == 0.0


def test_every_shipped_profile_is_read() -> None:
    assert profile_names() == ("ftdi", "ftdi_slow", "ideal", "workbench")
    assert load_profile("ideal") == IDEAL
    assert WORKBENCH.usb == Usb(flush_s=0.004096, packet_bytes=97, frame_s=0.001)
    assert WORKBENCH.belt == Belt(play_m=0.0005, rotor_share=0.46)
    assert len(WORKBENCH.sections) == 8
    for name, flush_s in (("ftdi", 0.001), ("ftdi_slow", 0.016)):
        profile = load_profile(name)
        assert profile == dataclasses.replace(
            WORKBENCH, name=name, usb=Usb(flush_s=flush_s, packet_bytes=62, restarts_timer=True, frame_s=0.001)
        )


def test_cart_of_unknown_current_keeps_a_supply_that_stands_still() -> None:
    profile, note = fitting(WORKBENCH, dataclasses.replace(MOTOR, stall_current_a=None))
    assert profile == dataclasses.replace(WORKBENCH, supply=None)
    assert note is not None
    assert "the supply stands still" in note
    assert "motor.stall_current_a" in note
    note = fitting(WORKBENCH, dataclasses.replace(MOTOR, stall_current_a=None), has_stepper=True)[1]
    assert note is not None
    assert "the supply stands still" in note
    assert "motor." not in note
    assert fitting(WORKBENCH, MOTOR) == (WORKBENCH, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[usb]\nflush_s = -1", "flush_s = -1, expected a finite number of at least 0"),
        ("[usb]\nflush_s = nan", "flush_s = nan, expected a finite number"),
        ("[usb]\nflush_s = 2", "flush_s = 2, expected at most 1 s"),
        ("[usb]\npacket_bytes = 0", "packet_bytes = 0, expected 1 to 4096"),
        ("[usb]\nlatency = 1", "unknown key 'latency'; expected one of flush_s"),
        ("[bridge]\npulse_loss_s = 1", "expected less than 5e-05, the pulses' period"),
        ("[rail]\nrail_v = 12", "rail_v = 12, expected 2.7"),
        ("[supply]\nbulk_f = 0", "bulk_f = 0, expected a finite number greater than 0"),
        ("[belt]\nplay_m = '0.5 mm'", "play_m = '0.5 mm', expected a number"),
        ("[brakes]\nworn = 1", "unknown key 'brakes'"),
        ('based_on = "nice"', "based_on = 'nice', expected one of ftdi, ftdi_slow, ideal, workbench"),
    ],
)
def test_bad_profile_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'format = 1\nsource = "assumed"\n{text}\n')
    with pytest.raises(UsageError) as refused:
        load_profile(file)
    assert str(refused.value).startswith(str(file))
    assert message in str(refused.value)


def test_number_without_a_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("format = 1\n[usb]\nflush_s = 0.001\n")
    with pytest.raises(UsageError, match="flush_s names no source"):
        load_profile(tmp_path / "mine.toml")


def test_unknown_profile_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="'nice' is not known; expected one of ftdi, ftdi_slow, ideal, workbench"):
        load_profile("nice")
