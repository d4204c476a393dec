"""What the ATmega328P's board code does with its registers, seen from the chip's pins and its line."""

from __future__ import annotations

import random
import re
import struct
import subprocess
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from firmware_bridge import build
from firmware_bridge._host import encode_frame, pulses_of
from firmware_bridge.messages import (
    CmdMessage,
    HealthMessage,
    HealthRequestMessage,
    ModeMessage,
    PingMessage,
    PongMessage,
    StateMessage,
)
from tests.conftest import need_compiler
from tests.firmware.test_avr_build import ESTOP, LEFT, MODE, RESET, RIGHT, STATE, Chip, begin_homing, health_of, of_kind


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> build.FirmwareImage:
    need_compiler()
    return build.build_firmware(tmp_path_factory.mktemp("firmware"))


@pytest.fixture
def chip(chip_tools: None, image: build.FirmwareImage) -> Iterator[Chip]:
    made = Chip(image.elf)
    made.step(milliseconds=30)
    yield made
    made.close()


def test_mark_in_the_image_is_what_the_chip_says_of_itself(chip: Chip) -> None:
    answer, mark = chip.hello(), build.read_image_mark(chip.elf)
    assert (mark.firmware_id, mark.protocol_hash) == (answer.firmware_id, answer.protocol_hash)


def last_state(chip: Chip) -> StateMessage:
    chip.step(milliseconds=22)
    return of_kind(StateMessage, chip.heard)[-1]


@pytest.mark.parametrize("inputs", [0, LEFT, RIGHT, ESTOP, LEFT | RIGHT, LEFT | ESTOP])
def test_each_contact_is_reported_as_itself(chip: Chip, inputs: int) -> None:
    chip.hello()
    chip.inputs = inputs
    chip.step(milliseconds=5)
    assert last_state(chip).inputs & 7 == inputs


@pytest.mark.parametrize("supply_mv", [7_000, 12_000, 31_000])
def test_supply_is_measured_within_one_step(chip: Chip, supply_mv: int) -> None:
    chip.hello()
    chip.supply_mv = supply_mv
    chip.step(milliseconds=5)
    assert 0 <= supply_mv - last_state(chip).supply_mv < 60  # rounded down, to whole steps of 32 mV
    chip.step(milliseconds=300)  # with looks at the reference between
    states = of_kind(StateMessage, chip.heard)[-14:]
    assert {state.supply_mv for state in states} == {states[0].supply_mv}


def test_supply_that_falls_is_seen_within_two_ticks_or_a_look_at_the_reference(chip: Chip) -> None:
    """The converter is at the reference for 10 ticks of 128."""
    session = begin_homing(chip)
    assert last_state(chip).session == session
    for wait_ms in (50, 57):
        chip.supply_mv = 12_000
        chip.step(milliseconds=40)
        chip.supply_mv = 11_000
        chip.step(milliseconds=wait_ms)
        assert of_kind(StateMessage, chip.heard)[-1].supply_mv == pytest.approx(11_000, abs=40)


def test_motor_gets_the_pulses_that_state_reports(chip: Chip) -> None:
    """On both sides, and across the change of sides: HOME pushes left up to its most, and the switch sends it right."""
    begin_homing(chip)
    seen, applied, motors = set(), None, deque[tuple[bool, int, int]](maxlen=25)
    for k in range(2100):
        chip.inputs = LEFT if 1200 < k < 1250 else 0
        ping = encode_frame(PingMessage(host_us=k).pack()) if k % 200 == 0 else b""
        said = of_kind(StateMessage, chip.step(ping))
        if said and said[-1].state == STATE["HOMING"]:
            applied, applied_before = said[-1].applied_q15, applied
            pulses = pulses_of(applied)
            if applied == applied_before and len(motors) == 25 and len(set(motors)) == 1:
                assert motors[0] == (True, max(pulses, 0), max(-pulses, 0))
                seen.add((pulses > 0) - (pulses < 0))
        motors.append(chip.motor)
        assert chip.motor[1] == 0 or chip.motor[2] == 0
    assert seen == {-1, 0, 1}


def test_clock_counts_between_the_ticks(chip: Chip) -> None:
    """A PING that comes 80 us later is answered with a time 80 us later, or once the tick before it is done."""
    chip.hello()
    phases = []
    for moment in range(0, 40, 4):
        sent_us = chip.emulated.time_us + 1000 + 20 * (moment + 10)  # with the next tick, and ten bytes of its own
        said = chip.step(bytes(moment) + encode_frame(PingMessage(host_us=moment).pack()), milliseconds=5)
        (pong,) = of_kind(PongMessage, said)
        phases.append(pong.time_us)
        assert -300 < pong.time_us - sent_us < 900
    assert all(4_460 < later - earlier < 5_700 for earlier, later in pairwise(phases)), phases
    assert phases[-1] - phases[0] == pytest.approx(9 * 5_080, abs=400), phases
    assert all(time_us % 4 == 0 for time_us in phases)


def test_clock_does_not_step_back_while_its_interrupt_waits(chip: Chip) -> None:
    """Edges and bytes that come at any moment of the tick: some look at the clock just as it comes round."""
    chip.hello()
    rng = random.Random(3)
    times_us = []
    for nonce in range(400):
        chip.cart += rng.randrange(40)
        said = chip.step(encode_frame(PingMessage(host_us=nonce).pack()) + bytes(rng.randrange(12)))
        times_us += [pong.time_us for pong in of_kind(PongMessage, said)]
    assert len(times_us) > 300
    assert all(earlier < later for earlier, later in pairwise(times_us))


def test_clock_goes_on_wherever_in_a_tick_a_byte_comes(chip: Chip) -> None:
    """A clock that runs away from the host's: bytes come at each of its moments, some as it comes round."""
    session = chip.hello().session
    chip.emulated.skew(300)
    times_us = []
    for nonce in range(4000):
        said = chip.step(encode_frame(PingMessage(host_us=nonce).pack()))
        times_us += [pong.time_us for pong in of_kind(PongMessage, said)]
    chip.emulated.skew(0)
    assert len(times_us) > 3900
    assert all(earlier < later for earlier, later in pairwise(times_us))
    assert chip.hello().session == session


def test_both_encoders_count_a_thousand_edges_either_way(chip: Chip) -> None:
    chip.hello()
    for way in (1, -1, -1, 1):
        for _ in range(50):
            chip.cart += 20 * way
            chip.pole -= 19 * way
            chip.step()
        state = of_kind(StateMessage, chip.step(milliseconds=40))[-1]
        assert (state.cart_counts, state.pole_counts) == (chip.cart, chip.pole)


def test_health_has_what_the_emulator_counts(chip: Chip) -> None:
    chip.hello()
    chip.step(milliseconds=100)
    counted_us = chip.emulated.figures()["longest_interrupt_cycles"] / 16
    assert health_of(chip).longest_interrupt_us == pytest.approx(counted_us, abs=3)
    for _ in range(300):
        chip.cart += 3
        chip.pole += 3
        chip.step()
    health, counted = health_of(chip), chip.emulated.figures()
    assert health.longest_interrupt_us == pytest.approx(counted["longest_interrupt_cycles"] / 16, abs=3)
    assert 250 < health.longest_tick_us < 600
    assert health.longest_tick_us % 4 == 0  # as Timer2 counts
    assert health.longest_tick_us * 16 > counted["longest_latency_cycles"] - 64
    assert health.missed_ticks == 0


def test_shorter_interrupts_do_not_replace_the_longest(chip: Chip) -> None:
    """Bytes come between the tick's interrupt and each look at it."""
    chip.hello()
    chip.step(milliseconds=100)
    for _ in range(20):
        chip.step(bytes(30))
    said = chip.step(encode_frame(HealthRequestMessage().pack()) + bytes(20))
    for _ in range(5):
        said += chip.step(bytes(30))
    (health,) = of_kind(HealthMessage, said)
    assert health.longest_interrupt_us > chip.emulated.figures()["longest_interrupt_cycles"] / 16 - 1


def test_ticks_are_measured_as_timer2_counts(chip: Chip) -> None:
    chip.hello()
    longest_us = set()
    for edges in range(0, 50, 5):
        for _ in range(40):
            chip.cart += edges
            chip.step()
        longest_us.add(health_of(chip).longest_tick_us)
    assert len(longest_us) > 4
    assert {each % 4 for each in longest_us} == {0}


def test_tick_that_is_overtaken_once_is_measured_whole(chip: Chip) -> None:
    """More and more edges, until a tick takes longer than its millisecond."""
    chip.hello()
    longest_us = 0
    for edges in range(40, 130, 2):  # of each encoder: one alone leaves the tick its time
        for _ in range(20):
            chip.cart += edges
            chip.pole += edges
            chip.step()
        chip.step(milliseconds=20)
        longest_us = health_of(chip).longest_tick_us
        if longest_us >= 1000:
            break
    assert 1000 <= longest_us < 1400


def test_ticks_and_edges_that_are_missed_are_counted(chip: Chip) -> None:
    """However fast its interrupts are: more and more edges, until some are missed."""
    session, health = chip.hello().session, health_of(chip)
    missed_before = 0
    for edges in range(60, 180, 5):  # of each encoder
        missed_before = health.missed_ticks
        for _ in range(20):
            chip.cart += edges
            chip.pole += edges
            chip.step()
        chip.step(milliseconds=20)
        health = health_of(chip)
        if health.missed_ticks > 0 and health.cart_illegal > 0:
            break
    assert 1 <= health.missed_ticks <= missed_before + 12
    assert health.cart_illegal > 0
    assert chip.hello().session == session  # no reset


def test_stack_that_was_touched_is_never_free_again(chip: Chip) -> None:
    chip.hello()
    chip.step(milliseconds=150)
    early = health_of(chip).stack_free  # where the stack stood: its paint is looked at in some hundred milliseconds
    chip.step(milliseconds=1500)
    first = health_of(chip).stack_free
    assert first < early - 20
    begin_homing(chip)
    chip.step(milliseconds=1500)
    assert 0 <= first - health_of(chip).stack_free < 150
    assert 600 < health_of(chip).stack_free < 1000


def test_chip_sleeps_most_of_its_time(chip: Chip) -> None:
    chip.hello()
    before = chip.emulated.figures()
    chip.step(milliseconds=300)
    after = chip.emulated.figures()
    share = (after["awake_cycles"] - before["awake_cycles"]) / (after["cycles"] - before["cycles"])
    assert 0.1 < share < 0.35


def test_bytes_that_are_lost_are_counted(chip: Chip) -> None:
    """The encoders leave the program no time, and 128 bytes have room."""
    session = chip.hello().session
    for _ in range(12):
        chip.cart += 140
        chip.step(b"\1" * 40)
    chip.step(milliseconds=40)
    first = health_of(chip)
    assert 10 < first.receive_overruns < 480
    assert 1000 < first.longest_tick_us < 14_000  # a tick that others have overtaken
    chip.step(milliseconds=100)
    for _ in range(5):  # within the room, and what is taken is not lost
        chip.step(b"\1" * 20, milliseconds=5)
    assert health_of(chip).receive_overruns == first.receive_overruns
    assert chip.hello().session == session


def test_bytes_that_the_receiver_itself_loses_are_counted(chip: Chip) -> None:
    """Both encoders leave the line's interrupt no time either, and the receiver has room for two bytes."""
    session = chip.hello().session
    for _ in range(12):
        chip.cart += 140
        chip.pole += 140
        chip.step(b"\1" * 40)
    chip.step(milliseconds=40)
    first = health_of(chip)
    assert 10 < first.receive_overruns < 480
    chip.step(b"\1" * 20, milliseconds=20)
    assert health_of(chip).receive_overruns == first.receive_overruns
    assert chip.hello().session == session


def test_many_answers_at_once_come_whole(chip: Chip) -> None:
    """More bytes than the ring to the line holds, again and again: its indices wrap."""
    chip.hello()
    for _ in range(60):
        ping = b"".join(encode_frame(PingMessage(host_us=k).pack()) for k in range(4))
        said = chip.step(ping + encode_frame(HealthRequestMessage().pack()), milliseconds=7)
        assert [pong.host_us for pong in of_kind(PongMessage, said)] == [0, 1, 2, 3]
        assert len(said) >= 5


def test_lost_tick_resets_the_chip_and_opens_the_bridge(chip: Chip) -> None:
    session = begin_homing(chip)
    chip.step(milliseconds=700)
    assert chip.motor[2] > 0
    chip.emulated.hang(False)
    for _ in range(21):
        chip.pole += 1  # its interrupt wakes the main loop all the while
        chip.step()
    assert chip.motor == (False, 0, 0)
    chip.step(milliseconds=20)
    assert chip.hello().session == session + 1


@pytest.mark.parametrize("cause", ["POWER_ON", "EXTERNAL", "BROWN_OUT", "WATCHDOG"])
def test_each_cause_of_a_reset_is_reported(chip: Chip, cause: str) -> None:
    session = begin_homing(chip)
    chip.step(milliseconds=700)
    assert chip.motor[2] > 0
    chip.emulated.restart(RESET[cause])
    chip.step()
    assert chip.motor == (False, 0, 0)
    chip.step(milliseconds=30)
    answer = chip.hello()
    assert (answer.reset_cause, answer.session, answer.state) == (RESET[cause], session + 1, STATE["DISARMED"])


def test_every_reset_is_a_session_of_its_own_around_the_cells(chip: Chip) -> None:
    """70 resets go twice around the 32 cells."""
    session = chip.hello().session
    for k in range(1, 71):
        chip.emulated.restart(RESET["EXTERNAL"])
        chip.step(milliseconds=20)
        if k % 7 == 0:
            assert chip.hello().session == session + k


FULL = list(range(1, 33))  # every one of the 32 cells


@pytest.mark.parametrize(
    ("cells", "behind", "expected"),
    [
        ([], b"", [1, 2]),  # an erased EEPROM reads 65,535, the last number there is
        ([65_533, 65_534], b"", [65_535, 1, 2]),
        ([65_535, 1], b"", [2, 3]),
        ([5, 6, 7], b"", [8, 9]),
        (FULL, b"", [33, 34]),
        ([33, *FULL[1:]], b"", [34, 35]),
        ([*FULL[:31], 7], b"", [32, 33, 34]),
        ([number + 0xFEE0 for number in FULL], b"\x01\xff", [0xFF01, 0xFF02]),  # the next number stands behind them
        ([number + 0xFFDE for number in FULL], b"", [0xFFFF, 1]),  # or is what an erased cell behind them reads
        ([number + 0xFFDF for number in FULL], b"", [1, 2]),
    ],
)
def test_session_follows_the_newest_of_the_cells_and_is_never_0(
    chip: Chip, cells: list[int], behind: bytes, expected: list[int]
) -> None:
    symbols = subprocess.run(["avr-nm", str(chip.elf)], check=True, capture_output=True, text=True).stdout
    begin, end = (int(re.findall(rf"^0081(\w+) \w {name}", symbols, re.M)[0], 16) for name in ("cells", "__eeprom_end"))
    content = bytearray(b"\xff" * begin + cells_of(cells) + behind)
    content += b"\xff" * (end - len(content))
    other = Chip(with_section(chip.elf, ".eeprom", bytes(content[:end])), chip.make_chip)
    try:
        other.step(milliseconds=30)
        sessions = [other.hello().session]
        for _ in expected[1:]:
            other.emulated.restart(RESET["EXTERNAL"])
            other.step(milliseconds=30)
            sessions.append(other.hello().session)
        assert sessions == expected
    finally:
        other.close()


def cells_of(numbers: list[int]) -> bytes:
    """What the 32 cells hold; those that are not given are as old as can be, or erased."""
    return b"".join(number.to_bytes(2, "little") for number in [*numbers, *[0 if numbers else 0xFFFF] * 32][:32])


def code_of(elf: Path) -> bytearray:
    """Of an image, the vectors first."""
    flash = elf.with_suffix(".text")
    subprocess.run(["avr-objcopy", "-O", "binary", "-j", ".text", str(elf), str(flash)], check=True)
    return bytearray(flash.read_bytes())


def jump_of(code: bytes, at: int) -> int:
    """The address to which the vector at `at` jumps: by jmp, or by rjmp where that reaches."""
    first, second = struct.unpack_from("<HH", code, at)
    if first == 0x940C:
        return int(second) * 2
    assert first >> 12 == 0xC
    return at + 2 + 2 * ((first & 0xFFF ^ 0x800) - 0x800)


def jump_to(address: int) -> bytes:
    """A jmp."""
    return struct.pack("<HH", 0x940C, address // 2)


def with_section(elf: Path, name: str, content: bytes) -> Path:
    """A copy of an image with that section."""
    changed, binary = (elf.with_suffix(f".changed.{suffix}") for suffix in ("elf", "bin"))
    binary.write_bytes(content)
    subprocess.run(["avr-objcopy", "--update-section", f"{name}={binary}", str(elf), str(changed)], check=True)
    return changed


@pytest.mark.parametrize(("handed_on", "cause"), [(1, 1), (2, 2), (4, 4), (8, 8), (3, 3), (0, 0), (0x10, 0), (0x82, 0)])
def test_cause_that_a_bootloader_hands_on_is_reported(chip: Chip, handed_on: int, cause: int) -> None:
    """Optiboot clears the register and leaves what it was in r2: as the two vectors behind the first one do here."""
    code = code_of(chip.elf)
    load = 0xE080 | (handed_on & 0xF0) << 4 | handed_on & 0x0F  # ldi r24, then mov r2, r24
    code[:12] = jump_to(4) + load.to_bytes(2, "little") + b"\x28\x2e" + jump_to(jump_of(code, 0))
    other = Chip(with_section(chip.elf, ".text", bytes(code)), chip.make_chip)
    try:
        other.emulated.restart(0)
        other.step(milliseconds=30)
        assert other.hello().reset_cause == cause
    finally:
        other.close()


def test_interrupt_that_nobody_asked_for_opens_the_bridge_and_resets_the_chip(chip: Chip) -> None:
    """The encoders' vector is one of those without a handler here."""
    code = code_of(chip.elf)
    code[0x10:0x14] = jump_to(jump_of(code, 4))
    other = Chip(with_section(chip.elf, ".text", bytes(code)), chip.make_chip)
    try:
        other.step(milliseconds=30)
        session = begin_homing(other)
        other.step(milliseconds=700)
        assert other.motor[2] > 0
        other.cart += 1
        other.step(milliseconds=2)
        assert other.motor == (False, 0, 0)
        other.step(milliseconds=50)
        answer = other.hello()
        assert (answer.session, answer.reset_cause) == (session + 1, RESET["WATCHDOG"])
    finally:
        other.close()


def test_first_instructions_open_the_bridge_and_stop_the_watchdog(chip: Chip) -> None:
    """simavr stops both timers at a reset by itself; on the chip a bootloader or a watchdog may leave them running."""
    words = ["avr-objdump", "-d", "--no-show-raw-insn", str(chip.elf)]
    listing = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^ *([0-9a-f]+):\t([^\t;\n]+)\t?([^\t;\n]*)", listing, re.MULTILINE)
    code = {int(at, 16): f"{name.strip()} {operands.replace(' ', '')}".strip() for at, name, operands in found}
    begin = jump_of(code_of(chip.elf), 0)
    first = [code[at] for at in sorted(code) if at >= begin]
    opened = ["cli", "cbi 0x05,0", "ldi r24,0x00", "sts 0x0080,r24", "cbi 0x05,1", "cbi 0x05,2"]
    assert first[:9] == [*opened, "sbi 0x04,0", "sbi 0x04,1", "sbi 0x04,2"]
    look = first[first.index("wdr") :]
    assert [re.sub(r"^sts 0x0[1-8]\w\w,", "sts RAM,", each) for each in look[:9]] == [
        *("wdr", "in r24,0x34", "sts RAM,r24", "sts RAM,r2", "out 0x34,r1"),  # MCUSR
        *("lds r24,0x0060", "ori r24,0x18", "sts 0x0060,r24", "sts 0x0060,r1"),  # WDTCSR: WDCE and WDE, then off
    ]
    assert look[11:17] == ["ldi r24,0xC5", "ldi r25,0x09", "st Z+,r24", "cpi r30,0x00", "cpc r31,r25", "brne .-8"]


@pytest.mark.parametrize("counts", [1, 2, 3])
def test_counting_begins_at_the_levels_that_are_there(chip: Chip, counts: int) -> None:
    """At a reset the wires may have any level: no edge, no illegal change, and the next edge counts one."""
    chip.cart, chip.pole = counts, -counts
    chip.step(milliseconds=2)
    chip.emulated.restart(RESET["EXTERNAL"])
    chip.step(milliseconds=30)
    chip.hello()
    assert (last_state(chip).cart_counts, last_state(chip).pole_counts) == (0, 0)
    chip.cart += 1
    chip.pole -= 1
    chip.step(milliseconds=3)
    assert (last_state(chip).cart_counts, last_state(chip).pole_counts) == (1, -1)
    health = health_of(chip)
    assert (health.cart_illegal, health.pole_illegal) == (0, 0)


def test_illegal_changes_are_the_encoders_own(chip: Chip) -> None:
    chip.hello()
    for spiked, name in ((3, "cart_illegal"), (12, "pole_illegal")):
        before = health_of(chip)
        chip.emulated.wire(spiked=spiked, spikes=2)
        chip.step(milliseconds=20)
        chip.emulated.wire()
        after = health_of(chip)
        other = "pole_illegal" if name == "cart_illegal" else "cart_illegal"
        assert getattr(after, name) - getattr(before, name) >= 20
        assert getattr(after, other) == getattr(before, other)


def test_jog_of_either_side_drives_its_side(chip: Chip) -> None:
    session = begin_homing(chip)
    for seq, mode, side in ((3, "JOG_LEFT", 2), (5, "JOG_RIGHT", 1)):
        chip.say(ModeMessage(session=session, seq=seq, mode=MODE["DISARM"], options=0))
        chip.step(milliseconds=520)
        assert chip.motor == (False, 0, 0)
        chip.say(ModeMessage(session=session, seq=seq + 1, mode=MODE[mode], options=0))
        chip.step(milliseconds=150)
        assert chip.motor[side] > 0
        assert chip.motor[3 - side] == 0
    chip.say(CmdMessage(session=session, tick=0, duty_q15=1000, valid_ms=50))
    assert health_of(chip).refused == 1
