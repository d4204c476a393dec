"""The parts of `benchmarks.precise_seeds` that take long, each a function that a worker process runs."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import as_completed
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.against_regulator import figures_of, judged, policy_on
from benchmarks.kept_records import KeptRecords, Record, check_same
from cartpole_robot.cart.params import CartParams
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.files import provenance
from cartpole_robot.policy.bundle import PolicyBundle, load_policy
from cartpole_robot.policy.controllers import policy_controller
from cartpole_robot.policy.export import bundle_of
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.policy.network import Network, float_action_function
from cartpole_robot.rollout.evaluation import CALIBRATION_SEED, LONG_RUN_SEED, visited_observations
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.simulation.workers import WorkerPool
from cartpole_robot.training.config import TrainingConfig, cart_to_learn, extended_by
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.learning import learn_unrecorded
from cartpole_robot.training.parity import PARITY_STATES

LONG_RUN_STEPS = 15_000


@dataclass(frozen=True, kw_only=True)
class Training:
    """One seed of one configuration on one cart; `policy` is where its network goes, `measured` its origin.

    Its policy is judged on the rig sim and on `rigs`, and with `is_long` in one long run.
    """

    name: str
    config: TrainingConfig
    cart: CartParams
    seed: int
    rigs: tuple[str, ...] = ()
    is_long: bool = False
    policy: Path | None = None
    measured: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.name}/{self.cart.name}/{self.seed}"

    def is_in(self, record: Record | None) -> bool:
        """Whether `record` has all of it, its policy in the file included. Raises `UsageError` for another cart's."""
        if record is None:
            return False
        fingerprint = cart_to_learn(self.config, self.cart).fingerprint()
        check_same({"cart": record["cart"]}, {"cart": fingerprint}, where=self.key)
        if "failed" in record:
            return True
        has_policy = self.policy is None or (
            self.policy.exists() and load_policy(self.policy).policy_hash() == record["policy_hash"]
        )
        return has_policy and {*self.rigs} <= {*record["rigs"]} and (not self.is_long or record["long_run"] is not None)

    def check_policy(self) -> None:
        """Raise `UsageError` where `policy` exists and comes from another measurement, before anything is trained."""
        if self.policy is not None and self.policy.exists():
            found = load_policy(self.policy).provenance.get("measured")
            if not isinstance(found, Mapping):
                raise UsageError(f"{self.policy}: is no policy of this benchmark; choose another --policies")
            check_same(found, self.measured, where=str(self.policy), option="--policies")


def trained(training: Training) -> Record:
    """Train, judge and export; the record has "failed" in place of figures where the training diverges."""
    config, cart = training.config, cart_to_learn(training.config, training.cart)
    record: Record = {"cart": cart.fingerprint(), "load": provenance.machine()["load_1_min"]}
    try:
        learned, found = learn_unrecorded(config, training.cart, seed=training.seed, engine=Engine.NATIVE)
    except RunError as error:
        return {**record, "failed": str(error)}
    bundle = _exported(training, cart, learned.selected.network)
    controller = policy_controller(bundle)
    long_run = None
    if training.is_long:
        of_long = judged(controller, cart, "sim", episodes=1, first_seed=LONG_RUN_SEED, max_steps=LONG_RUN_STEPS)
        long_run = bool(of_long["survived"])
    rigs = {"sim": figures_of(found.selected), **{rig: judged(controller, cart, rig) for rig in training.rigs}}
    if training.policy is not None:
        training.policy.parent.mkdir(parents=True, exist_ok=True)
        bundle.save(training.policy)
    return {
        **record,
        "rigs": rigs,
        "long_run": long_run,
        "extension_steps": extended_by(config, learned.state.model.num_timesteps),
        "is_exported": learned.trials.is_passed or not config.extension_steps,
        "training_s": round(learned.state.elapsed_s, 2),
        "policy_hash": bundle.policy_hash(),
    }


def _exported(training: Training, cart: CartParams, network: Network) -> PolicyBundle:
    """The bundle as `cartpole-robot train` exports it, with less of a provenance."""
    config, act = training.config, float_action_function(network)
    past = config.history_length
    with closing(balancing_env(cart, "sim", config.max_steps, history_length=past, engine=Engine.NATIVE)) as env:
        visited = visited_observations(act, env, count=PARITY_STATES, first_seed=CALIBRATION_SEED)
    origin = {
        "measured": dict(training.measured),
        "seed": training.seed,
        "cart": cart.as_dict(),
        "cart_sources": dict(cart.sources),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
    return bundle_of(network, cart, visited, origin, history_length=past)


@dataclass(frozen=True, kw_only=True)
class Judging:
    """A policy, or without one the regulator of `cart`, over the first `episodes` starts of the verdict."""

    cart: CartParams
    rig: str
    episodes: int
    policy: Path | None = None
    seed: int | None = None

    @property
    def key(self) -> str:
        return f"{self.rig}/{self.cart.name}/{'lqr' if self.policy is None else self.seed}/{self.episodes}"

    def is_in(self, record: Record | None) -> bool:
        """Whether `record` is of this policy on this cart; another policy is judged again.

        Raises `UsageError` for another cart's.
        """
        if record is None:
            return False
        check_same({"cart": record["cart"]}, {"cart": self.cart.fingerprint()}, where=self.key)
        return self.policy is None or record["policy_hash"] == load_policy(self.policy).policy_hash()


def judged_record(judging: Judging) -> Record:
    """The figures. Raises `UsageError` for a cart with a DC motor whose power is unknown."""
    cart, policy_hash = judging.cart, None
    if judging.policy is None:
        figures = judged(regulator_of(cart), cart, judging.rig, episodes=judging.episodes)
    else:
        controller, used, policy_hash = policy_on(judging.policy, cart)
        figures = judged(controller, used, judging.rig, episodes=judging.episodes)
    if cart.stepper is None and math.isnan(figures["mean_power_w"]):
        raise UsageError(f"cart {cart.name!r}: its motor power is unknown, and so is a ratio to it; leave it out")
    return {"cart": cart.fingerprint(), "policy_hash": policy_hash, "rigs": {judging.rig: figures}}


def run_all(
    parts: Iterable[Training | Judging], kept: KeptRecords, workers: int, on_end: Callable[[str, Record], str]
) -> None:
    """Run in worker processes what is not kept yet; prints a line of `on_end` on stderr for each."""
    missing = [part for part in parts if not part.is_in(kept.get(part.key))]
    for part in missing:
        if isinstance(part, Training):
            part.check_policy()
    if not missing:
        return
    with WorkerPool(workers) as pool:
        running = {
            pool.submit(trained, part) if isinstance(part, Training) else pool.submit(judged_record, part): part
            for part in missing
        }
        for number, future in enumerate(as_completed(running), 1):
            part = running[future]
            record = kept.add(part.key, future.result())
            print(f"{number} of {len(missing)}: {part.key}: {on_end(part.cart.name, record)}", file=sys.stderr)
