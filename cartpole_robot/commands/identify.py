"""The verb `cartpole-robot identify`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands import options
from cartpole_robot.commands.numbers import positive, share
from cartpole_robot.commands.output import DONE, command_line, print_result
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.simulation.engine import Engine

if TYPE_CHECKING:
    from cartpole_robot.identify.fit import Estimate
    from cartpole_robot.identify.identification import Identification

_READING = 5  # percent of the work


def add_identify(identify: Parser) -> None:
    """Declare the arguments of `identify`."""
    details(identify, "Reports intervals and a test on held-out data, and writes a cart file.")
    examples(identify, "rollouts/steps.parquet rollouts/swing.parquet --cart sensorsini --out my_cart.toml")
    identify.set_defaults(run=_identify, extra="sim")
    identify.add_argument("recordings", type=Path, nargs="+", metavar="REC", help="recordings of one cart")
    options.cart(
        identify,
        what="start values of the search, and fixed values of everything else",
        otherwise="the first recording's",
    )
    options.out(identify, "FILE.toml", "cart file to write")
    identify.add_argument(
        "--terms",
        nargs="+",
        metavar="TERM",
        help="search only these, such as motor_gain delay (default: all that the recordings show)",
    )
    identify.add_argument(
        "--window-s",
        type=positive,
        metavar="S",
        help="how long the model runs before it restarts (default: 2 if the pole hangs throughout, else 0.5)",
    )
    identify.add_argument(
        "--held-out",
        type=share,
        default=0.3,
        metavar="SHARE",
        help="share at the end of each recording to test on (default: 0.3)",
    )
    identify.add_argument("--mixed-periods", action="store_true", help="allow recordings of different control periods")
    options.engine(identify, what="the model")
    options.json(identify)


def _identify(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.files.new_file import check_is_new
    from cartpole_robot.identify.cart_file import identified_cart, write_cart
    from cartpole_robot.identify.identification import IdentifyRequest, identify
    from cartpole_robot.open_loop.series import series_of
    from cartpole_robot.recording.reader import read_recording
    from cartpole_robot.terminal.progress import progress_bar

    check_is_new(arguments.out)
    request = IdentifyRequest(
        terms=tuple(arguments.terms) if arguments.terms else None,
        window_s=arguments.window_s,
        held_out=arguments.held_out,
        may_mix_periods=arguments.mixed_periods,
        engine=arguments.engine and Engine(arguments.engine),
    )
    cart = None if arguments.cart is None else load_cart(arguments.cart)
    with progress_bar(100, "identifying", "%", quiet=arguments.json) as bar:
        all_series = []
        for path in arguments.recordings:
            all_series.append(series_of(read_recording(path)))
            bar.update(round(_READING * len(all_series) / len(arguments.recordings)) - bar.n)
        cart = cart or all_series[0].cart
        found = identify(
            all_series,
            cart,
            request,
            progress=lambda share: bar.update(round(_READING + (100 - _READING) * share) - bar.n),
        )
    write_cart(arguments.out, identified_cart(found, cart))
    where = f"  cart file  {arguments.out}\n  train on it: {command_line('train', '--cart', arguments.out)}"
    print_result(arguments, {**found.as_dict(), "cart_file": str(arguments.out)}, f"{_text(found)}\n{where}")
    return DONE


def _text(found: Identification) -> str:
    is_stepper = found.nominal.cart.stepper is not None
    digits = 5 if is_stepper else 4  # a count of steps is exact, and so is what follows from it

    def line(e: Estimate) -> str:
        return (
            f"  {e.term.label:<34} {e.term.read(found.nominal):>10.{digits}g} {e.value:>11.{digits}g}   "
            f"{e.low:.{digits}g} to {e.high:.{digits}g} {e.term.unit}"
        )

    lines = [f"  {'':<34} {'before':>10} {'identified':>11}   95 % within", *map(line, found.estimates)]
    if found.ratios:
        lines.append("  of the pole, whatever it weighs" if is_stepper else "  per kg of cart and pole")
        lines.extend(map(line, found.ratios))
    lines.append(f"  left over while fitting: {1000 * found.noise[0]:.2f} mm, {1000 * found.noise[1]:.1f} mrad (RMS)")
    for before, after in zip(found.before, found.after, strict=True):
        if after.windows == 0:
            lines.append(f"  held out of {after.series}: no half second without a gap")
            continue
        lines.append(
            f"  held out of {after.series}, half a second ahead: {1000 * before.position_m:.1f} mm and "
            f"{before.angle_rad:.4f} rad before, {1000 * after.position_m:.1f} mm and {after.angle_rad:.4f} rad now"
        )
    lines.append(f"  engine: {found.engine}{'' if found.repeated is None else f'; {found.repeated.text()}'}")
    if found.not_shown:
        lines.append("  not shown by these recordings, and kept:")
        lines.extend(f"    {one.text()}" for one in found.not_shown)
    return "\n".join([*lines, *(f"  note: {note}" for note in found.notes)])
