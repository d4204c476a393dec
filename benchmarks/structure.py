"""The structure of the packages in figures: files, folders, imports between units, levels, lines, repeated lines.

    python -m benchmarks.structure [--repo DIR]

A unit is a module or a folder directly in `cartpole_robot/`, or `firmware_bridge` as a whole. An edge is a unit that
imports another, lazily or not; the level of a unit is the longest chain of units below it. pylint's `symilar` counts
repeated lines if it is on the PATH.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import grimp

PACKAGE, BRIDGE = "cartpole_robot", "firmware_bridge"
REPEATED_LINES = 4


def unit_edges() -> set[tuple[str, str]]:
    """Every pair of different units of which the first imports the second."""
    graph = grimp.build_graph(PACKAGE, BRIDGE)

    def unit(module: str) -> str:
        parts = module.split(".")
        return BRIDGE if parts[0] == BRIDGE else ".".join(parts[1:2]) or PACKAGE

    edges = {
        (unit(importer), unit(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    return {(importer, imported) for importer, imported in edges if importer != imported}


def levels(edges: set[tuple[str, str]]) -> tuple[int, int]:
    """The number of levels, and how many units are on or above a cycle and have none."""
    below: dict[str, set[str]] = {}
    for importer, imported in edges:
        below.setdefault(importer, set()).add(imported)
        below.setdefault(imported, set())
    level: dict[str, int] = {}
    while placed := [unit for unit in below if unit not in level and below[unit] <= level.keys()]:
        for unit in placed:
            level[unit] = 1 + max((level[each] for each in below[unit]), default=0)
    return max(level.values(), default=0), len(below) - len(level)


def longest_function(files: list[Path]) -> tuple[int, str]:
    """Lines of the longest function, and its name with its file."""
    found = (0, "")
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found = max(found, ((node.end_lineno or 0) - node.lineno + 1, f"{node.name} in {path.name}"))
    return found


def repeated(files: list[Path]) -> str:
    """One line with the counts of `symilar`."""
    program = shutil.which("symilar")
    if program is None:
        return "not counted: pylint is not installed"
    words = [program, f"--duplicates={REPEATED_LINES}", "--ignore-imports", "--ignore-comments", "--ignore-docstrings"]
    done = subprocess.run([*words, *map(str, files)], capture_output=True, text=True, check=True)
    blocks = len(re.findall(r"^\d+ similar lines in \d+ files", done.stdout, re.MULTILINE))
    total = re.search(r"TOTAL lines=(\d+) duplicates=(\d+)", done.stdout)
    assert total is not None, done.stdout[-200:]
    return f"{blocks} blocks of {REPEATED_LINES} lines or more, {total[2]} of {total[1]} lines"


def main() -> None:
    """Print the figures of this checkout, or of another one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repo", type=Path, default=Path(__file__).parent.parent, metavar="DIR")
    repo = parser.parse_args().repo.resolve()
    sys.path.insert(0, str(repo))
    top = repo / PACKAGE
    files = sorted(path for name in (PACKAGE, BRIDGE) for path in (repo / name).rglob("*.py"))
    folders = [path for path in top.iterdir() if path.is_dir() and path.name != "__pycache__"]
    edges = unit_edges()
    depth, unplaced = levels(edges)
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    rows = {
        f"at the top of {PACKAGE}/": f"{len([*top.glob('*.py')])} files, {len(folders)} folders",
        "units": str(len({unit for edge in edges for unit in edge})),
        "import edges between units": str(len(edges)),
        "levels": str(depth),
        "units on or above a cycle": str(unplaced),
        "Python files": str(len(files)),
        "lines of Python": str(sum(lengths.values())),
        "median file": f"{statistics.median(lengths.values()):g} lines",
        "longest file": "{1} lines, {0}".format(
            *max(((path.name, n) for path, n in lengths.items()), key=lambda x: x[1])
        ),
        "longest function": "{} lines, {}".format(*longest_function(files)),
        "repeated lines": repeated(files),
    }
    for name in ("tests", "benchmarks"):
        rows[f"lines of Python in {name}/"] = str(
            sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (repo / name).rglob("*.py"))
        )
    for name, value in rows.items():
        print(f"  {name:<30} {value}")


if __name__ == "__main__":
    main()
