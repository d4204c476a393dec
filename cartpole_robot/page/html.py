"""Puts styles, scripts and contents into one HTML file that loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "\./([\w.]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|class|const|function) (\w+))", re.MULTILINE)
_COMMON_EXPORT = re.compile(r'^if \(typeof module !== "undefined"\) module\.exports = \{ ([\w, ]+) \};$', re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_PART = re.compile(r"^<!-- (\w+) -->\n", re.MULTILINE)
_ENDS_SCRIPT = re.compile(r"</script|<!--", re.IGNORECASE)


class Page(NamedTuple):
    """A whole page, and its Content-Security-Policy, which it also has as a meta element."""

    text: str
    security: str


def asset(name: str) -> str:
    """The text of a file in `assets/`."""
    return resources.files("cartpole_robot.page").joinpath("assets", name).read_text(encoding="utf-8")


def joined_script(entry: str) -> str:
    """One classic script of the module `entry` in `assets/` and all that it imports, each in a scope of its own.

    Raises ValueError for an import or export of another form than the assets use, and for text that ends a script.
    """
    order: list[str] = []
    _visit(entry, order, ())
    script = '"use strict";\n' + "\n".join(_scoped(name) for name in order)
    if _ENDS_SCRIPT.search(script):
        raise ValueError(f"{entry}: a script in a page must contain neither </script nor <!--")
    return script


def _visit(name: str, order: list[str], path: tuple[str, ...]) -> None:
    if name in path:
        raise ValueError(f"{' -> '.join((*path, name))}: these modules import each other")
    if name in order:
        return
    for _, other in _IMPORT.findall(asset(name)):
        _visit(other, order, (*path, name))
    order.append(name)


def _scoped(name: str) -> str:
    text = asset(name)
    for_node = _COMMON_EXPORT.search(text)
    exported = _EXPORT.findall(text) + (for_node[1].split(", ") if for_node else [])
    text = _COMMON_EXPORT.sub("", text)
    text = _EXPORT.sub("", _IMPORT.sub(lambda found: f"const {{ {found[1]} }} = {_scope(found[2])};", text))
    left = re.search(r"^(?:import|export)\b.*", text, re.MULTILINE)
    if left is not None:
        raise ValueError(f"{name}: cannot be joined with the others: {left[0]}")
    return f"const {_scope(name)} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();"


def _scope(name: str) -> str:
    return f"module_{name.removesuffix('.js')}"


def json_text(value: object) -> str:
    """`value` as JSON for a script element: nothing in it ends the element. Raises ValueError for NaN."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # other than ASCII is escaped already
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def parts_of(name: str) -> dict[str, str]:
    """The parts of a file in `assets/`, each headed by a comment with its name."""
    pieces = _PART.split(asset(name))
    return {key: text.strip() for key, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def filled(template: str, raw: Mapping[str, str], texts: Mapping[str, str]) -> str:
    """`template` with each {{name}} replaced: by markup from `raw` as it is, or by plain text from `texts`, escaped.

    Bytes of a path that are no UTF-8 become "?". Raises KeyError for a name that neither has.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        return raw[name] if name in raw else html.escape(texts[name].encode("utf-8", "replace").decode())

    return _PLACEHOLDER.sub(value, template)


def source_hash(text: str) -> str:
    """The source of a Content-Security-Policy that allows exactly this inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy_of(script: str, css: str, *, connects: str = "'none'", runs_wasm: bool = False) -> str:
    """The Content-Security-Policy of a page: its own script and style, nothing else."""
    wasm = " 'wasm-unsafe-eval'" if runs_wasm else ""
    return (
        f"default-src 'none'; script-src {source_hash(script)}{wasm}; style-src {source_hash(css)}; "
        f"connect-src {connects}; img-src data:; base-uri 'none'; form-action 'none'"
    )


def page(
    body: str,
    entry: str,
    contents: object,
    texts: Mapping[str, str],
    *,
    module: str = "",
    connects: str = "'none'",
) -> Page:
    """A whole page: the parts of the asset `body` in `page.html`, the script `entry`, and `contents` as JSON.

    `texts` has the title, the heading and the lead; `module` is markup with the compiled module.
    """
    script, css = joined_script(entry), asset("page.css")
    policy = policy_of(script, css, connects=connects, runs_wasm=bool(module))
    raw = {
        **parts_of(body),
        "security": f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">',
        "css": css,
        "script": script,
        "contents": json_text(contents),
        "module": module,
    }
    return Page(filled(asset("page.html"), raw, texts), policy)
