"""Stability maps: grids and errors in them, cells equal to `evaluate`, killed runs, margins."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from cartpole_robot import __version__
from cartpole_robot.cart.cart_file import load_cart, with_actions
from cartpole_robot.cart.params import CartParams
from cartpole_robot.commands.cli import main
from cartpole_robot.errors import UsageError
from cartpole_robot.experiments.cells.crew import Failed, Finished
from cartpole_robot.experiments.stability import cell as cell_module
from cartpole_robot.experiments.stability.cell import run_cell
from cartpole_robot.experiments.stability.figure import draw_map
from cartpole_robot.experiments.stability.findings import Kind, findings_of, map_text, rows_of
from cartpole_robot.experiments.stability.grid import Grid, load_grids
from cartpole_robot.experiments.stability.run import MapRequest, plan, stability_map
from cartpole_robot.experiments.stability.stability_map import Conditions, StabilityMap, cell_key, task_of
from cartpole_robot.identify.cart_file import write_cart
from cartpole_robot.policy.controllers import Chosen
from cartpole_robot.rigs import engine_choice
from cartpole_robot.rollout.evaluation import VERDICT_SEED
from cartpole_robot.simulation.engine import Engine, is_installed
from tests.cell_folders import cells_in, children, driver, is_alive, wait_for
from tests.policy_on_board import regulating_policy

SMALL = """
format = 1

[[map]]
title = "Small"
x = { axis = "delay.latency_s", values = [0.0, 0.03, 0.09] }
y = { axis = "motor.stall_force_n", factors = [0.05, 0.5, 1.0, 1.5] }
"""
QUICK = ("--episodes", "2", "--steps", "40", "--workers", "1")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "regulating.npz"
    cart = load_cart("diy_arduino")
    dataclasses.replace(regulating_policy(cart), provenance={"cart": cart.as_dict()}).save(path)
    return path


@pytest.fixture
def diy() -> CartParams:
    return load_cart("diy_arduino")


def written(folder: Path, text: str = SMALL, name: str = "grid.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def small_map(tmp_path: Path, *policies: str, episodes: int = 4, grid: str = SMALL) -> StabilityMap:
    request = MapRequest(
        policies=policies,
        cart="diy_arduino",
        grid=written(tmp_path, grid),
        conditions=Conditions(episodes=episodes, max_steps=500),
    )
    return plan(request)[0]


# --- grids -----------------------------------------------------------------------------------------------------------


def test_the_default_maps_vary_delay_gain_friction_and_pole_length(diy: CartParams) -> None:
    first, second = load_grids(None, diy)
    assert [axis.name for axis in (*first.axes, *second.axes)] == [
        "delay",
        "motor gain",
        "friction",
        "pole half-length",
    ]
    assert (first.x.values[0], first.x.values[-1]) == (0.0, 0.07)
    assert (first.y.values[0], first.y.values[-1]) == (0.25, 2.0)
    assert (second.x.values[0], second.x.values[-1]) == (0.0, 3.0)
    assert (second.y.values[0], second.y.values[-1]) == (0.5, 2.0)
    assert first.x.label == "delay [ms]"
    assert first.y.label == "motor gain [times 25.7 N]"
    for grid in (first, second):
        own = next(p for p in grid.points if (p.x, p.y) == (grid.x.own_index, grid.y.own_index))
        assert own.plant is not None
        assert own.plant == dataclasses.replace(diy, action_duties=(-1.0, 1.0))


def plant_at(grid: Grid, x: float, y: float) -> CartParams:
    place = grid.x.values.index(x), grid.y.values.index(y)
    plant = next(point.plant for point in grid.points if (point.x, point.y) == place)
    assert plant is not None
    return plant


def test_the_default_maps_of_a_stepper_vary_its_settling_in_place_of_a_gain() -> None:
    first, second = load_grids(None, load_cart("diy_stepper"))
    assert [axis.name for axis in (*first.axes, *second.axes)] == [
        "delay",
        "settling of the motor",
        "friction",
        "pole half-length",
    ]
    assert first.y.label == "settling of the motor [times 4 ms]"
    assert all(point.plant is not None for grid in (first, second) for point in grid.points)


def test_dependent_parameters_change_together_and_others_stay(diy: CartParams) -> None:
    delay, friction = load_grids(None, diy)
    plant = plant_at(friction, 0.5, 2.0)
    assert plant.friction == dataclasses.replace(
        diy.friction, **{name: 0.5 * value for name, value in dataclasses.asdict(diy.friction).items()}
    )
    assert plant.pole_cart.pole_half_length_m == 2.0 * diy.pole_cart.pole_half_length_m
    assert plant.pole_cart.pole_inertia_kg_m2 == pytest.approx(4.0 * diy.pole_cart.pole_inertia_kg_m2)
    late = plant_at(delay, 0.04, 0.5)
    assert late == dataclasses.replace(
        diy,
        delay=dataclasses.replace(diy.delay, latency_s=0.04),
        motor=dataclasses.replace(diy.motor, stall_force_n=0.5 * diy.motor.stall_force_n),
        action_duties=(-1.0, 1.0),  # each policy keeps its own actions, however weak they are there
    )
    for name in ("firmware", "limits", "encoders", "timing", "observation_scale", "start"):
        assert getattr(plant, name) == getattr(diy, name)


def test_the_carts_own_value_is_added_if_the_grid_lacks_it(tmp_path: Path, diy: CartParams) -> None:
    text = SMALL.replace("values = [0.0, 0.03, 0.09]", "between = [0.01, 0.03], points = 3")
    text = text.replace("factors = [0.05, 0.5, 1.0, 1.5]", "between = [20.0, 40.0], points = 2")
    grid = load_grids(written(tmp_path, text), diy)[0]
    assert grid.x.values == (0.0, 0.01, 0.02, 0.03)
    assert grid.y.values == (20.0, 25.7, 40.0)
    assert (grid.x.own_index, grid.y.own_index) == (0, 1)


def test_a_point_without_a_possible_cart_gives_the_reason(tmp_path: Path, diy: CartParams) -> None:
    grid = load_grids(written(tmp_path), diy)[0]
    none = [point for point in grid.points if point.plant is None]
    assert {(point.x, grid.y.values[point.y]) for point in none} == {(0, 0.05), (1, 0.05), (2, 0.05)}
    assert all("use a stronger action" in (point.why_none or "") for point in none)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("delay.latency_s", "delay.latency"), ["map 1: x", "'delay.latency'", "delay.latency_s", "friction"]),
        (("delay.latency_s", "motor.stall_current_a"), ["motor.stall_current_a", "power figures alone"]),
        (("delay.latency_s", "delay.apply"), ["delay.apply", "expected a number"]),
        (("delay.latency_s", "motor.stall_force_n"), ["x and y both change motor.stall_force_n"]),
        (('"delay.latency_s", values', '"friction", values'), ["'friction'", "expected factors"]),
        (("values = [0.0, 0.03, 0.09]", "factors = [0.5, 2.0]"), ["delay.latency_s", "is 0", "between or values"]),
        (("values = [0.0, 0.03, 0.09]", "values = []"), ["values = []", "a list of numbers"]),
        (("values = [0.0, 0.03, 0.09]", "values = 3"), ["values = 3", "a list of numbers"]),
        (("values = [0.0, 0.03, 0.09]", "values = [0.0, nan]"), ["nan", "finite"]),
        (("values = [0.0, 0.03, 0.09]", 'values = ["a"]'), ["'a'", "finite numbers"]),
        (("values = [0.0, 0.03, 0.09]", "values = [0.1, 0.1]"), ["twice"]),
        (("values = [0.0, 0.03, 0.09]", "values = [0.0, 1e30]"), ["beyond 1e+12"]),
        (("values = [0.0, 0.03, 0.09]", "values = [0.1], points = 3"), ["points cannot be combined with values"]),
        (("values = [0.0, 0.03, 0.09]", "between = [0.1, 0.0], points = 3"), ["the smaller first"]),
        (("values = [0.0, 0.03, 0.09]", "between = [0.0, 0.1]"), ["points = None", "from 2"]),
        (("values = [0.0, 0.03, 0.09]", "between = [0.0, 0.1], points = 1"), ["points = 1", "from 2"]),
        (("values = [0.0, 0.03, 0.09]", "between = [0.0, 0.1], points = 9000"), ["36000 points", "10000"]),
        (("values = [0.0, 0.03, 0.09]", "values = [1], factors = [1]"), ["gives factors and values"]),
        ((", values = [0.0, 0.03, 0.09]", ""), ["gives none of them", "factor = [low, high]"]),
        (("values = [0.0, 0.03, 0.09]", "colour = 1"), ["unknown key 'colour'"]),
        (('x = { axis = "delay.latency_s", values = [0.0, 0.03, 0.09] }\n', ""), ["map 1: x = None"]),
        (('"Small"', '""'), ["title = ''"]),
        (("format = 1", "format = 2"), ["format = 2", "expected 1"]),
        ((SMALL.partition("[[map]]")[2], ""), ["map 1: title"]),
        ((SMALL.partition("format = 1\n")[2], ""), ["holds no map"]),
        (("format = 1", "format ="), ["not valid TOML"]),
    ],
)
def test_errors_in_a_grid_file_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], parts: list[str]
) -> None:
    assert change[0] in SMALL
    path = written(tmp_path, SMALL.replace(*change))
    out = tmp_path / "out"
    assert main(["stability-map", "lqr", "--cart", "diy_arduino", "--grid", str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    for part in [str(path), *parts]:
        assert part in error, error
    assert not out.exists()


# --- policies and carts ----------------------------------------------------------------------------------------------


def test_policies_that_cannot_be_mapped_are_refused(
    tmp_path: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "copied.npz"
    copied.write_bytes(policy.read_bytes())
    out = str(tmp_path / "out")
    for words, message in (
        (["lqr"], "name it with --cart"),
        ([str(tmp_path / "gone.npz")], "no such policy"),
        ([str(policy), "--cart", "quanser_ip02"], "the policy's observation_scale is [0.4, 0.5, 0.21, 1.5]"),
        ([str(policy), str(copied)], "is the same policy as"),
        (["lqr", "lqr", "--cart", "diy_arduino"], "is the same policy as"),
        (["lqr", "--cart", "gym"], "use --rig sim"),
        (["lqr", "--cart", "sensorsini"], "use --rig sim"),
        (["lqr", "--cart", "unknown"], "'unknown'"),
        (["lqr", "--cart", "gym", "--rig", "sim"], "'gym' has no friction"),
    ):
        assert main(["stability-map", *words, "--out", out]) == 2
        assert message in (error := capsys.readouterr().err), error
    assert not Path(out).exists()


@pytest.mark.long
def test_the_folder_of_another_map_is_left_alone_and_policies_may_be_added(
    tmp_path: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = SMALL.replace("[0.0, 0.03, 0.09]", "[0.03]").replace("[0.05, 0.5, 1.0, 1.5]", "[0.05]")
    grid, out = written(tmp_path, small), tmp_path / "out"
    words = ["--cart", "diy_arduino", "--grid", str(grid), "--out", str(out), *QUICK]
    assert main(["stability-map", "lqr", *words]) == 0
    assert "lqr: survives at " in capsys.readouterr().out
    before, kept = cells_in(out), (out / "stability_map.json").read_bytes()
    assert len(before) == 2
    changed = written(tmp_path, small.replace("0.03", "0.04"), "other.toml")
    other_engine = ["lqr", *words, "--engine", "pybullet"]
    differs = 'its engine differ ("native" there, "pybullet" here)'
    for other, message in (
        (["lqr", *words, "--steps", "41"], "its steps differ (40 there, 41 here)"),
        (["lqr", *words, "--episodes", "3"], "its episodes differ"),
        (["lqr", *words, "--first-seed", "1"], "its first_seed differ"),
        (["lqr", *words, "--rig", "sim"], "its rig differ"),
        *([(other_engine, differs)] if is_installed(Engine.PYBULLET) else []),
        (["lqr", *words, "--grid", str(changed)], "its maps differ"),
        ([str(policy), *words], "its policies differ"),
    ):
        assert main(["stability-map", *other]) == 2
        assert message in capsys.readouterr().err
    assert (cells_in(out), (out / "stability_map.json").read_bytes()) == (before, kept)
    assert main(["stability-map", "lqr", "lqr-true", *words]) == 0
    assert before.items() < cells_in(out).items()
    assert len(cells_in(out)) == 4
    record = json.loads((out / "stability_map.json").read_text())
    assert [one["label"] for one in record["of"]["policies"]] == ["lqr", "lqr-true"]
    cart = json.loads(json.dumps(load_cart("diy_arduino").as_dict()))
    del cart["action_duties"], cart["precise_duties"]
    assert record["of"]["cart"] == cart
    assert record["versions"]["cartpole-robot"] == __version__


def test_each_policy_keeps_its_own_action_table(tmp_path: Path, policy: Path, diy: CartParams) -> None:
    strong = tmp_path / "strong.npz"
    cart = with_actions(diy, (-0.4, 0.4), given="test")
    dataclasses.replace(regulating_policy(cart), provenance={"cart": cart.as_dict()}).save(strong)
    whole = small_map(tmp_path, str(policy), str(strong), "lqr")
    assert [entrant.cart.action_duties for entrant in whole.entrants] == [(-0.2, 0.2), (-0.4, 0.4), (-1.0, 1.0)]
    assert [one["actions"] for one in whole.record["policies"]] == [[-0.2, 0.2], [-0.4, 0.4], None]
    assert [entrant.note for entrant in whole.entrants] == [None, None, None]
    own = [cell for cell in whole.cells if (cell.point.x, cell.point.y) == (0, 2)]
    for cell in own:
        result = run_cell(task_of(whole, cell, __version__))
        assert isinstance(result, Finished)
        assert result.record["refused"] is None
    other = dataclasses.replace(diy, motor=dataclasses.replace(diy.motor, stall_force_n=30.0))
    noted = plan(MapRequest(policies=[str(policy)], cart=other, grid=tmp_path / "grid.toml"))[0].entrants[0].note
    assert "trained on other parameters" in (noted or "")


# --- cells -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rig", "history_length"), [("virtual", 1), ("virtual", 3), ("sim", 1)])
def test_a_cell_is_what_evaluate_finds_on_that_cart(
    tmp_path: Path, diy: CartParams, capsys: pytest.CaptureFixture[str], rig: str, history_length: int
) -> None:
    bundle = regulating_policy(diy, history_length=history_length)
    policy = tmp_path / "regulating.npz"
    dataclasses.replace(bundle, provenance={"cart": diy.as_dict()}).save(policy)
    text = SMALL.replace("[0.0, 0.03, 0.09]", "[0.03]").replace("[0.05, 0.5, 1.0, 1.5]", "[1.5]")
    out = tmp_path / "out"
    words = [
        "--grid",
        str(written(tmp_path, text)),
        "--out",
        str(out),
        "--rig",
        rig,
        "--episodes",
        "3",
        "--workers",
        "1",
    ]
    assert main(["stability-map", str(policy), *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [finding["label"] for finding in found["findings"]] == ["regulating"]
    assert found["is_whole"]
    table = pyarrow.parquet.read_table(out / "results.parquet").to_pylist()
    assert [(row["x_value"], row["y_value"]) for row in table] == [(0.0, 1.0), (0.03, 1.0), (0.0, 1.5), (0.03, 1.5)]
    row = table[-1]
    plant = plant_at(load_grids(tmp_path / "grid.toml", diy)[0], 0.03, 1.5)
    file = tmp_path / "plant.toml"
    write_cart(file, dataclasses.replace(plant, action_duties=diy.action_duties))
    where = ["--rig", f"virtual:{file}", "--cart", "diy_arduino"] if rig == "virtual" else ["--cart", str(file)]
    assert main(["evaluate", str(policy), *where, "--episodes", "3", "--json"]) in (0, 1)
    verdict = json.loads(capsys.readouterr().out)
    assert row["mean_steps"] == verdict["mean_steps"]
    assert min(row["steps"]) == verdict["min_steps"]
    assert row["survived"] == verdict["episodes_survived"]
    assert row["rms_position_m"] == pytest.approx(verdict["rms_position_m"], rel=1e-12)
    assert row["rms_angle_rad"] == pytest.approx(verdict["rms_angle_rad"], rel=1e-12)
    assert verdict["first_seed"] == VERDICT_SEED


def test_every_cell_has_the_same_starts_and_a_controller_forgets_between_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Still:
        resets = 0
        seen: list[list[float]] = []  # noqa: RUF012

        def reset(self) -> None:
            self.resets += 1
            self.is_first = True

        def duty(self, observation: Any) -> float:
            if self.is_first:
                self.seen.append(observation.tolist())
            self.is_first = False
            return 0.0

    still = Still()
    whole = small_map(tmp_path, "lqr", episodes=3)
    chosen = Chosen(controller=still, cart=whole.cart, record={"policy_hash": None})
    monkeypatch.setattr(cell_module, "controller_of", lambda *_, **__: chosen)
    cells = [cell for cell in whole.cells if whole.grids[0].y.values[cell.point.y] >= 1.0][:4]
    for cell in cells:
        result = run_cell(task_of(whole, cell, __version__))
        assert isinstance(result, Finished)
        assert len(result.record["steps"]) == 3
    assert still.resets == 12
    starts = np.reshape(still.seen, (4, 3, 4))
    assert np.abs(starts[:, :, [0, 2]] - starts[:1, :, [0, 2]]).max() < 1e-3  # within the encoder's resolution
    assert np.abs(starts[0, 0] - starts[0, 1]).max() > 1e-3


def test_a_rig_that_refuses_is_a_result(tmp_path: Path) -> None:
    whole = small_map(tmp_path, "lqr", grid=SMALL.replace("0.5, 1.0", "0.3, 1.0"))
    weak = next(cell for cell in whole.cells if cell.point.y == 1 and cell.point.x == 0)
    result = run_cell(task_of(whole, weak, __version__))
    assert isinstance(result, Finished)
    assert result.record["steps"] == []
    assert result.record["refused"].startswith(("CART_STUCK at ", "POLE_PERIOD at "))


def test_a_policy_that_was_changed_and_another_version_are_not_mixed_in(tmp_path: Path, policy: Path) -> None:
    mine = tmp_path / "mine.npz"
    mine.write_bytes(policy.read_bytes())
    whole = small_map(tmp_path, str(mine))
    regulating_policy(load_cart("diy_arduino"), seed=1).save(mine)
    result = run_cell(task_of(whole, whole.cells[-1], __version__))
    assert isinstance(result, Failed)
    assert "another policy" in result.why
    result = run_cell(task_of(whole, whole.cells[-1], "0.0.1"))
    assert isinstance(result, Failed)
    assert "0.0.1" in result.why


def test_a_key_names_all_that_a_result_depends_on(tmp_path: Path, diy: CartParams) -> None:
    whole = small_map(tmp_path, "lqr", "lqr-true")
    plant, conditions = whole.cells[0].point.plant, whole.conditions
    assert plant is not None
    lqr, lqr_true = whole.entrants
    keys = [
        cell_key(lqr, plant, conditions),
        cell_key(lqr_true, plant, conditions),
        cell_key(dataclasses.replace(lqr, cart=plant), plant, conditions),
        cell_key(lqr, diy, conditions),
        *(
            cell_key(lqr, plant, dataclasses.replace(conditions, **change))
            for change in (
                *({"rig": "sim"}, {"episodes": 5}, {"max_steps": 5}, {"first_seed": 5}),
                *({"backend": "int16"}, {"engine": Engine.PYBULLET}),
            )
        ),
    ]
    assert len(set(keys)) == len(keys)
    renamed = dataclasses.replace(plant, name="mine", description="other words")
    assert cell_key(dataclasses.replace(lqr, label="mine"), renamed, conditions) == keys[0]


@pytest.mark.parametrize("rig", ["virtual", "sim"])
@pytest.mark.pybullet
def test_map_on_either_engine_survives_alike(tmp_path: Path, policy: Path, rig: str) -> None:
    found = []
    for engine in (None, Engine.NATIVE, Engine.PYBULLET):
        conditions = Conditions(rig=rig, episodes=2, max_steps=200, engine=engine)
        request = MapRequest(policies=[policy], grid=written(tmp_path), conditions=conditions)
        whole = plan(request)[0]
        assert whole.conditions.engine is (engine or Engine.NATIVE)
        cell = next(cell for cell in whole.cells if (cell.point.x, cell.point.y) == (1, 2))
        result = run_cell(task_of(whole, cell, __version__))
        assert isinstance(result, Finished)
        assert result.record["engine"] == whole.conditions.engine
        found.append([*result.record["steps"], result.record["rms_angle_rad"]])
    assert found[0] == found[1]
    assert found[1] == pytest.approx(found[2], rel=0.05)
    assert found[1][:2] == [200, 200]


@pytest.mark.pybullet
def test_point_that_the_native_engine_cannot_represent_is_simulated_by_pybullet(tmp_path: Path) -> None:
    grid = written(tmp_path, SMALL.replace("[0.0, 0.03, 0.09]", "[0.0, 1.4]"))
    conditions = Conditions(rig="sim", episodes=1, max_steps=5)
    whole = plan(MapRequest(policies=["lqr"], cart="diy_arduino", grid=grid, conditions=conditions))[0]
    for x, engine in ((0, "native"), (1, "pybullet")):
        cell = next(cell for cell in whole.cells if (cell.point.x, cell.point.y) == (x, 2))
        result = run_cell(task_of(whole, cell, __version__))
        assert isinstance(result, Finished)
        assert result.record["engine"] == engine


@pytest.mark.pybullet
def test_choice_of_the_engine_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_choice, "refusal", lambda *_: "the native engine is 1.0e-03 off PyBullet")
    whole = plan(MapRequest(policies=["lqr"], cart="diy_arduino", grid=written(tmp_path)))[0]
    assert whole.conditions.engine is Engine.PYBULLET
    assert "PyBullet simulates this cart: the native engine is 1.0e-03 off PyBullet" in str(whole.engine_note)
    with pytest.raises(UsageError, match="leave out --engine native"):
        plan(MapRequest(policies=["lqr"], cart="diy_arduino", conditions=Conditions(engine=Engine.NATIVE)))


# --- stopped and resumed ---------------------------------------------------------------------------------------------


@pytest.mark.long
def test_killed_and_stopped_anywhere_no_cell_is_lost_or_run_twice(tmp_path: Path, policy: Path) -> None:
    out = tmp_path / "out"
    words = (
        "stability-map",
        policy,
        "lqr",
        "--grid",
        written(tmp_path, SMALL.replace("0.03, ", "")),
        "--out",
        "out",
        "--workers",
        1,
    )
    words = (*words, "--episodes", 2, "--steps", 300)
    with driver(*words, cwd=tmp_path) as process:
        wait_for(lambda: len(cells_in(out)) >= 2, process)
        workers = children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(lambda: not any(map(is_alive, workers)), seconds=10.0)
    killed = cells_in(out)
    assert 2 <= len(killed) < 12
    with driver(*words, cwd=tmp_path) as process:
        wait_for(lambda: len(cells_in(out)) > len(killed), process)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60.0)
        assert process.returncode == 1
    assert "Traceback" not in error
    again = next(line for line in error.splitlines() if line.startswith("continue with: cartpole-robot stability-map "))
    stopped = cells_in(out)
    assert killed.items() < stopped.items()
    assert len(stopped) < 12
    with driver(*again.split()[3:], cwd=tmp_path) as process:
        wait_for(lambda: len(cells_in(out)) > len(stopped), process)
        # Stopped first: an idle worker may die unnoticed, and this one has a cell as soon as the driver has seen it.
        (worker,) = (pid for pid in children(process.pid) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(worker, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(worker, signal.SIGKILL)
        printed, error = process.communicate(timeout=120.0)
        assert process.returncode == 0, error
    assert "its process was killed by signal 9; it is tried again (1 of 2)" in error
    finished = cells_in(out)
    assert stopped.items() < finished.items()
    assert len(finished) == 12
    assert "Small: 8 points, 2 of them no cart" in printed
    rows = pyarrow.parquet.read_table(out / "results.parquet").to_pylist()
    assert len(rows) == 16
    assert not list(out.rglob(".*partial*"))
    # The delay of 90 ms is more than the firmware waits for a command.
    late = [row for row in rows if row["x_value"] == 0.09 and row["y_value"] == 1.0]
    assert [(row["outcome"], row["faults"]) for row in late] == [("fell", ["COMMAND_TIMEOUT"])] * 2


# --- results ---------------------------------------------------------------------------------------------------------


def pretended(whole: StabilityMap) -> dict[str, dict[str, Any]]:
    """Full gain survives up to 30 ms and falls beyond; half of it is refused; more of it survives without delay."""
    records = {}
    for cell in whole.cells:
        delay_s, gain = cell.grid.x.values[cell.point.x], cell.grid.y.values[cell.point.y]
        record: dict[str, Any] = {"key": cell.key, "error": None, "wall_s": 1.0, "host": "here", "commit": None}
        record |= {"refused": None, "faults": [], "rms_position_m": 0.01, "rms_angle_rad": 0.01}
        if gain == 0.5:
            record |= {"steps": [], "refused": "POLE_PERIOD at 23 mm: check; the hinge"}
        elif gain == 1.0:
            record |= {"steps": [500] * 4 if delay_s <= 0.03 else [500, 500, 400, 10]}
        else:
            record |= (
                {"steps": [500] * 4} if delay_s == 0.0 else {"steps": [10] * 4, "faults": ["MOTOR_HOT at 1 mm: x"] * 4}
            )
        records[cell.key] = record
    return records


def test_margins_are_reported_in_the_parameters_own_unit(tmp_path: Path) -> None:
    whole = small_map(tmp_path, "lqr")
    records = pretended(whole)
    finding = findings_of(whole, records)[0]
    assert (finding.carts, finding.share) == (9, 3 / 9)
    assert [finding.count(kind) for kind in (Kind.SURVIVED, Kind.FELL, Kind.REFUSED, Kind.NO_CART)] == [3, 3, 3, 3]
    delay, gain = finding.margins
    assert delay.text == "0 to 30 ms; falls at 90 ms"
    assert gain.text == "25.7 to 38.5 N (1 to 1.5 times); is refused at 0.5 times (POLE_PERIOD)"
    record = gain.as_dict()
    assert (record["from"], record["to"], record["above"]) == (1.0, 1.5, None)
    assert record["below"] == {"outcome": "refused", "survived": 0, "faults": ["POLE_PERIOD"]}
    assert finding.outcomes[(1, 3)].summary == ("is stopped", "MOTOR_HOT")
    late = finding.outcomes[(2, 2)]
    assert (late.survived, late.share, late.mean_steps) == (2, 0.5, 352.5)
    assert "lqr: survives at 33 % (3 of 9)" in map_text(whole, [finding], records)
    rows = rows_of(whole, records)
    assert len(rows) == 12
    assert [row["outcome"] for row in rows if row["is_own_point"]] == ["survived"]
    own = next(cell.key for cell in whole.cells if (cell.point.x, cell.point.y) == (0, 2))
    fallen = findings_of(whole, {**records, own: {**records[own], "steps": [500, 500, 500, 499]}})[0]
    assert [margin.text for margin in fallen.margins] == ["none: not even at the cart's own value"] * 2
    del records[own]
    assert "1 points not finished" in map_text(whole, findings_of(whole, records), records)


def test_a_fall_among_faults_is_reported_as_both(tmp_path: Path) -> None:
    whole = small_map(tmp_path, "lqr")
    records = pretended(whole)
    key = next(cell.key for cell in whole.cells if (cell.point.x, cell.point.y) == (1, 2))
    faults = ["MOTOR_HOT at 1 mm: x; y", "CART_STUCK at 2 mm: z"]
    records[key] |= {"steps": [500, 40, 50, 60], "faults": faults}
    found = findings_of(whole, records)[0]
    assert found.outcomes[(1, 2)].summary == ("falls or is stopped", "MOTOR_HOT/CART_STUCK")
    assert found.margins[0].text == "0 ms; falls or is stopped at 30 ms (MOTOR_HOT/CART_STUCK)"


def test_refused_in_the_middle_is_a_fall_where_one_was_before(tmp_path: Path) -> None:
    whole = small_map(tmp_path, "lqr")
    records = pretended(whole)
    key = next(cell.key for cell in whole.cells if (cell.point.x, cell.point.y) == (0, 2))
    for steps, kind in (([400], Kind.FELL), ([500, 500], Kind.REFUSED)):
        records[key] |= {"steps": steps, "refused": "POLE_PERIOD at 2 mm: check"}
        found = findings_of(whole, records)[0].outcomes[(0, 2)]
        assert (found.kind, found.faults) == (kind, ["POLE_PERIOD"])
        assert found.share == (0.0 if kind is Kind.FELL else 0.5)


def test_the_figure_shows_every_outcome(tmp_path: Path) -> None:
    whole = small_map(tmp_path, "lqr", "lqr-true")
    path = tmp_path / "figure.png"
    path.write_bytes(b"of before")
    draw_map(whole, findings_of(whole, pretended(whole)), path)
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    for colour in ((0xFE, 0xE8, 0x38), (0x00, 0x22, 0x4E), (0xC3, 0xC7, 0xCD), (0xEE, 0xF0, 0xF2), (0xD5, 0x36, 0x8F)):
        assert (np.abs(pixels - colour).sum(axis=2) < 12).sum() > 100, colour
    assert list(tmp_path.glob(".*")) == []


def test_from_python_on_an_ideal_cart(tmp_path: Path) -> None:
    text = """
format = 1
[[map]]
title = "Ideal"
x = { axis = "pole_cart.pole_half_length_m", factor = [0.5, 1.0], points = 2 }
y = { axis = "motor.stall_force_n", factors = [1.0, 2.0] }
"""
    said: list[str] = []
    result = stability_map(
        MapRequest(
            policies=["lqr"],
            cart=load_cart("gym"),
            grid=written(tmp_path, text),
            folder=tmp_path / "out",
            conditions=Conditions(rig="sim", episodes=1, max_steps=30),
            workers=1,
        ),
        said.append,
    )
    assert (result.is_whole, result.failures) == (True, ())
    assert len(said) == (0 if is_installed(Engine.PYBULLET) else 1)
    assert [path.name for path in result.files] == ["results.parquet", "figure.png"]
    assert result.findings[0].share == 1.0
    with pytest.raises(UsageError, match="needs a policy"):
        plan(MapRequest(policies=[]))
    with pytest.raises(UsageError, match="rig 'serial:X'"):
        plan(MapRequest(policies=["lqr"], cart="gym", conditions=Conditions(rig="serial:X")))
