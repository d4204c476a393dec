from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cartpole_robot.errors import UsageError
from cartpole_robot.files.records import read_toml, record_from_table, require


class Side(enum.StrEnum):
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    radius_m: float
    teeth: int = 12

    def __post_init__(self) -> None:
        require(self.radius_m > 0.0, f"radius_m = {self.radius_m:g}, expected more than 0; correct it")


@dataclass(frozen=True, kw_only=True)
class Axle:
    wheel: Wheel
    spare: Wheel | None = None
    side: Side = Side.LEFT


@dataclass(frozen=True, kw_only=True)
class Wagon:
    axle: Axle
    rear: Axle | None = None
    wheels: tuple[Wheel, ...] = ()
    weights_kg: tuple[float, ...] = ()
    by_name: Mapping[str, Wheel] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)
    is_painted: bool | None = None


WHEEL = {"radius_m": 0.1}
WAGON: dict[str, Any] = {"axle": {"wheel": WHEEL}}


def test_nested_records_are_built_whole() -> None:
    table = {
        "axle": {"wheel": {"radius_m": 1, "teeth": 3.0}, "spare": None, "side": "right"},
        "rear": {"wheel": WHEEL, "spare": WHEEL},
        "wheels": [WHEEL, {"radius_m": 0.2}],
        "weights_kg": [1, 2.5],
        "by_name": {"a": WHEEL},
        "notes": {"maker": "the maker"},
        "anything": {"list": [1, None, {"deep": True}]},
        "is_painted": None,
    }
    wheel = Wheel(radius_m=0.1)
    assert record_from_table(Wagon, table, where="w.toml") == Wagon(
        axle=Axle(wheel=Wheel(radius_m=1.0, teeth=3), side=Side.RIGHT),
        rear=Axle(wheel=wheel, spare=wheel),
        wheels=(wheel, Wheel(radius_m=0.2)),
        weights_kg=(1.0, 2.5),
        by_name={"a": wheel},
        notes={"maker": "the maker"},
        anything={"list": [1, None, {"deep": True}]},
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axle": 5}, "w.toml: [axle] = 5, expected a table of values; correct it"),
        ({"axle": None}, "w.toml: [axle] = None, expected a table of values; correct it"),
        ({"axle": {}}, "w.toml: [axle]: the section [wheel] is missing; add it"),
        ({"axle": {"wheel": {}}}, "w.toml: [axle.wheel]: radius_m is missing; add it with a value"),
        ({"axle": {"wheel": {"radius_m": -1}}}, "w.toml: [axle.wheel]: radius_m = -1, expected more than 0"),
        ({"axle": {"wheel": {"radius_m": "1"}}}, "w.toml: [axle.wheel] radius_m = '1', expected a number"),
        ({"axle": {"wheel": {"radius_m": 1e13}}}, "w.toml: [axle.wheel] radius_m is beyond 1e+12"),
        ({"axle": {"wheel": {"radius_m": 1, "teeth": 1.5}}}, "[axle.wheel] teeth = 1.5, expected a whole number"),
        ({"axle": {"wheel": {"radius_m": 1, "teeth": math.nan}}}, "teeth = nan, expected a whole number"),
        ({"axle": {"wheel": {"radius_m": 1, "teeth": 10**400}}}, "[axle.wheel] teeth is beyond 3.40282e+38"),
        ({"axle": {"wheel": {"radius_m": 1, "radius": 1}}}, "[axle.wheel]: unknown key 'radius'; expected one of"),
        ({"axle": {"wheel": WHEEL, "side": "up"}}, "[axle] side = 'up', expected one of 'left', 'right'"),
        ({"axle": {"wheel": WHEEL, "side": ["left"]}}, "[axle] side = ['left'], expected one of"),
        ({"rear": []}, "w.toml: [rear] = [], expected a table of values"),
        ({"wheels": WHEEL}, "wheels = {'radius_m': 0.1}, expected a list; write [first, second, ...]"),
        ({"wheels": [WHEEL, 1]}, "w.toml: [wheels] = 1, expected a table of values"),
        ({"weights_kg": [True]}, "weights_kg = True, expected a number"),
        ({"by_name": {"a": {}}}, "w.toml: [by_name.a]: radius_m is missing"),
        ({"by_name": [WHEEL]}, "by_name = [{'radius_m': 0.1}], expected a table; write [by_name]"),
        ({"notes": {"maker": 1}}, "w.toml: [notes] maker = 1, expected a text"),
        ({"is_painted": 1}, "is_painted = 1, expected true or false"),
        ({"is_painted": "x" * 1000}, "..., expected true or false"),
    ],
)
def test_what_does_not_fit_is_named_with_section_key_and_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        record_from_table(Wagon, {**WAGON, **change}, where="w.toml")
    text = str(caught.value)
    assert text.startswith("w.toml")
    assert message in text
    assert len(text) < 300
    assert text.isprintable()


@pytest.mark.parametrize("text", ["format = 2", "format = true", 'format = "1"'])
def test_file_of_another_format_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"a\.toml: format = .*, expected 1; this version reads no other"):
        read_toml(path, purpose="wagon file", expected_format=1)


def test_file_without_a_format_is_refused_with_the_line_to_add(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[axle]\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"a\.toml: has no format, expected 1; add the line format = 1$"):
        read_toml(path, purpose="wagon file", expected_format=1)


def test_format_is_not_among_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("format = 1\n[axle]\n", encoding="utf-8")
    assert read_toml(path, purpose="wagon file", expected_format=1) == {"axle": {}}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_toml_may_come_from_an_editor_on_windows(tmp_path: Path, mark: str, line_end: str) -> None:
    text = line_end.join(["# a wagon", "format = 1", 'name = "Wägelchen"', "[axle]", ""])
    path = tmp_path / "wagon.toml"
    path.write_bytes(f"{mark}{text}".encode())
    assert read_toml(path, purpose="wagon file", expected_format=1) == {"name": "Wägelchen", "axle": {}}
    path.write_bytes(text.encode("utf-16"))
    with pytest.raises(UsageError, match="is not text in UTF-8, expected a wagon file in TOML; save it as UTF-8"):
        read_toml(path, purpose="wagon file")


def test_every_toml_file_is_read_in_one_place() -> None:
    package = Path(__file__).parent.parent.parent.parent / "cartpole_robot"
    readers = [path.name for path in package.rglob("*.py") if "tomllib" in path.read_text(encoding="utf-8")]
    assert readers == ["records.py"]


def test_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("a = 1" + "0" * 5000, encoding="utf-8")
    with pytest.raises(UsageError, match="is not valid TOML"):
        read_toml(path, purpose="wagon file")
