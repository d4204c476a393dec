"""The safety core as a library, compiled once a test run."""

from __future__ import annotations

import ctypes

import pytest

from tests.firmware.c_core import Core, compile_library, load_library
from tests.firmware.stepper_core import StepperCore, compile_stepper, load_stepper


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return load_library(compile_library(tmp_path_factory.mktemp("core") / "core.so"))


@pytest.fixture(scope="session")
def stepper_library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return load_stepper(compile_stepper(tmp_path_factory.mktemp("stepper") / "core.so"))


@pytest.fixture
def stepper(stepper_library: ctypes.CDLL) -> StepperCore:
    return StepperCore(stepper_library)


@pytest.fixture
def core(library: ctypes.CDLL) -> Core:
    return Core(library)
