"""Stage `identify`: the cart's parameters from the recording, with intervals, as a cart file."""

from __future__ import annotations

import dataclasses

from cartpole_robot.bring_up.cautious import brake_of, with_brake
from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.work import Work
from cartpole_robot.cart.firmware_figures import encoders_and_settings
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files.run_folder import write_json
from cartpole_robot.identify.cart_file import identified_cart
from cartpole_robot.identify.identification import Identification, IdentifyRequest, identify
from cartpole_robot.open_loop.series import series_of
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.start import swing_up_driver
from cartpole_robot.terminal.progress import progress_bar
from firmware_bridge.constants import HOMING_DUTY_MOST

_BREAKAWAY_TIMES = (1.2, 2.0)  # least and most, of the duty that static friction and dead zone take
_MOVING_SHARE = 0.9  # of the homing duty: where it homes, the pole is braked with pushes between the two


def identify_cart(work: Work) -> StageResult:
    """The identified cart, which in simulation swings its pole up. Raises `StageFailedError`."""
    nominal = work.homed_cart
    try:
        series = series_of(read_recording(work.path(StageName.EXCITE)))
        with progress_bar(100, "identifying", "%", quiet=True) as bar:
            found = identify(
                [series], nominal, IdentifyRequest(), progress=lambda share: bar.update(round(100 * share) - bar.n)
            )
    except (UsageError, RunError) as error:
        raise StageFailedError(
            f"no cart was identified: {error}", "look at the recording with cartpole-robot show, and excite again"
        ) from None
    try:
        cart = _finished(identified_cart(found, nominal), work.cart)
    except (UsageError, RunError) as error:
        motor, body = found.model.cart.motor, found.model.cart.pole_cart
        share = motor.stall_force_n / (body.mass_kg * body.gravity_m_s2)
        raise StageFailedError(
            f"the identified motor is too weak: its {motor.stall_force_n:.3g} N are {share:.2f} of the weight of cart "
            f"and pole, against {found.model.cart.friction.cart_coulomb_n:.3g} N of friction ({error})",
            "use a stronger motor or a higher supply voltage, or make the cart run more freely; then begin in a new "
            "folder",
            estimates_of(found),
        ) from None
    return kept(work, found, cart, _line(found, nominal))


def kept(work: Work, found: Identification, cart: CartParams, line: str) -> StageResult:
    """The stage's result, once the identified cart and what was found are written. Raises `StageFailedError`."""
    try:
        swing_up_driver(cart)
    except UsageError as error:
        raise StageFailedError(
            f"the identified cart cannot swing up its pole: {error}", "", estimates_of(found)
        ) from None
    work.folder.clear(StageName.IDENTIFY)
    work.folder.write_cart(StageName.IDENTIFY, cart)
    write_json(work.path(StageName.IDENTIFY, 1), found.as_dict())
    return StageResult(
        name=StageName.IDENTIFY,
        line=line,
        figures=estimates_of(found),
        notes=found.notes,
    )


def _finished(cart: CartParams, nominal: CartParams) -> CartParams:
    """The identified cart with the firmware's limits that follow from its numbers."""
    cart = with_brake(cart, brake_of(cart), "computed: bring-up, from the identified motor, mass and friction")
    _, firmware = encoders_and_settings(cart)
    motor, static_n = cart.motor, cart.friction.cart_static_n
    breakaway = max(abs(motor.duty_for(side * static_n / motor.stall_force_n)) for side in (-1.0, 1.0))
    homing_duty = max(firmware.homing_duty, round(min(HOMING_DUTY_MOST, _homing_duty(cart, nominal)), 3))
    least, most = (times * breakaway for times in _BREAKAWAY_TIMES)
    moving_duty = max(firmware.moving_duty, round(min(1.0, most, max(least, _MOVING_SHARE * homing_duty)), 3))
    sources = dict(cart.sources)
    if homing_duty != firmware.homing_duty:
        sources["firmware.homing_duty"] = "computed: bring-up, with as much force beyond friction as in the file"
    if moving_duty != firmware.moving_duty:
        sources["firmware.moving_duty"] = "computed: bring-up, more than static friction and dead zone take"
    firmware = dataclasses.replace(firmware, homing_duty=homing_duty, moving_duty=moving_duty)
    return dataclasses.replace(cart, firmware=firmware, sources=sources)


def _homing_duty(cart: CartParams, nominal: CartParams) -> float:
    """The duty that pushes the cart as hard as `nominal` is pushed at homing: the pole swings as far then."""
    _, firmware = encoders_and_settings(nominal)
    before, now = nominal.motor, cart.motor
    push_n = abs(before.level(firmware.homing_duty)) * before.stall_force_n - nominal.friction.cart_coulomb_n
    level = (max(0.0, push_n) + cart.friction.cart_coulomb_n) / now.stall_force_n
    return max(abs(now.duty_for(side * level)) for side in (-1.0, 1.0))


def estimates_of(found: Identification) -> dict[str, object]:
    """The identified numbers with their intervals, as a stage's figures."""
    record = found.as_dict()
    names = ("term", "label", "unit", "before", "value", "low_95", "high_95")
    return {"estimates": [{name: each[name] for name in names} for each in record["estimates"]]}


def _line(found: Identification, nominal: CartParams) -> str:
    cart = found.model.cart
    ratios = (
        ("force", cart.motor.stall_force_n / nominal.motor.stall_force_n),
        (
            "friction",
            cart.friction.cart_coulomb_n / nominal.friction.cart_coulomb_n if nominal.friction.cart_coulomb_n else None,
        ),
        ("pole length", cart.pole_cart.pole_half_length_m / nominal.pole_cart.pole_half_length_m),
    )
    parts = [f"{name} {ratio:.2f} x the file's" for name, ratio in ratios if ratio is not None]
    delay_ms = 1000.0 * found.model.delay_s
    return f"{', '.join(parts)}, delay {delay_ms:.1f} ms, dead zone {cart.motor.dead_zone_duty:.3f}"
