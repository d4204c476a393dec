"""Edits of valid files, as Hypothesis draws and shrinks them: of values in trees, of arrays, of bytes.

An edit is data: a kind, a place as a number that wraps around what there is, and a hostile value. So one list of edits
applies to every file, and a failure shrinks to the fewest edits that still show it.
"""

from __future__ import annotations

import copy
import io
import json
import math
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from hypothesis import strategies as st

from cartpole_robot.recording.journal import MAGIC

FIXED: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 0.0, -0.0, 1e-320, 1e308, -1e308, math.inf, -math.inf, math.nan),
    *(2**31, -(2**31) - 1, 2**32, 2**63, 2**64, 2**127, 2**200, 10**400, -(10**400), 16**5000, 1e12, 1e15),
    *(
        "",
        " ",
        "0",
        "nan",
        "x" * 200,
        "é",
        "\x00",
        "\x1b[31m\x1b]0;owned\x07",
        "\ud800",
        "\u202eabc",
        "a\nb\r\n",
        "~",
        "..",
        "/",
    ),
    *(
        "*/ int evil; /*",
        "</script><script>alert(1)</script>",
        "$\\frac$",
        "${HOME}",
        "`id`",
        "'; rm -rf x",
        "%s%n",
        "\\",
        '"',
    ),
    *([], {}, [[]], [1], [None], ["x"], [1.0, 2.0, 3.0, 4.0], {"x": 1}, {"value": 1}, {"": {}}, [{}], [1e308] * 40),
)
KINDS = ("replace", "delete", "add", "rename", "swap", "wrap", "deepen", "grow", "copy")
_MOST_GROWN = 20_000  # items or characters
BYTE_KINDS = ("flip", "cut", "repeat", "insert", "number", "end", "digits", "brackets", "text")
_WORDS = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff" * 8, b"\x00" * 8)
_TEXTS = (
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x00",
    b"\x1b[2J",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\n",
    b"=",
    b"[[",
    b'"""',
    b"1e999",
    b"#",
)


@dataclass(frozen=True)
class Edit:
    """One edit; `where` is a place, `how` a second number, `value` a hostile value, `is_raw` an edit of bytes."""

    kind: str
    where: int
    how: int
    value: Any
    is_raw: bool = False


def values() -> st.SearchStrategy[Any]:
    """Hostile values: mostly chosen ones, the others drawn."""
    drawn = st.one_of(st.integers(), st.floats(), st.text(max_size=12), st.booleans())
    return st.one_of(st.sampled_from(FIXED), st.sampled_from(FIXED), drawn)


def edits(*, least: int = 1, most: int = 3) -> st.SearchStrategy[list[Edit]]:
    """A few edits; one in four is of bytes."""
    place = st.integers(0, 1 << 24)
    tree = st.builds(Edit, st.sampled_from(KINDS), place, place, values())
    raw = st.builds(Edit, st.sampled_from(BYTE_KINDS), place, place, st.none(), st.just(True))
    return st.lists(st.one_of(tree, tree, tree, raw), min_size=least, max_size=most)


# --- trees -----------------------------------------------------------------------------------------------------------


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (table or list, key or index) in `tree`."""
    found: list[tuple[Any, Any]] = []
    below = [tree]
    while below:
        each = below.pop()
        items = each.items() if isinstance(each, dict) else enumerate(each) if isinstance(each, list) else ()
        for key, value in items:
            found.append((each, key))
            below.append(value)
    return found


def edited_tree(tree: Any, changes: list[Edit]) -> Any:
    """`tree` after those of the edits that are not of bytes."""
    root = {"root": copy.deepcopy(tree)}
    for edit in changes:
        if not edit.is_raw:
            _edit_tree(root, edit)
    return root.get("root")


def _edit_tree(root: dict[str, Any], edit: Edit) -> None:
    places = _places(root)
    if not places:
        return
    inner, key = places[edit.where % len(places)]
    other, other_key = places[edit.how % len(places)]
    match edit.kind:
        case "replace":
            inner[key] = copy.deepcopy(edit.value)
        case "delete":
            del inner[key]
        case "add" if isinstance(inner[key], dict):
            inner[key][f"unknown{edit.how % 7}"] = copy.deepcopy(edit.value)
        case "add" if isinstance(inner[key], list):
            inner[key].append(copy.deepcopy(edit.value))
        case "rename" if isinstance(inner, dict) and inner is not root:
            inner[str(edit.value)[:3000]] = inner.pop(key)
        case "swap":
            inner[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(inner[key])
        case "wrap":
            inner[key] = [inner[key]] if edit.how % 2 else {"value": inner[key]}
        case "deepen":
            for _ in range(edit.how % 60):
                inner[key] = [inner[key]]
        case "grow" if isinstance(inner[key], list) and 0 < len(inner[key]) < _MOST_GROWN:
            inner[key] = inner[key] * min(2 + edit.how % 300, _MOST_GROWN // len(inner[key]))
        case "grow" if isinstance(inner[key], str) and 0 < len(inner[key]) < _MOST_GROWN:
            inner[key] = inner[key] * min(2 + edit.how % 3000, _MOST_GROWN // len(inner[key]))
        case "copy":
            inner[key] = copy.deepcopy(other[other_key])


def json_bytes(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def toml_bytes(tree: Any) -> bytes:
    """TOML, everything below the top as inline tables; what TOML cannot hold is written the way JSON would."""
    if not isinstance(tree, dict):
        return _toml(tree).encode("utf-8", "surrogatepass")
    return "".join(f"{json.dumps(str(key))} = {_toml(value)}\n" for key, value in tree.items()).encode(
        "utf-8", "surrogatepass"
    )


def xml_tree(text: str) -> Any:
    """An XML document as an element: its tag, its attributes and the elements in it."""

    def plain(element: ET.Element) -> dict[str, Any]:
        return {"tag": element.tag, "attributes": dict(element.attrib), "elements": [plain(each) for each in element]}

    return plain(ET.fromstring(text))


def xml_bytes(tree: Any) -> bytes:
    """XML; what is no element is written as text."""
    if not isinstance(tree, dict):
        return escape(str(tree)[:5000]).encode("utf-8", "surrogatepass")
    tag, attributes, elements = (tree.get(name) for name in ("tag", "attributes", "elements"))
    words = [str(tag)[:5000]]
    if isinstance(attributes, dict):
        words += [f"{name}={quoteattr(_plain_text(value))}" for name, value in attributes.items()]
    inside = b"".join(map(xml_bytes, elements if isinstance(elements, list) else [elements]))
    return (
        f"<{' '.join(words)}>".encode("utf-8", "surrogatepass")
        + inside
        + f"</{words[0]}>".encode("utf-8", "surrogatepass")
    )


def _plain_text(value: Any) -> str:
    return hex(value) if isinstance(value, int) and value.bit_length() > 10_000 else str(value)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if value.bit_length() < 10_000 else hex(value)
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else '"1979"'


# --- bytes -----------------------------------------------------------------------------------------------------------


def edited_bytes(content: bytes, changes: list[Edit]) -> bytes:
    """`content` after those of the edits that are of bytes."""
    for edit in changes:
        if edit.is_raw:
            content = _edit_bytes(content, edit)
    return content


def _edit_bytes(content: bytes, edit: Edit) -> bytes:
    at = edit.where % (len(content) + 1)
    span = edit.how % 97 + 1
    before, after = content[:at], content[at:]
    match edit.kind:
        case "flip":
            return before + bytes([after[0] ^ (1 << edit.how % 8)]) + after[1:] if after else content
        case "cut":
            return before + after[span:]
        case "repeat":
            return before + after[:span] * (edit.how % 50) + after[span:]
        case "insert":
            return before + bytes((edit.how * k) % 256 for k in range(span)) + after
        case "number":
            word = _WORDS[edit.how % len(_WORDS)]
            return before + word + after[len(word) :]
        case "end":
            return before
        case "digits":
            return before + b"9" * (edit.how % 6000) + after
        case "brackets":
            return before + b"[{"[edit.how % 2 : edit.how % 2 + 1] * (edit.how % 3000) + after
    return before + _TEXTS[edit.how % len(_TEXTS)] + after


# --- arrays ----------------------------------------------------------------------------------------------------------

_DTYPES = ("<f4", "<f8", "<i4", "<i8", "<u1", "<i2", "<U3", "<M8[s]", ">f4", "?", "<c8", "V4")


def edited_npz(
    content: bytes, changes: list[Edit], seal: Callable[[dict[str, Any], dict[str, Any]], None] | None = None
) -> bytes:
    """A NumPy archive after the edits, of a JSON tree in `header` or of the other arrays; `seal` redoes checksums."""
    with np.load(io.BytesIO(content)) as archive:
        arrays: dict[str, Any] = dict(archive)
    header = json.loads(arrays["header"].tobytes()) if "header" in arrays else None
    for edit in changes:
        if edit.is_raw:
            continue
        if isinstance(header, dict) and edit.how % 3:
            header = edited_tree(header, [edit])
        elif arrays:
            _edit_array(arrays, sorted(arrays)[edit.where % len(arrays)], edit)
    if seal is not None and isinstance(header, dict):
        seal(header, arrays)
    if header is not None and "header" in arrays:
        try:
            arrays["header"] = np.frombuffer(json_bytes(header), np.uint8)
        except (TypeError, ValueError, RecursionError):
            arrays["header"] = np.frombuffer(b"{}", np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=True, **arrays)
    return file.getvalue()


def _edit_array(arrays: dict[str, Any], name: str, edit: Edit) -> None:
    array = arrays[name]
    match edit.kind:
        case "delete":
            del arrays[name]
        case "rename":
            arrays[f"{name}x"] = arrays.pop(name)
        case "wrap":
            arrays[name] = array[None]
        case "deepen":
            arrays[name] = array.reshape(-1)
        case "grow":
            arrays[name] = np.zeros((edit.how % 3000 + 1, edit.where % 3000 + 1), array.dtype)
        case "swap":
            arrays[name] = array[: len(array) // 2] if array.ndim else array
        case "add":
            arrays[name] = np.array([edit.value, {}], object)
        case "copy":
            try:
                arrays[name] = array.astype(_DTYPES[edit.how % len(_DTYPES)])
            except (TypeError, ValueError):
                arrays[name] = np.zeros(3, _DTYPES[edit.how % len(_DTYPES)])
        case _ if array.size and array.dtype.kind in "fiu":
            flat = array.copy().reshape(-1)
            lows = (np.iinfo(array.dtype).min, np.iinfo(array.dtype).max, 0) if array.dtype.kind != "f" else ()
            flat[edit.where % flat.size] = (lows or (np.nan, np.inf, -1e30, 1e30))[edit.how % (3 if lows else 4)]
            arrays[name] = flat.reshape(array.shape)
        case _ if array.size and array.dtype.names:
            rows = array.copy()
            field = array.dtype.names[edit.how % len(array.dtype.names)]
            limits = np.iinfo(rows[field].dtype)
            rows[field][edit.where % len(rows)] = limits.max if edit.how % 2 else limits.min
            arrays[name] = rows


# --- recordings ------------------------------------------------------------------------------------------------------


def edited_parquet(content: bytes, changes: list[Edit]) -> bytes:
    """A recording's Parquet file after the edits: of its metadata, else of its columns."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(content))
    metadata = dict(table.schema.metadata or {})
    header = json.loads(metadata[b"cartpole_robot"])
    for edit in changes:
        if edit.is_raw:
            continue
        if edit.how % 3:
            header = edited_tree(header, [edit])
        elif table.num_columns:
            table = _edit_table(pyarrow, table, edit)
    metadata[b"cartpole_robot"] = json_bytes(header)
    file = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), file, compression="zstd")
    return file.getvalue()


def _edit_table(pyarrow: Any, table: Any, edit: Edit) -> Any:
    at = edit.where % table.num_columns
    name, rows = table.column_names[at], table.num_rows
    match edit.kind:
        case "delete":
            return table.remove_column(at)
        case "rename":
            return table.rename_columns([*table.column_names[:at], f"{name}x", *table.column_names[at + 1 :]])
        case "copy":
            return table.append_column(name, table.column(at))
        case "wrap":
            return table.set_column(at, name, pyarrow.array([[1]] * rows))
        case "add":
            return table.set_column(at, name, pyarrow.array([str(edit.how)] * rows))
        case "swap":
            return table.set_column(at, name, pyarrow.nulls(rows, table.column(at).type))
        case "grow":
            return pyarrow.concat_tables([table] * min(edit.how % 200 + 1, 1_000_000 // (rows + 1) + 1))
        case "deepen":
            return table.slice(0, edit.how % (rows + 1))
    kind = table.column(at).type
    column = table.column(at).fill_null(0).to_numpy().copy()
    if len(column) and column.dtype.kind in "fiu":
        extremes = (
            (np.nan, np.inf, 1e38, -1.0, 0.0)
            if column.dtype.kind == "f"
            else (0, np.iinfo(column.dtype).max, np.iinfo(column.dtype).min, 1, 2**31 - 1)
        )
        column[edit.how % len(column)] = extremes[(edit.where // table.num_columns) % 5]
    return table.set_column(at, name, pyarrow.array(column, kind))


def edited_journal(content: bytes, changes: list[Edit]) -> bytes:
    """A journal after the edits: of its header, with a right checksum."""
    begin = content.index(b"\n") + 1
    length, _ = struct.unpack_from("<II", content, begin)
    header = json.loads(content[begin + 8 : begin + 8 + length])
    text = json_bytes(edited_tree(header, changes))
    assert content.startswith(MAGIC)
    return content[:begin] + struct.pack("<II", len(text), zlib.crc32(text)) + text + content[begin + 8 + length :]


def edited_csv(content: bytes, changes: list[Edit]) -> bytes:
    """A CSV file after the edits: of cells, rows and columns."""
    rows: list[Any] = [line.split(",") for line in content.decode().splitlines()]
    rows = edited_tree(rows, changes)
    lines = [row if isinstance(row, list) else [row] for row in rows] if isinstance(rows, list) else [[rows]]
    return "\n".join(",".join("" if cell is None else str(cell)[:5000] for cell in row) for row in lines).encode(
        "utf-8", "surrogatepass"
    )


Files = Mapping[str, bytes]
