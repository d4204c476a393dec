"""What the accessibility audit makes of a Lighthouse report, and of a machine without its tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import accessibility
from docs.extension.shell import DOCS

REPORT = {
    "categories": {
        "accessibility": {
            "score": 0.94,
            "auditRefs": [
                {"id": "contrast", "weight": 7},
                {"id": "title", "weight": 7},
                {"id": "manual", "weight": 0},
                {"id": "none", "weight": 3},
            ],
        }
    },
    "audits": {
        "contrast": {"score": 0, "title": "Too little contrast", "details": {"items": [{"node": {"snippet": "<a>"}}]}},
        "title": {"score": 1, "title": "Has a title"},
        "manual": {"score": 0, "title": "Look yourself"},
        "none": {"score": None, "title": "Does not apply"},
    },
}


def test_score_and_its_causes_are_read_from_the_report() -> None:
    assert accessibility.scored(REPORT) == (94, ["Too little contrast: <a>"])


def test_score_below_the_limit_fails_the_audit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(accessibility.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    for score, code in ((95, 0), (94, 1)):
        monkeypatch.setattr(accessibility, "audit", lambda url, *_, score=score: (score, [url.rpartition("/")[2]]))
        assert accessibility.main([str(tmp_path), "index"]) == code
        assert f"the lowest score is {score}, expected at least 95" in capsys.readouterr().out


def test_missing_tool_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(accessibility.shutil, "which", lambda tool: None if tool == "npx" else tool)
    assert accessibility.main([str(tmp_path)]) == 2
    assert "missing: npx; apt install npm chromium" in capsys.readouterr().err


def test_audited_pages_exist() -> None:
    assert len(accessibility.PAGES) >= 10
    cart, *pages = accessibility.PAGES
    assert cart == "_static/page"  # which docs.live_page makes
    assert [page for page in pages if not (DOCS / f"{page}.md").exists()] == []
