"""Judges an exported policy on any environment that has its interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from cartpole_robot.cart.randomization import load_randomization
from cartpole_robot.env import ENV_ID, MAKE_ID, SWING_UP_ID, CartPoleEnv
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.backend import LQR, Backend
from cartpole_robot.policy.bundle import PolicyBundle
from cartpole_robot.policy.controllers import Chosen, choose_controller, open_policy
from cartpole_robot.policy.interface import Command
from cartpole_robot.recording.metadata import SwingUpRecord
from cartpole_robot.rig import Rig, Start
from cartpole_robot.rigs.engine_choice import rig_engine
from cartpole_robot.rigs.open_rig import open_rig
from cartpole_robot.rollout.evaluation import VERDICT_SEED, Evaluation, evaluate
from cartpole_robot.rollout.history_wrapper import with_history
from cartpole_robot.rollout.kept_episodes import KeptEpisode, KeptEpisodes
from cartpole_robot.rollout.swing_up_evaluation import evaluate_swing_up
from cartpole_robot.rollout.unattended import NO_LIMITS, RunLimits, UnattendedRun
from cartpole_robot.simulation.engine import Engine
from cartpole_robot.start import check_start_of, swing_up_of_episode
from cartpole_robot.task import Task
from cartpole_robot.terminal.interrupts import stopped_by_signals
from cartpole_robot.terminal.lines import say
from cartpole_robot.terminal.progress import progress_bar


@dataclass(frozen=True, kw_only=True)
class JudgingRequest:
    """Which policy, on what, for how long. `env_id` is None for this package's environment on `rig` and `cart`.

    `engine` None: the choice of `rigs.engine_choice` for this cart.
    """

    policy: Path
    env_id: str | None
    rig: str
    cart: str | None
    backend: str
    episodes: int
    max_steps: int
    first_seed: int | None
    randomization: Path | None = None
    engine: Engine | None = None
    start: Start = Start.BY_HAND
    limits: RunLimits = NO_LIMITS
    keep: Path | None = None


def judge(request: JudgingRequest) -> dict[str, Any]:
    """The verdict as a JSON object: `Evaluation.as_dict` with policy and environment. Raises `UsageError`."""
    if request.env_id not in (None, ENV_ID, MAKE_ID):
        return _judged_elsewhere(request, str(request.env_id))
    chosen = choose_controller(request.policy, request.cart, request.backend)
    if chosen.task is Task.SWING_UP:
        check_start_of(chosen, request.start)
        if request.limits.are_set:
            raise UsageError("limits of cart time and distance are not for a policy that swings up; leave them out")
        if request.keep is not None:
            raise UsageError("--keep is not for a policy that swings up; leave it out")
        return _swung_up(request, chosen)
    options: dict[str, Any] = {"rig": request.rig, "cart": chosen.cart, "start": request.start}
    if request.randomization is not None:
        options["randomization"] = load_randomization(request.randomization, chosen.cart)
    choice = rig_engine(request.rig, chosen.cart, request.engine, options.get("randomization"))
    options["engine"] = choice.engine
    env = _made(ENV_ID, request.max_steps, options)
    inner = env.unwrapped
    assert isinstance(inner, CartPoleEnv)
    controller = chosen.controller
    try:
        kept = None if request.keep is None else KeptEpisodes(request.keep, _identity(request, chosen, choice.engine))
        swing_ups = SwingUps(inner.rig, [] if kept is None else kept.episodes[: request.episodes])
        unattended = UnattendedRun(inner.rig, request.limits)
    except UsageError:
        env.close()
        raise
    result = _evaluated(
        request,
        controller.duty,
        env,
        take_step=inner.step_duty,
        on_reset=controller.reset,
        on_episode=swing_ups.note,
        unattended=unattended if request.start is Start.SWING_UP else None,
        kept=kept,
        swing_up=lambda: swing_up_of_episode(inner.rig),
    )
    drawn = f", drawn from {request.randomization}" if request.randomization is not None else ""
    return {
        **chosen.record,
        "environment": f"{ENV_ID}, rig {request.rig}, cart {chosen.cart.name}{drawn}",
        "engine": choice.engine,
        "note": " ".join(filter(None, (chosen.note, choice.note, _kept_note(request, kept)))) or None,
        **result.as_dict(),
        **swing_ups.as_dict(),
    }


def _identity(request: JudgingRequest, chosen: Chosen, engine: Engine | None) -> dict[str, Any]:
    """What an evaluation must share with one that it continues."""
    return {
        "policy": str(chosen.record["policy_hash"] or chosen.record["policy"]),
        "backend": request.backend,
        "cart": chosen.cart.fingerprint(),
        "rig": request.rig,
        "engine": None if engine is None else str(engine),
        "start": str(request.start),
        "randomization": None if request.randomization is None else str(request.randomization),
        "steps": request.max_steps,
        "first_seed": _first_seed(request),
    }


def _kept_note(request: JudgingRequest, kept: KeptEpisodes | None) -> str | None:
    count = 0 if kept is None else min(kept.kept, request.episodes)
    return f"{count} of the episodes are from {request.keep}" if count else None


def _first_seed(request: JudgingRequest) -> int:
    return VERDICT_SEED if request.first_seed is None else request.first_seed


class SwingUps:
    """The swing-ups before the episodes of an evaluation."""

    def __init__(self, rig: Rig, kept: Sequence[KeptEpisode] = ()) -> None:
        """On that rig, after those of the episodes that were kept."""
        self._rig = rig
        self._found = [each.swing_up for each in kept if each.swing_up is not None]

    def note(self) -> None:
        """An episode has ended; `newest` stays the same where the start of one failed."""
        newest = swing_up_of_episode(self._rig)
        if newest is not None and not (self._found and newest is self._found[-1]):
            self._found.append(newest)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; empty where the pole is raised by hand."""
        if not self._found:
            return {}
        durations = [each.swing_up_s for each in self._found if each.swing_ups]  # else the pole still stood
        return {
            "swing_up_median_s": float(np.median(durations)) if durations else None,
            "swing_up_longest_s": max(durations) if durations else None,
            "swing_up_farthest_m": max(each.swing_up_farthest_m for each in self._found),
            "swing_ups": sum(each.swing_ups for each in self._found),
            "starts": len(self._found),
        }


def _swung_up(request: JudgingRequest, chosen: Chosen) -> dict[str, Any]:
    """The verdict on a policy that swings up: `SwingUpEvaluation.as_dict` with policy and environment."""
    ranges = None if request.randomization is None else load_randomization(request.randomization, chosen.cart)
    choice = rig_engine(request.rig, chosen.cart, request.engine, ranges)
    rig = open_rig(request.rig, chosen.cart, ranges, engine=choice.engine)
    bar = progress_bar(request.episodes, "evaluating", " episodes", quiet=True)
    try:
        with stopped_by_signals():
            result = evaluate_swing_up(
                chosen.controller,
                rig,
                episodes=request.episodes,
                first_seed=_first_seed(request),
                hold_steps=request.max_steps,
                on_episode=bar.update,
                unattended=UnattendedRun(rig, NO_LIMITS),
            )
    finally:
        bar.close()
        rig.close()
    drawn = f", drawn from {request.randomization}" if request.randomization is not None else ""
    return {
        **chosen.record,
        "environment": f"{SWING_UP_ID}, rig {request.rig}, cart {chosen.cart.name}{drawn}",
        "engine": choice.engine,
        "note": " ".join(filter(None, (chosen.note, choice.note))) or None,
        "swing_up": result.text(),
        **result.as_dict(),
    }


def _judged_elsewhere(request: JudgingRequest, env_id: str) -> dict[str, Any]:
    """The verdict in another Gymnasium environment that has the policy's interface."""
    if request.cart is not None or request.randomization is not None:
        given = f"--cart {request.cart}" if request.cart is not None else f"--randomize {request.randomization}"
        raise UsageError(f"{given} and --env {env_id}: another environment has its own cart; leave one out")
    if request.start is not Start.BY_HAND:
        raise UsageError(f"--start swing-up and --env {env_id}: another environment starts its own way; leave one out")
    if request.keep is not None:
        raise UsageError(f"--keep and --env {env_id}: only episodes on a rig are kept; leave one out")
    if request.engine is not None:
        raise UsageError(f"--engine {request.engine} and --env {env_id}: another environment has its own physics")
    if str(request.policy) == LQR:
        raise UsageError(f"policy lqr and --env {env_id}: a regulator is designed for one cart; name it with --cart")
    bundle, path = open_policy(request.policy)
    env = _made(env_id, request.max_steps, {})
    _check_foreign(bundle, env, path, env_id)
    env = with_history(env, bundle.interface.history_length, bundle.interface.action_duties)
    result = _evaluated(request, bundle.action_function(Backend(request.backend)), env)
    return {
        "policy": str(path),
        "policy_hash": bundle.policy_hash(),
        "backend": request.backend,
        "environment": env_id,
        "note": None,
        **result.as_dict(),
    }


def _evaluated(
    request: JudgingRequest,
    act: Callable[[Any], Any],
    env: gymnasium.Env[Any, Any],
    *,
    take_step: Callable[[Any], Any] | None = None,
    on_reset: Callable[[], None] | None = None,
    on_episode: Callable[[], None] = lambda: None,
    unattended: UnattendedRun | None = None,
    kept: KeptEpisodes | None = None,
    swing_up: Callable[[], SwingUpRecord | None] = lambda: None,
) -> Evaluation:
    """The requested evaluation, with a progress bar; closes `env`. Raises KeyboardInterrupt with what was kept."""

    def ended() -> None:
        on_episode()
        bar.update()

    bar = progress_bar(request.episodes, "evaluating", " episodes", quiet=True)
    bar.update(0 if kept is None else min(kept.kept, request.episodes))
    try:
        with stopped_by_signals():
            return evaluate(
                act,
                env,
                episodes=request.episodes,
                first_seed=_first_seed(request),
                max_steps=request.max_steps,
                take_step=take_step,
                on_reset=on_reset,
                on_episode=ended,
                unattended=unattended,
                kept=kept,
                swing_up=swing_up,
            )
    except KeyboardInterrupt:
        if kept is not None:
            count = f"{len(kept.episodes)} of {request.episodes} episodes"
            say(f"{count} are kept in {request.keep}; the same command continues")
        raise
    finally:
        bar.close()
        env.close()


def judgement_text(record: Mapping[str, Any]) -> str:
    """The verdict as lines for a person."""
    if "swing_up" in record:
        return _lines(
            record,
            [
                ("swing-up", record["swing_up"]),
                ("RMS position", f"{record['rms_position_m'] * 1000.0:.1f} mm while up"),
                ("farthest", f"{record['largest_position_m'] * 1000.0:.0f} mm from the middle"),
                ("reversals", f"{record['reversals_per_s']:.1f} a second while up"),
                *([("stopped", str(record["stopped"]))] if record.get("stopped") else []),
            ],
        )
    reversals = f"{record['reversals_per_step']:.3f} a step"
    if record["reversals_per_s"] is not None:
        reversals += f", {record['reversals_per_s']:.1f} a second"
    power_w = record["mean_power_w"]
    rows = [
        ("steps survived", f"{record['mean_steps']:.1f} mean, {record['min_steps']} least"),
        ("survived", f"{record['episodes_survived']} of {record['episodes']} episodes of {record['max_steps']} steps"),
        ("RMS position", f"{record['rms_position_m'] * 1000.0:.1f} mm"),
        ("RMS angle", f"{record['rms_angle_rad'] * 1000.0:.2f} mrad"),
        ("reversals", reversals),
        ("motor power", "unknown" if power_w is None else f"{power_w:.2f} W mean"),
    ]
    if "swing_up_median_s" in record:
        median_s, longest_s = record["swing_up_median_s"], record["swing_up_longest_s"]
        text = f"{record['swing_ups']} for {record['starts']} starts"
        if median_s is not None:
            text += f", {median_s:.2f} s median, {longest_s:.2f} s longest"
        rows.append(("swing-ups", text))
    if record.get("stopped"):
        rows.append(("stopped", str(record["stopped"])))
    return _lines(record, rows)


def _lines(record: Mapping[str, Any], rows: list[tuple[str, str]]) -> str:
    head = f"{record['policy']} ({record['backend']}) on {record['environment']}, seeds from {record['first_seed']}"
    if record.get("engine"):
        rows = [("engine", str(record["engine"])), *rows]
    notes = [f"  {'note':<16} {record['note']}"] if record.get("note") else []
    return "\n".join([head, *(f"  {name:<16} {text}" for name, text in rows), *notes, *record["faults"]])


def _made(env_id: str, max_steps: int, options: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        return gymnasium.make(env_id, max_episode_steps=max_steps, disable_env_checker=True, **options)
    except UsageError:
        raise
    except gymnasium.error.DependencyNotInstalled as error:
        raise UsageError(f"environment {env_id!r}: {error}; install that package") from None
    except (gymnasium.error.Error, ImportError, ValueError, TypeError) as error:
        raise UsageError(f"environment {env_id!r} cannot be made ({error}); check its id") from None


def _check_foreign(bundle: PolicyBundle, env: gymnasium.Env[Any, Any], path: Path, name: str) -> None:
    """Raise `UsageError` unless the environment has the policy's interface, as far as it reports its own."""
    if bundle.interface.command is Command.DUTY:
        raise UsageError(f"{path}: commands a duty, which no other environment knows; leave out --env {name}")
    observed, outputs = len(bundle.interface.observation), bundle.network.outputs
    space = env.observation_space
    if space.shape != (observed,):
        raise UsageError(
            f"{path}: takes observations of shape ({observed},), {name} gives {space.shape}; choose another --env"
        )
    actions = getattr(env.action_space, "n", None)
    if actions != outputs:
        raise UsageError(f"{path}: has {outputs} actions, {name} has {actions}; choose another --env")
    period_s = getattr(env.unwrapped, "tau", None)
    if period_s is not None and period_s != bundle.interface.control_period_s:
        raise UsageError(
            f"{path}: the policy's control_period_s is {bundle.interface.control_period_s:g}, {name} has {period_s:g}; "
            "choose another --env"
        )
