"""A recording as a Minari dataset, for `minari.load_dataset`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from cartpole_robot import task
from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.env import ENV_ID
from cartpole_robot.errors import UsageError
from cartpole_robot.files.new_file import check_is_new
from cartpole_robot.recording.format import Flag, Recording

_ROOT_VARIABLE = "MINARI_DATASETS_PATH"  # where Minari looks for datasets
_SAME_DUTY = 1e-6
_ID = re.compile(r"([-_a-zA-Z0-9]+/)*[-_a-zA-Z0-9]+-v\d+")


def export_minari(recording: Recording, root: Path, dataset_id: str | None) -> dict[str, Any]:
    """Write the dataset `dataset_id` into the folder of datasets `root`; returns what was written.

    Observations are the environment's, float32. Actions are indices into the cart's action table where every requested
    duty is one of its entries, else the duty itself, a Box of one number in [-1, 1]. An episode ends as
    truncated at a gap and where the duty is not known; rewards and terminations are the recording's.

    Raises `UsageError` for an id that Minari would refuse, an existing dataset, and a recording without a step.
    """
    import minari
    from minari.data_collector import EpisodeBuffer

    dataset_id = dataset_id or f"cartpole_robot/{re.sub('[^-_a-zA-Z0-9]+', '-', recording.path.stem)}-v0"
    if _ID.fullmatch(dataset_id) is None:
        raise UsageError(f"dataset id {dataset_id!r}, expected letters, digits, - and _, then -v0, as in cart/swing-v0")
    folder = root / dataset_id
    check_is_new(folder)
    cart = recording.cart
    observations = np.column_stack([recording.column(name) for name in task.OBSERVATION_LAYOUT]).astype(np.float32)
    actions, action_space = _actions(recording, cart)
    bound = np.maximum(task.observation_bound(cart), np.nanmax(np.abs(observations), axis=0))
    episodes = [
        EpisodeBuffer(
            id=number, observations=observations[steps.start : steps.stop + 1], actions=actions[steps], **rest
        )
        for number, (steps, rest) in enumerate((steps, _endings(recording, steps)) for steps in _runs(recording))
    ]
    if not episodes:
        raise UsageError(f"{recording.path}: has no step whose duty and both states are known; record for longer")
    try:
        with _datasets_in(root), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about missing authors and permalinks
            minari.create_dataset_from_buffers(
                dataset_id,
                episodes,
                env=_spec(cart) if isinstance(action_space, gymnasium.spaces.Discrete) else None,
                observation_space=gymnasium.spaces.Box(-bound, bound, dtype=np.float32),
                action_space=action_space,
                algorithm_name=recording.metadata.controller.policy,
                description=_description(recording),
                data_format="arrow",
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return {
        "dataset": dataset_id,
        "in": str(root),
        "episodes": len(episodes),
        "steps": sum(len(episode.rewards) for episode in episodes),
        "actions": str(action_space),
        "open it with": f"{_ROOT_VARIABLE}={root.resolve()}, minari.load_dataset({dataset_id!r})",
    }


def _actions(recording: Recording, cart: CartParams) -> tuple[NDArray[Any], gymnasium.Space[Any]]:
    """The action of each row and the action space: indices where the duties allow it, else duties, shape (rows, 1)."""
    duty = recording.column("requested_duty")
    table = np.array(cart.action_duties)
    nearest = np.abs(np.nan_to_num(duty)[:, None] - table).argmin(axis=1)
    is_in_table = np.isnan(duty) | (np.abs(duty - table[nearest]) < _SAME_DUTY)
    if is_in_table.all():
        return nearest.astype(np.int64), gymnasium.spaces.Discrete(len(table))
    return duty.astype(np.float32)[:, None], gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)


def _endings(recording: Recording, steps: slice) -> dict[str, Any]:
    """Seed, rewards, terminations and truncations of the episode made of those steps."""
    after = slice(steps.start + 1, steps.stop + 1)
    terminations = (recording.rows["flags"][after] & Flag.TERMINATED) > 0
    truncations = np.zeros(len(terminations), bool)
    truncations[-1] = not terminations[-1]
    return {
        "seed": recording.metadata.seed,
        "rewards": recording.rows["reward"][after].astype(np.float64),
        "terminations": terminations,
        "truncations": truncations,
        "infos": {},
    }


def _runs(recording: Recording) -> list[slice]:
    """Runs of rows that requested a duty: the state of each and of the next are known, one tick apart."""
    rows = recording.rows
    is_known = np.isfinite(np.column_stack([rows[name] for name in task.OBSERVATION_LAYOUT])).all(axis=1)
    is_step = (
        (np.diff(rows["tick"].astype(np.int64)) == 1)
        & is_known[:-1]
        & is_known[1:]
        & np.isfinite(rows["requested_duty"][:-1])
        & np.isfinite(rows["reward"][1:])
    )
    edges = np.diff(np.concatenate([[False], is_step, [False]]).astype(np.int8))
    starts, stops = np.nonzero(edges == 1)[0].tolist(), np.nonzero(edges == -1)[0].tolist()
    return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]


def _spec(cart: CartParams) -> gymnasium.envs.registration.EnvSpec | None:
    """The environment that makes such episodes, where the cart's name is enough to make it again."""
    if cart.name not in cart_names() or load_cart(cart.name) != cart:
        return None
    return dataclasses.replace(gymnasium.spec(ENV_ID), kwargs={"rig": "sim", "cart": cart.name})


def _description(recording: Recording) -> str:
    metadata = recording.metadata
    return (
        f"cartpole_robot recording {recording.path.name}: cart {recording.cart.name}, rig {metadata.rig}, control "
        f"period {recording.cart.timing.control_period_s:g} s, commit {metadata.commit}; {task.SIGN_CONVENTION}"
    )


@contextlib.contextmanager
def _datasets_in(root: Path) -> Iterator[None]:
    """Make Minari keep its datasets in `root` during the block."""
    before = os.environ.get(_ROOT_VARIABLE)
    os.environ[_ROOT_VARIABLE] = str(root.resolve())  # Minari fails on a relative path
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ROOT_VARIABLE]
        else:
            os.environ[_ROOT_VARIABLE] = before
