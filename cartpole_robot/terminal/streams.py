"""Standard streams that can print every text, whatever their encoding."""

from __future__ import annotations

import codecs
import io
import sys

_HANDLER = "cartpole_robot.plain"
_PLAIN = {"±": "+/-", "²": "^2", "³": "^3", "→": "->", "█": "#", "°": " deg", "µ": "u", "θ": "theta"}


def print_everything() -> None:
    """From now on letters that the encoding of stdout or stderr lacks are printed in ASCII: "kg m^2" for "kg m²".

    Letters without such a form are printed as their code, which names no other file.
    """
    codecs.register_error(_HANDLER, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    plain = (_PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in letters)
    return "".join(plain), error.end
