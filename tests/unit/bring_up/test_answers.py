"""What `check-rig` makes of an operator who does not answer, answers nonsense, or stops it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from cartpole_robot.bring_up.bench import Meters
from cartpole_robot.bring_up.check import RigCheck, chosen_steps, verdict_text
from cartpole_robot.bring_up.findings import Verdict
from cartpole_robot.bring_up.operator import NobodyAnswersError, Operator, SimulatedOperator, TerminalOperator
from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.rigs.virtual import LockstepTransport
from cartpole_robot.simulation.hand import BuildersHand, Deed
from cartpole_robot.simulation.imperfections.imperfect import spoil
from cartpole_robot.simulation.imperfections.profile import load_profile
from cartpole_robot.simulation.virtual_cart import VirtualCart
from cartpole_robot.simulation.wired_board import _ESTOP, _LEFT, SwitchStuck, WiredBoard
from firmware_bridge._host import Firmware


class Answering:
    """Answers each question with the next of `answers`, and nothing after them; implements `Operator`."""

    def __init__(self, *answers: str) -> None:
        self.asked: list[str] = []
        self._answers = iter(answers)

    def ask(self, deed: Deed, text: str) -> None:
        self.asked.append(text)

    def answer(self) -> str | None:
        return next(self._answers, None)


def checked(
    *names: str,
    operator: Operator | Callable[[VirtualCart], Operator] | None,
    board: type[WiredBoard] = WiredBoard,
    profile: str = "ideal",
    meters: Meters | None = None,
) -> tuple[RigCheck, VirtualCart]:
    cart = load_cart("diy_arduino")
    virtual = VirtualCart(cart, board=board(Firmware(session=1), cart))
    spoil(virtual, cart, load_profile(profile))
    check = RigCheck(
        cart=cart,
        open_line=lambda: LockstepTransport(virtual),
        port="virtual",
        operator=operator(virtual) if callable(operator) else operator,
        may_move=True,
        on_result=lambda _: None,
        steps=chosen_steps(names),
        meters=meters or Meters(),
    )
    return check, virtual


def builder(virtual: VirtualCart) -> Operator:
    return SimulatedOperator(BuildersHand(virtual))


@pytest.mark.parametrize("answers", [(), ("",), ("", "no")], ids=["none", "the first question only", "no"])
def test_nothing_moves_before_somebody_has_answered(answers: tuple[str, ...]) -> None:
    check, virtual = checked("motor", operator=Answering(*answers))
    check.run()
    assert check.results[-1].verdict is Verdict.SKIPPED
    assert check.results[-1].message == "not checked: nobody answered for 120 s"
    assert virtual.true_state().cart_position_m == pytest.approx(0.0)


def test_end_of_input_is_no_answer_and_enter_after_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        operator = TerminalOperator()
        os.write(writing, b"typed before\n")
        operator.ask(Deed.STAND_CLEAR, "keep clear")
        assert operator.answer() is None
        os.write(writing, b"12")
        assert operator.answer() is None
        os.write(writing, b".1 \n")
        assert operator.answer() == "12.1"
        os.close(writing)
        operator.ask(Deed.STAND_CLEAR, "keep clear")
        with pytest.raises(NobodyAnswersError, match="the answer was the end of the input"):
            operator.answer()


@pytest.mark.parametrize("nonsense", ["twelve", "nan", "inf", "1e9", "-5", "5_0", "0", "12,1,3", "4930 mV", "\x1b[31m"])
def test_what_is_no_voltage_is_asked_for_again(nonsense: str, capsys: pytest.CaptureFixture[str]) -> None:
    operator = Answering(nonsense, "4,93 v")
    check, _ = checked("rail", operator=operator)
    check.run()
    assert len(operator.asked) == 2
    assert check.results[-1].message.startswith("4.93 V by the voltmeter")
    shown = capsys.readouterr().err
    assert "expected volts such as 12.1, got " in shown
    assert "\x1b" not in shown


def test_step_that_is_stopped_is_reported_as_not_checked() -> None:
    class Stopping(Answering):
        def ask(self, deed: Deed, text: str) -> None:
            raise KeyboardInterrupt

    check, _ = checked("switches", operator=Stopping())
    with pytest.raises(KeyboardInterrupt):
        check.run()
    assert check.results[-1].message == "not checked: it was stopped"
    assert verdict_text(check.results) == "nothing wrong was found (not checked: switches; 19 steps left out)"


def test_check_whose_terminal_is_gone_says_so_in_its_results() -> None:
    class Gone(Answering):
        def ask(self, deed: Deed, text: str) -> None:
            raise OSError(errno.EIO, "Input/output error")

    check, _ = checked("switches", operator=Gone())
    with pytest.raises(OSError, match="Input/output"):
        check.run()
    assert (check.results[-1].name, check.results[-1].message) == ("terminal", "not checked: the terminal is gone")


def test_contacts_that_have_changed_places_are_named() -> None:
    class EstopAtLeft(WiredBoard):
        def inputs(self, inputs: int) -> int:
            return inputs & ~(_LEFT | _ESTOP) | (_ESTOP if inputs & _LEFT else 0) | (_LEFT if inputs & _ESTOP else 0)

    check, _ = checked("e-stop", "switches", operator=builder, board=EstopAtLeft)
    assert not check.run()
    found = {result.name: (result.mistake, result.message) for result in check.results}
    assert found["e-stop"] == ("estop-wires", "pressed, and the firmware reads the left switch")
    assert found["switches"] == ("switch-wires", "the left switch was pressed, and the firmware reads the e-stop")


def test_encoders_that_have_changed_places_are_suspected() -> None:
    class Exchanged(WiredBoard):
        cart, pole = 0, 0

        def cart_counts(self, counts: int) -> int:
            self.cart = counts
            return self.pole

        def pole_counts(self, counts: int) -> int:
            self.pole = counts
            return self.cart

    check, _ = checked("cart-encoder", "pole-encoder", operator=builder, board=Exchanged)
    assert not check.run()
    for result, other in zip(check.results[-2:], ("pole", "cart"), strict=True):
        assert f"while the {other}'s encoder counted +" in result.message
        assert "the two encoders' wires are exchanged" in result.remedy


def test_stuck_switch_is_named_by_the_moving_cart_too() -> None:
    check, _ = checked("motor", "track", operator=None, board=SwitchStuck)
    assert not check.run()
    assert check.results[-1].mistake == "switch-stuck"


@pytest.mark.parametrize("meters", [Meters(), Meters(rail_v=4.75, supply_v=12.0)], ids=["none", "voltmeter"])
def test_dead_zone_is_not_called_wrong_for_a_supply_that_nobody_has_measured(meters: Meters) -> None:
    check, _ = checked("supply", "dead-zone", operator=None, profile="workbench", meters=meters)
    assert check.run(), check.results
    assert check.results[-1].verdict is (Verdict.SKIPPED if meters.supply_v is None else Verdict.FINE)


class Shadowing:
    """A person, here a simulated one whose kind the check does not see."""

    def __init__(self, virtual: VirtualCart) -> None:
        self._builder = builder(virtual)

    def ask(self, deed: Deed, text: str) -> None:
        self._builder.ask(deed, text)

    def answer(self) -> str | None:
        return self._builder.answer()


@pytest.mark.parametrize(
    ("operator", "keeps"),
    [(builder, "the simulated operator keeps it pressed"), (Shadowing, "keep the e-stop pressed")],
)
def test_line_about_the_supply_asks_only_a_person_to_keep_the_emergency_stop_pressed(
    operator: Callable[[VirtualCart], Operator], keeps: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check, _ = checked("e-stop", operator=operator)
    check.run()
    assert check.results[-1].verdict is Verdict.FINE
    assert f"the supply must fall below 9 V within 30 s; {keeps}\n" in capsys.readouterr().err
