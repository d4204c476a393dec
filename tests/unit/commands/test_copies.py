"""Copies of packaged carts, presets and maps: complete, equal to the original, and never over another file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.datasets.column_map import load_map
from cartpole_robot.files.packaged import CARTS, MAPS, PRESETS, Packaged
from cartpole_robot.training.config import load_preset, preset_names
from tests.conftest import Completed

Run = Callable[..., Completed]
WAYS = {
    "cart": (CARTS, "diy_arduino", lambda name, file: ("carts", "copy", name, file)),
    "preset": (PRESETS, "precise", lambda name, file: ("train", "--preset", name, "--copy-preset", file)),
    "map": (MAPS, "sensorsini_50hz", lambda name, file: ("import", "--map", name, "--copy-map", file)),
}


@pytest.mark.parametrize("kind", WAYS)
def test_a_copy_has_every_byte_and_never_replaces_a_file(kind: str, command_here: Run, tmp_path: Path) -> None:
    packaged, name, words = WAYS[kind]
    done = command_here(*words(name, "new/mine.toml"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"new/mine.toml is written, a copy of the {kind} {name}\n"
    copied = tmp_path / "new" / "mine.toml"
    assert copied.read_bytes() == packaged.contents(name)
    assert b"#" in copied.read_bytes()
    copied.write_text("mine")
    done = command_here(*words(name, "new/mine.toml"), cwd=tmp_path)
    assert (done.returncode, copied.read_text()) == (2, "mine")
    assert "new/mine.toml: exists already, and nothing is overwritten" in done.stderr


@pytest.mark.parametrize("kind", WAYS)
def test_unknown_names_and_wrong_endings_are_refused(kind: str, command_here: Run, tmp_path: Path) -> None:
    packaged, name, words = WAYS[kind]
    for bad in ("unknown", "../config", f"{name}.toml"):
        done = command_here(*words(bad, "mine.toml"), cwd=tmp_path)
        assert done.returncode == 2
        assert f"expected one of {', '.join(packaged.names())}" in done.stderr
    done = command_here(*words(name, "mine.txt"), cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "mine.txt: expected a name that ends in .toml" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_copied_cart_and_preset_loads_as_the_original(tmp_path: Path) -> None:
    for name in cart_names():
        CARTS.copy(name, tmp_path / "carts" / f"{name}.toml", option="FILE")
        assert load_cart(tmp_path / "carts" / f"{name}.toml") == load_cart(name)
    for name in preset_names():
        PRESETS.copy(name, tmp_path / f"{name}.toml", option="FILE")
        assert load_preset(tmp_path / f"{name}.toml") == load_preset(name)


def test_a_map_is_found_by_its_name_unless_a_file_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    packaged = load_map(Path("sensorsini_50hz"))
    assert packaged.cart == "sensorsini"
    text = MAPS.contents("sensorsini_50hz").decode()
    Path("sensorsini_50hz").write_text(text.replace('cart = "sensorsini"', 'cart = "gym"'))
    assert load_map(Path("sensorsini_50hz")) == dataclasses.replace(packaged, cart="gym")


def test_copies_do_nothing_else(command_here: Run, tmp_path: Path) -> None:
    done = command_here("train", "--copy-preset", "a.toml", "--cart", "gym", cwd=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "--copy-preset only copies a file; leave out --cart" in done.stderr
    done = command_here("import", "log.csv", "--map", "sensorsini_50hz", "--copy-map", "a.toml", cwd=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "leave out FILE.csv" in done.stderr
    done = command_here("import", "--map", "sensorsini_50hz", cwd=tmp_path)
    assert done.returncode == 2
    assert "expected FILE.csv and --out" in done.stderr


def test_a_copy_is_reported_as_json(command_here: Run, tmp_path: Path) -> None:
    done = command_here("carts", "copy", "gym", "mine.toml", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {"file": "mine.toml", "copy_of": "gym"}


def test_contents_of_an_unknown_name_are_refused() -> None:
    with pytest.raises(ValueError, match="thing 'no' does not come with the package; expected one of blog"):
        Packaged(PRESETS.package, "thing").contents("no")
