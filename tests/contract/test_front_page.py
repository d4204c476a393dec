"""README.md: short, every link leads somewhere, every command exists, and the snippet runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.commands.cli import main
from tests.policy_on_board import regulating_policy

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "README.md").read_text()
SHOWN = re.findall(r"^    \$ cartpole-robot (.*)$", PAGE, re.MULTILINE)
TABLE = PAGE.split("| you want to |")[1].split("\n\n")[0]
IN_TABLE = [words for words in re.findall(r"`([a-z-]+ [^`]*)`", TABLE) if not words.startswith("--")]
QUOTED = re.findall(r"^      (\S.*)$", PAGE, re.MULTILINE)


def test_page_is_short() -> None:
    lines = PAGE.splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 120] == []


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE))))
def test_link_leads_to_a_file_of_the_repository(link: str) -> None:
    assert (ROOT / link).is_file()


def test_five_commands_are_shown_with_their_output() -> None:
    assert len(SHOWN) == 5
    assert len(QUOTED) >= 15


@pytest.mark.parametrize("words", [*SHOWN, *IN_TABLE])
def test_command_exists_with_its_options(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With one word more, which no verb takes, a right command fails for that word alone, and does nothing."""
    with pytest.raises(SystemExit) as ended:
        main([*shlex.split(words), "--one-word-more"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --one-word-more" in capsys.readouterr().err


def test_quoted_output_has_the_labels_that_the_program_prints() -> None:
    sources = "\n".join(path.read_text() for path in ROOT.glob("cartpole_robot/**/*.py"))
    labels = {re.split(r" {2,}|, us ", line)[0] for line in QUOTED if re.search(r"\S {2,}\S", line)}
    assert {"exported policy", "survived", "sensor to command", "balance"} <= labels
    assert [label for label in labels if label not in sources and label.replace(" ", "_") not in sources] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z-]+)\b", PAGE)) - {"gcc"}))
def test_target_of_make_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_submissions_run_the_test_command_of_the_page() -> None:
    assert "\n    make test " in PAGE
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("make")]
    assert commands == ["make test", "make test-long"]


def test_snippet_balances_for_a_whole_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "diy").mkdir(parents=True)
    regulating_policy(load_cart("diy_arduino")).save(tmp_path / "runs" / "diy" / "policy.npz")
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(snippet, names)
    assert names["terminated"] is False
    assert names["truncated"] is True


def test_benchmarks_of_the_figures_exist() -> None:
    modules = re.findall(r"`python -m (benchmarks\.\w+)", PAGE)
    assert len(modules) == 3
    for module in modules:
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


def test_page_says_that_no_real_cart_has_run_it() -> None:
    assert "no real cart has run it yet" in PAGE
