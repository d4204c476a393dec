"""Export a finished training again from its saved models."""

from __future__ import annotations

import json
import shlex
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.parts import MAX_EPISODE_STEPS
from cartpole_robot.errors import UsageError
from cartpole_robot.files import provenance
from cartpole_robot.files.run_folder import NO_POLICY_FILE, SUMMARY_FILE, read_json
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.policy.network import Network, float_action_function
from cartpole_robot.policy.network_file import read_network
from cartpole_robot.rigs.open_rig import is_real
from cartpole_robot.rollout.evaluation import CALIBRATION_SEED, visited_observations
from cartpole_robot.training.cart_progress import CartProgress
from cartpole_robot.training.checkpoint import latest_checkpoint
from cartpole_robot.training.dqn.learner import MODEL_FILE_ERRORS, load_learner, network_of
from cartpole_robot.training.environment import balancing_env, judging_env
from cartpole_robot.training.export import WEIGHTS_SUFFIX, Exported, export_network
from cartpole_robot.training.job import TrainingJob, job_from_folder
from cartpole_robot.training.on_cart.run import INITIAL_FILE
from cartpole_robot.training.parity import PARITY_STATES, torch_values
from cartpole_robot.training.trials import TRIAL_STEPS, trials_of

_LARGEST_EVALUATION = 1 << 16  # bytes of JSON; one with a fault in each of 100 episodes takes half of that
_VERDICTS = (  # keys in the summary: of an ordinary training, of one on the real cart
    {"selected": "exported", "last": "last_model"},
    {"selected": "selected", "last": None},
)


def export_run(
    run_folder: Path, out: Path, *, which: str, is_trusted: bool = False, may_fail_trials: bool = False
) -> Exported:
    """Write the policy of a run's "selected" or "last" model into the new folder `out`.

    Only weights are read. With `is_trusted` Stable-Baselines3's file is read instead, which may run code.
    With `may_fail_trials` a run none of whose networks passed every trial is exported, too. The trials that the network
    failed are in the policy's provenance.
    Raises `UsageError` for a folder without a finished run, a damaged model file, or an `out` that exists.
    """
    job = job_from_folder(run_folder)
    summary = _summary(run_folder, may_fail_trials=may_fail_trials)
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out}: exists already; choose another --out")
    network = _trusted_network(run_folder, which, job) if is_trusted else _network(run_folder, which)
    record = {
        "model": which,
        "evaluation": _evaluation(summary, _VERDICTS[job.init is not None][which] or "", run_folder / SUMMARY_FILE),
        "exported_again_by": {"versions": provenance.versions(), "commit": provenance.commit()},
    }
    if job.init is None:
        record["trials"] = _trials(job, network)
    is_unchanged = which == "selected" and summary.get("is_initial_kept")
    return export_network(
        job,
        network,
        _visited(job, network),
        out,
        values=torch_values(network),
        provenance=record,
        unchanged=load_policy(run_folder / INITIAL_FILE) if is_unchanged else None,
    )


def _summary(run_folder: Path, *, may_fail_trials: bool) -> dict[str, Any]:
    """The summary of a finished run, or what stands in for it. Raises `UsageError`."""
    resume = f"continue with: cartpole-robot train --resume {shlex.quote(str(run_folder))}"
    unfinished = f"{run_folder}: this training is not finished; {resume}"
    if (run_folder / SUMMARY_FILE).exists() or not (run_folder / NO_POLICY_FILE).exists():
        return read_json(run_folder / SUMMARY_FILE, unfinished)
    if not may_fail_trials:
        raise UsageError(
            f"{run_folder}: no network of this training passed every trial ({NO_POLICY_FILE} has what came closest); "
            f"{resume}, or export it as it is with --failed-trials"
        )
    return read_json(run_folder / NO_POLICY_FILE, unfinished)


def _trials(job: TrainingJob, network: Network) -> dict[str, Any]:
    """Which trials of the training the network passes. No real cart moves."""
    rig = "sim" if is_real(job.rig) else job.rig
    if job.randomization is None:
        env = judging_env(job.config, job.cart, rig, TRIAL_STEPS, engine=job.engine)
    else:
        past = job.config.history_length
        env = balancing_env(job.cart, rig, TRIAL_STEPS, job.randomization, history_length=past, engine=job.engine)
    with closing(env):
        return trials_of(job.config, env, job.randomization).record(float_action_function(network)).as_dict()


def _evaluation(summary: dict[str, Any], key: str, path: Path) -> dict[str, Any] | None:
    """The evaluation of that key, which goes into the policy's provenance. Raises `UsageError` for what is none."""
    found = summary.get(key)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise UsageError(f"{path}: {key} is {type(found).__name__}, expected a table of figures; train again")
    size = len(json.dumps(found))
    if size > _LARGEST_EVALUATION:
        raise UsageError(
            f"{path}: {key} takes {size} bytes, expected at most {_LARGEST_EVALUATION}; shorten it, or train again"
        )
    return found


def _network(run_folder: Path, which: str) -> Network:
    path = (run_folder / f"model_{which}").with_suffix(WEIGHTS_SUFFIX)
    try:
        return read_network(path)
    except FileNotFoundError:
        raise UsageError(
            f"{path}: is missing, as in runs of earlier versions; if this run is your own, "
            f"--trust reads model_{which}.zip, which may run code"
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _trusted_network(run_folder: Path, which: str, job: TrainingJob) -> Network:
    path = run_folder / f"model_{which}.zip"
    try:
        return network_of(load_learner(path, job.config, None))
    except MODEL_FILE_ERRORS as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{path}: is not a readable model ({type(error).__name__}: {error}); "
        "train again, or export the other with --model"
    )


def _visited(job: TrainingJob, network: Network) -> NDArray[np.float32]:
    """Inputs (N, inputs): from new episodes, or those recorded while learning on a cart. No real cart moves."""
    if job.init is None:
        rig = "sim" if is_real(job.rig) else job.rig
        with closing(judging_env(job.config, job.cart, rig, MAX_EPISODE_STEPS, engine=job.engine)) as env:
            act = float_action_function(network)
            return visited_observations(act, env, count=PARITY_STATES, first_seed=CALIBRATION_SEED)
    checkpoint = latest_checkpoint(job.folder / "checkpoints")
    progress = None if checkpoint is None else CartProgress.load(checkpoint)
    if progress is None:
        raise UsageError(
            f"{job.folder / 'checkpoints'}: holds no checkpoint with the observations from the cart; train again"
        )
    return progress.observations()
