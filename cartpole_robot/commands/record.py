"""The verbs that make and show a recording: `cartpole-robot record`, `excite` and `show`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartpole_robot.commands import options
from cartpole_robot.commands.numbers import not_negative
from cartpole_robot.commands.output import DONE, FAILED, print_result, print_text, rows_text
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.policy.backend import LQR, Backend
from cartpole_robot.rigs.open_rig import check_may_move
from cartpole_robot.simulation.engine import Engine

if TYPE_CHECKING:
    from cartpole_robot.rollout.record import RolloutRequest


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
        help="recording to write, which must not exist yet; with --episodes a folder of them, which is continued",
    )
    options.episodes(record, what="record so many, each with the next seed", otherwise="one")
    options.run_limits(record)
    options.duration_s(record, default=10.0)
    options.seed(record, what="seed of the start")
    options.backend(record)
    options.randomize(record, what="draw the cart from these ranges, by the seed")
    options.arm(record)
    options.json(record)


def add_excite(excite: Parser) -> None:
    """Declare the arguments of `excite`."""
    details(excite, "The cart's regulator moves and shakes it; then the motor stops and the pole falls.")
    examples(excite, "--rig serial:/dev/ttyACM0 --cart my_cart.toml --arm --out rollouts/excited.parquet")
    excite.set_defaults(run=_excite, extra="sim")
    options.rig(excite, default="virtual")
    options.cart(excite, what="what is known of the cart", default=options.DIY_CART)
    options.duration_s(excite, default=30.0, what="duration")
    excite.add_argument(
        "--swing-s",
        type=not_negative,
        default=14.0,
        metavar="S",
        help="end of the recording during which the motor is off and the pole swings, which shows its friction "
        "(default: 14)",
    )
    options.seed(excite, what="selects the motion")
    options.arm(excite)
    options.out(excite, "FILE", "recording to write")
    options.json(excite)


def add_show(show: Parser) -> None:
    """Declare the arguments of `show`."""
    examples(show, "rollouts/first.parquet")
    show.set_defaults(run=_show, extra="report")
    show.add_argument("recording", type=Path, metavar="FILE", help="a recording, finished or cut off")
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
    swing_s = min(arguments.swing_s, 0.5 * arguments.duration_s)
    return _record_rollout(arguments, policy=Path(LQR), backend=Backend.C.value, excites=True, swing_s=swing_s)


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
    return FAILED if series.faults else DONE


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
