"""The verbs `cartpole-robot excite` and `identify`."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands.options import (
    Verbs,
    add_verb,
    count_from_zero,
    positive,
)
from cartpole_robot.errors import UsageError
from cartpole_robot.rigs.open_rig import RIG_NAMES, check_may_move

if TYPE_CHECKING:
    from cartpole_robot.identify.identification import Identification


def add_identify_verbs(verbs: Verbs) -> None:
    """Add both."""
    excite = add_verb(
        verbs,
        "excite",
        "record a motion in which a cart's parameters show: its regulator is sent about and shaken",
        "cartpole-robot excite --rig serial:/dev/ttyACM0 --cart my_cart.toml --arm --out rollouts/excited.parquet",
    )
    excite.add_argument("--rig", default="virtual", metavar="RIG", help=f"{', '.join(RIG_NAMES)} (default: virtual)")
    excite.add_argument(
        "--cart", default="diy_arduino", metavar="NAME|FILE", help="what is known of the cart (default: diy_arduino)"
    )
    excite.add_argument("--duration-s", type=positive, default=30.0, metavar="S", help="how long (default: 30)")
    excite.add_argument(
        "--swing-s",
        type=_not_negative,
        default=14.0,
        metavar="S",
        help="of it, its end: the motor is off, the pole falls and swings: so its friction shows (default: 14)",
    )
    excite.add_argument(
        "--seed", type=count_from_zero, default=0, metavar="N", help="another motion for another seed (default: 0)"
    )
    excite.add_argument("--arm", action="store_true", help="allow it to move a real cart")
    excite.add_argument("--out", type=Path, required=True, metavar="FILE", help="recording to write, a new one")
    excite.add_argument("--json", action="store_true", help="print the summary as JSON")
    excite.set_defaults(run=_excite, extra="sim")

    identify = add_verb(
        verbs,
        "identify",
        "learn a cart's parameters from recordings of it, with intervals and a test on what was held out",
        "cartpole-robot identify rollouts/steps.parquet rollouts/swing.parquet --cart sensorsini --out my_cart.toml",
    )
    identify.add_argument("recordings", type=Path, nargs="+", metavar="REC", help="recordings of one cart")
    identify.add_argument(
        "--cart",
        metavar="NAME|FILE",
        help="where the search begins, and what is not searched for (default: the first's)",
    )
    identify.add_argument("--out", type=Path, required=True, metavar="FILE.toml", help="cart file to write, a new one")
    identify.add_argument(
        "--terms", nargs="+", metavar="TERM", help="only these, such as motor_gain delay (default: all that can show)"
    )
    identify.add_argument(
        "--window-s",
        type=positive,
        metavar="S",
        help="how long the model runs before it starts anew (default: 2 where the pole hangs all the time, else 0.5)",
    )
    identify.add_argument(
        "--held-out", type=_share, default=0.3, metavar="SHARE", help="end of each recording, to test on (default: 0.3)"
    )
    identify.add_argument(
        "--mixed-periods", action="store_true", help="recordings of different control periods may mix"
    )
    identify.add_argument("--json", action="store_true", help="print the result as JSON")
    identify.set_defaults(run=_identify, extra="sim")


def _excite(arguments: argparse.Namespace) -> int:
    check_may_move(arguments.rig, may_move=arguments.arm)
    from cartpole_robot.policy.backend import LQR
    from cartpole_robot.recording.summary import recording_summary, recording_text
    from cartpole_robot.rollout.record import RolloutRequest, record_rollout

    recording = record_rollout(
        RolloutRequest(
            policy=Path(LQR),
            rig=arguments.rig,
            cart=arguments.cart,
            backend="c",
            seed=arguments.seed,
            duration_s=arguments.duration_s,
            out=arguments.out,
            excites=True,
            swing_s=min(arguments.swing_s, 0.5 * arguments.duration_s),
        )
    )
    summary = recording_summary(recording)
    print(json.dumps(summary, indent=2) if arguments.json else recording_text(summary))
    return 0


def _not_negative(text: str) -> float:
    return 0.0 if text.strip() == "0" else positive(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0.0 <= share <= 0.9:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 0.9, got {text!r}")
    return share


def _identify(arguments: argparse.Namespace) -> int:
    if arguments.out.exists():
        raise UsageError(f"{arguments.out}: exists already, and no cart file is overwritten; choose another --out")
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.identify.cart_file import identified_cart, write_cart
    from cartpole_robot.identify.identification import IdentifyRequest, identify
    from cartpole_robot.open_loop.series import series_of
    from cartpole_robot.recording.reader import read_recording
    from cartpole_robot.terminal.progress import progress_bar

    recordings = [read_recording(path) for path in arguments.recordings]
    cart = load_cart(arguments.cart) if arguments.cart is not None else recordings[0].cart
    request = IdentifyRequest(
        terms=tuple(arguments.terms) if arguments.terms else None,
        window_s=arguments.window_s,
        held_out=arguments.held_out,
        may_mix_periods=arguments.mixed_periods,
    )
    all_series = [series_of(recording) for recording in recordings]
    with progress_bar(100, "identifying", "%", quiet=arguments.json) as bar:
        found = identify(all_series, cart, request, progress=lambda share: bar.update(round(100 * share) - bar.n))
    write_cart(arguments.out, identified_cart(found, cart))
    print(
        json.dumps({**found.as_dict(), "cart_file": str(arguments.out)}, indent=2) if arguments.json else _text(found)
    )
    if not arguments.json:
        print(f"  cart file  {arguments.out}\n  train on it: cartpole-robot train --cart {arguments.out}")
    return 0


def _text(found: Identification) -> str:
    lines = [f"  {'':<34} {'before':>10} {'identified':>11}   95 % within"]
    lines.extend(
        f"  {e.term.label:<34} {e.term.read(found.nominal):>10.4g} {e.value:>11.4g}   "
        f"{e.low:.4g} to {e.high:.4g} {e.term.unit}"
        for e in found.estimates
    )
    lines.append(f"  left over while fitting: {1000 * found.noise[0]:.2f} mm, {1000 * found.noise[1]:.1f} mrad (RMS)")
    for before, after in zip(found.before, found.after, strict=True):
        if after.windows == 0:
            lines.append(f"  held out of {after.series}: no half second without a gap")
            continue
        lines.append(
            f"  held out of {after.series}, half a second ahead: {1000 * before.position_m:.1f} mm and "
            f"{before.angle_rad:.4f} rad before, {1000 * after.position_m:.1f} mm and {after.angle_rad:.4f} rad now"
        )
    return "\n".join([*lines, *(f"  note: {note}" for note in found.notes)])
