"""The verbs `cartpole-robot deploy` and `replay`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands import options
from cartpole_robot.commands.output import DONE, FAILED, command_line, print_error, print_result, rows_text
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.deployment.late import Late
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.policy.backend import LQR
from cartpole_robot.rigs.open_rig import RIG_NAMES, SERIAL, SIMULATED_BOARDS, check_may_move

if TYPE_CHECKING:
    from cartpole_robot.deployment.run import Deployment
    from cartpole_robot.rollout.step_times import StepTimes


def add_deploy(deploy: Parser) -> None:
    """Declare the arguments of `deploy`."""
    details(deploy, "Shows a live view, records the run and reports latencies.")
    examples(deploy, "runs/diy --rig serial:/dev/ttyACM0 --duration-s 60 --arm --record diy.parquet")
    deploy.set_defaults(run=_deploy, extra="sim")
    options.policy(deploy)
    options.rig(deploy, default="virtual", names=[name for name in RIG_NAMES if name != "sim"])
    options.cart(deploy, otherwise=options.POLICYS_CART)
    options.start(deploy)
    options.duration_s(deploy, default=60.0)
    options.arm(deploy)
    deploy.add_argument(
        "--record", type=Path, metavar="FILE", help="recording to write (default: a new folder in runs)"
    )
    options.backend(deploy)
    options.seed(deploy, what="seed of a simulated start")
    deploy.add_argument(
        "--late",
        default=Late.HOLD.value,
        choices=options.values(Late),
        help="what the firmware does at a control tick without a new command (default: hold)",
    )
    deploy.add_argument(
        "--fallback",
        choices=(LQR,),
        help="let the regulator take over when the cart leaves the states that the policy knows",
    )
    deploy.add_argument(
        "--shadow", action="store_true", help="let the regulator drive and only record the policy's duties"
    )
    deploy.add_argument(
        "--on-board",
        action="store_true",
        help="let the policy in the firmware drive (firmware build --policy); the host arms and records",
    )
    deploy.add_argument(
        "--host-may-leave",
        action="store_true",
        help="with --on-board: the cart keeps driving if the host falls silent, as long as its board has power",
    )
    options.profile(deploy)
    options.browser(deploy)
    deploy.add_argument("--no-view", action="store_true", help="show no live view in the terminal")
    options.json(deploy)


def add_replay(replay: Parser) -> None:
    """Declare the arguments of `replay`."""
    examples(replay, "runs/deploy-1/rollout.blackbox.npz --rig virtual")
    replay.set_defaults(run=_replay, extra="sim")
    replay.add_argument("black_box", type=Path, metavar="FILE", help="a black box that deploy wrote")
    options.rig(replay, default="virtual", names=SIMULATED_BOARDS)
    options.json(replay)


def _deploy(arguments: argparse.Namespace) -> int:
    check_may_move(arguments.rig, may_move=arguments.arm)
    from cartpole_robot.deployment.run import DeployRequest, deploy
    from cartpole_robot.recording.metadata import RolloutEnd

    done = deploy(
        DeployRequest(
            policy=arguments.policy,
            rig=arguments.rig,
            cart=arguments.cart,
            start=options.start_of(arguments),
            backend=arguments.backend,
            seed=arguments.seed,
            duration_s=arguments.duration_s,
            record=arguments.record,
            late=Late(arguments.late),
            has_fallback=arguments.fallback is not None,
            is_shadow=arguments.shadow,
            is_on_board=arguments.on_board,
            host_may_leave=arguments.host_may_leave,
            is_viewed=not arguments.no_view and not arguments.json,
            browser_port=options.browser_port_of(arguments),
            profile=arguments.profile,
        )
    )
    picture = _draw(done.times, done.latency_file, tuple(done.report.figures))
    files = {"report": done.latency_file, "picture": picture}
    written = {name: None if path is None else str(path) for name, path in files.items()}
    print_result(arguments, {**done.as_dict(), **written}, _text(done, written))
    end, reason = done.rollout.end, done.rollout.reason
    if end is RolloutEnd.DURATION:
        return DONE
    if end is RolloutEnd.FALL:
        print_error(f"it fell after {done.rollout.steps} steps")
        return FAILED
    raise RunError(f"the run {'was stopped' if reason is None else f'ended: {reason}'}; saved to {done.recording}")


def _text(done: Deployment, written: Mapping[str, str | None]) -> str:
    lines = [] if done.note is None else [f"  note: {done.note}"]
    if done.swing_up is not None:
        lines.append(f"  swing-up: {done.swing_up.text}")
    lines.append(done.report.text())
    if done.handovers:
        lines.append(f"  {done.handovers} handovers between policy and regulator")
    files = {"recording": done.recording, **written}
    lines.append(rows_text({name: path for name, path in files.items() if path is not None}, 10))
    if done.black_box is not None:
        lines.append(f"  black box  {done.black_box}\n  replay:    {command_line('replay', done.black_box)}")
    return "\n".join(lines)


def _draw(times: StepTimes, latency_file: Path | None, names: tuple[str, ...]) -> Path | None:
    """The file with a histogram of each latency in `names`; None if matplotlib is missing or nothing is to be drawn."""
    from cartpole_robot.deployment.latency_report import draw_latency

    if times.steps == 0 or latency_file is None:
        return None
    path = latency_file.with_suffix(".png")
    try:
        draw_latency(times, path, f"{times.steps} steps", names)
    except (ImportError, OSError):
        return None
    return path


def _replay(arguments: argparse.Namespace) -> int:
    from cartpole_robot.deployment.black_box import load_black_box
    from cartpole_robot.deployment.replay import replay

    if arguments.rig.startswith(SERIAL) or arguments.rig == "sim":
        raise UsageError(
            f"rig {arguments.rig!r}: a black box is shown to a firmware alone; use virtual, avr or avr:ELF"
        )
    box = load_black_box(arguments.black_box)
    result = replay(box, arguments.rig)
    at = "" if result.fault_ms is None else f" at {result.fault_ms} ms"
    lines = (
        f"  kept      {result.kept_fault} at {result.kept_ms} ms: {box.message}",
        f"  replayed  {result.fault}{at}, {'the same' if result.is_same else 'ANOTHER ONE'}",
        f"  {result.duty_differences} ms with another duty, {result.lost_ms} ms were lost on the line",
    )
    print_result(arguments, result.as_dict(), "\n".join(lines))
    return DONE if result.is_same else FAILED
