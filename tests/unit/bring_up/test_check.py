"""`check-rig` on virtual carts with planted mistakes, in lockstep, and what it may call fine."""

from __future__ import annotations

import dataclasses
import functools

import pytest

from cartpole_robot.bring_up.bench import Meters
from cartpole_robot.bring_up.check import STEP_NAMES, STEPS, RigCheck, chosen_steps, failed_steps, verdict_text
from cartpole_robot.bring_up.findings import StepResult, Verdict, result_text
from cartpole_robot.bring_up.operator import SimulatedOperator
from cartpole_robot.bring_up.rehearsal import rehearse
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.virtual import LockstepTransport
from cartpole_robot.simulation.hand import BuildersHand
from cartpole_robot.simulation.imperfections.imperfect import spoil
from cartpole_robot.simulation.imperfections.profile import load_profile
from cartpole_robot.simulation.mistake import Mistake
from cartpole_robot.simulation.planted_mistakes import built_board, built_cart
from cartpole_robot.simulation.virtual_cart import VirtualCart
from cartpole_robot.simulation.wired_board import WiredBoard
from firmware_bridge._host import Firmware
from firmware_bridge.usb import described


def found(mistake: Mistake | None, cart: str = "diy_arduino") -> dict[str, StepResult]:
    return rehearsed(mistake, cart)


@functools.cache
def rehearsed(mistake: Mistake | None, cart: str) -> dict[str, StepResult]:
    return {result.name: result for result in rehearse(load_cart(cart), mistake)}


def wrong_steps(results: dict[str, StepResult]) -> dict[str, str]:
    return {name: result.mistake for name, result in results.items() if result.verdict is Verdict.WRONG}


@pytest.mark.parametrize("cart", ["diy_arduino", "quanser_ip02"])
def test_right_cart_is_fine_in_every_step(cart: str) -> None:
    results = found(None, cart)
    assert {name: result.verdict for name, result in results.items()} == dict.fromkeys(STEP_NAMES, Verdict.FINE)
    assert verdict_text(list(results.values())) == "the rig is fit to be driven"


def test_right_cart_on_a_workbench_is_fine_in_every_step() -> None:
    cart, profile = load_cart("diy_arduino"), load_profile("workbench")
    results = rehearse(cart, None, spoil=lambda virtual: spoil(virtual, cart, profile))
    assert verdict_text(results) == "the rig is fit to be driven", [result_text(result) for result in results]


# Those that take less than a second in all; `python -m benchmarks.bring_up` does every one.
NAMED = {
    Mistake.MOTOR_LEADS_SWAPPED: {"motor": "motor-leads-swapped"},
    Mistake.CART_ENCODER_SWAPPED: {"cart-encoder": "cart-encoder-swapped"},
    Mistake.CHANNEL_DEAD: {"cart-encoder": "channel-dead"},
    Mistake.SWITCHES_SWAPPED: {"switches": "switches-swapped"},
    Mistake.SWITCH_STUCK: {"switches": "switch-stuck"},
    Mistake.SWITCH_NEVER_CLOSES: {"switches": "switch-never-closes"},
    Mistake.ESTOP_UNWIRED: {"e-stop": "estop-unwired"},
    Mistake.ESTOP_SHORTED: {"e-stop": "estop-shorted"},
    Mistake.RELAY_WELDED: {"e-stop": "relay-welded"},
    Mistake.SUPPLY_DIVIDER_OFF: {"supply": "supply-divider-off"},
    Mistake.BELT_SLIPS: {"track": "belt-slips"},
    Mistake.BRAKE_WEAK: {"brake": "brake-weak"},
    Mistake.LATENCY_16_MS: {"latency": "latency-16-ms", "round-trip": "latency-16-ms"},
    Mistake.BOOTLOADER_OLD: {"bootloader": "bootloader-old"},
}


@pytest.mark.parametrize("mistake", NAMED)
def test_planted_mistake_is_the_only_one_named_and_has_a_remedy(mistake: Mistake) -> None:
    results = found(mistake)
    assert wrong_steps(results) == NAMED[mistake]
    for name in NAMED[mistake]:
        assert results[name].remedy
    assert "not fit to be driven" in verdict_text(list(results.values()))


@pytest.mark.parametrize("mistake", [Mistake.ESTOP_SHORTED, Mistake.RELAY_WELDED, Mistake.SWITCH_STUCK])
def test_nothing_moves_on_a_cart_that_could_not_be_stopped(mistake: Mistake) -> None:
    results = found(mistake)
    for step in STEPS:
        if step.moves:
            assert results[step.name].verdict is Verdict.SKIPPED
            assert "first put right what" in results[step.name].message


def test_counts_per_metre_are_measured() -> None:
    results = found(Mistake.COUNTS_PER_M_85)
    assert wrong_steps(results) == {"track": "counts-per-metre"}
    assert results["track"].measured["encoders.cart_counts_per_m"] == pytest.approx(0.85 * 5555.6, rel=2e-3)


def test_dead_zone_and_brake_are_measured() -> None:
    results = found(None)
    assert results["dead-zone"].measured["motor.dead_zone_duty"] == pytest.approx(0.03, abs=0.003)
    weak = found(Mistake.BRAKE_WEAK)["brake"].measured["firmware.brake_decel_m_s2"]
    assert 0.4 * 19.0 < weak < 0.65 * 19.0


def virtual_check(**changes: object) -> tuple[RigCheck, VirtualCart, list[StepResult]]:
    cart = load_cart("diy_arduino")
    firmware = Firmware(session=1)
    virtual = VirtualCart(built_cart(cart, None), board=built_board(firmware, cart, None))
    results: list[StepResult] = []
    check = RigCheck(
        cart=cart,
        open_line=lambda: LockstepTransport(virtual),
        port="virtual",
        operator=None,
        may_move=False,
        on_result=results.append,
    )
    return dataclasses.replace(check, **changes), virtual, results  # type: ignore[arg-type]


def test_without_a_person_and_without_permission_steps_are_skipped_and_never_fine() -> None:
    check, virtual, results = virtual_check()
    assert check.run()
    by_name = {result.name: result for result in results}
    by_hand = ("e-stop", "switches", "cart-encoder", "pole-encoder", "pole-turn", "rail", "supply")
    moving = tuple(step.name for step in STEPS if step.moves)
    for name in (*by_hand, *moving, "usb", "latency"):
        assert by_name[name].verdict is Verdict.SKIPPED, name
        assert "not checked" in result_text(by_name[name])
    assert verdict_text(results).startswith("nothing wrong was found (not checked: usb, latency, rail, ")
    assert virtual.drive is None
    assert virtual.true_state().cart_position_m == pytest.approx(0.0)


PARTS = {
    "brown-out-disabled": ({"fuse_extended": 0xFF}, "fuses", Verdict.WRONG),
    "brown-out at 1.8 V": ({"fuse_extended": 0xFE}, "fuses", Verdict.WRONG),
    "a Uno as it is sold": ({"fuse_extended": 0xFD}, "fuses", Verdict.FINE),
    "another clock": ({"fuse_low": 0x62}, "fuses", Verdict.UNKNOWN),
    "another high fuse": ({"fuse_high": 0x5E}, "fuses", Verdict.UNKNOWN),
    "old Nano": ({"fuse_high": 0xDA, "bootloader": 0xFFFF}, "bootloader", Verdict.WRONG),
    "Optiboot behind a Nano's fuses": ({"fuse_high": 0xDA}, "bootloader", Verdict.WRONG),
    "another bootloader": ({"bootloader": 0x1234}, "bootloader", Verdict.UNKNOWN),
    "nothing where Optiboot would be": ({"bootloader": 0xFFFF}, "bootloader", Verdict.UNKNOWN),
    "a Nano as it was sold": (
        {"fuse_high": 0xDA, "bootloader": 0xFFFF, "lock_bits": 0xCF},
        "bootloader",
        Verdict.WRONG,
    ),
    "Optiboot as it is sold": ({"lock_bits": 0xCF}, "bootloader", Verdict.UNKNOWN),
    "no bootloader": ({"fuse_high": 0xDF, "bootloader": 0xFFFF}, "bootloader", Verdict.FINE),
    "ATmega328PB": ({"chip": 0x9516}, "chip", Verdict.WRONG),
    "another chip": ({"chip": 0x9514}, "chip", Verdict.UNKNOWN),
    "timer not set up": ({"pulse_top": 255}, "chip", Verdict.WRONG),
}


@pytest.mark.parametrize("case", PARTS)
def test_board_is_judged_by_what_it_says_of_itself(case: str) -> None:
    parts, name, verdict = PARTS[case]
    cart = load_cart("diy_arduino")
    firmware = Firmware(session=1)
    firmware.equip(**parts)
    firmware.restart(1)
    virtual = VirtualCart(cart, board=built_board(firmware, cart, None))
    check, _, results = virtual_check(
        open_line=lambda: LockstepTransport(virtual), steps=tuple(step for step in STEPS if step.name == name)
    )
    assert check.run() is (verdict is Verdict.FINE)
    assert results[0].verdict is verdict
    assert bool(results[0].remedy) is (verdict is not Verdict.FINE)


@pytest.mark.parametrize(("cause", "mistake"), [(1, ""), (2, ""), (4, "reset-brown-out"), (8, "reset-watchdog")])
def test_reset_that_should_not_happen_is_named(cause: int, mistake: str) -> None:
    check, virtual, results = virtual_check(steps=chosen_steps(["firmware"]))
    virtual.board.restart(cause)
    assert check.run() is (not mistake)
    assert results[0].mistake == mistake


def test_usb_bridge_that_the_guide_does_not_know_is_unknown_and_not_fine() -> None:
    check, _, results = virtual_check(usb=described(0x10C4, 0xEA60, "CP2102", None), steps=chosen_steps(["usb"]))
    assert not check.run()
    assert results[0].verdict is Verdict.UNKNOWN
    assert "round-trip" in results[0].remedy


@pytest.mark.parametrize(("supply_v", "is_fine"), [(12.0, True), (12.5, True), (11.3, False), (13.0, False)])
def test_supply_must_agree_with_the_voltmeter_within_5_percent(supply_v: float, is_fine: bool) -> None:
    meters = Meters(supply_v=supply_v, rail_v=5.0)
    check, _, results = virtual_check(meters=meters, steps=chosen_steps(["supply"]))
    assert check.run() is is_fine
    assert results[-1].mistake == ("" if is_fine else "supply-divider-off")


@pytest.mark.parametrize(("supply_v", "is_fine"), [(11.0, True), (10.8, False)])
def test_supply_is_in_doubt_by_5_percent_more_while_the_rail_is_unknown(supply_v: float, is_fine: bool) -> None:
    check, _, _ = virtual_check(meters=Meters(supply_v=supply_v), steps=chosen_steps(["supply"]))
    assert check.run() is is_fine


def test_rail_by_voltmeter_calibrates_the_bandgap_and_corrects_the_supply() -> None:
    check, virtual, results = virtual_check(
        meters=Meters(rail_v=4.75, supply_v=12.0), steps=chosen_steps(["rail", "supply"])
    )
    firmware = virtual.board._board  # type: ignore[attr-defined]
    firmware.equip(rail_mv=4750, bandgap_mv=1080)
    assert check.run(), [result_text(result) for result in results]
    assert results[1].measured["firmware.bandgap_v"] == pytest.approx(1.08, abs=2e-3)
    assert results[2].verdict is Verdict.FINE


def test_noise_on_an_encoder_that_counts_is_named() -> None:
    class Noisy(WiredBoard):
        """Two spikes each millisecond while the cart moves."""

        def cart_counts(self, counts: int) -> int:
            if counts != 0:
                firmware.disturb(2, 0, 0)
            return counts

    cart, firmware = load_cart("diy_arduino"), Firmware(session=1)
    virtual = VirtualCart(cart, board=Noisy(firmware, cart))
    check, _, results = virtual_check(
        open_line=lambda: LockstepTransport(virtual),
        operator=SimulatedOperator(BuildersHand(virtual)),
        steps=chosen_steps(["cart-encoder"]),
    )
    assert not check.run()
    assert results[-1].mistake == "encoder-noise"


@pytest.mark.parametrize(("cart", "missed", "mistake"), [(8, 0, ""), (9, 0, "encoder-noise"), (0, 1, "ticks-missed")])
def test_counters_name_noise_and_missed_ticks(cart: int, missed: int, mistake: str) -> None:
    check, virtual, results = virtual_check(steps=chosen_steps(["counters"]))
    firmware = virtual.board._board  # type: ignore[attr-defined]
    virtual.run(1)
    firmware.disturb(cart, 0, missed)
    check.run()
    assert results[-1].mistake == mistake


def test_only_some_steps_are_done_and_a_wrong_name_is_refused() -> None:
    assert [step.name for step in chosen_steps(["track", "usb"])] == ["usb", "limits", "track"]
    with pytest.raises(UsageError, match="check-rig has no step 'tracks'; expected some of usb, latency"):
        chosen_steps(["tracks"])


def test_steps_to_repeat_are_those_that_were_not_fine() -> None:
    assert failed_steps(list(found(Mistake.RELAY_WELDED).values()))[0] == "e-stop"
    assert failed_steps(list(found(None).values())) == []
