"""The verbs `cartpole-robot train`, `export` and `demo`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartpole_robot.commands import options
from cartpole_robot.commands.copying import check_only_copies, copy_packaged
from cartpole_robot.commands.numbers import count, numbers
from cartpole_robot.commands.output import (
    DONE,
    FAILED,
    command_line,
    command_text,
    print_error,
    print_result,
    report_stop,
    rows_text,
)
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.errors import UsageError
from cartpole_robot.files.packaged import PRESETS
from cartpole_robot.files.run_folder import read_run
from cartpole_robot.rig import Start
from cartpole_robot.rigs.open_rig import check_may_move
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.training.learners import Learner

if TYPE_CHECKING:
    from cartpole_robot.cart.params import CartParams
    from cartpole_robot.training.config import TrainingConfig
    from cartpole_robot.training.job import TrainingJob
    from cartpole_robot.training.summary import TrainingOutcome

_SETTINGS = ("cart", "actions", "engine", "seed", "steps", "episodes", "out", "learner", "randomize", "init")
_EPISODES_ON_CART = 100  # at most, if the preset gives no number


def add_train(train: Parser) -> None:
    """Declare the arguments of `train`."""
    details(
        train, "Everything goes into one run folder. Without --init the policy is judged on fresh episodes at the end."
    )
    examples(
        train,
        "--preset recommended --cart gym --out runs/first",
        "--init runs/diy --rig serial:/dev/ttyACM0 --cart my_cart.toml --arm",
    )
    train.set_defaults(run=_train, extra="train")
    train.add_argument(
        "--preset",
        metavar="NAME|FILE",
        help="preset: recommended (default), precise, robust, swing_up, blog, on_cart (default with --init), or a "
        ".toml file",
    )
    train.add_argument(
        "--copy-preset", type=Path, metavar="FILE", help="only copy the preset NAME to this new file, to change it"
    )
    options.cart(train, otherwise="gym; with --init the policy's own")
    train.add_argument(
        "--actions",
        type=numbers,
        metavar="DUTIES",
        help="duties that the policy chooses from, instead of the cart's action table: --actions=-0.4,-0.2,0.2,0.4",
    )
    options.rig(train, default="sim")
    options.engine(train)
    options.start(train, more="; with --init only")
    options.seed(train, default=None)
    train.add_argument(
        "--steps", type=count, metavar="N", help="steps (control periods) to train for (default: the preset's number)"
    )
    options.episodes(
        train,
        what="maximum number of training episodes; with --init including those for evaluation",
        otherwise=f"the preset's number; with --init {_EPISODES_ON_CART} if it has none",
    )
    train.add_argument(
        "--init",
        type=Path,
        metavar="POLICY",
        help="continue training this exported policy (a policy.npz or its run folder) on the rig's cart; it learns "
        "only between episodes, with the motor off",
    )
    options.out(train, "FOLDER", "run folder", default="runs/PRESET-CART-seedN")
    train.add_argument("--resume", type=Path, metavar="FOLDER", help="continue a stopped run")
    train.add_argument(
        "--learner",
        choices=options.values(Learner),
        help="DQN class: lean, this package's faster one, or stock, Stable-Baselines3's own (default: the preset's)",
    )
    train.add_argument(
        "--tensorboard", action=argparse.BooleanOptionalAction, default=True, help="write a log for TensorBoard"
    )
    options.randomize(train)
    options.arm(train)
    options.json(train)


def add_export(export: Parser) -> None:
    """Declare the arguments of `export`."""
    examples(export, "runs/first --out exported", "ppo.zip --cart diy_arduino --out exported")
    export.set_defaults(run=_export, extra="train")
    export.add_argument(
        "source",
        type=Path,
        metavar="RUN|MODEL",
        help="the run folder of a finished training, or a model of Stable-Baselines3's PPO, A2C or SAC (.zip)",
    )
    options.out(export, "FOLDER", "folder to write")
    options.cart(export, what="the cart that a MODEL was trained on", otherwise="none; a MODEL does not name its cart")
    export.add_argument("--model", choices=["selected", "last"], help="which model of the RUN (default: selected)")
    export.add_argument(
        "--trust",
        action="store_true",
        help="read the model from Stable-Baselines3's own file, which can run code; only for your own runs of versions "
        "that saved no plain weights",
    )
    export.add_argument(
        "--failed-trials",
        action="store_true",
        help="export a MODEL that failed trials, or the model of a RUN that ended without a policy; the provenance "
        "lists the failed trials",
    )
    options.json(export)


def add_demo(demo: Parser) -> None:
    """Declare the arguments of `demo`."""
    examples(demo, "--out runs/demo")
    demo.set_defaults(run=_demo, extra="train,report")
    options.out(demo, "FOLDER", "run folder", default="a new runs/demo-N")


def _train(arguments: argparse.Namespace) -> int:
    if arguments.copy_preset is not None:
        check_only_copies(arguments, "--copy-preset", {name: f"--{name}" for name in ("resume", *_SETTINGS)})
        name = "recommended" if arguments.preset is None else arguments.preset
        return copy_packaged(arguments, PRESETS, name, arguments.copy_preset, option="--copy-preset")
    if arguments.resume is not None:
        outcome = _resume(arguments)
    elif arguments.init is not None:
        outcome = _learn_on_cart(arguments)
    else:
        outcome = _train_new(arguments)
    command = command_text(["train", "--resume", outcome.folder], arguments, ["arm"])
    if outcome.no_policy is not None:
        text = f"{outcome.no_policy.text()}\n  {'run folder':<18} {outcome.folder}"
        print_result(arguments, outcome.no_policy.as_dict(), text)
        export = command_line("export", outcome.folder, "--out", "exported", "--failed-trials")
        print_error(
            f"no network passed every trial in {outcome.no_policy.steps} steps, so none is exported; continue with: "
            f"{command}, or export the closest as it is with: {export}"
        )
        return FAILED
    if outcome.summary is None:
        return report_stop(f"the training so far is in {outcome.checkpoint}", command)
    text = f"{outcome.summary.text()}\n  {'run folder':<18} {outcome.folder}"
    print_result(arguments, outcome.summary.as_dict(), text)
    for fault in outcome.summary.rig_failures[:5]:
        print_error(f"the rig failed: {fault}")
    return FAILED if outcome.summary.rig_failures else DONE


def _resume(arguments: argparse.Namespace) -> TrainingOutcome:
    given = [name for name in ("preset", *_SETTINGS) if getattr(arguments, name) is not None]
    if given:
        raise UsageError(f"--resume continues with the run's own settings; leave out --{given[0]}")
    check_may_move(str(read_run(arguments.resume).get("rig")), may_move=arguments.arm)
    from cartpole_robot.training.run import resume_training

    return resume_training(arguments.resume)


def _train_new(arguments: argparse.Namespace) -> TrainingOutcome:
    from cartpole_robot.cart.cart_file import load_cart, with_actions
    from cartpole_robot.task import Task
    from cartpole_robot.training.config import ActionTable, cart_to_learn, load_preset

    config = load_preset("recommended" if arguments.preset is None else arguments.preset)
    config = _changed(config, arguments, arguments.episodes)
    cart = load_cart("gym" if arguments.cart is None else arguments.cart)
    if arguments.actions is not None:
        swings_up = config.task is Task.SWING_UP
        cart = with_actions(cart, arguments.actions, given="--actions", swings_up=swings_up)
        config = dataclasses.replace(config, actions=ActionTable.DUTY)
    cart = cart_to_learn(config, cart)
    if options.start_of(arguments) is not Start.BY_HAND:
        raise UsageError("--start swing-up is for learning on the cart; add --init, or leave out --start")
    _check_rig_and_seed(arguments)
    from cartpole_robot.cart.randomization import load_randomization
    from cartpole_robot.training.run import start_training

    randomization = arguments.randomize and load_randomization(arguments.randomize, cart)
    return start_training(_job(arguments, config, cart, randomization=randomization))


def _learn_on_cart(arguments: argparse.Namespace) -> TrainingOutcome:
    from cartpole_robot.training.config import load_preset
    from cartpole_robot.training.on_cart.initial import initial_policy

    if arguments.randomize is not None:
        raise UsageError("--randomize and --init: a policy continues to learn on one cart; leave one out")
    if arguments.actions is not None:
        raise UsageError("--actions and --init: a policy continues to learn with its own actions; leave one out")
    config = load_preset("on_cart" if arguments.preset is None else arguments.preset)
    config = _changed(config, arguments, arguments.episodes or config.episodes or _EPISODES_ON_CART)
    _check_rig_and_seed(arguments)
    bundle, path, cart, config = initial_policy(arguments.init, arguments.cart, config)
    from cartpole_robot.training.job import InitialPolicy
    from cartpole_robot.training.on_cart.run import start_on_cart

    init = InitialPolicy(path=str(path), policy_hash=bundle.policy_hash())
    job = _job(arguments, config, cart, init=init, start=options.start_of(arguments))
    return start_on_cart(job, bundle)


def _changed(config: TrainingConfig, arguments: argparse.Namespace, episodes: int | None) -> TrainingConfig:
    learner = arguments.learner and Learner(arguments.learner)
    return config.changed(steps=arguments.steps, episodes=episodes, learner=learner)


def _check_rig_and_seed(arguments: argparse.Namespace) -> None:
    from cartpole_robot.training.config import check_seed

    check_may_move(arguments.rig, may_move=arguments.arm)
    check_seed(arguments.seed or 0)


def _job(arguments: argparse.Namespace, config: TrainingConfig, cart: CartParams, **more: Any) -> TrainingJob:
    from cartpole_robot.rigs.engine_choice import rig_engine
    from cartpole_robot.training.job import TrainingJob

    choice = rig_engine(arguments.rig, cart, arguments.engine and Engine(arguments.engine), more.get("randomization"))
    seed = arguments.seed or 0
    return TrainingJob(
        config=config,
        cart=cart,
        rig=arguments.rig,
        engine=choice.engine,
        engine_note=choice.note,
        seed=seed,
        folder=arguments.out or Path("runs", f"{config.name}-{cart.name}-seed{seed}"),
        tensorboard=arguments.tensorboard,
        **more,
    )


def _export(arguments: argparse.Namespace) -> int:
    source: Path = arguments.source
    if source.is_file() or source.suffix == ".zip":
        return _export_model(arguments)
    if arguments.cart is not None:
        raise UsageError(f"--cart is for a model file, and {source} is none; leave it out")
    read_run(source)
    from cartpole_robot.training.parity import agreement_text
    from cartpole_robot.training.reexport import export_run

    exported = export_run(
        source,
        arguments.out,
        which=arguments.model or "selected",
        is_trusted=arguments.trust,
        may_fail_trials=arguments.failed_trials,
    )
    record = exported.as_dict()
    print_result(arguments, record, rows_text({**record, "agreement": agreement_text(exported.agreement)}))
    return DONE


def _export_model(arguments: argparse.Namespace) -> int:
    if arguments.model is not None or arguments.trust:
        name = "--trust" if arguments.trust else "--model"
        raise UsageError(f"{name} is for a run folder, and {arguments.source} is a model file; leave it out")
    if arguments.cart is None:
        raise UsageError(f"{arguments.source}: a model does not say which cart it was trained on; name it with --cart")
    from cartpole_robot.training.sb3_export import export_model_file

    done = export_model_file(
        arguments.source, cart=arguments.cart, out=arguments.out, may_fail_trials=arguments.failed_trials
    )
    print_result(arguments, done.as_dict(), rows_text(done.rows()))
    if not done.tried.trials.is_passed:
        print_error(f"the policy {done.tried.summary}; it is exported as it is (--failed-trials)")
    return DONE


def _demo(arguments: argparse.Namespace) -> int:
    from cartpole_robot.commands.demo import demo

    return demo(arguments.out)
