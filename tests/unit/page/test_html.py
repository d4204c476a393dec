from __future__ import annotations

import json
import os
import re

import pytest

from cartpole_robot.page import html
from cartpole_robot.page.html import filled, joined_script, json_text, page, parts_of, source_hash

HOSTILE = '</script><script>alert("1")</script><!-- & \u2028 é'


def test_json_in_a_script_element_cannot_end_it() -> None:
    text = json_text({HOSTILE: [HOSTILE]})
    assert not re.search(r"[<>&\u2028]", text)
    assert json.loads(text) == {HOSTILE: [HOSTILE]}


def test_json_refuses_what_javascript_cannot_parse() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"supply": float("nan")})


def test_texts_are_escaped_and_markup_is_not() -> None:
    assert filled("<b>{{a}}</b>{{b}}", {"b": "<i>x</i>"}, {"a": HOSTILE}).startswith("<b>&lt;/script&gt;")
    assert filled("{{b}}", {"b": "<i>x</i>"}, {}) == "<i>x</i>"


def test_placeholders_in_texts_are_not_filled() -> None:
    assert filled("{{a}}", {"css": "secret"}, {"a": "{{css}}"}) == "{{css}}"


def test_missing_text_is_an_error() -> None:
    with pytest.raises(KeyError, match="title"):
        filled("{{title}}", {}, {})


@pytest.fixture
def assets(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    found: dict[str, str] = {}
    monkeypatch.setattr(html, "asset", found.__getitem__)
    return found


def test_modules_are_joined_in_the_order_of_their_imports(assets: dict[str, str]) -> None:
    assets["main.js"] = 'import { two } from "./b.js";\nimport { one } from "./a.js";\nuse(one, two);\n'
    assets["b.js"] = 'import { one } from "./a.js";\nexport function two() { return one; }\n'
    assets["a.js"] = "export const one = 1;\n"
    script = joined_script("main.js")
    order = [script.index(f"const module_{name} =") for name in ("a", "b", "main")]
    assert order == sorted(order)
    assert script.count("const one = 1") == 1
    assert "export" not in script


@pytest.mark.parametrize(
    "text",
    ['import x from "./a.js";\n', 'import { x } from "https://example.com/a.js";\n', "export default 1;\n"],
)
def test_modules_of_another_form_are_refused(assets: dict[str, str], text: str) -> None:
    assets["main.js"], assets["a.js"] = text, "export const x = 1;\n"
    with pytest.raises(ValueError, match=r"main\.js: cannot be joined"):
        joined_script("main.js")


def test_modules_that_import_each_other_are_refused(assets: dict[str, str]) -> None:
    assets["a.js"] = 'import { b } from "./b.js";\nexport const a = 1;\n'
    assets["b.js"] = 'import { a } from "./a.js";\nexport const b = 1;\n'
    with pytest.raises(ValueError, match=r"a\.js -> b\.js -> a\.js"):
        joined_script("a.js")


@pytest.mark.parametrize("text", ["const x = '</SCRIPT>';\n", "const x = '<!--';\n"])
def test_script_that_would_end_its_element_is_refused(assets: dict[str, str], text: str) -> None:
    assets["main.js"] = text
    with pytest.raises(ValueError, match="neither </script nor <!--"):
        joined_script("main.js")


@pytest.mark.parametrize("entry", ["main.js", "live.js"])
def test_scripts_of_the_package_can_be_joined(entry: str) -> None:
    assert joined_script(entry).endswith("})();")


@pytest.mark.parametrize("body", ["simulation.html", "live.html"])
def test_both_pages_have_the_same_parts(body: str) -> None:
    wanted = set(re.findall(r"\{\{(\w+)\}\}", html.asset("page.html")))
    given = {"security", "css", "script", "contents", "module", "title", "heading", "lead"}
    assert set(parts_of(body)) == wanted - given


@pytest.mark.parametrize("body", ["simulation.html", "live.html"])
def test_page_allows_its_own_script_and_style_only(body: str) -> None:
    entry = {"simulation.html": "main.js", "live.html": "live.js"}[body]
    made = page(body, entry, {"name": HOSTILE}, {"title": HOSTILE, "heading": HOSTILE, "lead": HOSTILE})
    scripts = re.findall(r"<script>(.*?)</script>", made.text, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", made.text, re.DOTALL)
    assert len(scripts) == len(styles) == 1
    assert made.security.startswith("default-src 'none'; ")
    assert f"script-src {source_hash(scripts[0])};" in made.security
    assert f"style-src {source_hash(styles[0])};" in made.security
    assert f'http-equiv="Content-Security-Policy" content="{made.security}"' in made.text
    assert "unsafe-inline" not in made.text
    assert " style=" not in made.text
    assert not re.search(r"\son\w+=", made.text.replace(scripts[0], ""))
    assert made.text.count("</script>") == made.text.count("<script") == 2


def test_path_that_is_no_utf8_makes_a_page_that_can_be_encoded() -> None:
    text = filled("{{lead}}", {}, {"lead": os.fsdecode(b"runs/\xff<") + " on rig virtual"})
    assert text.encode() == b"runs/?&lt; on rig virtual"
