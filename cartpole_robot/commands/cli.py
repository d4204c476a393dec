"""The command line: arguments in, exit code out. What the verbs do is elsewhere.

Heavy packages are imported only after the arguments have been looked at: a mistake is answered at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot import __version__
from cartpole_robot.commands.compare import add_compare_verb
from cartpole_robot.commands.datasets import add_dataset_verbs
from cartpole_robot.commands.deploy import add_deploy_verbs
from cartpole_robot.commands.firmware import add_firmware_verbs
from cartpole_robot.commands.identify import add_identify_verbs
from cartpole_robot.commands.options import (
    add_verb,
    count,
    count_from_zero,
    numbers,
    positive,
)
from cartpole_robot.commands.rig import add_rig_verbs
from cartpole_robot.commands.stability_map import add_stability_verb
from cartpole_robot.commands.study import add_study_verb
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files.run_folder import read_run
from cartpole_robot.rigs.open_rig import RIG_NAMES, check_may_move, check_rig_name
from firmware_bridge.errors import BridgeError

if TYPE_CHECKING:
    from cartpole_robot.training.summary import TrainingOutcome

DONE, FAILED, USAGE = 0, 1, 2
_RIGS = ", ".join(RIG_NAMES)
_BACKENDS = ("c", "int16", "numpy")
_EPISODES_ON_CART = 100  # at most, where the preset names no number


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns 0 when it is done, 1 when the run failed or was stopped, 2 for a mistake in its use."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except UsageError as error:
        print(f"cartpole-robot: {error}", file=sys.stderr)
        return USAGE
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("cartpole_robot", "firmware_bridge")):
            raise
        print(
            f"cartpole-robot: the package {error.name} is not installed; "
            f"install this one with its extra: pip install 'cartpole-robot[{arguments.extra}]'",
            file=sys.stderr,
        )
        return USAGE
    except (RunError, BridgeError) as error:
        print(f"cartpole-robot: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        sys.stderr.close()
        return DONE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"cartpole-robot: {where}{error.strerror or error}; free space or choose another place", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("cartpole-robot: stopped", file=sys.stderr)
        return FAILED


def _train(arguments: argparse.Namespace) -> int:
    if arguments.resume is not None:
        options = ("preset", "cart", "actions", "seed", "steps", "episodes", "out", "learner", "randomize", "init")
        given = [name for name in options if getattr(arguments, name) is not None]
        if given:
            raise UsageError(f"--resume goes on with what the run began with; leave out --{given[0]}")
        rig = str(read_run(arguments.resume).get("rig"))
        check_may_move(rig, may_move=arguments.arm)
        from cartpole_robot.training.run import resume_training

        outcome = resume_training(arguments.resume)
    elif arguments.init is not None:
        outcome = _learn_on_cart(arguments)
    else:
        outcome = _train_anew(arguments)
    if outcome.summary is None:
        print(
            f"stopped; the training so far is in {outcome.checkpoint}\n"
            f"go on with: cartpole-robot train --resume {outcome.folder}{' --arm' if arguments.arm else ''}",
            file=sys.stderr,
        )
        return FAILED
    print(json.dumps(outcome.summary.as_dict(), indent=2) if arguments.json else outcome.summary.text())
    if not arguments.json:
        print(f"  {'run folder':<18} {outcome.folder}")
    for fault in outcome.summary.rig_failures[:5]:
        print(f"cartpole-robot: the rig failed: {fault}", file=sys.stderr)
    return FAILED if outcome.summary.rig_failures else DONE


def _train_anew(arguments: argparse.Namespace) -> TrainingOutcome:
    from cartpole_robot.cart.cart_file import load_cart, with_actions
    from cartpole_robot.training.config import Learner, check_seed, load_preset

    config = load_preset("recommended" if arguments.preset is None else arguments.preset).changed(
        steps=arguments.steps,
        episodes=arguments.episodes,
        learner=Learner(arguments.learner) if arguments.learner else None,
    )
    cart = load_cart("gym" if arguments.cart is None else arguments.cart)
    if arguments.actions is not None:
        cart = with_actions(cart, arguments.actions, given="--actions")
    check_may_move(arguments.rig, may_move=arguments.arm)
    seed = arguments.seed or 0
    check_seed(seed)
    from cartpole_robot.cart.randomization import load_randomization
    from cartpole_robot.training.job import TrainingJob
    from cartpole_robot.training.run import start_training

    return start_training(
        TrainingJob(
            config=config,
            cart=cart,
            rig=arguments.rig,
            seed=seed,
            folder=arguments.out or Path("runs", f"{config.name}-{cart.name}-seed{seed}"),
            tensorboard=arguments.tensorboard,
            randomization=arguments.randomize and load_randomization(arguments.randomize, cart),
        )
    )


def _learn_on_cart(arguments: argparse.Namespace) -> TrainingOutcome:
    from cartpole_robot.training.config import Learner, check_seed, load_preset
    from cartpole_robot.training.on_cart.initial import initial_policy

    if arguments.randomize is not None:
        raise UsageError("--randomize and --init: a policy goes on learning on one cart; leave one out")
    if arguments.actions is not None:
        raise UsageError("--actions and --init: a policy goes on learning with its own actions; leave one out")
    config = load_preset("on_cart" if arguments.preset is None else arguments.preset)
    config = config.changed(
        steps=arguments.steps,
        episodes=arguments.episodes or config.episodes or _EPISODES_ON_CART,
        learner=Learner(arguments.learner) if arguments.learner else None,
    )
    check_may_move(arguments.rig, may_move=arguments.arm)
    seed = arguments.seed or 0
    check_seed(seed)
    bundle, path, cart, config = initial_policy(arguments.init, arguments.cart, config)
    from cartpole_robot.training.job import InitialPolicy, TrainingJob
    from cartpole_robot.training.on_cart.run import start_on_cart

    job = TrainingJob(
        config=config,
        cart=cart,
        rig=arguments.rig,
        seed=seed,
        folder=arguments.out or Path("runs", f"{config.name}-{cart.name}-seed{seed}"),
        tensorboard=arguments.tensorboard,
        init=InitialPolicy(path=str(path), policy_hash=bundle.policy_hash()),
    )
    return start_on_cart(job, bundle)


def _evaluate(arguments: argparse.Namespace) -> int:
    check_may_move(arguments.rig, may_move=arguments.arm)
    from cartpole_robot.rollout.judging import JudgingRequest, judge, judgement_text

    record = judge(
        JudgingRequest(
            policy=arguments.policy,
            env_id=arguments.env,
            rig=arguments.rig,
            cart=arguments.cart,
            backend=arguments.backend,
            episodes=arguments.episodes,
            max_turns=arguments.turns,
            first_seed=arguments.first_seed,
            randomization=arguments.randomize,
        )
    )
    print(json.dumps(record, indent=2) if arguments.json else judgement_text(record))
    return FAILED if record["faults"] else DONE


def _record(arguments: argparse.Namespace) -> int:
    check_may_move(arguments.rig, may_move=arguments.arm)
    from cartpole_robot.recording.summary import recording_summary, recording_text
    from cartpole_robot.rollout.record import RolloutRequest, record_rollout

    recording = record_rollout(
        RolloutRequest(
            policy=arguments.policy,
            rig=arguments.rig,
            cart=arguments.cart,
            backend=arguments.backend,
            seed=arguments.seed,
            duration_s=arguments.duration_s,
            out=arguments.out,
            randomization=arguments.randomize,
        )
    )
    summary = recording_summary(recording)
    print(json.dumps(summary, indent=2) if arguments.json else recording_text(summary))
    return DONE


def _show(arguments: argparse.Namespace) -> int:
    from cartpole_robot.recording.plot import draw_recording
    from cartpole_robot.recording.reader import read_recording
    from cartpole_robot.recording.summary import recording_summary, recording_text

    recording = read_recording(arguments.recording)
    summary = recording_summary(recording)
    picture = arguments.out or recording.path.with_name(f"{recording.path.name}.png")
    if not arguments.json:
        print(recording_text(summary))
    draw_recording(recording, picture, may_replace=arguments.out is None)
    if arguments.json:
        print(json.dumps({**summary, "picture": str(picture)}, indent=2))
    else:
        print(f"  {'picture':<14} {picture}")
    return DONE


def _list_carts(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.cart_file import cart_names, load_cart
    from cartpole_robot.cart.listing import key_figures, list_text

    carts = [load_cart(name) for name in cart_names()]
    print(json.dumps([key_figures(cart) for cart in carts], indent=2) if arguments.json else list_text(carts))
    return DONE


def _show_cart(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.cart.listing import show_text

    cart = load_cart(arguments.name)
    if arguments.json:
        print(json.dumps({**cart.as_dict(), "sources": dict(cart.sources)}, indent=2))
    else:
        print(show_text(cart))
    return DONE


def _export(arguments: argparse.Namespace) -> int:
    read_run(arguments.run_folder)
    from cartpole_robot.training.reexport import export_run

    exported = export_run(arguments.run_folder, arguments.out, which=arguments.model)
    if arguments.json:
        print(json.dumps(exported.as_dict(), indent=2))
    else:
        from cartpole_robot.training.parity import agreement_text

        for name, value in {**exported.as_dict(), "agreement": agreement_text(exported.agreement)}.items():
            print(f"  {name:<14} {value}")
    return DONE


def _demo(arguments: argparse.Namespace) -> int:
    from cartpole_robot.commands.demo import demo

    return demo(arguments.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cartpole-robot",
        description="Train a cart-pole controller in simulation, export it, and run it on metal.",
    )
    parser.add_argument("--version", action="version", version=f"cartpole-robot {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    train = add_verb(
        verbs,
        "train",
        "train a DQN, judge it and export it, into one run folder",
        "cartpole-robot train --preset recommended --cart gym --seed 0 --out runs/first; "
        "cartpole-robot train --init runs/first --rig serial:/dev/ttyACM0 --cart my_cart.toml --arm",
    )
    train.add_argument(
        "--preset", metavar="NAME|FILE", help="recommended (default; with --init on_cart), blog, or a .toml file"
    )
    train.add_argument(
        "--cart",
        metavar="NAME|FILE",
        help="a name (cartpole-robot carts lists them) or a .toml file (default: gym; with --init the policy's own)",
    )
    train.add_argument(
        "--actions",
        type=numbers,
        metavar="DUTIES",
        help="train with these duties instead of the cart's own, such as --actions=-0.4,-0.2,0.2,0.4",
    )
    train.add_argument("--rig", default="sim", type=_rig, metavar="RIG", help=f"where to train: {_RIGS} (default: sim)")
    train.add_argument("--seed", type=count_from_zero, metavar="N", help="seed of everything random (default: 0)")
    train.add_argument("--steps", type=count, metavar="N", help="training turns (default: the preset's)")
    train.add_argument(
        "--episodes", type=count, metavar="N", help="most episodes (default: the preset's); with --init all that count"
    )
    train.add_argument(
        "--init",
        type=Path,
        metavar="POLICY",
        help="go on with this exported policy (a policy.npz or its run folder) on the cart at the rig: it learns only "
        "between episodes, motor off",
    )
    train.add_argument("--out", type=Path, metavar="FOLDER", help="run folder (default: runs/PRESET-CART-seedN)")
    train.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with a stopped run")
    train.add_argument(
        "--learner", choices=["lean", "stock"], help="the leaner DQN (default) or Stable-Baselines3's own"
    )
    train.add_argument(
        "--tensorboard",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write TensorBoard's log (default: yes)",
    )
    train.add_argument(
        "--randomize",
        type=Path,
        metavar="NAME|FILE",
        help="draw the cart of each episode from these ranges: a .toml file, or the name diy_arduino",
    )
    train.add_argument("--arm", action="store_true", help="allow it to move a real cart")
    train.add_argument("--json", action="store_true", help="print the summary as JSON")
    train.set_defaults(run=_train, extra="train")

    evaluate = add_verb(
        verbs,
        "evaluate",
        "count the turns an exported policy survives",
        "cartpole-robot evaluate runs/first/policy.npz --env CartPole-v1 --episodes 100 --json; "
        "cartpole-robot evaluate lqr --cart diy_arduino",
    )
    evaluate.add_argument("policy", type=Path, metavar="POLICY", help="a policy.npz, the run folder it is in, or lqr")
    evaluate.add_argument("--env", metavar="ID", help="another Gymnasium environment, such as CartPole-v1")
    evaluate.add_argument(
        "--rig", default="sim", type=_rig, metavar="RIG", help=f"on which rig: {_RIGS} (default: sim)"
    )
    evaluate.add_argument("--cart", metavar="NAME|FILE", help="on which cart (default: the one it was trained on)")
    evaluate.add_argument("--backend", default="c", choices=_BACKENDS, help="who computes the action (default: c)")
    evaluate.add_argument("--episodes", type=count, default=100, metavar="N", help="episodes (default: 100)")
    evaluate.add_argument("--turns", type=count, default=500, metavar="N", help="longest episode (default: 500)")
    evaluate.add_argument("--first-seed", type=count_from_zero, metavar="N", help="seed of the first episode")
    evaluate.add_argument(
        "--randomize",
        type=Path,
        metavar="NAME|FILE",
        help="draw the cart of each episode from these ranges: a .toml file, or the name diy_arduino",
    )
    evaluate.add_argument("--arm", action="store_true", help="allow it to move a real cart")
    evaluate.add_argument("--json", action="store_true", help="print the result as JSON")
    evaluate.set_defaults(run=_evaluate, extra="sim")

    record = add_verb(
        verbs,
        "record",
        "run a policy for one episode and record it",
        "cartpole-robot record runs/first --rig sim --out rollouts/first.parquet; "
        "cartpole-robot record lqr --cart diy_arduino --duration-s 30 --out rollouts/lqr.parquet",
    )
    record.add_argument("policy", type=Path, metavar="POLICY", help="a policy.npz, the run folder it is in, or lqr")
    record.add_argument("--rig", default="sim", type=_rig, metavar="RIG", help=f"on which rig: {_RIGS} (default: sim)")
    record.add_argument("--cart", metavar="NAME|FILE", help="on which cart (default: the one it was trained on)")
    record.add_argument("--out", type=Path, required=True, metavar="FILE", help="recording to write; must not exist")
    record.add_argument(
        "--duration-s", type=positive, default=10.0, metavar="S", help="longest duration, cart time (default: 10)"
    )
    record.add_argument("--seed", type=count_from_zero, default=0, metavar="N", help="seed of the start (default: 0)")
    record.add_argument("--backend", default="c", choices=_BACKENDS, help="who computes the action (default: c)")
    record.add_argument(
        "--randomize", type=Path, metavar="NAME|FILE", help="draw the cart from these ranges, by the seed"
    )
    record.add_argument("--arm", action="store_true", help="allow it to move a real cart")
    record.add_argument("--json", action="store_true", help="print the figures as JSON")
    record.set_defaults(run=_record, extra="sim")

    show = add_verb(
        verbs,
        "show",
        "tell and plot a recording",
        "cartpole-robot show rollouts/first.parquet",
    )
    show.add_argument("recording", type=Path, metavar="FILE", help="a recording, finished or cut off")
    show.add_argument("--out", type=Path, metavar="PNG", help="picture to write (default: FILE.png, written anew)")
    show.add_argument("--json", action="store_true", help="print the figures as JSON")
    show.set_defaults(run=_show, extra="report")

    add_dataset_verbs(verbs)
    add_deploy_verbs(verbs)
    add_identify_verbs(verbs)
    add_compare_verb(verbs)
    add_study_verb(verbs)
    add_stability_verb(verbs)
    add_rig_verbs(verbs)

    carts = add_verb(verbs, "carts", "list the carts, or show one", "cartpole-robot carts show diy_arduino")
    carts.add_argument("--json", action="store_true", help="print as JSON")
    carts.set_defaults(run=_list_carts, extra="sim")
    shown = carts.add_subparsers(metavar="").add_parser(
        "show", help="every parameter with unit and source", description="Every parameter with unit and source."
    )
    shown.add_argument("name", metavar="NAME|FILE", help="a cart's name, or a .toml file")
    shown.add_argument("--json", action="store_true", help="print as JSON")
    shown.set_defaults(run=_show_cart)

    export = add_verb(
        verbs,
        "export",
        "write a run's policy as bundle, ONNX and C header",
        "cartpole-robot export runs/first --out exported",
    )
    export.add_argument("run_folder", type=Path, metavar="RUN", help="the run folder of a finished training")
    export.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write; must not exist")
    export.add_argument(
        "--model", default="selected", choices=["selected", "last"], help="which model of the run (default: selected)"
    )
    export.add_argument("--json", action="store_true", help="print what was written as JSON")
    export.set_defaults(run=_export, extra="train")

    demonstration = add_verb(
        verbs,
        "demo",
        "train, export, evaluate and animate, in one go",
        "cartpole-robot demo --out runs/demo",
    )
    demonstration.add_argument(
        "--out", type=Path, metavar="FOLDER", help="run folder (default: runs/demo-N, a new one)"
    )
    demonstration.set_defaults(run=_demo, extra="train")
    add_firmware_verbs(verbs)
    return parser


def _rig(text: str) -> str:
    try:
        check_rig_name(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
