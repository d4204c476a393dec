"""The notebooks in docs/notebooks run from top to bottom, and come to what they say."""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import need

FOLDER = Path(__file__).parent.parent.parent / "docs" / "notebooks"
CELL_TIMEOUT_S = 300
FINDINGS = {  # what a last cell of each must find to be true
    "first_policy": """
        assert max(lengths) < 100, lengths
        assert summary["exported"]["episodes_survived"] == 100
        assert list(by_hand) == compiled
        assert len(rollout.rows) == 501
        assert 0.1 < np.mean(survived >= 4) < 0.9
    """,
    "sim_to_real_gap": """
        assert [each["term"] for each in blames[::-1][:2]] == ["pole_length", "delay"]
        assert abs(delay["value"] - 0.06) < 0.001
        for term, each in estimates.items():
            assert abs(each["value"] / truth[term] - 1) < 0.03, each
        assert 20 * unseen["after"]["angle_rad"] < unseen["before"]["angle_rad"]
        assert closed["policy"] != at_home["policy"]
    """,
    "your_own_csv": """
        assert len(recording.rows) == len(log) == 799
        assert len(gaps) == 2
        values = {each["term"]: each["value"] for each in found["estimates"]}
        assert abs(values["pole_length"] / 0.2 - 1) < 0.01, values
        assert abs(values["motor_gain"] / 33.0 - 1) < 0.1, values
        assert (work / "compared.png").stat().st_size > 10_000
    """,
}
LONG = "sim_to_real_gap"  # trains twice; otherwise for a moment, and its policies balance nothing
SHORTENED = {"--seed 0": "--seed 0 --steps 600", "--episodes 40": "--episodes 2"}
FINDINGS_OF_LONG = """
    assert at_home["episodes_survived"] == 40
    assert in_workshop["episodes_survived"] < 10
    assert predicted["episodes_survived"] < 10
    assert closed["episodes_survived"] >= 38
"""


def test_every_notebook_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(FINDINGS)


@pytest.mark.parametrize("name", FINDINGS)
def test_outputs_are_cleared(name: str) -> None:
    cells = json.loads((FOLDER / f"{name}.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(FINDINGS) - {LONG}))
def test_notebook_finds_what_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_notebook(name, [FINDINGS[name]], {}, tmp_path, monkeypatch)


@pytest.mark.long
def test_long_notebook_finds_the_gap_with_policies_of_short_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_notebook(LONG, [FINDINGS[LONG]], SHORTENED, tmp_path, monkeypatch)


@pytest.mark.long
def test_long_notebook_closes_the_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_notebook(LONG, [FINDINGS[LONG], FINDINGS_OF_LONG], {}, tmp_path, monkeypatch)


def run_notebook(
    name: str, findings: Sequence[str], changes: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run every cell, with each text of `changes` replaced, and `findings` after the last one."""
    for package in ("nbclient", "nbformat", "ipykernel"):
        need(importlib.util.find_spec(package) is not None, f"the package {package}")
    import nbclient
    import nbformat

    for variable in ("TMPDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR"):  # its files, and no settings of this user
        monkeypatch.setenv(variable, str(tmp_path))
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    for before, after in changes.items():
        assert any(before in cell.source for cell in notebook.cells), before
        for cell in notebook.cells:
            cell.source = cell.source.replace(before, after)
    notebook.cells.append(nbformat.v4.new_code_cell("\n".join(map(inspect.cleandoc, findings))))
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=CELL_TIMEOUT_S, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    warned = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert warned == []
