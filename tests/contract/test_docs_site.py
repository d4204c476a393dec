"""The documentation site builds without a warning and offline, and its pages link to each other and to the glossary."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.extension.fill import END
from firmware_bridge.faults import FAULTS

ROOT = Path(__file__).parents[2]
MISSING = [
    name for name in ("sphinx", "myst_parser", "furo", "sphinx_copybutton") if not importlib.util.find_spec(name)
]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"the extra docs is not installed: {', '.join(MISSING)} missing")


def build(out: Path, *options: str, source: Path = ROOT / "docs") -> subprocess.CompletedProcess[str]:
    """Sphinx on the site's pages; no proxy or network is needed, so none is offered."""
    words = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(out / "doctrees"), *options]
    environment = {**os.environ, "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [*words, str(source), str(out / "html")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300.0,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    done = build(out)
    assert (done.returncode, done.stderr) == (0, "")
    return out / "html"


def html_of(site: Path, page: str) -> str:
    """The part of a page that is its own."""
    (article,) = re.findall(r"<article.*?</article>", (site / page).read_text(encoding="utf-8"), re.DOTALL)
    return str(article)


@pytest.mark.long
def test_reference_of_the_built_site_has_each_fault_and_verb(site: Path) -> None:
    faults, verbs = html_of(site, "reference/faults.html"), html_of(site, "reference/command_line.html")
    for name in FAULTS:
        assert f'id="fault-{name.lower().replace("_", "-")}"' in faults
    assert '<section id="cartpole-robot-deploy">' in verbs
    assert '<section id="cartpole-robot-carts-new">' in verbs


@pytest.mark.long
def test_built_site_has_the_generated_text_instead_of_the_sentence_about_it(site: Path) -> None:
    for page in ROOT.glob("docs/*/*.md"):
        if END in page.read_text(encoding="utf-8"):
            built = html_of(site, f"{page.parent.name}/{page.stem}.html")
            assert "builds the page with" not in built, page.name
            assert "end of generated" not in built, page.name


@pytest.mark.long
def test_python_reference_shows_a_docstring_and_types(site: Path) -> None:
    page = html_of(site, "reference/python_api.html")
    assert 'id="cartpole_robot.policy.bundle.load_policy"' in page
    assert "The bundle in that file" in page


@pytest.mark.long
def test_first_use_of_a_term_links_to_the_glossary_and_later_ones_do_not(site: Path) -> None:
    page = html_of(site, "guides/training.html")
    links = re.findall(r'href="\.\./start/glossary\.html#(term-[\w-]+)"', page)
    assert {"term-replay-memory", "term-target-network", "term-verdict", "term-trial"} <= set(links)
    assert len(links) == len(set(links))


@pytest.mark.long
def test_no_page_asks_another_machine_for_anything(site: Path) -> None:
    asked = {
        found
        for page in site.rglob("*.html")
        for found in re.findall(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(https?://[^"]+)"', page.read_text())
    }
    assert asked == set()


@pytest.mark.long
def test_every_link_inside_the_site_has_a_target(site: Path) -> None:
    missing = []
    for page in site.rglob("*.html"):
        for link in re.findall(r'<a\b[^>]*?href="([^"]+)"', page.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            if ":" in path:
                continue
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and f'id="{anchor}"' not in target.read_text(encoding="utf-8")):
                missing.append(f"{page.relative_to(site)}: {link}")
    assert missing == []


@pytest.mark.long
def test_live_page_is_framed_only_where_it_has_been_made(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from docs.extension import fill

    has_page = (ROOT / "docs" / "_static" / fill.LIVE_PAGE).exists()
    assert ("<iframe" in html_of(site, "index.html")) == has_page
    monkeypatch.setattr(Path, "exists", lambda _: True)
    assert 'src="_static/page.html?embedded"' in fill.live_page()
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert "balancing.gif" in fill.live_page()


def test_broken_link_fails_the_build(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    conf = (ROOT / "docs" / "conf.py").read_text()
    (source / "conf.py").write_text(conf.replace("Path(__file__).parent.parent", f"Path({str(ROOT)!r})"))
    (source / "_static").mkdir()
    (source / "_static" / "site.css").write_text("")
    (source / "index.md").write_text("# A page\n\n[nowhere](missing.md), [no section](#missing)\n")
    done = build(tmp_path, source=source)
    assert done.returncode != 0
    assert "missing.md" in done.stderr
    assert "'missing'" in done.stderr or "#missing" in done.stderr
