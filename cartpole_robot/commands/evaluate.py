"""The verb `cartpole-robot evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cartpole_robot.commands import options
from cartpole_robot.commands.output import DONE, FAILED, print_result
from cartpole_robot.commands.verbs import Parser, examples
from cartpole_robot.rigs.open_rig import check_may_move
from cartpole_robot.simulation.engine import Engine


def add_evaluate(evaluate: Parser) -> None:
    """Declare the arguments of `evaluate`."""
    examples(evaluate, "runs/first --env CartPole-v1 --episodes 100", "lqr --cart diy_arduino")
    evaluate.set_defaults(run=_evaluate, extra="sim")
    options.policy(evaluate)
    evaluate.add_argument("--env", metavar="ID", help="another Gymnasium environment, such as CartPole-v1")
    options.rig(evaluate, default="sim")
    options.engine(evaluate)
    options.cart(evaluate, otherwise=options.POLICYS_CART)
    options.start(evaluate)
    options.run_limits(evaluate)
    options.backend(evaluate)
    options.episodes(evaluate, default=100, what="episodes to run")
    options.steps(evaluate)
    options.first_seed(evaluate)
    options.randomize(evaluate)
    evaluate.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="save each finished episode in FILE; the same command continues from it",
    )
    options.arm(evaluate)
    options.json(evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    check_may_move(arguments.rig, may_move=arguments.arm)
    from cartpole_robot.rollout.judging import JudgingRequest, judge, judgement_text
    from cartpole_robot.rollout.unattended import RunLimits

    record = judge(
        JudgingRequest(
            policy=arguments.policy,
            env_id=arguments.env,
            rig=arguments.rig,
            engine=arguments.engine and Engine(arguments.engine),
            cart=arguments.cart,
            start=options.start_of(arguments),
            limits=RunLimits(cart_time_s=arguments.most_cart_time_s, distance_m=arguments.most_distance_m),
            backend=arguments.backend,
            episodes=arguments.episodes,
            max_steps=arguments.steps,
            first_seed=arguments.first_seed,
            randomization=arguments.randomize,
            keep=arguments.keep,
        )
    )
    print_result(arguments, record, judgement_text(record))
    return FAILED if record["faults"] else DONE
