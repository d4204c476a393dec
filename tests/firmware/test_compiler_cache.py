"""The cache of compiled programs belongs to its user alone: what is in it is run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from firmware_bridge import emulator
from firmware_bridge.errors import BridgeError
from firmware_bridge.protocol import read_protocol


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cartpole_robot"


def cached_image(folder: Path) -> Path:
    sources = emulator.firmware_sources(None)
    path = folder / f"firmware-{read_protocol().hash:08x}-{emulator.firmware_id(sources):08x}.elf"
    path.write_bytes(b"not built by us")
    return path


def test_cache_is_made_for_its_user_alone(cache: Path) -> None:
    before = os.umask(0)
    try:
        assert emulator.cache_folder() == cache
    finally:
        os.umask(before)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert emulator.cache_folder() == cache


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702])
def test_cache_that_others_may_write_to_is_refused(cache: Path, mode: int) -> None:
    cache.mkdir(parents=True)
    cache.chmod(mode)
    with pytest.raises(BridgeError, match=rf"may be written by others \(mode {mode:04o}\), and programs in it"):
        emulator.cache_folder()
    with pytest.raises(BridgeError, match="may be written by others"):
        emulator.emulator_program()


def test_program_that_others_may_write_to_is_not_run(cache: Path) -> None:
    image = cached_image(emulator.cache_folder())
    image.chmod(0o666)
    with pytest.raises(BridgeError, match=r"\.elf: may be written by others \(mode 0666\), and it is to be run"):
        emulator.current_image()
    image.chmod(0o644)
    assert emulator.current_image() == image


def test_cache_of_another_user_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = cached_image(emulator.cache_folder())
    own = os.geteuid()
    monkeypatch.setattr(emulator.os, "geteuid", lambda: own + 1)
    with pytest.raises(BridgeError, match=rf"belongs to the user {own}, expected {own + 1}"):
        emulator.current_image()
    assert image.exists()
