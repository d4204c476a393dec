"""Studies: errors are reported, no cell is lost or run twice, dead processes are replaced, the figure is not blank."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from cartpole_robot import __version__
from cartpole_robot.cart.params import CartParams
from cartpole_robot.commands.cli import main
from cartpole_robot.errors import RunError, UsageError
from cartpole_robot.experiments.cells import work
from cartpole_robot.experiments.cells.crew import Failed, Finished, Result
from cartpole_robot.experiments.cells.folder import CellFolder
from cartpole_robot.experiments.cells.processes import ProcessCrew
from cartpole_robot.experiments.cells.work import run_tasks
from cartpole_robot.experiments.study.cell import run_cell
from cartpole_robot.experiments.study.figure import FIGURE_FILE, draw_study, episode_bands
from cartpole_robot.experiments.study.findings import finding, groups_of, study_text, wilson
from cartpole_robot.experiments.study.run import StudyRequest, run_study, shown_study
from cartpole_robot.experiments.study.study import CellTask, Study, cell_key, task_of
from cartpole_robot.experiments.study.study_file import load_study, study_names
from cartpole_robot.experiments.study.tables import write_tables
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.rigs import engine_choice
from cartpole_robot.simulation.engine import Engine, is_installed
from cartpole_robot.simulation.workers import WorkerPool
from cartpole_robot.training import learning
from cartpole_robot.training.config import load_preset
from cartpole_robot.training.environment import balancing_env
from cartpole_robot.training.job import TrainingJob
from cartpole_robot.training.log import LearningLog
from cartpole_robot.training.run import start_training
from cartpole_robot.training.summary import TrainingSummary
from tests import dying
from tests.cell_folders import cells_in, children, driver, is_alive, wait_for

SMALL = """
format = 1
title = "Small"
presets = ["recommended"]
seeds = 6
steps = 300
scale = "log"

[grid]
replay_memory = [100, 1000]
"""


def written(folder: Path, text: str = SMALL, name: str = "small.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Study:
    return load_study(written(tmp_path))


def pretended(study: Study) -> dict[str, dict[str, Any]]:
    """Records of every cell: a memory of 1000 balances except for seed 5, one of 100 only for seed 0."""
    records = {}
    for cell in study.cells:
        is_good = (cell.seed != 5) if cell.point.get("replay_memory") == 1000 else cell.seed == 0
        records[cell.key] = {
            "key": cell.key,
            "error": None,
            "wall_s": 2.0,
            "training_s": 1.0,
            "host": "here",
            "commit": None,
            "steps": 300,
            "episodes": 20,
            "last_mean_steps": 500.0 if is_good else 40.0 + cell.seed,
            "selected_mean_steps": 500.0,
            "selected_at_step": 300,
            "first_500_step": 200 if is_good else None,
            "first_500_s": 0.5 if is_good else None,
            "episode_steps": list(range(10, 30)),
            "evaluations": [[200, 500.0, 0.1], [300, 500.0, 0.1]],
        }
    return records


# --- study files -----------------------------------------------------------------------------------------------------


def test_studies_of_the_package_have_ten_seeds_of_each_value() -> None:
    assert study_names() == ("epsilon", "gamma", "replay-memory")
    memory = load_study("replay-memory")
    assert [point["replay_memory"] for point in memory.points] == [100, 300, 1000, 3000, 10000, 100000]
    assert memory.series == (("recommended", "gym"), ("blog", "gym"))
    assert len(memory.cells) == len({cell.key for cell in memory.cells}) == 120
    assert {cell.seed for cell in memory.cells} == set(range(10))
    gamma = load_study("gamma")
    assert (gamma.points[0]["gamma"], gamma.points[-1]["gamma"]) == (0.5, 0.999)
    assert load_study("epsilon").fields == ("epsilon_end", "epsilon_fraction")
    assert len(load_study("gamma", seeds=2).cells) == len(gamma.cells) // 5


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("replay_memory =", "replay_memry ="), ["[grid]", "'replay_memry'"]),
        (("replay_memory = [100, 1000]", ""), ["[grid]", "empty"]),
        (("[grid]\nreplay_memory = [100, 1000]", ""), ["[grid]", "missing"]),
        (("[100, 1000]", "[]"), ["[grid] replay_memory", "at least one value"]),
        (("[100, 1000]", "100"), ["[grid] replay_memory", "expected a list"]),
        (("[100, 1000]", '[100, "many"]'), ["[grid] replay_memory", "'many'", "a whole number"]),
        (("[100, 1000]", "[100, 1000.5]"), ["[grid] replay_memory", "1000.5", "a whole number"]),
        (("[100, 1000]", "[100, [1000]]"), ["[grid] replay_memory", "[1000]"]),
        (("[100, 1000]", "[100, -1]"), ["[grid]", "replay_memory = -1"]),
        (("[100, 1000]", "[100, 1000, 1000]"), ["[grid] replay_memory", "twice"]),
        (("[100, 1000]", "[1000, 1000.0]"), ["[grid]", "twice"]),
        (("[100, 1000]", "[100, 20_000_000]"), ["[grid]", "replay_memory = 2e+07", "at most 1e+07"]),
        (("replay_memory = [100, 1000]", "gamma = [0.9, 1.5]"), ["[grid]", "gamma = 1.5", "0 to 1"]),
        (("replay_memory = [100, 1000]", "gamma = [0.9, nan]"), ["[grid]", "gamma = nan"]),
        (("replay_memory = [100, 1000]", "gamma = [0.0, 0.9]"), ["scale = 'log'", "gamma has 0.0"]),
        (("replay_memory = [100, 1000]", 'loss = ["mse", "huber"]'), ["scale = 'log'", "loss", "'mse'"]),
        (("replay_memory = [100, 1000]", 'name = ["a", "b"]'), ["[grid]", "'name'"]),
        (("replay_memory = [100, 1000]", "steps = [100, 200]"), ["steps", "at the top and in [grid]"]),
        (("[100, 1000]", "[100, 1000]\ngamma = [0.9]"), ["scale = 'log'", "one field"]),
        (('"log"', '"loud"'), ["scale = 'loud'", "'linear'"]),
        (("format = 1", "format = 2"), ["format = 2", "reads 1"]),
        (("format = 1\n", ""), ["format is missing"]),
        (("seeds = 6", "seeds = 0"), ["seeds = 0", "at least 1"]),
        (("seeds = 6", 'seeds = "6"'), ["seeds = '6'", "a whole number"]),
        (("seeds = 6", "seeds = 6\nfirst_seed = 999999"), ["seeds 999999 to 1000004", "evaluation"]),
        (("seeds = 6", "seeds = 60_000"), ["120000 cells", "100000"]),
        (("seeds = 6", "seeds = 6\ncolour = 1"), ["unknown key 'colour'"]),
        (("steps = 300", "steps = -3"), ["steps = -3", "at least 1"]),
        (('["recommended"]', "[]"), ["presets is empty"]),
        (('["recommended"]', '["recommended", "recommended"]'), ["presets names one twice"]),
        (('["recommended"]', '["recomended"]'), ["presets", "'recomended'", "blog"]),
        (('["recommended"]', '["gone.toml"]'), ["gone.toml"]),
        (("seeds = 6", 'seeds = 6\ncarts = ["unknown"]'), ["carts", "'unknown'"]),
        (('"Small"', '" "'), ["title is empty"]),
        (('"Small"', '"Small'), ["not valid TOML"]),
    ],
)
def test_errors_in_a_study_file_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], parts: list[str]
) -> None:
    assert change[0] in SMALL
    path = written(tmp_path, SMALL.replace(*change))
    assert main(["study", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    for part in [str(tmp_path), *parts]:
        assert part in error, error
    assert not (tmp_path / "out").exists()


def test_an_unknown_study_and_a_folder_in_the_wrong_place_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "memory"]) == 2
    assert "'memory'" in (error := capsys.readouterr().err)
    assert "replay-memory" in error
    assert main(["study", "gamma", str(tmp_path)]) == 2
    assert main(["study", "show"]) == 2
    assert main(["study", "show", str(tmp_path)]) == 2
    assert "study.json" in capsys.readouterr().err
    assert main(["study", "show", str(tmp_path), "--workers", "2"]) == 2
    assert "--workers" in capsys.readouterr().err


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_names_all_that_a_result_depends_on_and_nothing_else(gym_cart: CartParams) -> None:
    config = load_preset("recommended")
    native = Engine.NATIVE
    key = cell_key(config, gym_cart, 0, native)
    renamed = dataclasses.replace(config, name="mine", description="other words")
    assert cell_key(renamed, dataclasses.replace(gym_cart, name="mine"), 0, native) == key
    others = [
        cell_key(config, gym_cart, 1, native),
        cell_key(dataclasses.replace(config, gamma=0.98), gym_cart, 0, native),
        cell_key(dataclasses.replace(config, steps=config.steps + 1), gym_cart, 0, native),
        cell_key(config, gym_cart, 0, Engine.PYBULLET),
        cell_key(config, dataclasses.replace(gym_cart, timing=dataclasses.replace(gym_cart.timing)), 0, native),
    ]
    assert others.pop() == key
    assert len({key, *others}) == 5


# --- a cell ----------------------------------------------------------------------------------------------------------


def test_cells_have_no_extension_and_the_keys_of_versions_without_one(gym_cart: CartParams) -> None:
    config = load_study("replay-memory").configs["recommended"]
    assert config.extension_steps == 0
    values = dataclasses.asdict(config)
    for name in ("name", "description", "extension_steps"):
        del values[name]
    record = {"config": values, "cart": gym_cart.fingerprint(), "seed": 0, "engine": Engine.NATIVE}
    expected = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:20]
    assert cell_key(config, gym_cart, 0, Engine.NATIVE) == expected
    extended = dataclasses.replace(config, extension_steps=10)
    assert cell_key(extended, gym_cart, 0, Engine.NATIVE) != expected


def test_a_key_depends_on_the_history(gym_cart: CartParams) -> None:
    fixed = load_preset("recommended")
    past = dataclasses.replace(fixed, history_length=2)
    assert cell_key(past, gym_cart, 0, Engine.NATIVE) != cell_key(fixed, gym_cart, 0, Engine.NATIVE)


@pytest.mark.parametrize(("history_length", "steps"), [(1, 450), (3, 450), (1, 1000)])
def test_a_cell_learns_and_is_judged_as_train_does(
    tmp_path: Path, gym_cart: CartParams, history_length: int, steps: int
) -> None:
    """Also after 1000 steps, where the network selected last is one update older than the last one."""
    config = dataclasses.replace(load_preset("recommended"), history_length=history_length).changed(steps=steps)
    job = TrainingJob(
        config=config,
        cart=gym_cart,
        rig="sim",
        engine=Engine.NATIVE,
        seed=3,
        folder=tmp_path / "run",
        tensorboard=False,
    )
    summary = start_training(job).summary
    assert isinstance(summary, TrainingSummary)
    act = load_policy(tmp_path / "run" / "policy.npz").action_function()
    with contextlib.closing(
        balancing_env(gym_cart, "sim", 500, history_length=history_length, engine=Engine.NATIVE)
    ) as env:
        assert learning.verdict(act, env).steps == summary.exported.steps
    text = SMALL.replace("300", str(steps)).replace(
        "replay_memory = [100, 1000]", f"history_length = [{history_length}]"
    )
    text = text.replace("seeds = 6", "seeds = 1\nfirst_seed = 3")
    study = load_study(written(tmp_path, text))
    result = run_cell(task_of(study, study.cells[0], __version__))
    assert isinstance(result, Finished)
    record, log = result.record, LearningLog.load(tmp_path / "run")
    assert record["episode_steps"] == [row.length for row in log.episodes]
    assert record["evaluations"] == [[row.step, row.mean_steps, row.rms_position_m] for row in log.evaluations]
    assert record["last_mean_steps"] == summary.last_model.mean_steps
    assert record["selected_mean_steps"] == summary.exported.mean_steps
    again = summary.on_pybullet
    assert (again is not None) == is_installed(Engine.PYBULLET)
    assert record["on_pybullet_episodes"] == (again and 20)
    assert record["on_pybullet_mean_steps"] == (again and again.mean_steps)
    assert record["engine"] == "native"
    assert record["steps"] == summary.steps


def test_another_version_is_not_mixed_in_and_a_divergence_is_a_result(
    small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = run_cell(task_of(small, small.cells[0], "0.0.1"))
    assert isinstance(other, Failed)
    assert "0.0.1" in other.why
    assert __version__ in other.why

    def diverge(*_: object, **__: object) -> None:
        raise RunError("the training diverged")

    monkeypatch.setattr(learning, "learn_unrecorded", diverge)
    result = run_cell(task_of(small, small.cells[0], __version__))
    assert isinstance(result, Finished)
    assert "diverged" in result.record["error"]
    group = groups_of(small, {small.cells[0].key: result.record})[0]
    assert (group.seeds, group.successes, group.last_steps) == (1, 0, (0.0,))


@pytest.mark.pybullet
def test_engine_is_that_of_the_study_and_part_of_what_its_folder_holds(
    tmp_path: Path, small: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (small.engines, small.record["engines"]) == ({"gym": Engine.NATIVE}, {"gym": "native"})
    slow = load_study(tmp_path / "small.toml", engine=Engine.PYBULLET)
    assert slow.record["engines"] == {"gym": "pybullet"}
    assert not set(slow.keys) & set(small.keys)
    result = run_cell(task_of(slow, slow.cells[0], __version__))
    assert isinstance(result, Finished)
    assert (result.record["engine"], result.record["on_pybullet_episodes"]) == ("pybullet", None)
    with CellFolder.opened(tmp_path / "out", small):
        pass
    words = ["study", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out")]
    assert main([*words, "--engine", "pybullet"]) == 2
    assert 'its engines differ ({"gym": "native"} there, {"gym": "pybullet"} here)' in capsys.readouterr().err
    assert not cells_in(tmp_path / "out")


@pytest.mark.pybullet
def test_cell_of_a_motor_cart_repeats_its_verdict_on_pybullet_in_part(tmp_path: Path) -> None:
    text = SMALL.replace("seeds = 6", 'seeds = 1\ncarts = ["diy_arduino"]')
    study = load_study(written(tmp_path, text))
    result = run_cell(task_of(study, study.cells[0], __version__))
    assert isinstance(result, Finished)
    assert result.record["on_pybullet_episodes"] == 1
    assert 1 <= result.record["on_pybullet_mean_steps"] <= 500


@pytest.mark.pybullet
def test_engine_that_a_worker_lacks_or_that_moves_its_cart_otherwise_is_a_failure(
    small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning._check_engine.cache_clear()
    monkeypatch.setattr(engine_choice, "refusal", lambda *_: "the native engine is 1.0e-03 off PyBullet")
    result = run_cell(task_of(small, small.cells[0], __version__))
    assert isinstance(result, Failed)
    assert "1.0e-03 off PyBullet; leave out --engine native" in result.why


# --- stopped and resumed ---------------------------------------------------------------------------------------------


@pytest.mark.long
def test_killed_and_stopped_anywhere_no_cell_is_lost_or_run_twice(tmp_path: Path) -> None:
    words, out = (written(tmp_path), "--workers", 1, "--out", "out"), tmp_path / "out"
    with driver("study", *words, cwd=tmp_path) as process:
        wait_for(lambda: len(cells_in(out)) >= 2, process)
        workers = children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed = cells_in(out)
    assert 2 <= len(killed) < 12
    wait_for(lambda: not any(map(is_alive, workers)), seconds=10.0)  # no worker outlives its driver
    assert cells_in(out) == killed

    with driver("study", *words, cwd=tmp_path) as process:
        wait_for(lambda: len(cells_in(out)) > len(killed), process)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60.0)
        assert process.returncode == 1
    assert "Traceback" not in error
    again = next(line for line in error.splitlines() if line.startswith("continue with: cartpole-robot study "))
    stopped = cells_in(out)
    assert killed.items() < stopped.items()
    assert len(stopped) < 12

    with driver(*again.split()[3:], cwd=tmp_path) as process:
        printed, error = process.communicate(timeout=180.0)
        assert process.returncode == 0, error
    finished = cells_in(out)
    assert stopped.items() < finished.items()
    assert len(finished) == 12
    assert "6 of 6" in printed
    rows = pyarrow.parquet.read_table(out / "results.parquet").to_pylist()
    assert sorted((row["replay_memory"], row["seed"]) for row in rows) == sorted(
        itertools.product((100, 1000), range(6))
    )
    assert {row["steps"] for row in rows} == {300}
    curves = pyarrow.parquet.read_table(out / "curves.parquet").to_pylist()
    assert {row["key"] for row in curves} == {row["key"] for row in rows}
    assert not list(out.rglob(".*partial*"))


def test_a_finished_study_is_shown_without_running_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = written(tmp_path), tmp_path / "out"
    study = load_study(path)
    with CellFolder.opened(out, study) as folder:
        for record in pretended(study).values():
            folder.keep(record, None)
    before = cells_in(out)
    assert main(["study", "show", str(out), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["is_whole"]
    assert shown["files"] == []
    assert main(["study", str(path), "--out", str(out)]) == 0
    assert "6 of 6" in capsys.readouterr().out
    assert cells_in(out) == before
    assert (out / FIGURE_FILE).exists()


# --- nothing is overwritten ------------------------------------------------------------------------------------------


def test_the_folder_of_another_study_and_other_folders_are_left_alone(
    tmp_path: Path, small: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with CellFolder.opened(out, small):
        pass
    before = (out / "study.json").read_bytes()
    other = written(tmp_path, SMALL.replace("steps = 300", "steps = 301"), "other.toml")
    assert main(["study", str(other), "--out", str(out)]) == 2
    assert "another study" in capsys.readouterr().err
    assert main(["study", str(tmp_path / "small.toml"), "--seeds", "5", "--out", str(out)]) == 2
    assert "its seeds differ ([0, 5] there, [0, 4] here)" in capsys.readouterr().err
    assert (out / "study.json").read_bytes() == before
    assert cells_in(out) == {}

    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "letter.txt").write_text("dear")
    assert main(["study", str(other), "--out", str(theirs)]) == 2
    assert "no study's folder" in capsys.readouterr().err
    assert [path.name for path in theirs.iterdir()] == ["letter.txt"]
    assert main(["study", str(other), "--out", str(theirs / "letter.txt")]) == 2
    assert (theirs / "letter.txt").read_text() == "dear"


def test_more_seeds_are_added_to_a_study_and_not_taken_away(
    tmp_path: Path, small: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with CellFolder.opened(out, small) as folder:
        for record in pretended(small).values():
            folder.keep(record, None)
    before = cells_in(out)
    more = load_study(tmp_path / "small.toml", seeds=8)
    with CellFolder.opened(out, more) as folder:
        assert set(folder.finished()) == {cell.key for cell in small.cells}
        for record in pretended(more).values():
            if record["key"] not in folder.finished():
                folder.keep(record, None)
    assert before.items() < cells_in(out).items()
    shown = shown_study(out)
    assert (len(shown.study.cells), shown.is_whole) == (16, True)
    kept = json.loads((out / "study.json").read_text())
    assert (kept["of"]["seeds"], len(kept["grown"])) == ([0, 7], 1)
    assert main(["study", str(tmp_path / "small.toml"), "--out", str(out)]) == 2
    assert "its seeds differ ([0, 7] there, [0, 5] here)" in capsys.readouterr().err
    moved = written(tmp_path, SMALL.replace("seeds = 6", "seeds = 8\nfirst_seed = 1"), "moved.toml")
    assert main(["study", str(moved), "--out", str(out)]) == 2
    assert "its seeds differ ([0, 7] there, [1, 8] here)" in capsys.readouterr().err
    other = written(tmp_path, SMALL.replace("seeds = 6", "seeds = 9").replace("1000]", "1000, 3000]"), "other.toml")
    assert main(["study", str(other), "--out", str(out)]) == 2
    assert "its grid differ" in capsys.readouterr().err
    assert json.loads((out / "study.json").read_text()) == kept


def test_cells_of_another_version_or_commit_are_reported(
    tmp_path: Path, small: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "commit", lambda: "c0ffee0000000000+changes")
    out = tmp_path / "out"
    records = list(pretended(small).values())
    with CellFolder.opened(out, small) as folder:
        assert folder.of_other_code(folder.finished(), None) == []
        for record in records[:7]:
            folder.keep(record, "c0ffee0000000000+changes")
        for record in records[7:10]:
            folder.keep(record, "feedbeef00000000")
        for record in records[10:]:
            folder.keep(record, None)
    old = out / "cells" / f"{records[0]['key']}.json"
    kept = json.loads(old.read_text())
    assert (kept["version"], kept["commit"]) == (__version__, "c0ffee0000000000+changes")
    old.write_text(json.dumps({**kept, "version": "0.0.9"}))
    before = cells_in(out)
    assert main(["study", str(tmp_path / "small.toml"), "--out", str(out)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "were made by" in line]
    here = f"this is cartpole-robot {__version__} (commit c0ffee000000 with changes)"
    assert len(lines) == 3
    assert all(here in line for line in lines)
    assert "1 of 12 finished cells were made by cartpole-robot 0.0.9 (commit c0ffee000000 with changes)" in lines[0]
    assert f"3 of 12 finished cells were made by cartpole-robot {__version__} (commit feedbeef0000)" in lines[1]
    assert f"2 of 12 finished cells were made by cartpole-robot {__version__} (no known commit)" in lines[2]
    assert cells_in(out) == before
    rows = pyarrow.parquet.read_table(out / "results.parquet").to_pylist()
    assert {row["version"] for row in rows} == {__version__, "0.0.9"}


def test_two_runs_on_one_folder_the_second_is_refused(
    tmp_path: Path, small: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    with CellFolder.opened(tmp_path / "out", small):
        assert main(["study", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out")]) == 2
        assert "another run works in it" in capsys.readouterr().err
        assert not shown_study(tmp_path / "out").is_whole  # reading needs no lock
    with CellFolder.opened(tmp_path / "out", small):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": "other"}'])
def test_a_damaged_cell_is_reported(tmp_path: Path, small: Study, text: str) -> None:
    with CellFolder.opened(tmp_path / "out", small) as folder:
        path = tmp_path / "out" / "cells" / f"{small.cells[0].key}.json"
        path.write_text(text)
        with pytest.raises(UsageError, match=f"{path.name}: is damaged; delete it"):
            folder.finished()


# --- processes that die ----------------------------------------------------------------------------------------------


def crashed(
    study: Study, function: Callable[[CellTask], Result], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], list[str], list[str], dict[int, int]]:
    """Keys that were kept, failures, messages, and how often each seed was begun."""
    folder.mkdir()
    monkeypatch.setenv("STUDY_TEST_FOLDER", str(folder))
    cells = {cell.key: cell for cell in study.cells if cell.point["replay_memory"] == 100}
    tasks = [task_of(study, cell, __version__) for cell in cells.values()]
    kept: list[str] = []
    said: list[str] = []
    with contextlib.closing(ProcessCrew(2, function)) as crew:
        failures = run_tasks(tasks, crew, lambda record: kept.append(record["key"]), said.append)
    begun = {cell.seed: (folder / key).stat().st_size for key, cell in cells.items()}
    return kept, failures, said, begun


def test_stop_in_the_middle_of_a_submit_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def struck(pool: WorkerPool, *args: Any) -> Any:
        future = ProcessPoolExecutor.submit(pool, *args)
        started.append(future.result())
        raise KeyboardInterrupt

    monkeypatch.setattr(WorkerPool, "submit", struck)
    crew: ProcessCrew[Any] = ProcessCrew(1, dying.own_process_id)
    with pytest.raises(KeyboardInterrupt), contextlib.closing(crew):
        crew.submit(None)
    assert [pid for pid in started if is_alive(pid)] == []
    assert len(started) == 1


def test_a_cell_whose_process_dies_is_tried_again_and_then_left_out(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, failures, said, begun = crashed(
        small, dying.seed_0_dies_once_and_seed_1_twice, tmp_path / "some", monkeypatch
    )
    assert len(kept) == len(set(kept)) == 6
    assert failures == []
    assert begun == {0: 2, 1: 3, 2: 1, 3: 1, 4: 1, 5: 1}
    assert sorted(text.partition("seed ")[2] for text in said) == [
        "0: its process ended with exit code 7; it is tried again (1 of 2)",
        "1: its process was killed by signal 9; it is tried again (1 of 2)",
        "1: its process was killed by signal 9; it is tried again (2 of 2)",
    ]
    kept, failures, _, begun = crashed(small, dying.seed_1_always_dies, tmp_path / "always", monkeypatch)
    assert len(kept) == len(set(kept)) == 5
    assert begun[1] == 3
    assert len(failures) == 1
    assert failures[0].endswith("seed 1: its process was killed by signal 9, 3 times; it is left out")


# --- results ---------------------------------------------------------------------------------------------------------


def test_intervals_are_wilsons() -> None:
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_finding_says_which_values_balance(small: Study) -> None:
    records = pretended(small)
    groups = groups_of(small, records)
    assert [(group.successes, group.of) for group in groups] == [(1, 6), (5, 6)]
    assert finding(small, groups) == [
        "recommended: no value reaches 475 mean steps in at least 6 of 6 seeds; the best is replay memory 1,000 with "
        "5 of 6 and a median of 500.0."
    ]
    last = next(cell for cell in small.cells if cell.point["replay_memory"] == 1000 and cell.seed == 5)
    records[last.key]["last_mean_steps"] = 475.0
    assert finding(small, groups_of(small, records)) == [
        "recommended: at least 6 of 6 seeds reach 475 mean steps with replay memory 1,000; not with replay memory "
        "100 (1 of 6)."
    ]
    del records[last.key]
    groups = groups_of(small, records)
    assert "11 of 12 cells are finished" in finding(small, groups)[0]
    assert "5 of 6" in study_text(small, groups)


def test_tables_have_a_row_per_cell_also_if_the_grid_varies_a_column(tmp_path: Path) -> None:
    text = SMALL.replace("steps = 300\n", "").replace("replay_memory = [100, 1000]", "steps = [200, 300]")
    study = load_study(written(tmp_path, text))
    write_tables(study, pretended(study), tmp_path)
    rows = pyarrow.parquet.read_table(tmp_path / "results.parquet").to_pylist()
    assert len(rows) == 12
    assert {row["steps"] for row in rows} == {200, 300}
    assert {row["trained_steps"] for row in rows} == {300}


def test_bands_of_episodes_end_where_most_seeds_do() -> None:
    found = episode_bands([[10] * 40, [20] * 40, [30] * 400])
    assert found is not None
    episodes, low, median, high = found
    assert episodes[-1] < 40
    assert (low[0], median[0], high[0]) == (15.0, 20.0, 25.0)
    assert episode_bands([]) is None
    assert episode_bands([[], [], [5]]) is None


@pytest.mark.parametrize("scale", ["log", "categories"])
def test_the_figure_is_not_blank(tmp_path: Path, scale: str) -> None:
    text = SMALL.replace('["recommended"]', '["recommended", "blog"]').replace('"log"', f'"{scale}"')
    study = load_study(written(tmp_path, text))
    records = pretended(study)
    path = tmp_path / "figure.png"
    path.write_bytes(b"of before")
    draw_study(study, groups_of(study, records), records, path)
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    half = len(pixels) // 2
    for colour in ((0x1F, 0x5A, 0x99), (0xDE, 0x87, 0x28)):
        assert (np.abs(pixels[:half] - colour).sum(axis=2) < 12).sum() > 200
    assert (pixels[half:].std(axis=2) > 20).sum() > 200  # coloured lines of the curves
    assert list(tmp_path.glob(".*")) == []


# --- Ray -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_does_not_answer_is_reported_soon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    pytest.importorskip("ray")
    began = time.monotonic()
    assert main(["study", "gamma", "--ray", address, "--out", str(tmp_path / "out")]) == 2
    assert time.monotonic() - began < 10.0
    assert f"--ray {address}: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_ray_the_error_names_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["study", "gamma", "--ray", "local", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "ray is not installed" in error
    assert "cartpole-robot[sweep]" in error


@pytest.mark.long
def test_ray_finishes_what_processes_began(tmp_path: Path, command_line: Callable[..., Any]) -> None:
    pytest.importorskip("ray")
    path, out = written(tmp_path, SMALL.replace("seeds = 6", "seeds = 1")), tmp_path / "out"
    study = load_study(path)
    with CellFolder.opened(out, study) as folder:
        first = run_cell(task_of(study, study.cells[0], __version__))
        assert isinstance(first, Finished)
        folder.keep(first.record, None)
    before = cells_in(out)
    done = command_line("study", path, "--out", out, "--workers", 1, "--ray", "local", timeout_s=600.0)
    assert done.returncode == 0, done.stderr
    assert before.items() < cells_in(out).items()
    there = shown_study(out).records[study.cells[1].key]
    here = run_cell(task_of(study, study.cells[1], __version__))
    assert isinstance(here, Finished)
    for name in ("episode_steps", "evaluations", "last_mean_steps", "selected_mean_steps"):
        assert there[name] == here.record[name]
    assert run_study(StudyRequest(study=study, folder=out), print).is_whole
