"""Check that this checkout can be released, then build and test what would be published.

    python -m tests.release [--root FOLDER] [--checks-only] [--tag]

The checks come first, and every problem is reported at once: the version, its section in CHANGELOG.md, CITATION.cff,
the tree and the tags. Then `make wheels` builds the source distribution and the wheel and tests both in empty
environments, and their metadata is validated. Nothing is pushed or uploaded; `--tag` makes a tag in this clone alone.
Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from packaging.metadata import Metadata
from packaging.version import Version

ROOT = Path(__file__).parent.parent
VERSION_FILE = "cartpole_robot/__init__.py"
_VERSION = re.compile(r"\d+\.\d+\.\d+(rc\d+)?")
_SECTION = re.compile(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"(?P<version>\S+) \((?P<date>\d{4}-\d{2}-\d{2})\)")
_MOST_NAMES = 5


def stated_version(root: Path) -> str:
    """The package's version as its source states it; "" if it states none."""
    found = re.search(r'^__version__ = "(.*)"$', _text(root, VERSION_FILE), re.MULTILINE)
    return "" if found is None else found[1]


def problems(root: Path, today: datetime.date) -> list[str]:
    """What stands in the way of a release, one line each; an empty list if nothing does."""
    version = stated_version(root)
    if not _VERSION.fullmatch(version):
        return [f"{VERSION_FILE}: version {version!r}, expected MAJOR.MINOR.PATCH or MAJOR.MINOR.PATCHrcN"]
    return [
        *_changelog_problems(root, version, today),
        *_citation_problems(root, version),
        *_tree_problems(root),
        *_tag_problems(root, version),
    ]


def _released_on(root: Path, version: str) -> str:
    """The date in the title of that version's section of the changelog; "" if there is none."""
    for title, _ in _SECTION.findall(_text(root, "CHANGELOG.md")):
        found = _TITLE.fullmatch(title)
        if found is not None and found["version"] == version:
            return found["date"]
    return ""


def _changelog_problems(root: Path, version: str, today: datetime.date) -> Iterator[str]:
    sections = _SECTION.findall(_text(root, "CHANGELOG.md"))
    title, body = sections[0] if sections else ("", "")
    found = _TITLE.fullmatch(title)
    if found is None or found["version"] != version:
        yield f"CHANGELOG.md: the first section is {title!r}, expected '{version} (YYYY-MM-DD)'; date it, or add it"
        return
    try:
        date = datetime.date.fromisoformat(found["date"])
    except ValueError:
        yield f"CHANGELOG.md: {found['date']} is no date; correct it"
        return
    if date > today:
        yield f"CHANGELOG.md: {version} is dated {date}, and today is {today}; correct it"
    if not re.search(r"^- \S", body, re.MULTILINE):
        yield f"CHANGELOG.md: the section of {version} has no line; say what a user can see"
    others = [title.split(" ")[0] for title, _ in sections[1:]]
    if version in others:
        yield f"CHANGELOG.md: has two sections of {version}; raise the version in {VERSION_FILE}"


def _citation_problems(root: Path, version: str) -> Iterator[str]:
    text = _text(root, "CITATION.cff")
    for key, expected in (("version", version), ("date-released", _released_on(root, version))):
        found = re.search(rf"^{key}: *[\"']?(.*?)[\"']?$", text, re.MULTILINE)
        stated = "" if found is None else found[1]
        if expected and stated != expected:
            yield f"CITATION.cff: {key} is {stated!r}, expected {expected!r}; correct it"


def _tree_problems(root: Path) -> Iterator[str]:
    names = [line[3:] for line in _git(root, "status", "--porcelain", "--untracked-files=all").splitlines()]
    if names:
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        yield f"the tree is not clean: {', '.join(names[:_MOST_NAMES])}{more}; commit, ignore or remove them"


def _tag_problems(root: Path, version: str) -> Iterator[str]:
    tagged = [name[1:] for name in _git(root, "tag", "--list", "v*").split() if _VERSION.fullmatch(name[1:])]
    if version in tagged:
        yield f"the tag v{version} exists already; raise the version in {VERSION_FILE}"
        return
    newest = max(tagged, key=Version, default=None)
    if newest is not None and Version(newest) > Version(version):
        yield f"version {version} is older than the tag v{newest}; raise it in {VERSION_FILE}"


def artefact_problems(folder: Path, version: str) -> list[str]:
    """What is wrong with the names and metadata of the files in `folder`: one source distribution and one wheel."""
    found = sorted(folder.iterdir())
    kinds = sorted("wheel" if path.suffix == ".whl" else "source" for path in found)
    if kinds != ["source", "wheel"]:
        return [f"{folder}: has {', '.join(path.name for path in found)}, expected one .tar.gz and one .whl"]
    return [f"{path.name}: {problem}" for path in found for problem in _metadata_problems(path, version)]


def _metadata_problems(path: Path, version: str) -> Iterator[str]:
    raw = _metadata_of(path)
    try:
        metadata = Metadata.from_email(raw, validate=True)
    except ExceptionGroup as group:
        yield from (str(error) for error in group.exceptions)
        return
    if str(metadata.version) != version or not path.name.startswith(f"cartpole_robot-{version}"):
        yield f"is version {metadata.version}, expected {version}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if (metadata.description or "").strip() != readme.strip() or metadata.description_content_type != "text/markdown":
        yield "its description is not README.md as text/markdown"
    if metadata.license_files != ["LICENSE"] or metadata.license_expression != "MIT":
        yield f"its licence is {metadata.license_expression} in {metadata.license_files}, expected MIT in LICENSE"


def _metadata_of(path: Path) -> bytes:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")))
    with tarfile.open(path) as source:
        file = source.extractfile(f"{path.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert file is not None
        return file.read()


def _text(root: Path, name: str) -> str:
    """The file's text; "" if it is missing, which every check reports as what it does not find there."""
    path = root / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout


def _report(found: list[str]) -> int:
    for each in found:
        print(f"  {each}")
    print(f"Not released: {len(found)} problem{'s' if len(found) > 1 else ''}.")
    return 1


def main() -> int:
    """Print the problems, or what is ready and how to publish it; returns 1 if there is a problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, metavar="FOLDER", help="(default: this checkout)")
    parser.add_argument("--checks-only", action="store_true", help="build nothing")
    parser.add_argument("--tag", action="store_true", help="make the tag in this clone once everything is fine")
    arguments = parser.parse_args()
    root: Path = arguments.root
    found = problems(root, datetime.datetime.now(tz=datetime.UTC).date())
    if found:
        return _report(found)
    version = stated_version(root)
    print(f"cartpole_robot {version}: version, changelog, citation, tree and tags are fine.", flush=True)
    if arguments.checks_only:
        return 0
    if subprocess.run(["make", "--no-print-directory", "wheels"], cwd=root, check=False).returncode != 0:
        return _report(["make wheels failed; see its output above"])
    found = [*artefact_problems(root / "dist", version), *_tree_problems(root)]
    if found:
        return _report(found)
    for path in sorted((root / "dist").iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
    tag = ["git", "tag", "--annotate", f"v{version}", "--message", f"cartpole_robot {version}"]
    if arguments.tag:
        subprocess.run(tag, cwd=root, check=True)
    print(f"{'Tagged' if arguments.tag else 'Ready to tag'}: v{version}. Nothing has been pushed or uploaded.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
