"""The module is compiled when its sources change, and what is missing for that is reported."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cartpole_robot.cart.stepper import Drive
from cartpole_robot.errors import UsageError
from cartpole_robot.page import module_build
from cartpole_robot.page.module import module_bytes
from firmware_bridge.protocol import read_protocol
from tests.page_contents import needs_module, needs_node

ROOT = Path(__file__).parent.parent.parent.parent
LARGEST_KIB = 150
DRIVES = [each.value for each in Drive]


@pytest.fixture
def copy_of_sources(tmp_path: Path) -> Path:
    for folder in ("firmware_bridge/firmware", "cartpole_robot/simulation/native", "cartpole_robot/page"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.wasm", "*.py"))
    return tmp_path


@needs_module
@pytest.mark.parametrize("drive", DRIVES)
def test_module_is_small_and_of_these_sources(drive: str) -> None:
    found = module_bytes(Drive(drive))
    assert found[:4] == b"\0asm"
    assert len(found) < LARGEST_KIB * 1024
    assert module_build.is_current(drive=drive)


def test_every_drive_has_a_module_of_its_own_files() -> None:
    assert list(module_build.MODULES) == DRIVES
    names = {drive: {path.name for path in module_build.sources(drive=drive)} for drive in DRIVES}
    assert names["dc"] - names["stepper"] == {"drive_dc.c", "homing_dc.c", "world_dc.c"}
    assert names["stepper"] - names["dc"] == {"drive_stepper.c", "homing_stepper.c", "world_stepper.c"}
    assert module_build.sources_hash(drive="dc") != module_build.sources_hash(drive="stepper")


@needs_module
def test_module_of_the_other_drive_is_not_current(copy_of_sources: Path) -> None:
    dc, stepper = (copy_of_sources / module_build.MODULES[drive] for drive in DRIVES)
    dc.parent.mkdir(exist_ok=True)
    stepper.write_bytes(module_bytes(Drive.DC))
    assert not module_build.is_current(copy_of_sources, "stepper")


@needs_module
@pytest.mark.parametrize("drive", [DRIVES[0], *(pytest.param(each, marks=pytest.mark.long) for each in DRIVES[1:])])
def test_changed_source_makes_the_module_stale_and_a_build_current(copy_of_sources: Path, drive: str) -> None:
    assert not module_build.is_current(copy_of_sources, drive)
    module_build.build(read_protocol().hash, copy_of_sources, drive=drive)
    assert module_build.is_current(copy_of_sources, drive)
    built = (copy_of_sources / module_build.MODULES[drive]).read_bytes()
    assert built == module_bytes(Drive(drive))  # wherever it is built
    header = copy_of_sources / "firmware_bridge/firmware/limits.h"
    header.write_text(header.read_text(encoding="utf-8").replace("CONTACT_SAMPLES 3", "CONTACT_SAMPLES 4"), "utf-8")
    assert not module_build.is_current(copy_of_sources, drive)


@pytest.mark.long
@needs_module
@pytest.mark.parametrize("drive", DRIVES)
def test_sources_compile_without_a_warning(copy_of_sources: Path, drive: str) -> None:
    conversions = ("-Wconversion", "-Wno-sign-conversion", "-Wno-implicit-int-float-conversion")
    module_build.build(read_protocol().hash, copy_of_sources, ("-Wall", "-Wextra", "-Werror", *conversions), drive)


@needs_module
def test_damaged_module_is_not_current(copy_of_sources: Path) -> None:
    path = copy_of_sources / module_build.MODULES["dc"]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(module_bytes())
    assert module_build.is_current(copy_of_sources)
    path.write_bytes(path.read_bytes()[:-10])
    assert not module_build.is_current(copy_of_sources)


@pytest.mark.long
@needs_module
def test_error_in_the_source_is_reported_with_the_compilers_words(copy_of_sources: Path) -> None:
    (copy_of_sources / "cartpole_robot/page/native/line.c").write_text("int x = ;", encoding="utf-8")
    with pytest.raises(module_build.ModuleBuildError, match=r"line\.c failed(.|\n)*expected expression"):
        module_build.build(read_protocol().hash, copy_of_sources)
    assert not list((copy_of_sources / module_build.MODULES["dc"]).parent.glob("module-*"))


def test_missing_tools_are_named_with_their_packages(copy_of_sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(copy_of_sources))
    assert module_build.missing_tools() == ["clang", "wasm-ld"]
    with pytest.raises(module_build.ModuleBuildError) as error:
        module_build.build(read_protocol().hash, copy_of_sources)
    assert "apt-get install clang lld wasi-libc libclang-rt-dev-wasm32" in str(error.value)
    assert "\n" not in str(error.value)


def test_checkout_without_tools_reports_them_where_the_module_is_wanted(
    copy_of_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy_of_sources / "setup.py").touch()
    monkeypatch.setattr(module_build, "ROOT", copy_of_sources)
    monkeypatch.setenv("PATH", str(copy_of_sources))
    with pytest.raises(UsageError, match="clang, wasm-ld not found; install them"):
        module_bytes()


@pytest.mark.parametrize(("drive", "name"), [(Drive.DC, "cartpole"), (Drive.STEPPER, "cartpole_stepper")])
def test_wheel_without_its_module_says_to_install_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drive: Drive, name: str
) -> None:
    monkeypatch.setattr(module_build, "ROOT", tmp_path)
    with pytest.raises(
        UsageError, match=rf"/{name}\.wasm is missing, without which there is no page; install the pack"
    ):
        module_bytes(drive)


@pytest.mark.parametrize("is_release", [True, False])
def test_build_without_tools_fails_for_a_release_and_continues_otherwise(
    copy_of_sources: Path, tmp_path_factory: pytest.TempPathFactory, is_release: bool
) -> None:
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, copy_of_sources / name)
    for name in ("firmware_bridge/protocol.py", "cartpole_robot/page/module_build.py", "cartpole_robot/__init__.py"):
        shutil.copyfile(ROOT / name, copy_of_sources / name)
    (copy_of_sources / "urdf").mkdir()
    tools = tmp_path_factory.mktemp("tools")
    env = {"PATH": str(tools), "CARTPOLE_ROBOT_RELEASE": "1" if is_release else ""}
    words = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path_factory.mktemp("lib"))]
    done = subprocess.run(words, cwd=copy_of_sources, env=env, capture_output=True, text=True, check=False)
    assert re.search(r"(error|warning): the page's WebAssembly module cannot be compiled: clang, wasm-ld", done.stderr)
    assert (done.returncode != 0) is is_release, done.stderr


@needs_node
@pytest.mark.parametrize("drive", DRIVES)
def test_module_asks_nothing_of_the_browser(drive: str) -> None:
    code = (
        "const m = new WebAssembly.Module(require('fs').readFileSync(process.argv[1]));"
        "process.stdout.write(JSON.stringify(WebAssembly.Module.imports(m)))"
    )
    words = ["node", "-e", code, str(ROOT / module_build.MODULES[drive])]
    module_bytes(Drive(drive))
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]"
