"""JSON and TOML of others: bounded before anything uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartpole_robot.errors import UsageError
from cartpole_robot.files.plain_data import parse_json, read_bounded
from cartpole_robot.files.records import read_toml
from cartpole_robot.files.run_folder import read_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000, "nests too deep"),
        (b"[" * 40 + b"]" * 40, "nests deeper than 32 levels"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "nests deeper than 32 levels"),
        (b"[" + b"[]," * 3_000_000 + b"1]", "holds more than 2000000 values"),
        (b'"' + b"x" * (1 << 25) + b'"', "is larger than 33554432 bytes"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"\\uDfff": 1}', "half of a surrogate pair"),
        (b"\xed\xa0\x80", "codec can't decode"),
        (b"9" * 5000, "integer string conversion"),
        (b'{"a": [' + b"9" * 4200 + b"]}", "a is an integer of thousands of digits"),
        (b"{", "Expecting"),
    ],
)
def test_json_that_would_fail_later_is_refused_here(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_json_within_the_limits_is_read_whole() -> None:
    text = b'{"a": [1, -2.5, 340282366920938463463374607431768211456, true, null, "\\ud83d\\ude00\\n"]}'
    assert parse_json(text) == {"a": [1, -2.5, 1 << 128, True, None, "\N{GRINNING FACE}\n"]}


def test_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "holes"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="is larger than 1000 bytes"):
        read_bounded(path, 1000)
    with pytest.raises(UsageError, match=f"{path}: is larger than 1048576 bytes, expected a cart file in TOML"):
        read_toml(path, purpose="cart file")
    with pytest.raises(UsageError, match="it is damaged"):
        read_json(path, "it is damaged")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"a = 0x{'f' * 4000}", "a is an integer of thousands of digits; correct it"),
        (f"a = {'9' * 5000}", "is not valid TOML"),
        (f"a = {'[' * 40}{']' * 40}", "nests deeper than 32 levels; correct it"),
        (f"{'a.' * 5000}a = 1", "nests deeper than 32 levels; correct it"),
        (f"a = {'[' * 5000}{']' * 5000}", "nests too deep for a map"),
        ('a = "\\ud800"', "is not valid TOML"),
    ],
)
def test_toml_that_would_fail_later_is_refused_here(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as refused:
        read_toml(path, purpose="map")
    assert "\n" not in str(refused.value)


def test_name_with_a_null_byte_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has a null byte in its name"):
        read_toml(tmp_path / "a\0.toml", purpose="map")


@pytest.mark.parametrize("part", ["a", '"a b"', "'a'"])
@pytest.mark.parametrize("form", ["{}=1", "[{}]", "x = {{ {} = 1 }}"])
def test_key_of_many_parts_is_refused_before_it_is_parsed(tmp_path: Path, part: str, form: str) -> None:
    """A parser takes a time that grows with the square of the parts: minutes for a megabyte."""
    path = tmp_path / "a.toml"
    path.write_text(form.format(".".join([part] * 150_000)))
    with pytest.raises(UsageError, match="a key nests deeper than 32 levels"):
        read_toml(path, purpose="cart file")
    path.write_text(form.format(".".join([part] * 10)) + '\n[z]\ndescription = "' + "a." * 50 + '"\n')
    assert read_toml(path, purpose="cart file")["z"]["description"].startswith("a.a.")
