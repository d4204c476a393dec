"""Stage `identify` of a stepper's cart: delay, settling and pole from the recording, with intervals, as a cart file."""

from __future__ import annotations

from cartpole_robot.bring_up.stage import StageFailedError, StageName, StageResult
from cartpole_robot.bring_up.stages.identify import kept
from cartpole_robot.bring_up.work import Work
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.identify.cart_file import identified_cart
from cartpole_robot.identify.identification import Identification, IdentifyRequest, identify
from cartpole_robot.identify.stepper_cart import STEPPER_TERMS
from cartpole_robot.open_loop.series import series_of
from cartpole_robot.recording.reader import read_recording
from cartpole_robot.terminal.progress import progress_bar


def identify_stepper(work: Work) -> StageResult:
    """The identified cart, which in simulation swings its pole up. Raises `StageFailedError`.

    The steps of a metre are not searched: the track between the switches is their measure, at `home`.
    """
    nominal = work.accelerated_cart
    request = IdentifyRequest(terms=STEPPER_TERMS)
    try:
        series = series_of(read_recording(work.path(StageName.EXCITE)))
        with progress_bar(100, "identifying", "%", quiet=True) as bar:
            found = identify([series], nominal, request, progress=lambda share: bar.update(round(100 * share) - bar.n))
        cart = identified_cart(found, nominal)
    except (UsageError, RunError) as error:
        raise StageFailedError(
            f"no cart was identified: {error}", "look at the recording with cartpole-robot show, and excite again"
        ) from None
    return kept(work, found, cart, _line(found, nominal))


def _line(found: Identification, nominal: CartParams) -> str:
    cart = found.model.cart
    assert cart.stepper is not None
    length = cart.pole_cart.pole_half_length_m / nominal.pole_cart.pole_half_length_m
    return (
        f"pole length {length:.2f} x the file's, delay {1000.0 * found.model.delay_s:.1f} ms, settling "
        f"{1000.0 * cart.stepper.settling_s:.1f} ms"
    )
