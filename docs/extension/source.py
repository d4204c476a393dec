"""Comments and docstrings of the source code, which explain fields, members and entries."""

from __future__ import annotations

import ast
import inspect
import textwrap
import tokenize
from collections.abc import Iterator
from io import StringIO


def field_comments(owner: type) -> dict[str, str]:
    """By the name of each field or member that a class assigns: the comment at the end of its line."""
    text = textwrap.dedent(inspect.getsource(owner))
    comments = _comments(text)
    (body,) = ast.parse(text).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for each in body.body:
        target = each.targets[0] if isinstance(each, ast.Assign) else getattr(each, "target", None)
        if isinstance(target, ast.Name) and each.end_lineno in comments:
            found[target.id] = comments[each.end_lineno]
    return found


def entry_comments(text: str, constant: str) -> dict[str, str]:
    """By the first string of each entry of the tuple `constant` in a module's text: the comment behind the entry."""
    comments = _comments(text)
    found = {}
    for each in ast.parse(text).body:
        is_wanted = isinstance(each, ast.Assign) and getattr(each.targets[0], "id", None) == constant
        if is_wanted and isinstance(each, ast.Assign) and isinstance(each.value, ast.Tuple):
            for entry in each.value.elts:
                name = next(_strings(entry))
                if entry.end_lineno in comments:
                    found[name] = comments[entry.end_lineno]
    return found


def docstring(owner: object) -> str:
    """The docstring of a class or module without its indentation, as paragraphs of Markdown."""
    paragraphs = inspect.getdoc(owner) or ""
    return "\n\n".join(" ".join(part.split()) for part in paragraphs.split("\n\n"))


def _strings(entry: ast.expr) -> Iterator[str]:
    for node in ast.walk(entry):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _comments(text: str) -> dict[int, str]:
    """The comment of each line that ends in one."""
    tokens = tokenize.generate_tokens(StringIO(text).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
