"""The safety core as a library, compiled once a test run."""

from __future__ import annotations

import ctypes

import pytest

from tests.firmware.c_core import Core, compile_library, load_library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return load_library(compile_library(tmp_path_factory.mktemp("core") / "core.so"))


@pytest.fixture
def core(library: ctypes.CDLL) -> Core:
    return Core(library)
