"""Stage `check`: what of check-rig finds out something without moving the cart."""

from __future__ import annotations

from cartpole_robot.bring_up.check import RigCheck, Step, steps_for
from cartpole_robot.bring_up.findings import StepResult, Verdict
from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.work import Work
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import UsageError
from cartpole_robot.terminal.interrupts import stopped_by_signals
from firmware_bridge.ports import usb_bridge

BY_HAND = ("rail", "supply", "e-stop", "switches", "cart-encoder", "driver", "pole-encoder", "pole-turn")
"""The steps that need a person."""
_LATER = "round-trip"
"""The next stage measures it, and the cart is identified with whatever delay its line has."""
_BAD = (Verdict.WRONG, Verdict.UNKNOWN)


def check(work: Work) -> StageResult:
    """Nothing wrong was found. Raises `StageFailedError` with each step that found something."""
    operator = None if work.is_checked else work.line.operator()
    if operator is None and not work.is_checked:
        raise UsageError(
            "bring-up asks a person for some steps of check-rig first, and stdin is no terminal; run it in a terminal, "
            "or add --checked for a rig that check-rig has found fit"
        )
    rig_check = RigCheck(
        cart=work.cart,
        open_line=work.line.transport,
        port=work.line.name,
        operator=operator,
        may_move=True,
        on_result=lambda result: work.say(_line(result)) if result.verdict in _BAD else None,
        steps=_steps(work.cart, has_hands=operator is not None),
        usb=usb_bridge(work.line.name.removeprefix("serial:")) if work.line.is_real else None,
    )
    with stopped_by_signals():
        is_fine = rig_check.run()
    bad = [result for result in rig_check.results if result.verdict in _BAD]
    if not is_fine:
        raise StageFailedError(
            "; ".join(f"{result.name}: {result.message}" for result in bad),
            bad[0].remedy or "put it right, and check again with cartpole-robot check-rig",
            {"wrong": [result.name for result in bad]},
        )
    fine = sum(result.verdict is Verdict.FINE for result in rig_check.results)
    skipped = [result.name for result in rig_check.results if result.verdict is Verdict.SKIPPED]
    left = f", not checked: {', '.join(skipped)}" if skipped else ""
    hands = "" if operator is not None else ", none by hand (--checked)"
    return StageResult(
        name=StageName.CHECK,
        line=f"{fine} steps found nothing wrong{hands}{left}",
        figures={"steps": [result.as_dict() for result in rig_check.results]},
    )


def _steps(cart: CartParams, *, has_hands: bool) -> tuple[Step, ...]:
    """Those that move the cart are left to the stages after this one, which find out the same."""
    return tuple(
        step
        for step in steps_for(cart)
        if not step.moves and step.name != _LATER and (has_hands or step.name not in BY_HAND)
    )


def _line(result: StepResult) -> str:
    return f"{result.name}: {result.message}"
