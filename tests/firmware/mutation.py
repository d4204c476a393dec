"""Mutants of a C file: the same text with one operator, constant, condition, statement or returned value changed.

The reader knows the C of this firmware (no macros with arguments, one statement a semicolon), not all of C; in the
strings of inline assembly it changes operands as if they were C.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

TOKEN = re.compile(
    r"(?P<skip>\s+|/\*.*?\*/|^#[^\n]*$)|(?P<name>[A-Za-z_]\w*)|(?P<number>\d\w*)"
    r"|(?P<sign><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)",
    re.DOTALL | re.MULTILINE,
)
SWAPS = {  # for a comparison its boundary and its contrary
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "&&": ("||",),
    "||": ("&&",),
    "+": ("-",),
    "-": ("+",),
    "*": ("/", "+"),
    "/": ("*",),
    "<<": (">>",),
    ">>": ("<<",),
    "+=": ("-=", "="),
    "-=": ("+=", "="),
    "++": ("--",),
    "--": ("++",),
    "&": ("|",),
}
SAME = {"false": "0", "FAULT_NONE": "0", "ACK_DONE": "0", "true": "1", "FAULT_COMMAND_TIMEOUT": "1"}
CONSTANT = re.compile(r"[A-Z][A-Z0-9_]+")
TYPES = re.compile(
    r"(u?int\d+_t|bool|void|const|static|(safety_inputs|safety|motor|stillness|standing|plausibility|pole_zero|cfg_message)_t)"
)


@dataclass(frozen=True)
class Token:
    """One word or sign of the source, and where it stands."""

    text: str
    kind: str
    begin: int
    end: int


@dataclass(frozen=True)
class Mutant:
    """One change: where, into what, and a name that survives lines moving about it."""

    file: str
    begin: int
    end: int
    replacement: str
    line: int
    name: str

    def apply(self, source: str) -> str:
        return source[: self.begin] + self.replacement + source[self.end :]


def tokens_of(source: str) -> list[Token]:
    """The words and signs of a source without comments and preprocessor lines."""
    return [
        Token(found.group(), str(found.lastgroup), found.start(), found.end())
        for found in TOKEN.finditer(source)
        if found.lastgroup != "skip"
    ]


def mutants_of(source: str, file: str = "") -> list[Mutant]:
    """All mutants of a file's text, in its order."""
    tokens = tokens_of(source)
    seen: Counter[str] = Counter()
    mutants = []
    changes = sorted({*_signs(tokens), *_constants(tokens), *_conditions(tokens, source), *_statements(tokens, source)})
    for begin, end, replacement, what in changes:
        line = source.count("\n", 0, begin) + 1
        text = " ".join(source.splitlines()[line - 1].split())
        name = f"{function_at(tokens, begin)} | {text} | {what}"
        seen[name] += 1
        if seen[name] > 1:
            name += f" (number {seen[name]})"
        mutants.append(Mutant(file, begin, end, replacement, line, name))
    return mutants


Change = tuple[int, int, str, str]


def function_at(tokens: list[Token], position: int) -> str:
    """The function whose body or head stands there: the last name before a parenthesis at the outermost level.

    Of an interrupt's it is the vector in that parenthesis.
    """
    depth, name = 0, "?"
    for before, token in itertools.pairwise(tokens):
        if token.begin > position:
            break
        if token.text == "(" and depth == 0 and before.kind == "name":
            name = before.text
        elif depth == 1 and name == "ISR" and before.text == "(":
            name = token.text
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(token.text, 0)
    return name


def _bodies(tokens: list[Token]) -> Iterator[int]:
    """The index of every token within braces."""
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token.text == "{") - (token.text == "}")
        if depth > 0:
            yield index


def _is_operand_end(token: Token) -> bool:
    return token.kind in ("name", "number") or token.text in (")", "]")


def _closing(tokens: list[Token], opening: int) -> int:
    """Where the parenthesis that opens there closes."""
    depth = 0
    for index in range(opening, len(tokens)):
        depth += (tokens[index].text in ("(", "{")) - (tokens[index].text in (")", "}"))
        if depth == 0:
            return index
    raise ValueError(f"unclosed parenthesis at {tokens[opening].begin}")


def _is_cast(tokens: list[Token], closing: int) -> bool:
    """Whether that closing parenthesis ends a cast or a sizeof: only a type stands in it."""
    before = tokens[closing - 1].text
    return tokens[closing].text == ")" and (TYPES.fullmatch(before) is not None)


def _signs(tokens: list[Token]) -> Iterator[Change]:
    for index in _bodies(tokens):
        token, before = tokens[index], tokens[index - 1]
        swaps = SWAPS.get(token.text, ())
        if token.text in ("-", "*", "&", "+") and (not _is_operand_end(before) or _is_cast(tokens, index - 1)):
            if token.text == "-":
                yield token.begin, token.end, "", "unary - dropped"
            continue  # a sign, a pointer, an address
        if token.text == "*" and TYPES.fullmatch(before.text):
            continue  # a declaration
        for swap in swaps:
            yield token.begin, token.end, swap, f"{token.text} becomes {swap}"
        if token.text == "!":
            yield token.begin, token.end, "", "! dropped"
        if token.text in ("true", "false"):
            other = "false" if token.text == "true" else "true"
            yield token.begin, token.end, other, f"{token.text} becomes {other}"


def _constants(tokens: list[Token]) -> Iterator[Change]:
    for index in _bodies(tokens):
        token = tokens[index]
        if token.kind == "number" or (token.kind == "name" and CONSTANT.fullmatch(token.text)):
            for change in ("+ 1", "- 1"):
                yield token.begin, token.end, f"({token.text} {change})", f"{token.text} {change}"


def _conditions(tokens: list[Token], source: str) -> Iterator[Change]:
    """Conditions negated, always true, always false; the arms of ?: exchanged."""
    for index in _bodies(tokens):
        token = tokens[index]
        if token.text == "if":
            closing = _closing(tokens, index + 1)
            begin, end = tokens[index + 1].end, tokens[closing].begin
            condition = source[begin:end]
            yield begin, end, f"!({condition})", "condition negated"
            yield begin, end, f"(({condition}), 1)", "condition always true"
            yield begin, end, f"(({condition}), 0)", "condition always false"
        if token.text == "?":
            colon = next(k for k in range(index, len(tokens)) if tokens[k].text == ":")
            first = source[token.end : tokens[colon].begin].strip()
            last = source[tokens[colon].end : _arm_end(tokens, colon)].strip()
            yield token.begin, _arm_end(tokens, colon), f"? {last} : {first}", "arms of ?: exchanged"


def _arm_end(tokens: list[Token], colon: int) -> int:
    """Where the last arm of ?: ends: at the bracket that encloses it, a comma or the semicolon."""
    depth = 0
    for token in tokens[colon + 1 :]:
        if depth == 0 and token.text in (")", ";", ","):
            return token.begin
        depth += (token.text == "(") - (token.text == ")")
    raise ValueError("a ?: without an end")


def _statements(tokens: list[Token], source: str) -> Iterator[Change]:
    """Statements deleted, returned values replaced."""
    starts_after_if = set()
    for index, token in enumerate(tokens):
        if token.text == "if":
            starts_after_if.add(_closing(tokens, index + 1))
    for index in _bodies(tokens):
        before, token = tokens[index - 1], tokens[index]
        is_block = before.text == "{" and tokens[index - 2].text == ")" and not _is_cast(tokens, index - 2)
        starts = before.text in (";", "}", "else") or is_block or index - 1 in starts_after_if
        if not starts or token.text in ("{", "}", ";", "if", "else") or TYPES.fullmatch(token.text):
            continue
        end = next(k for k in range(index, len(tokens)) if tokens[k].text == ";")
        if token.text == "return":
            value = source[token.end : tokens[end].begin].strip()
            for other in ("0", "1"):
                if value and SAME.get(value, value) != other:
                    yield token.end, tokens[end].begin, f" {other}", f"returns {other}"
        else:
            yield token.begin, tokens[end].begin, "", "statement deleted"
