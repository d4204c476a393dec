"""Which extras of this distribution bring a package that is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import metadata

_DISTRIBUTION = "cartpole-robot"
_OTHER_NAMES = {"PIL": "pillow", "serial": "pyserial"}  # a module whose distribution has another name
_NOT_FOR_USERS = ("all", "dev")
_EXTRA = re.compile(r"""^\s*([-\w.]+)(?:\[([^]]*)\])?.*\bextra\s*==\s*['"]([^'"]+)['"]""")


def extras_for(package: str, declared: str) -> str:
    """The extras to install where a verb that declares some ("sim,report") cannot import the module `package`.

    These are the declared ones, and where none of them brings it, the smallest that does.
    """
    wanted = _plain(_OTHER_NAMES.get(package, package))
    contents = _contents()
    if any(wanted in contents.get(extra, ()) for extra in declared.split(",")):
        return declared
    bringing = [extra for extra, packages in contents.items() if wanted in packages and extra not in _NOT_FOR_USERS]
    return declared if not bringing else f"{declared},{min(bringing, key=lambda extra: len(contents[extra]))}"


def _contents() -> Mapping[str, set[str]]:
    """The distributions that each extra brings, those of the extras in it included."""
    try:
        lines = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return {}
    direct: dict[str, set[str]] = {}
    inner: dict[str, set[str]] = {}
    for name, of_itself, extra in (found.groups() for found in map(_EXTRA.match, lines) if found):
        if _plain(name) == _DISTRIBUTION:
            inner.setdefault(extra, set()).update(part.strip() for part in (of_itself or "").split(","))
        else:
            direct.setdefault(extra, set()).add(_plain(name))

    def closed(extra: str, seen: frozenset[str]) -> set[str]:
        below = inner.get(extra, set()) - seen
        return direct.get(extra, set()).union(*(closed(part, seen | {part}) for part in below))

    return {extra: closed(extra, frozenset({extra})) for extra in {*direct, *inner}}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
