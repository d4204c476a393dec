"""The verbs that make and show a recording: `cartpole-robot record`, `excite` and `show`."""

from __future__ import annotations

import argparse
import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartpole_robot.commands import options
from cartpole_robot.commands.numbers import not_negative, positive, share
from cartpole_robot.commands.output import DONE, FAILED, print_error, print_result, print_text, rows_text
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.backend import LQR, Backend
from cartpole_robot.rigs.open_rig import check_may_move
from cartpole_robot.simulation.engine import Engine

if TYPE_CHECKING:
    from cartpole_robot.cart.params import CartParams
    from cartpole_robot.rollout.record import RolloutRequest

_UPRIGHT_S, _UPRIGHT_SWING_S = 30.0, 14.0


def add_record(record: Parser) -> None:
    """Declare the arguments of `record`."""
    examples(
        record,
        "runs/first --out rollouts/first.parquet",
        "lqr --cart diy_arduino --duration-s 30 --out rollouts/lqr.parquet",
        "lqr --rig virtual --cart diy_arduino --start swing-up --episodes 20 --out rollouts/series",
    )
    record.set_defaults(run=_record, extra="sim")
    options.policy(record)
    options.rig(record, default="sim")
    options.engine(record, otherwise="pybullet where it is installed")
    options.cart(record, otherwise=options.POLICYS_CART)
    options.start(record)
    record.add_argument(
        "--out",
        type=Path,
        metavar="FILE|FOLDER",
        required=True,
        help="recording to write, must not exist yet; with --episodes a folder of recordings, new or to continue",
    )
    options.episodes(record, what="number of recordings, each with the next seed", otherwise="one")
    options.run_limits(record)
    options.duration_s(record, default=10.0)
    options.seed(record, what="seed of the start")
    options.backend(record)
    options.randomize(record, what="draw the cart from these ranges, by the seed")
    options.arm(record)
    options.json(record)


def add_excite(excite: Parser) -> None:
    """Declare the arguments of `excite`."""
    details(
        excite,
        "With the pole hanging, the cart first finds the duty that moves it, then makes random pushes and coasts. This "
        "needs no operator, and the cart file may be far off. With the pole upright, the regulator moves and shakes "
        "the cart, which needs a file that balances. At the end the motor is off and the pole swings. The pole hangs "
        "unless the source of motor.stall_force_n in the cart file is identify. A cart with a stepper moves from rest "
        "to rest, within its speed and acceleration, its pole hanging unless --upright.",
    )
    examples(excite, "--rig serial:/dev/ttyACM0 --cart my_cart.toml --arm --out rollouts/excited.parquet")
    excite.set_defaults(run=_excite, extra="sim")
    options.rig(excite, default="virtual")
    options.cart(excite, what="what is known of the cart", default=options.DIY_CART)
    way = excite.add_mutually_exclusive_group()
    way.add_argument(
        "--hanging", action="store_true", help="start with the pole hanging, even if the cart is identified"
    )
    way.add_argument(
        "--upright", action="store_true", help="start with the pole upright, even if the cart is not identified"
    )
    excite.add_argument(
        "--duration-s",
        type=positive,
        metavar="S",
        help="duration, in seconds of the cart's time (default: 16 with the pole hanging, 30 upright)",
    )
    excite.add_argument(
        "--swing-s",
        type=not_negative,
        metavar="S",
        help="length of the free swing at the end, motor off, which shows the pole's friction; "
        "not on the rig sim (default: 4 with the pole hanging, 14 upright; half of the duration at most)",
    )
    excite.add_argument(
        "--travel-share",
        type=share,
        metavar="SHARE",
        help="with the pole hanging, the share of the cart's position limit to use (default: 0.6)",
    )
    options.seed(excite, what="random seed of the motion")
    options.arm(excite)
    options.out(excite, "FILE", "recording to write")
    options.json(excite)


def add_show(show: Parser) -> None:
    """Declare the arguments of `show`."""
    examples(show, "rollouts/first.parquet")
    show.set_defaults(run=_show, extra="report")
    show.add_argument("recording", type=Path, metavar="FILE", help="a recording, complete or interrupted")
    options.out(show, "PNG", "picture to write", default="FILE.png, which is replaced")
    options.json(show)


def _record(arguments: argparse.Namespace) -> int:
    return _record_rollout(
        arguments,
        policy=arguments.policy,
        backend=arguments.backend,
        randomization=arguments.randomize,
        start=options.start_of(arguments),
        engine=arguments.engine and Engine(arguments.engine),
    )


def _excite(arguments: argparse.Namespace) -> int:
    check_may_move(arguments.rig, may_move=arguments.arm)
    from cartpole_robot.cart.cart_file import is_identified, load_cart

    cart = load_cart(arguments.cart)
    is_known = is_identified(cart) or cart.encoders is None  # an ideal cart is what its file says
    is_known &= cart.stepper is None  # whose hanging pole shows all that there is
    if arguments.hanging or not (arguments.upright or is_known):
        return _excite_hanging(arguments, cart)
    if arguments.travel_share is not None:
        raise UsageError("--travel-share is for a hanging pole; add --hanging, or leave it out")
    arguments.duration_s = arguments.duration_s or _UPRIGHT_S
    swing_s = _UPRIGHT_SWING_S if arguments.swing_s is None else arguments.swing_s
    swing_s = min(swing_s, 0.5 * arguments.duration_s)
    return _record_rollout(arguments, policy=Path(LQR), backend=Backend.C.value, excites=True, swing_s=swing_s)


def _excite_hanging(arguments: argparse.Namespace, cart: CartParams) -> int:
    from cartpole_robot.recording.summary import recording_summary, recording_text
    from cartpole_robot.recording.writer import check_is_free
    from cartpole_robot.rigs.open_rig import open_rig
    from cartpole_robot.rollout.hanging import MOTION_S, SWING_S, HangingRequest, excite_hanging
    from cartpole_robot.rollout.hanging_excitation import TRAVEL_SHARE
    from cartpole_robot.simulation.engine import reference_engine
    from cartpole_robot.terminal.progress import progress_bar

    check_is_free(arguments.out)
    duration_s = arguments.duration_s or MOTION_S + SWING_S
    swing_s = min(SWING_S if arguments.swing_s is None else arguments.swing_s, 0.5 * duration_s)
    request = HangingRequest(
        out=arguments.out,
        rig=arguments.rig,
        seed=arguments.seed,
        motion_s=duration_s - swing_s,
        swing_s=swing_s,
        travel_share=TRAVEL_SHARE if arguments.travel_share is None else arguments.travel_share,
        engine=reference_engine() if arguments.rig == "sim" else None,
    )
    steps = round((request.motion_s if arguments.rig == "sim" else duration_s) / cart.timing.control_period_s)
    with (
        contextlib.closing(open_rig(arguments.rig, cart)) as rig,
        progress_bar(steps, "exciting", " steps", quiet=arguments.json) as bar,
    ):
        excited = excite_hanging(rig, request, on_step=bar.update)
    summary = recording_summary(excited.recording)
    period = excited.pole_period
    rows = {
        "driven": f"{excited.driven_s:.2f} s in {excited.pieces} piece{'s' if excited.pieces > 1 else ''}, "
        f"then {excited.swing_s:.2f} s with the motor off",
        "largest": f"duty {excited.largest_duty:.2f}, {excited.farthest_m:.3f} m from the middle, pole swings "
        f"{math.degrees(excited.largest_swing_rad):.0f} degrees",
        "pole period": "not measured: this rig does not home" if period is None else period.text(),
    }
    text = f"{recording_text(summary)}\n{rows_text(rows, 14)}"
    print_result(arguments, {**summary, "hanging": excited.as_dict()}, text)
    return DONE


def _record_rollout(arguments: argparse.Namespace, **request: Any) -> int:
    check_may_move(arguments.rig, may_move=arguments.arm)
    from cartpole_robot.recording.summary import recording_summary, recording_text
    from cartpole_robot.rollout.record import RolloutRequest, record_rollout

    asked = RolloutRequest(
        rig=arguments.rig,
        cart=arguments.cart,
        seed=arguments.seed,
        duration_s=arguments.duration_s,
        out=arguments.out,
        **request,
    )
    if getattr(arguments, "episodes", None) is not None:
        return _record_series(arguments, asked)
    if any(getattr(arguments, name, None) is not None for name in ("most_cart_time_s", "most_distance_m")):
        raise UsageError("--most-cart-time-s and --most-distance-m are for several episodes; add --episodes")
    recording = record_rollout(asked)
    summary = recording_summary(recording)
    print_result(arguments, summary, recording_text(summary))
    return DONE


def _record_series(arguments: argparse.Namespace, request: RolloutRequest) -> int:
    from cartpole_robot.rollout.series import record_series
    from cartpole_robot.rollout.unattended import RunLimits

    limits = RunLimits(cart_time_s=arguments.most_cart_time_s, distance_m=arguments.most_distance_m)
    series = record_series(request, arguments.episodes, limits)
    rows = {
        "folder": series.folder,
        "episodes": f"{series.episodes} of {arguments.episodes}, {series.recorded} of them now",
        "faults": len(series.faults),
        "stopped": series.stopped or "no",
    }
    print_result(arguments, series.as_dict(), rows_text(rows, 10))
    if series.is_disk_full:
        missing = arguments.episodes - series.episodes
        print_error(f"{missing} of {arguments.episodes} episodes are missing: {series.stopped}")
    return FAILED if series.faults or series.is_disk_full else DONE


def _show(arguments: argparse.Namespace) -> int:
    from cartpole_robot.files.new_file import check_is_new
    from cartpole_robot.recording.plot import draw_recording
    from cartpole_robot.recording.reader import read_recording
    from cartpole_robot.recording.summary import recording_summary, recording_text

    if arguments.out is not None:
        check_is_new(arguments.out)
    recording = read_recording(arguments.recording)
    summary = recording_summary(recording)
    picture = arguments.out or recording.path.with_name(f"{recording.path.name}.png")
    if not arguments.json:
        print_text(recording_text(summary))
    draw_recording(recording, picture, may_replace=arguments.out is None)
    print_result(arguments, {**summary, "picture": str(picture)}, f"  {'picture':<14} {picture}")
    return DONE
