"""What holds for every page of the site: an outcome first, commands that exist, figures with their commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.check import PREPARED, Check
from docs.extension.command_check import fault_of
from docs.extension.shell import DOCS, Block, blocks, pages

ROOT = DOCS.parent
PAGES = {page.relative_to(DOCS).as_posix(): page for page in pages() if page.parent != DOCS or page.stem == "index"}
LONGEST_PAGE = 250
# What the first sentence of a page says its reader will be able to do or find.
OUTCOME = re.compile(r"^(After|On|With) this (page|site) you (can|will|know)\b")


def text_of(page: Path) -> str:
    """A page, or the file that it includes as a whole."""
    text = page.read_text(encoding="utf-8")
    included = re.match(r"```\{include\} (\S+)\n```\n$", text)
    return (page.parent / included[1]).read_text(encoding="utf-8") if included else text


@pytest.mark.parametrize("name", PAGES)
def test_page_begins_with_a_title_and_what_its_reader_will_be_able_to_do(name: str) -> None:
    title, _, first = text_of(PAGES[name]).split("\n", 2)
    assert re.match(r"# \S", title)
    assert OUTCOME.match(first), f"{name} begins {first[:60]!r}"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_short_enough(name: str) -> None:
    assert len(PAGES[name].read_text(encoding="utf-8").splitlines()) <= LONGEST_PAGE


@pytest.mark.parametrize("name", PAGES)
def test_commands_on_the_page_are_ones_that_their_programs_take(name: str) -> None:
    for block in blocks(PAGES[name]):
        assert set(block.uses) <= set(PREPARED), block.where
        assert not block.is_run or all(PREPARED[used] for used in block.uses), block.where
        for command in block.commands() if block.kind == "sh" else ():
            assert fault_of(command) is None, f"{block.where}: {command}: {fault_of(command)}"


def test_commands_are_in_fenced_blocks_alone() -> None:
    for name, page in PAGES.items():
        indented = re.findall(r"^    (?:cartpole-robot|python|make) .*$", page.read_text(), re.MULTILINE)
        assert indented == [], name


def test_every_benchmark_is_in_the_results_with_its_command() -> None:
    shown = "".join(page.read_text() for page in PAGES.values())
    runnable = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()]
    assert len(runnable) > 30
    missing = [name for name in runnable if f"benchmarks.{name}" not in shown]
    assert missing == []


def test_every_page_is_in_a_list_of_contents() -> None:
    front = PAGES["index.md"].read_text()
    assert [name for name in PAGES if name != "index.md" and f"\n{name.removesuffix('.md')}\n" not in front] == []


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("cartpole-robot train --cart diy_arduino --out runs/diy", None),
        (
            "cartpole-robot train --carts diy_arduino",
            "cartpole-robot: error: unrecognized arguments: --carts diy_arduino",
        ),
        ("cartpole-robot trane", "cartpole-robot: error: argument VERB: invalid choice: 'trane'"),
        (
            "cartpole-robot deploy runs/diy --late never",
            "cartpole-robot deploy: error: argument --late: invalid choice",
        ),
        ("python -m benchmarks.robust_policy --seeds 3", None),
        ("python -m benchmarks.robust_policies", "there is no robust_policies.py in benchmarks/"),
        ("python -m benchmarks.robust_policy --beans 3", "benchmarks.robust_policy has no option --beans"),
        ("make docs PORT=1", None),
        ("make docks", "make has no target docks"),
    ],
)
def test_wrong_command_is_named(command: str, fault: str | None) -> None:
    found = fault_of(command)
    assert found is None if fault is None else (found or "").startswith(fault)


PAGE = """# Title

<!-- needs: a cart -->
```sh
echo not run
```

```sh
echo one > made.txt  # a comment
test -e made.txt && \\
    grep -q one made.txt
```

```python
open("made.txt").read()
```
"""


def written(folder: Path, text: str) -> Path:
    """A page of that text, where the check looks for pages."""
    path = folder / "docs" / "page.md"
    path.parent.mkdir()
    path.write_text(text)
    return path


@pytest.fixture
def own_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own for `Check`."""
    monkeypatch.setattr("docs.extension.shell.DOCS", tmp_path / "docs")
    monkeypatch.setattr("docs.check.ROOT", tmp_path)
    (tmp_path / "work").mkdir()
    return tmp_path


def test_check_runs_a_page_in_order_and_counts_what_it_leaves_out(own_docs: Path) -> None:
    check = Check(own_docs / "work")
    check.run_page(written(own_docs, PAGE))
    assert check.failures == []
    assert check.counts["commands run"] == 2
    assert check.counts["Python snippets run"] == 1
    assert check.counts["need hardware, an answer or another terminal"] == 1
    assert list((own_docs / "work").iterdir()) == []


def test_block_whose_tool_is_missing_is_left_out_and_counted(own_docs: Path) -> None:
    check = Check(own_docs / "work")
    check.run_page(written(own_docs, PAGE.replace("needs: a cart", "tool: a-tool-of-nobody")))
    assert check.counts["need a-tool-of-nobody, which is missing here"] == 1
    assert check.failures == []


def test_check_names_the_line_and_the_output_of_a_command_that_fails(own_docs: Path) -> None:
    check = Check(own_docs / "work")
    check.run_page(written(own_docs, PAGE.replace("echo one", "echo two")))
    (failure,) = check.failures
    assert failure.startswith("docs/page.md:8: test -e made.txt &&")
    assert "exit code 1" in failure


def test_check_names_a_verb_that_does_not_exist_in_a_block_that_is_not_run(own_docs: Path) -> None:
    check = Check(own_docs / "work")
    check.run_page(written(own_docs, PAGE.replace("echo not run", "cartpole-robot fly")))
    assert "docs/page.md:4: cartpole-robot fly: " in check.failures[0]


def test_mark_without_a_block_is_refused(own_docs: Path) -> None:
    page = written(own_docs, PAGE.replace("```sh\necho not run\n```\n", "Text.\n"))
    with pytest.raises(ValueError, match="1 marks, but 0 stand directly before a block"):
        blocks(page)


def test_block_knows_what_it_needs() -> None:
    block = Block(page="a.md", line=3, kind="sh", text="a \\\n  b\n# c\nd\n", takes="hours")
    assert block.commands() == ["a    b", "d"]
    assert not block.is_run
