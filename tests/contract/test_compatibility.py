"""docs/compatibility.md against the code: format numbers, versions of the protocol, and the names that stay."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import gymnasium
import pytest

from cartpole_robot.bring_up import folder as bring_up_folder
from cartpole_robot.bring_up import report as check_report
from cartpole_robot.cart import cart_file, randomization
from cartpole_robot.cart.new_cart import answers, motors
from cartpole_robot.datasets import column_map
from cartpole_robot.deployment import black_box
from cartpole_robot.experiments.cells import folder as cell_folder
from cartpole_robot.experiments.score import ranges
from cartpole_robot.experiments.stability import grid
from cartpole_robot.experiments.study import study_file
from cartpole_robot.files import run_folder
from cartpole_robot.policy import bundle, host_arrays
from cartpole_robot.recording import format as recording_format
from cartpole_robot.rollout import kept_episodes
from cartpole_robot.simulation.imperfections import profile
from cartpole_robot.training import checkpoint
from firmware_bridge._host import POLICY_IMAGE_VERSION
from firmware_bridge.protocol import read_protocol

ROOT = Path(__file__).parent.parent.parent
PAGE = next(path for path in sorted(ROOT.glob("docs/**/compatibility.md")) if "_build" not in path.parts).read_text()
WRITTEN = {
    "policy bundle, one hidden layer of ReLU over an action table": bundle.BUNDLE_FORMAT,
    "policy bundle of every other network": host_arrays.FORMAT,
    "recording, and its journal": recording_format.RECORDING_FORMAT,
    "cart file": cart_file.CART_FILE_FORMAT,
    "column map of `import`": column_map.MAP_FORMAT,
    "randomisation ranges": randomization.RANDOMIZATION_FORMAT,
    "profile of a virtual cart": profile.PROFILE_FORMAT,
    "answers of `carts new`": answers.ANSWERS_FORMAT,
    "motors of `carts new`": motors._FORMAT,
    "grid of `stability-map`": grid.GRID_FORMAT,
    "study file": study_file.STUDY_FORMAT,
    "ranges of `score`": ranges.RANGES_FORMAT,
    "run folder (`run.json`)": run_folder.RUN_FORMAT,
    "checkpoint in a run folder": checkpoint._FORMAT,
    "folder of `study` or `stability-map`": cell_folder.FOLDER_FORMAT,
    "folder of `bring-up`": bring_up_folder.FORMAT,
    "episodes of `evaluate --keep`": kept_episodes.KEPT_FORMAT,
    "report of `check-rig`": check_report.REPORT_FORMAT,
    "black box": black_box.BLACK_BOX_FORMAT,
}
STATES_A_FORMAT = re.compile(r"^(_|[A-Z_]*_)?FORMAT = (\d+)", re.MULTILINE)


def rows(section: str) -> list[list[str]]:
    """The cells of the tables below that heading, without their heads."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_every_file_stands_with_the_number_that_is_written() -> None:
    stated = {name: number for name, number, *_ in rows("Files") if number != "none"}
    assert stated == {name: str(number) for name, number in WRITTEN.items()}


def test_every_format_number_of_the_package_is_on_the_page() -> None:
    found = [
        path.relative_to(ROOT)
        for path in sorted(ROOT.glob("cartpole_robot/**/*.py"))
        for _ in STATES_A_FORMAT.findall(path.read_text())
    ]
    assert len(found) == len(WRITTEN), found


def test_protocol_and_policy_image_have_the_versions_of_the_page() -> None:
    text = PAGE.split("\n## The wire\n")[1].split("\n## ")[0]
    assert f"`PROTOCOL_VERSION` ({read_protocol().constants['PROTOCOL_VERSION']})" in text
    assert f"`POLICY_IMAGE_VERSION` ({POLICY_IMAGE_VERSION})" in text


@pytest.mark.parametrize(
    "name", [name for row in rows("Python") for name in re.findall(r"`(cartpole_robot\.[\w.]+)`", row[0])]
)
def test_name_that_stays_can_be_imported(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", re.findall(r"cartpole_robot/\w+-v\d", PAGE))
def test_environment_that_stays_can_be_made(name: str) -> None:
    gymnasium.make(f"cartpole_robot.env:{name}", cart="diy_arduino", engine="native").close()


def test_methods_that_stay_exist() -> None:
    members = {
        bundle.PolicyBundle: ("interface", "provenance", "action_function", "check_fits"),
        recording_format.Recording: ("rows", "column", "time_us", "metadata", "outcome"),
    }
    for kind, names in members.items():
        assert all(f"`{name}" in PAGE for name in names)
        assert all(name in kind.__dataclass_fields__ or hasattr(kind, name) for name in names)
