"""The stepper's image on the emulated chip, its pins driving the stepper's plant."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.campaign.bench import Subject
from cartpole_robot.campaign.pin_runs import record_run, repeat_run
from cartpole_robot.campaign.stepper_figures import stepper_figures
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import RigError
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.rigs.avr import AvrRig, driver_wiring
from cartpole_robot.rigs.firmware_rig import NO_OPTIONS
from cartpole_robot.rigs.virtual import VirtualRig
from cartpole_robot.rollout.loop import start_rollout
from cartpole_robot.task import observation
from firmware_bridge import build
from firmware_bridge.emulator import DriverWiring, EmulatedChip, current_image
from firmware_bridge.errors import BridgeError
from firmware_bridge.second_emulator import SecondChip
from tests.conftest import Completed, need_compiler

CART = load_cart("diy_stepper")
WIRING, ENCODERS = driver_wiring(CART), CART.encoders
assert WIRING is not None
assert ENCODERS is not None
EQUAL_STEPS = 150
FLASH_MOST, RAM_MOST = 32_256, 2048 - 600
LET_GO, DRIVEN_LOW, DRIVEN_HIGH = 0, 1, 2


@pytest.fixture(scope="module")
def image(chip_tools: None) -> Path:
    need_compiler()
    return current_image(drive="stepper")


@pytest.fixture
def rig(image: Path) -> Iterator[AvrRig]:
    made = AvrRig(CART)
    yield made
    made.close()


def counts_of(rig: VirtualRig, seed: int, steps: int) -> list[tuple[int, int, float]]:
    """Cart and pole counts, and the duty in force until then, of an episode that the regulator balances."""
    regulator = regulator_of(CART)
    measured = start_rollout(rig, seed)
    found = []
    for _ in range(steps):
        measured = rig.step(regulator.duty(observation(measured)))
        found.append((measured.cart_counts, measured.pole_counts, measured.applied_duty))
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_chip_and_virtual_rig_have_equal_counts(rig: AvrRig, seed: int) -> None:
    virtual = VirtualRig(CART)
    try:
        expected = counts_of(virtual, seed, EQUAL_STEPS)
    finally:
        virtual.close()
    assert counts_of(rig, seed, EQUAL_STEPS) == expected
    assert max(cart for cart, *_ in expected) - min(cart for cart, *_ in expected) > 50
    assert isinstance(rig.chip, EmulatedChip)
    figures = rig.chip.step_figures()
    assert figures["high_cycles"] == 80  # the cart file's 5 us
    assert (figures["setup_cycles"] or 0) >= 160  # its 10 us
    assert figures["lost_bottoms"] == 0


@pytest.mark.long
def test_second_emulator_makes_the_same_steps(image: Path, second_emulator_tools: None) -> None:
    """Homing, fifty steps and the e-stop, the same inputs in each millisecond; every edge of STEP at its cycle."""
    subject = Subject(policy=Path("lqr"), cart="diy_stepper")
    first = record_run(subject, NO_OPTIONS, lambda path: EmulatedChip(image, path, driver=WIRING), 0)
    second = repeat_run(first, lambda path: SecondChip(image, path, driver=WIRING))
    means = [[one.pulses for one in run.milliseconds] for run in (first, second)]
    assert means[0] == means[1]
    assert None in means[0]
    assert max(mean for mean in means[0] if mean is not None) > 1000  # homed
    edges = [run.events.edges["PB2"][0] for run in (first, second)]
    assert len(edges[0]) == len(edges[1]) > 10_000
    assert np.array_equal(edges[0] - edges[0][0], edges[1] - edges[1][0])


def test_image_of_each_drive_is_named_and_refused_by_the_other(image: Path) -> None:
    assert build.read_image_mark(image).drive == "stepper"
    assert build.read_image_mark(current_image()).drive == "dc"
    with pytest.raises(BridgeError, match=r"drives a stepper, and the cart has a DC motor; build the cart's own"):
        EmulatedChip(image)
    with pytest.raises(BridgeError, match=r"drives a DC motor, and the cart has a stepper; .*--drive stepper$"):
        EmulatedChip(current_image(), driver=DriverWiring())


def test_image_that_is_written_has_the_drive_that_was_asked_for(
    tmp_path: Path, command_line: Callable[..., Completed]
) -> None:
    need_compiler()
    built = {drive: build.build_firmware(tmp_path / drive, drive=drive).hex for drive in ("dc", "stepper")}
    for drive, wanted, message in (
        ("dc", ("--cart", "diy_stepper"), "drives dc, and cart diy_stepper has the drive stepper"),
        ("stepper", ("--cart", "diy_arduino"), "drives stepper, and cart diy_arduino has the drive dc"),
        ("stepper", ("--drive", "dc"), "drives stepper, and --drive dc"),
    ):
        refused = command_line("firmware", "flash", "--port", "/dev/none", "--hex", built[drive], *wanted)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr
    for wanted in ((), ("--cart", "diy_stepper")):
        assert (
            "drives"
            not in command_line("firmware", "flash", "--port", "/dev/none", "--hex", built["stepper"], *wanted).stderr
        )


def test_image_fits_the_chip(tmp_path: Path) -> None:
    need_compiler()
    built = build.build_firmware(tmp_path, drive="stepper")
    assert built.flash_bytes <= FLASH_MOST
    assert built.ram_bytes <= RAM_MOST


@pytest.mark.long
def test_chip_has_time_for_20_000_steps_and_40_000_edges_a_second(image: Path) -> None:
    """Half of the edges of each encoder, requests at any moment, and the cart driven back and forth at full speed."""
    figures, pulses = stepper_figures(image)
    assert figures.missed_ticks == 0
    assert 300 <= figures.longest_tick_us <= 850
    assert figures.stack_free_bytes >= 350
    assert 5.0 <= figures.longest_off_us <= 30.0
    assert figures.longest_interrupt_us <= 30.0
    assert pulses["period_cycles"] == 800
    assert pulses["high_cycles"] == 80
    assert pulses["lost_bottoms"] == 0
    assert pulses["longest_write_cycles"] is not None
    assert pulses["longest_write_cycles"] < 640  # a fifth of the shortest period to spare


def test_driver_is_let_go_of_until_homing_and_at_once_by_the_e_stop(rig: AvrRig) -> None:
    assert isinstance(rig.chip, EmulatedChip)
    assert rig.chip.steps()[3] == LET_GO
    counts_of(rig, 0, 10)
    assert rig.chip.steps()[3] == DRIVEN_LOW  # diy_stepper's level
    rig.virtual_cart.is_estop_pressed = True
    rig.virtual_cart.pass_ms()
    rig.virtual_cart.pass_ms()
    assert rig.chip.steps()[3] == LET_GO
    assert rig.virtual_cart.drive is None


def test_reset_lets_go_of_the_driver_at_once(rig: AvrRig) -> None:
    assert isinstance(rig.chip, EmulatedChip)
    counts_of(rig, 0, 10)
    rig.chip.restart(2)  # external
    rig.virtual_cart.pass_ms()
    assert rig.chip.steps()[3] == LET_GO
    steps = rig.chip.steps()[0]
    for _ in range(50):
        rig.virtual_cart.pass_ms()
    assert (rig.chip.steps()[0], rig.chip.steps()[3]) == (steps, LET_GO)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"is_reversed": True}, r"^POLARITY at "),
        ({"is_powered": False}, r"^HOMING_TRAVEL at .* a stepper moves: its driver's supply, ENABLE and current"),
        ({"is_enable_low": False}, r"^HOMING_TRAVEL at "),
    ],
)
def test_wrong_wires_of_the_driver_are_named_by_homing(rig: AvrRig, wrong: dict[str, Any], message: str) -> None:
    assert isinstance(rig.chip, EmulatedChip)
    rig.chip.wire_driver(dataclasses.replace(WIRING, **wrong))
    with pytest.raises(RigError, match=message):
        counts_of(rig, 0, 1)
    for _ in range(2):
        rig.virtual_cart.pass_ms()
    steps = rig.chip.steps()[0]
    for _ in range(100):
        rig.virtual_cart.pass_ms()
    assert rig.chip.steps()[0] == steps


def test_a_pulse_in_a_thousand_that_the_driver_misses_either_way_does_no_harm(rig: AvrRig) -> None:
    """As many are missed to the left as to the right: a track that seems a thousandth longer, and no drift."""
    assert isinstance(rig.chip, EmulatedChip)
    rig.chip.wire_driver(dataclasses.replace(WIRING, misses_every=1000))
    found = counts_of(rig, 0, 500)
    position_m = rig.virtual_cart.true_state().cart_position_m
    assert abs(position_m - found[-1][0] / ENCODERS.cart_counts_per_m) < 2e-3
