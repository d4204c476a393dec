"""The ATmega328P's firmware: it compiles, fits, says what it is, and runs on simavr's chip."""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

from firmware_bridge import build
from firmware_bridge._host import CartEstimator, FrameDecoder, encode_frame
from firmware_bridge.emulator import EmulatedChip
from firmware_bridge.errors import BridgeError
from firmware_bridge.messages import (
    AckMessage,
    CfgMessage,
    HealthMessage,
    HealthRequestMessage,
    HelloAckMessage,
    HelloMessage,
    ModeMessage,
    PingMessage,
    PongMessage,
    StateMessage,
)
from firmware_bridge.protocol import Message, read_protocol
from firmware_bridge.second_emulator import Chip as AnyChip
from tests.conftest import need_compiler

PROTOCOL = read_protocol()
STATE, MODE, FAULT, RESET = (PROTOCOL.enums[name] for name in ("cart_state", "mode", "fault", "reset_cause"))
LEFT, RIGHT, ESTOP = 1, 2, 4
CUTS_SUPPLY = 32
ACK = PROTOCOL.enums["ack_code"]
LIMITS = {
    "seq": 1,
    "flags": 16,
    "control_period_ms": 20,
    "command_timeout_ms": 100,
    "max_duty_q15": 20000,
    "travel_limit_counts": 1000,
    "brake_decel_counts_s2": 50000,
    "pole_limit_counts": 300,
    "arming_angle_counts": 40,
    "pole_counts_per_turn": 2400,
    "pole_half_period_ms": 580,
    "homing_travel_counts": 4000,
    "homing_speed_counts_s": 800,
    "homing_duty_q15": 8000,
    "moving_duty_q15": 16000,
    "still_travel_counts": 1500,
    "dead_zone_left_q15": 0,
    "dead_zone_right_q15": 0,
    "continuous_duty_q15": 15000,
    "reversals_per_s": 100,
    "supply_min_mv": 9000,
    "supply_max_mv": 15000,
    "illegal_most": 8,
    "bandgap_mv": 0,
    "swing_timeout_ms": 0,
    "upright_ms": 500,
}
Completed = subprocess.CompletedProcess[str]
M = TypeVar("M", bound=Message)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> build.FirmwareImage:
    need_compiler()
    return build.build_firmware(tmp_path_factory.mktemp("firmware") / "new" / "folder")


def of_kind(kind: type[M], messages: Sequence[Message]) -> list[M]:
    return [message for message in messages if isinstance(message, kind)]


class Chip:
    """The firmware on an emulated chip; one step is one millisecond."""

    def __init__(self, elf: Path, make_chip: Callable[[Path], AnyChip] = EmulatedChip) -> None:
        self.elf, self.make_chip = elf, make_chip
        self.emulated = make_chip(elf)
        self._decoder = FrameDecoder()
        self.cart = self.pole = self.inputs = 0
        self.supply_mv = 12000
        self.motor = (False, 0, 0)  # enabled, pulses of 800 forwards and backwards
        self.heard: list[Message] = []

    def step(self, to_send: bytes = b"", milliseconds: int = 1) -> list[Message]:
        """Run, with a PING now and then as a host sends it; returns what the firmware sent meanwhile."""
        said: list[Message] = []
        self.emulated.feed(to_send)
        for passed_ms in range(milliseconds):
            if passed_ms % 200 == 100:
                self.emulated.feed(encode_frame(PingMessage(host_us=0).pack()))
            pulses = self.emulated.tick(self.cart, self.pole, self.inputs, self.supply_mv)
            self.motor = (False, 0, 0) if pulses is None else (True, max(pulses, 0), max(-pulses, 0))
            said += [PROTOCOL.unpack(each) for each in self._decoder.feed(self.emulated.take())]
        assert self._decoder.errors == 0
        self.heard += said
        return said

    def say(self, message: Message) -> list[Message]:
        """Send a message; returns what the firmware answered within 3 ms."""
        return self.step(encode_frame(message.pack()), milliseconds=3)

    def hello(self) -> HelloAckMessage:
        said = self.say(HelloMessage(nonce=7, protocol_hash=PROTOCOL.hash))
        (answer,) = of_kind(HelloAckMessage, said)
        return answer

    def close(self) -> None:
        self.emulated.close()


@pytest.fixture
def chip(chip_tools: None, image: build.FirmwareImage) -> Iterator[Chip]:
    made = Chip(image.elf)
    made.step(milliseconds=30)  # the start, and a session number written to the EEPROM
    yield made
    made.close()


def test_firmware_fits_the_chip_with_its_bootloader(image: build.FirmwareImage) -> None:
    assert 4_000 < image.flash_bytes <= 32_256
    assert 300 < image.ram_bytes <= 2048 - 600


def test_image_carries_the_hash_that_python_reads(image: build.FirmwareImage) -> None:
    mark = b"cartpole_robot firmware\0" + struct.pack("<II", PROTOCOL.hash, image.firmware_id)
    assert mark in image.elf.read_bytes()
    assert (image.protocol_hash, image.firmware_id) == (PROTOCOL.hash, build.firmware_id(build.firmware_sources()))


def content_of_hex(path: Path) -> bytes:
    """The bytes of an Intel HEX file of less than 64 KiB; avr-objcopy of binutils 2.43 does not read it any more."""
    content = bytearray()
    for line in path.read_text().splitlines():
        record = bytes.fromhex(line.removeprefix(":"))
        assert sum(record) % 256 == 0
        length, address, kind = record[0], int.from_bytes(record[1:3]), record[3]
        assert len(record) == length + 5
        if kind == 0:
            assert address == len(content)
            content += record[4:-1]
        else:
            assert (kind, line) == (1, ":00000001FF")
    return bytes(content)


def test_hex_file_holds_what_the_elf_file_holds(image: build.FirmwareImage, tmp_path: Path) -> None:
    binary = tmp_path / "elf.bin"
    subprocess.run(["avr-objcopy", "-O", "binary", "-R", ".eeprom", str(image.elf), str(binary)], check=True)
    content = content_of_hex(image.hex)
    assert content == binary.read_bytes()
    assert len(content) == image.flash_bytes
    assert content.find(b"cartpole_robot firmware") > 0


def test_reset_opens_the_bridge_then_stops_the_watchdog_before_anything_is_called(image: build.FirmwareImage) -> None:
    words = ["avr-objdump", "-d", "--no-show-raw-insn", str(image.elf)]
    listing = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    code = {int(at, 16): what.split() for at, what in re.findall(r"^ *([0-9a-f]+):\t(.*)$", listing, re.MULTILINE)}
    assert code[0][0] in ("jmp", "rjmp")
    begin = int(code[0][1 if code[0][0] == "jmp" else 3], 16)
    first = [code[at] for at in sorted(code) if at >= begin]
    assert [words[0] for words in first[:9]] == ["cli", "cbi", "ldi", "sts", "cbi", "cbi", "sbi", "sbi", "sbi"]
    assert first[1][1:3] == ["0x05,", "0"]  # PORTB, the enable
    before_main = [words[0] for words in first[: [words[0] for words in first].index("call")]]
    assert "wdr" in before_main
    watchdog = [words[1] for words in first[: len(before_main)] if words[0] == "sts"]
    assert watchdog.count("0x0060,") == 2  # WDTCSR: the timed sequence


def test_firmware_id_changes_with_any_source() -> None:
    sources = build.firmware_sources()
    assert {"app.c", "safety.c", "protocol.h", "boards/avr/main.c", "boards/avr/pins.h"} <= sources.keys()
    assert not any(name.startswith("boards/host") for name in sources)
    whole = build.firmware_id(sources)
    for name, text in sources.items():
        assert build.firmware_id({**sources, name: f"{text} "}) != whole, name


def test_a_build_replaces_its_own_files_and_no_others(image: build.FirmwareImage, tmp_path: Path) -> None:
    for name in ("firmware.elf", "firmware.hex"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(b":00000001FF\n")
        with pytest.raises(BridgeError, match="not built by this program"):
            build.build_firmware(folder)
        assert [each.name for each in folder.iterdir()] == [name]
    before = image.hex.read_bytes()
    assert build.build_firmware(image.hex.parent).hex.read_bytes() == before


@pytest.mark.parametrize("verb", [["build", "--out", "made"], ["size"], ["flash", "--port", "/dev/null"]])
def test_missing_compiler_is_one_line_and_exit_code_1(
    verb: list[str], command_line: Callable[..., Completed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    done = command_line("firmware", *verb, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("cartpole-robot: avr-gcc not found; install it: apt install gcc-avr avr-libc")
    assert list(tmp_path.iterdir()) == []


def test_compile_error_is_one_line(image: build.FirmwareImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {**build.firmware_sources(), "app.c": "int main(void) { return nothing; }\n"}
    monkeypatch.setattr(build, "firmware_sources", lambda *_: broken)
    with pytest.raises(
        BridgeError, match=r"^avr-gcc failed with status 1: app\.c:1:25: error: .nothing. undeclared.*$"
    ):
        build.build_firmware(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("baud", "most"), [(115_200, 32_256), (57_600, 30_720), (9600, 30_720)])
def test_image_that_reaches_into_the_bootloader_is_not_flashed(tmp_path: Path, baud: int, most: int) -> None:
    image = tmp_path / "firmware.hex"
    for size in (most + 1, most):
        image.write_text(f":01{size - 1:04X}0000{(0xFF - (size - 1 >> 8) - (size - 1)) & 0xFF:02X}\n:00000001FF\n")
        reason = f"takes {size} bytes.* leaves {most}" if size > most else "no such port|avrdude"
        with pytest.raises(BridgeError, match=reason):
            build.flash_firmware(image, str(tmp_path / "none"), baud)


def test_flashing_hands_avrdude_image_port_and_rate(
    image: build.FirmwareImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avrdude, port = tmp_path / "avrdude", tmp_path / "port"
    avrdude.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\nexit $(cat {port})\n')
    avrdude.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(BridgeError, match="no such port"):
        build.flash_firmware(image.hex, str(port))
    port.write_text("0")
    build.flash_firmware(image.hex, str(port), 57600)
    words = (tmp_path / "words").read_text()
    assert words == f"-p atmega328p -c arduino -P {port} -b 57600 -D -U flash:w:{image.hex}:i\n"
    port.write_text("1")
    with pytest.raises(BridgeError, match="avrdude ended with status 1"):
        build.flash_firmware(image.hex, str(port))


def test_chip_answers_hello_and_sends_state_every_20_ms(chip: Chip, image: build.FirmwareImage) -> None:
    assert chip.heard == []  # in its first quarter of a second
    answer = chip.hello()
    assert answer.nonce == 7
    assert answer.protocol_hash == PROTOCOL.hash
    assert answer.firmware_id == image.firmware_id
    assert (answer.state, answer.fault) == (STATE["DISARMED"], 0)
    assert answer.session != 0
    states = of_kind(StateMessage, chip.step(milliseconds=200))
    assert len(states) == 10
    assert {state.session for state in states} == {answer.session}
    assert [b.time_us - a.time_us for a, b in pairwise(states)] == [20_000] * 9
    assert [b.tick - a.tick for a, b in pairwise(states)] == [1] * 9


def test_chip_counts_encoders_and_reads_contacts_and_supply(chip: Chip) -> None:
    chip.hello()
    for _ in range(40):  # 25,000 and 15,000 edges a second: within the 40,000 the interrupt is made for
        chip.cart += 25
        chip.pole -= 15
        chip.step()
    chip.inputs, chip.supply_mv = RIGHT | ESTOP, 24000
    state = of_kind(StateMessage, chip.step(milliseconds=40))[-1]
    assert (state.cart_counts, state.pole_counts) == (1000, -600)
    assert state.inputs & 7 == RIGHT | ESTOP
    assert abs(state.supply_mv - 24000) < 100
    assert state.fault == FAULT["ESTOP"]
    health = health_of(chip)
    none_of = ("cart_illegal", "pole_illegal", "missed_ticks", "receive_overruns", "send_overruns", "frame_errors")
    assert [getattr(health, name) for name in none_of] == [0] * 6
    assert 100 < health.longest_tick_us < 900
    assert 5 < health.longest_interrupt_us < 25
    assert 600 < health.stack_free < 1100


@pytest.mark.parametrize("seed", [1, 2])
def test_chip_and_host_find_the_same_speeds(chip: Chip, seed: int) -> None:
    """One edge a millisecond, well away from the tick: both see the same counts, some milliseconds apart."""
    rng = random.Random(seed)
    chip.hello()
    estimator = CartEstimator()
    speeds = [(0, 0)]
    for _ in range(1000):
        cart_moves, by = rng.random() < 0.5, rng.choice((-1, 1, 1))
        chip.cart, chip.pole = (chip.cart + by, chip.pole) if cart_moves else (chip.cart, chip.pole - by)
        chip.step()
        estimator.update(chip.cart, chip.pole)
        speeds.append(estimator.speeds())
    states = [state for state in of_kind(StateMessage, chip.heard) if state.cart_counts != 0][2:]
    found = [(state.cart_speed, state.pole_speed) for state in states]
    assert len(found) > 40
    assert any(found == speeds[begin::20][: len(found)] for begin in range(100)), f"seed {seed}"
    assert min(found)[0] < 0 < max(found)[0]


def test_ping_is_answered_with_the_time_in_between_ticks(chip: Chip) -> None:
    chip.hello()
    for k in range(50):
        chip.say(PingMessage(host_us=k))
    pongs = of_kind(PongMessage, chip.heard)
    assert [pong.host_us for pong in pongs] == list(range(50))
    times = [pong.time_us for pong in pongs]
    steps = [b - a for a, b in pairwise(times)]
    assert all(2_600 <= step <= 3_400 for step in steps), steps
    assert any(time % 1000 for time in times)


def test_flood_of_noise_delays_no_tick(chip: Chip) -> None:
    chip.hello()
    for _ in range(200):
        chip.step(bytes([3, 1, 2, 255, 0, 9, 5, 1]) * 6)  # 48 bytes a millisecond: the line is full
    flooded = health_of(chip)
    assert flooded.missed_ticks == 0
    assert flooded.frame_errors > 500
    for _ in range(200):
        chip.step(bytes([3, 1, 2, 255, 0, 9, 5, 1]) * 3)  # half full: every byte is taken
    after = health_of(chip)
    assert after.frame_errors - flooded.frame_errors >= 600
    assert (after.missed_ticks, after.receive_overruns) == (0, flooded.receive_overruns)
    assert after.longest_tick_us < 900


def test_edges_faster_than_the_interrupt_are_reported(chip: Chip) -> None:
    session, health = chip.hello().session, health_of(chip)
    missed_at_first = 0
    for edges in range(60, 180, 4):  # of both, until the interrupt takes nearly all the time: compilers differ
        missed_before = health.missed_ticks
        for _ in range(40):
            chip.cart += edges
            chip.pole += edges
            chip.step()
        chip.step(milliseconds=20)
        health = health_of(chip)
        if missed_at_first == 0 and health.missed_ticks >= missed_before + 3:
            missed_at_first = health.missed_ticks - missed_before
        if missed_at_first > 0 and health.cart_illegal > 0:
            break
    assert 3 <= missed_at_first <= 12
    assert health.cart_illegal > 0
    assert chip.hello().session == session  # no reset


def test_chip_reports_its_fuses_its_bootloader_and_its_rail(chip: Chip) -> None:
    chip.hello()
    health = health_of(chip)
    assert (health.fuse_low, health.fuse_high, health.fuse_extended) == (0xFF, 0xDE, 0xFC)
    assert (health.bootloader, health.chip, health.pulse_top) == (0x0404, 0x950F, 799)
    assert health.rail_mv == 5000
    assert health.bandgap_steps == pytest.approx(1100 / 5000 * 4096, abs=4)
    chip.emulated.equip(rail_mv=4500, fuse_low=0xE2, fuse_high=0xDA, fuse_extended=0xFF, bootloader=0xFFFF, chip=0x9516)
    chip.step(milliseconds=300)
    assert health_of(chip).rail_mv == pytest.approx(4500, abs=10)
    assert health_of(chip).fuse_high == 0xDE, "read at a reset"
    chip.step(milliseconds=5)  # in between two STATEs: the reset cuts no frame
    chip.emulated.restart(RESET["EXTERNAL"])
    chip.step(milliseconds=30)
    chip.hello()
    health = health_of(chip)
    assert (health.fuse_low, health.fuse_high, health.fuse_extended) == (0xE2, 0xDA, 0xFF)
    assert (health.bootloader, health.chip) == (0xFFFF, 0x9516)
    assert health.rail_mv == 5000, "without a calibration the rail is what it was at start-up"


@pytest.mark.parametrize(("lock_bits", "bootloader"), [(0xFF, 0x0404), (0xEF, 0x0404), (0xDF, 0), (0xCF, 0)])
def test_bootloader_that_lock_bits_hide_is_not_taken_for_none(chip: Chip, lock_bits: int, bootloader: int) -> None:
    chip.emulated.equip(lock_bits=lock_bits)
    chip.emulated.restart(RESET["EXTERNAL"])
    chip.step(milliseconds=30)
    assert health_of(chip).bootloader == bootloader


def test_sagging_rail_does_not_make_a_low_supply_look_healthy(chip: Chip) -> None:
    """Against 4.2 V a supply of 8.8 V reads as 10.5."""
    session = begin_homing(chip)
    chip.emulated.equip(rail_mv=4200)
    chip.step(milliseconds=300)
    assert of_kind(StateMessage, chip.heard)[-1].supply_mv == pytest.approx(12_000, rel=0.01)
    chip.supply_mv = 8800
    chip.step(milliseconds=60)
    state = of_kind(StateMessage, chip.heard)[-1]
    assert (state.session, state.fault) == (session, FAULT["SUPPLY_LOW"])
    assert state.supply_mv == pytest.approx(8800, rel=0.01)


def test_relay_is_still_doubted_after_the_board_was_reset(chip: Chip) -> None:
    """As by a host that opens the port, which resets an Arduino."""
    chip.inputs = ESTOP
    chip.step(milliseconds=50)
    chip.inputs = 0
    for fallen_ms, code in ((0, ACK["UNHEALTHY"]), (30, ACK["DONE"]), (0, ACK["DONE"])):
        chip.supply_mv = 0
        chip.step(milliseconds=fallen_ms)
        chip.supply_mv = 12_000
        chip.step(milliseconds=10)
        chip.emulated.restart(RESET["EXTERNAL"])
        chip.step(milliseconds=30)
        session = chip.hello().session
        chip.say(CfgMessage(**{**LIMITS, "session": session, "flags": CUTS_SUPPLY}))
        (answer,) = of_kind(AckMessage, chip.say(ModeMessage(session=session, seq=2, mode=MODE["HOME"], options=0)))
        assert (answer.code, answer.detail) == (code, 0 if code == ACK["DONE"] else FAULT["RELAY_WELDED"])


def test_homing_cart_stops_within_half_a_second_of_the_last_frame(chip: Chip) -> None:
    begin_homing(chip)
    chip.step(milliseconds=700)
    chip.say(PingMessage(host_us=1))
    driven_ms = 3
    while chip.motor[2] > 0 and driven_ms < 600:
        pulses = chip.emulated.tick(chip.cart, chip.pole, chip.inputs, chip.supply_mv)
        chip.motor = (pulses is not None, max(pulses or 0, 0), max(-(pulses or 0), 0))
        driven_ms += 1
    assert 480 < driven_ms < 500


@pytest.mark.parametrize(("closed_ms", "is_taken_for_the_end"), [(2, False), (3, True)])
def test_end_switch_counts_after_three_samples(chip: Chip, closed_ms: int, is_taken_for_the_end: bool) -> None:
    begin_homing(chip)
    chip.step(milliseconds=700)
    for _ in range(10):
        chip.inputs = LEFT
        chip.step(milliseconds=closed_ms)
        chip.inputs = 0
        chip.step()
    chip.step(milliseconds=100)
    _, forwards, backwards = chip.motor
    assert (forwards > 0, backwards > 0) == (is_taken_for_the_end, not is_taken_for_the_end)


def test_bridge_is_open_until_driven_and_shorted_after_a_fault(chip: Chip) -> None:
    assert chip.motor == (False, 0, 0)
    begin_homing(chip)
    assert chip.motor == (True, 0, 0)  # waits for the pole, the motor shorted at duty 0: flag 16
    chip.step(milliseconds=700)
    enabled, forwards, backwards = chip.motor
    assert enabled
    assert forwards == 0
    assert 40 < backwards <= 196  # toward the left switch, 8000 / 32767 of 800 at most
    chip.inputs = ESTOP
    chip.step(milliseconds=2)
    assert chip.motor == (True, 0, 0)
    chip.step(milliseconds=495)
    assert chip.motor == (True, 0, 0)
    chip.step(milliseconds=10)
    assert chip.motor == (False, 0, 0)


def test_reversed_motor_is_driven_the_other_way(chip: Chip) -> None:
    begin_homing(chip, flags=1)
    assert chip.motor == (False, 0, 0)  # flag 16 is not set: open at duty 0
    chip.step(milliseconds=700)
    enabled, forwards, backwards = chip.motor
    assert enabled
    assert backwards == 0
    assert 40 < forwards <= 196


def test_hung_program_is_reset_within_20_ms_and_opens_the_bridge(chip: Chip) -> None:
    session = begin_homing(chip)
    chip.step(milliseconds=700)
    assert chip.motor[2] > 0
    chip.emulated.hang(True)
    chip.step(milliseconds=21)
    assert chip.motor == (False, 0, 0)
    chip.step(milliseconds=20)
    answer = chip.hello()
    assert answer.session == session + 1
    assert answer.reset_cause == PROTOCOL.enums["reset_cause"]["WATCHDOG"]
    assert answer.state == STATE["DISARMED"]


def begin_homing(chip: Chip, flags: int = 16) -> int:
    """Returns the session."""
    session = chip.hello().session
    (answer,) = of_kind(AckMessage, chip.say(CfgMessage(**{**LIMITS, "session": session, "flags": flags})))
    assert answer.code == 0
    chip.say(ModeMessage(session=session, seq=2, mode=MODE["HOME"], options=0))
    chip.step(milliseconds=20)
    assert of_kind(StateMessage, chip.heard)[-1].state == STATE["HOMING"]
    return session


def health_of(chip: Chip) -> HealthMessage:
    chip.step(b"\0")
    said = chip.step(encode_frame(HealthRequestMessage().pack()), milliseconds=5)  # with the tick after next, and sent
    (health,) = of_kind(HealthMessage, said)
    return health
