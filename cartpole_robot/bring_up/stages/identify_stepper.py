"""Stage `identify` of a stepper's cart: its pole's length by the period of homing, and the delay of its line."""

from __future__ import annotations

from typing import Any

from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.work import Work
from cartpole_robot.cart.firmware_figures import pole_half_length_m
from cartpole_robot.cart.randomization import changed_cart
from cartpole_robot.errors import UsageError
from cartpole_robot.files.run_folder import write_json
from cartpole_robot.start import swing_up_driver

_LENGTH_OFF = (0.89, 1.01)  # a pole that hardly swings crosses the middle late: its length reads up to 11 % too long
_KEY = "pole_cart.pole_half_length_m"


def identify_stepper(work: Work) -> StageResult:
    """The cart with what was measured of it, which in simulation swings its pole up. Raises `StageFailedError`."""
    nominal, home = work.accelerated_cart, work.figures(StageName.HOME)
    half_m = pole_half_length_m(nominal, home["half_period_s"])
    try:
        cart = changed_cart(nominal, {_KEY: half_m}, source="measured: bring-up, by the pole's period at homing")
        swing_up_driver(cart)
    except (UsageError, ValueError) as error:
        raise StageFailedError(f"the measured cart cannot swing up its pole: {error}", "", {_KEY: half_m}) from None
    before_m, latency_s = nominal.pole_cart.pole_half_length_m, float(home["latency_s"])
    estimates: list[dict[str, Any]] = [
        {
            "term": "pole_length",
            "label": "half of the pole's length",
            "unit": "m",
            "before": before_m,
            "value": half_m,
            "low_95": _LENGTH_OFF[0] * half_m,
            "high_95": _LENGTH_OFF[1] * half_m,
        },
        {
            "term": "delay",
            "label": "latency of the line",
            "unit": "s",
            "before": work.cart.delay.latency_s,
            "value": latency_s,
            "low_95": latency_s,
            "high_95": latency_s,
        },
    ]
    work.folder.clear(StageName.IDENTIFY)
    work.folder.write_cart(StageName.IDENTIFY, cart)
    write_json(work.path(StageName.IDENTIFY, 1), {"estimates": estimates})
    return StageResult(
        name=StageName.IDENTIFY,
        line=f"pole length {half_m / before_m:.2f} x the file's, latency {1000.0 * latency_s:.1f} ms; acceleration and "
        "counts are what the pulses say",
        figures={"estimates": estimates},
    )
