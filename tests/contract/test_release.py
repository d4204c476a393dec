"""`make release` on a clone: each thing that must not be released is named, and nothing is pushed or uploaded."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.release import problems
from tests.wheels import copy_tracked_files

ROOT = Path(__file__).parent.parent.parent
TODAY = datetime.date(2027, 2, 1)
NAME = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")


def git(root: Path, *words: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(["git", *NAME, *words], cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(root: Path) -> None:
    git(root, "add", "--all", "--force")
    git(root, "commit", "--quiet", "--message", "A commit")


def put(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text()
    assert old in text, f"{name} has no {old!r}"
    (root / name).write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files as they are now, ready to be released as version 0.2.0."""
    root = copy_tracked_files(tmp_path_factory.mktemp("origin"))
    git(root, "init", "--quiet")
    (root / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 0.2.0 (2027-01-31)\n\n- A line.\n\n## 0.1.0 (2027-01-01)\n\n- A line.\n"
    )
    put(root, "cartpole_robot/__init__.py", '__version__ = "0.1.0"', '__version__ = "0.2.0"')
    put(root, "CITATION.cff", "version: 0.1.0\n", "version: 0.2.0\ndate-released: 2027-01-31\n")
    commit(root)
    return root


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "--quiet", str(origin), "clone")
    return tmp_path / "clone"


def test_clone_that_is_ready_has_no_problems(clone: Path) -> None:
    git(clone, "tag", "v0.1.0")
    assert problems(clone, TODAY) == []


def test_day_of_the_release_may_be_today(clone: Path) -> None:
    assert problems(clone, datetime.date(2027, 1, 31)) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("CHANGELOG.md", "0.2.0 (2027-01-31)", "0.2.0 (not yet released)", "expected '0.2.0 (YYYY-MM-DD)'; date it"),
        (
            "CHANGELOG.md",
            "## 0.2.0 (2027-01-31)\n\n- A line.\n",
            "",
            "first section is '0.1.0 (2027-01-01)', expected '0",
        ),
        ("CHANGELOG.md", "2027-01-31)\n\n- A line.\n", "2027-01-31)\n", "the section of 0.2.0 has no line"),
        ("CHANGELOG.md", "## 0.1.0", "## 0.2.0", "has two sections of 0.2.0; raise the version"),
        ("CITATION.cff", "version: 0.2.0", "version: 0.1.0", "version is '0.1.0', expected '0.2.0'"),
        ("CITATION.cff", "date-released: 2027-01-31\n", "", "date-released is '', expected '2027-01-31'"),
        ("cartpole_robot/__init__.py", '"0.2.0"', '"0.2"', "version '0.2', expected MAJOR.MINOR.PATCH"),
    ],
)
def test_what_does_not_fit_together_is_named(clone: Path, name: str, old: str, new: str, expected: str) -> None:
    put(clone, name, old, new)
    commit(clone)
    (found,) = problems(clone, TODAY)
    assert found.startswith(f"{name}: ")
    assert expected in found


def test_date_in_the_future_is_named(clone: Path) -> None:
    (found,) = problems(clone, datetime.date(2027, 1, 30))
    assert found == "CHANGELOG.md: 0.2.0 is dated 2027-01-31, and today is 2027-01-30; correct it"


def test_date_that_does_not_exist_is_named(clone: Path) -> None:
    put(clone, "CHANGELOG.md", "2027-01-31", "2027-02-31")
    put(clone, "CITATION.cff", "2027-01-31", "2027-02-31")
    commit(clone)
    assert problems(clone, TODAY) == ["CHANGELOG.md: 2027-02-31 is no date; correct it"]


def test_changed_and_new_files_are_named_and_ignored_ones_are_not(clone: Path) -> None:
    put(clone, "README.md", "#", "##")
    for number in range(6):
        (clone / f"new_{number}.txt").touch()
    (clone / "dist").mkdir()
    (clone / "dist" / "old.whl").touch()
    (found,) = problems(clone, TODAY)
    assert found == (
        "the tree is not clean: README.md, new_0.txt, new_1.txt, new_2.txt, new_3.txt and 2 more; "
        "commit, ignore or remove them"
    )


def test_version_that_is_tagged_is_not_released_again(clone: Path) -> None:
    git(clone, "tag", "v0.2.0")
    (found,) = problems(clone, TODAY)
    assert found.startswith("the tag v0.2.0 exists already")


def test_version_older_than_a_tag_is_refused(clone: Path) -> None:
    git(clone, "tag", "v0.10.0")  # newer than 0.2.0 as a version, older as text
    (found,) = problems(clone, TODAY)
    assert found.startswith("version 0.2.0 is older than the tag v0.10.0")


def test_make_release_reports_every_problem_and_builds_nothing(clone: Path) -> None:
    put(clone, "CHANGELOG.md", "(2027-01-31)", "(not yet released)")
    words = [sys.executable, "-m", "tests.release", "--root", str(clone)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60.0)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == "Not released: 2 problems."
    assert "  CHANGELOG.md: the first section is '0.2.0 (not yet released)'" in done.stdout
    assert "  the tree is not clean: CHANGELOG.md; " in done.stdout
    assert not (clone / "dist").exists()


def test_this_version_stands_in_the_citation() -> None:
    from cartpole_robot import __version__

    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
