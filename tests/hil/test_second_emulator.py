"""The second emulator: it is what the data sheet says, it agrees with the first, and it is missed by name."""

from __future__ import annotations

import dataclasses
import os
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.campaign.bench import Subject
from cartpole_robot.campaign.endurance import endurance_trials
from cartpole_robot.campaign.pin_events import PinEvents, compare_pins
from cartpole_robot.campaign.run import CampaignRequest, _if_installed
from cartpole_robot.campaign.second_emulator import compare_emulators, second_emulator_trials
from firmware_bridge import second_emulator
from firmware_bridge.errors import BridgeError, LinkError
from firmware_bridge.protocol import read_protocol
from firmware_bridge.second_emulator import SecondChip, check_node, installed_packages

FLASH_BEGINS = 0x0C  # jmp, whose bytes are 0C 94


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, and nothing in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_missing_or_old_node_names_what_to_install(empty_machine: Path) -> None:
    with pytest.raises(BridgeError, match=r"^node not found; install it: apt install nodejs npm \(Debian 13\)"):
        check_node()
    for version in ("v18.20.4", "banana"):
        program(empty_machine / "node", f"echo {version}")
        with pytest.raises(BridgeError, match=rf"node: is {version}, expected v20 or later; install it"):
            check_node()
    program(empty_machine / "node", "echo v20.19.2")
    assert check_node() == str(empty_machine / "node")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("npm error code EAI_AGAIN", r"npm cannot install avr8js \(EAI_AGAIN\); the first use needs a network, later"),
        ("npm ERR! code EINTEGRITY", r"avr8js is not the package that package-lock.json names \(EINTEGRITY\); do not"),
        ("", r"npm cannot install avr8js \(status 1\)"),
    ],
)
def test_failed_installation_is_named_and_leaves_nothing(empty_machine: Path, said: str, message: str) -> None:
    with pytest.raises(BridgeError, match="npm not found, which installs avr8js; install it"):
        installed_packages()
    program(empty_machine / "npm", f"echo '{said}' >&2; exit 1")
    heard: list[str] = []
    with pytest.raises(BridgeError, match=message):
        installed_packages(heard.append)
    assert [line.partition(" into ")[0] for line in heard] == ["installing avr8js 0.21.1 from npm"]
    assert list((empty_machine / "cache" / "cartpole_robot").iterdir()) == []


def test_installed_package_needs_no_npm(second_emulator_tools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    heard: list[str] = []
    assert (installed_packages(heard.append) / "avr8js" / "LICENSE").is_file()
    assert heard == []


def test_damaged_installation_is_replaced(empty_machine: Path) -> None:
    lock = '"node_modules/avr8js"'
    program(
        empty_machine / "npm",
        f"grep -q '{lock}' package-lock.json && mkdir -p node_modules/avr8js && : >node_modules/avr8js/package.json",
    )
    for folder in ("/bin", "/usr/bin"):
        for name in ("grep", "mkdir"):
            if Path(folder, name).exists() and not (empty_machine / name).exists():
                (empty_machine / name).symlink_to(Path(folder, name))
    packages = installed_packages()
    (packages / "avr8js" / "package.json").unlink()
    heard: list[str] = []
    assert installed_packages(heard.append) == packages
    assert (packages / "avr8js" / "package.json").is_file()
    assert len(heard) == 1


def test_ended_and_silent_emulators_are_named(second_emulator_tools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with SecondChip() as chip:
        chip.tick(0, 0, 0, 12_000)
        os.kill(chip.process_id, signal.SIGKILL)
        with pytest.raises(LinkError, match=r"the second emulator has ended \(status -9\)"):
            chip.tick(0, 0, 0, 12_000)
        assert not chip.is_running
    with SecondChip() as chip:
        monkeypatch.setattr(second_emulator, "_SILENCE_LIMIT_S", 0.3)
        os.kill(chip.process_id, signal.SIGSTOP)
        with pytest.raises(LinkError, match=r"the second emulator did not answer for 0\.3 s; start it again"):
            chip.tick(0, 0, 0, 12_000)
    chip.close()


@pytest.mark.long
def test_both_emulators_move_the_same_pins_at_the_same_cycles(second_emulator_tools: None) -> None:
    """Homing, fifty steps, the e-stop; limits in cycles of 62.5 ns."""
    found = compare_emulators(Subject(policy=Path("lqr"), cart="diy_arduino"))
    assert len(found.first.milliseconds) > 10_000
    assert {one.pulses for one in found.first.milliseconds} > {None, 0, -100, 100}
    assert found.other_pulses == 0
    assert found.messages > 500
    assert found.other_messages == 0
    assert 0 < found.first.off_cycles < 16_000  # with the next safety tick
    assert abs(found.second.off_cycles - found.first.off_cycles) <= 800
    pins = found.pins
    assert pins.edges > 200_000
    assert pins.other_cycles == ()
    assert pins.timers_apart_cycles <= 16
    assert pins.programs_apart_cycles <= 800
    assert pins.bytes_apart_cycles <= 4 * 320
    later = dataclasses.replace(found.second.events, edges=_without_one(found.second.events.edges))
    assert len(compare_pins(found.first.events, later).other_cycles) == 1
    with pytest.raises(ValueError, match=r"a strike at cycle 0, expected one after the first tick"):
        later.driven_after_strike_cycles(0)


def pulses_at(phase: int, widths: list[int]) -> PinEvents:
    """A pulse of each width on PB1, in PWM periods of 800 cycles that begin at `phase`."""
    ends = [phase + 800 * k + end for k, width in enumerate(widths) for end in (0, width)]
    none = np.zeros(0, np.int64)
    return PinEvents(
        edges={
            "PB0": (none, none.astype(np.uint8)),
            "PB1": (np.array(ends), np.array([3, 2] * len(widths), np.uint8)),
            "PB2": (none, none.astype(np.uint8)),
        },
        **{"sent": b"", "sent_cycles": none, "tick_cycles": none, "connect_cycles": none, "start_cycle": 0},  # type: ignore[arg-type]
    )


def test_a_new_width_a_period_earlier_explains_its_edges_and_a_pulse_that_differs_otherwise_does_not() -> None:
    first = pulses_at(100, [41, 41, 180, 180, 180, 180])
    earlier = compare_pins(first, pulses_at(78, [41, 180, 180, 180, 180, 180]))
    assert (len(earlier.other_cycles), earlier.unexplained, earlier.phase_cycles) == (2, 0, -22)
    cycles, kinds = first.edges["PB1"]
    lost = dataclasses.replace(first, edges={**first.edges, "PB1": (cycles[:-2], kinds[:-2])})
    assert compare_pins(first, lost).unexplained == 2


def test_campaign_leaves_a_missing_second_emulator_out_by_name(empty_machine: Path) -> None:
    trials = [*endurance_trials(), *second_emulator_trials(has_policy=False)]
    request = CampaignRequest(subject=Subject(policy=Path("lqr"), cart="diy_arduino"), out=empty_machine / "out")
    heard: list[str] = []
    left = _if_installed(request, trials, heard.append)
    assert [trial.name for trial in left] == [trial.name for trial in endurance_trials()]
    assert heard[0].startswith("  --   second   left out: node not found; install it")
    with pytest.raises(BridgeError, match="node not found"):
        _if_installed(dataclasses.replace(request, only=("second",)), trials, heard.append)


def test_every_fault_that_is_struck_is_compared() -> None:
    names = [trial.name for trial in second_emulator_trials(has_policy=True)]
    assert len([name for name in names if name.startswith("pins, ")]) == 3
    assert len([name for name in names if name.startswith("off: ")]) == 22
    assert not [name for name in names if "1 a ms" in name or "never closes" in name]


def _without_one(edges: dict[str, Any]) -> dict[str, Any]:
    cycles, kinds = edges["PB1"]
    return {**edges, "PB1": (np.delete(cycles, 1000), np.delete(kinds, 1000))}


def test_registers_answer_as_the_data_sheet_says(second_emulator_tools: None, tmp_path: Path) -> None:
    elf = tmp_path / "registers.elf"
    source = Path(__file__).with_name("registers.c")
    hash_define = f"-DPROTOCOL_HASH=0x{read_protocol().hash:08x}UL"
    words = ["avr-gcc", "-mmcu=atmega328p", "-DF_CPU=16000000UL", "-O2", hash_define, str(source), "-o", str(elf)]
    subprocess.run(words, check=True)
    heard = b""
    with SecondChip(elf) as chip:
        chip.equip(rail_mv=4500, bandgap_mv=1050, fuse_low=0xF7, fuse_high=0xDA, fuse_extended=0xFD, chip=0x9516)
        for _ in range(60):
            if heard.endswith(b"\xff\xff"):
                chip.feed(bytes([1, 2, 3, 4, 5, 6]))
            chip.tick(0, 0, 0, 12_000)
            heard += chip.take()
    found = [int.from_bytes(heard[k : k + 2], "little") for k in range(0, len(heard), 2)]
    names = (
        *("cause", "locked ICR1", "ICR1", "OCR1A", "OCR1B", "pulse"),
        *("bandgap", "supply", "open AREF", "fuses", "extended fuse", "chip", "flash"),
        *("ready", "overrun", "received", "cause after the watchdog"),
    )
    answers = dict(zip(names, found, strict=True))
    assert 99 <= answers.pop("pulse") <= 101  # 8 cycles each, and the loops that look at the pin
    assert answers == {
        "cause": 1,
        "locked ICR1": 0,
        "ICR1": 799,
        "OCR1A": 0x1234,
        "OCR1B": 0x5678,
        "bandgap": 238,  # 1.05 V of 4.5
        "supply": 416,  # 12 V, 1.8 of 11.8 kOhm
        "open AREF": 1023,
        "fuses": 0xDAF7,
        "extended fuse": 0xFD,
        "chip": 0x9516,
        "flash": FLASH_BEGINS,
        "ready": 0xFFFF,
        "overrun": 8,
        "received": 0x123,
        "cause after the watchdog": 8,
    }
