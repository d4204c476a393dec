"""The verbs `cartpole-robot deploy` and `replay`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cartpole_robot.commands.options import (
    Verbs,
    add_verb,
    count_from_zero,
    positive,
)
from cartpole_robot.errors import RunError
from cartpole_robot.rigs.open_rig import SERIAL, check_may_move
from cartpole_robot.rollout.step_times import TurnTimes


def add_deploy_verbs(verbs: Verbs) -> None:
    """Add `deploy` and `replay`."""
    deploy = add_verb(
        verbs,
        "deploy",
        "run a policy on a cart in real time, with a live view, a recording and a latency report",
        "cartpole-robot deploy runs/first --rig serial:/dev/ttyACM0 --duration-s 60 --arm --record first.parquet",
    )
    deploy.add_argument("policy", type=Path, metavar="POLICY", help="a policy.npz, the run folder it is in, or lqr")
    deploy.add_argument(
        "--rig",
        default="virtual",
        metavar="RIG",
        help="virtual (default), avr or avr:ELF: a simulated cart on a pseudo-terminal; serial:PORT: a real one",
    )
    deploy.add_argument("--cart", metavar="NAME|FILE", help="which cart (default: the one it was trained on)")
    deploy.add_argument("--duration-s", type=positive, default=60.0, metavar="S", help="longest duration (default: 60)")
    deploy.add_argument("--arm", action="store_true", help="allow it to move a real cart")
    deploy.add_argument(
        "--record", type=Path, metavar="FILE", help="recording to write (default: a new folder in runs)"
    )
    deploy.add_argument("--backend", default="c", choices=("c", "int16", "numpy"), help="who computes (default: c)")
    deploy.add_argument(
        "--seed", type=count_from_zero, default=0, metavar="N", help="seed of a simulated start (default: 0)"
    )
    deploy.add_argument(
        "--late",
        default="hold",
        choices=("hold", "brake", "disarm"),
        help="what the firmware does at a control tick without a new command: hold (default), brake, disarm",
    )
    deploy.add_argument(
        "--fallback", choices=("lqr",), help="the regulator catches the cart when the policy leaves its envelope"
    )
    deploy.add_argument(
        "--shadow", action="store_true", help="the regulator drives, the policy only watches and is recorded"
    )
    deploy.add_argument(
        "--on-board",
        action="store_true",
        help="the policy in the firmware drives (firmware build --policy); this end arms, watches and records",
    )
    deploy.add_argument(
        "--host-may-leave", action="store_true", help="with --on-board: it goes on where this end falls silent"
    )
    deploy.add_argument("--no-view", action="store_true", help="no live view in the terminal")
    deploy.add_argument("--json", action="store_true", help="print the report as JSON")
    deploy.set_defaults(run=_deploy, extra="sim")

    replay = add_verb(
        verbs,
        "replay",
        "show a black box to the firmware once more: does it come to the same fault?",
        "cartpole-robot replay runs/deploy-1/rollout.blackbox.npz --rig virtual",
    )
    replay.add_argument("black_box", type=Path, metavar="FILE", help="a black box that deploy has left")
    replay.add_argument("--rig", default="virtual", metavar="RIG", help="virtual (default), avr or avr:ELF")
    replay.add_argument("--json", action="store_true", help="print the result as JSON")
    replay.set_defaults(run=_replay, extra="sim")


def _deploy(arguments: argparse.Namespace) -> int:
    check_may_move(arguments.rig, may_move=arguments.arm)
    from cartpole_robot.deployment.run import DeployRequest, Late, deploy, latency_of
    from cartpole_robot.rollout.loop import RolloutEnd

    done = deploy(
        DeployRequest(
            policy=arguments.policy,
            rig=arguments.rig,
            cart=arguments.cart,
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
        )
    )
    picture = _draw(done.times, done.recording)
    if arguments.json:
        print(json.dumps({**done.as_dict(), "picture": picture}, indent=2))
    else:
        if done.note is not None:
            print(f"  note: {done.note}")
        print(done.report.text())
        if done.handovers:
            print(f"  {done.handovers} handovers between policy and regulator")
        for name, path in (("recording", done.recording), ("report", latency_of(done.recording)), ("picture", picture)):
            print(f"  {name:<10} {path}")
        if done.black_box is not None:
            print(f"  black box  {done.black_box}\n  look again: cartpole-robot replay {done.black_box}")
    end, reason = done.rollout.end, done.rollout.reason
    if end is RolloutEnd.DURATION:
        return 0
    if end is RolloutEnd.FALL:
        print(f"cartpole-robot: it fell after {done.rollout.turns} turns", file=sys.stderr)
        return 1
    raise RunError(f"the run {'was stopped' if reason is None else f'ended: {reason}'}; it is kept in {done.recording}")


def _draw(times: TurnTimes, recording: Path) -> str | None:
    """The histograms' file; None where matplotlib is not installed, or there is nothing to draw."""
    from cartpole_robot.deployment.latency_report import draw_latency

    path = recording.with_name(f"{recording.stem}.latency.png")
    if times.turns == 0:
        return None
    try:
        draw_latency(times, path, f"{times.turns} turns")
    except (ImportError, OSError):
        return None
    return str(path)


def _replay(arguments: argparse.Namespace) -> int:
    from cartpole_robot.deployment.black_box import load_black_box
    from cartpole_robot.deployment.replay import replay
    from cartpole_robot.errors import UsageError

    if arguments.rig.startswith(SERIAL) or arguments.rig == "sim":
        raise UsageError(
            f"rig {arguments.rig!r}: a black box is shown to a firmware alone; use virtual, avr or avr:ELF"
        )
    box = load_black_box(arguments.black_box)
    result = replay(box, arguments.rig)
    if arguments.json:
        print(json.dumps(result.as_dict(), indent=2))
    else:
        print(f"  kept      {result.kept_fault} at {result.kept_ms} ms: {box.told}")
        at = "" if result.fault_ms is None else f" at {result.fault_ms} ms"
        print(f"  replayed  {result.fault}{at}, {'the same' if result.is_same else 'ANOTHER ONE'}")
        print(f"  {result.duty_differences} ms with another duty, {result.lost_ms} ms were lost on the line")
    return 0 if result.is_same else 1
