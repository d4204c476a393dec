# ruff: noqa: PT012 - what fails is the block of the context manager under test
from __future__ import annotations

import errno
import os
import resource
import secrets
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cartpole_robot.errors import UsageError
from cartpole_robot.files import atomic_file as module
from cartpole_robot.files.atomic_file import atomic_file, atomic_folder, is_partial, remove_partials
from cartpole_robot.files.new_file import new_file
from cartpole_robot.files.run_folder import write_json
from tests.conftest import writes_no_bytecode

BOTH_MODES = pytest.mark.parametrize("may_replace", [False, True])


def no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.fixture(params=["hard links", "renameat2", "neither"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """File systems with fewer and fewer features: ext4, an SD card's FAT, a shared folder of a virtual machine."""
    if request.param != "hard links":
        monkeypatch.setattr(os, "link", no_links)
    if request.param == "neither":
        monkeypatch.setattr(module, "_is_renamed", lambda *_: False)
    return str(request.param)


@BOTH_MODES
def test_file_appears_whole_at_the_end_of_the_block(may_replace: bool, file_system: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with atomic_file(path, may_replace=may_replace) as file:
        file.write(b"1,2\n")
        file.flush()
        assert not path.exists()
        assert Path(file.name).parent == tmp_path
        assert Path(file.name).suffix == ".csv"
    assert path.read_bytes() == b"1,2\n"
    assert list(tmp_path.iterdir()) == [path]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_library_may_write_to_the_name_of_the_file(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a.txt") as file:
        Path(file.name).write_text("whole", encoding="utf-8")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "whole"


def test_contents_and_name_are_synced_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    sync = os.fsync

    def spy(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((kind, (tmp_path / "a").exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    with atomic_file(tmp_path / "a") as file:
        file.write(b"x")
    assert synced == [("file", False), ("folder", True)]


def test_new_file_replaces_nothing(file_system: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError), atomic_file(path):
        pytest.fail("is refused before the work")
    path.unlink()
    with pytest.raises(FileExistsError), atomic_file(path) as file:
        file.write(b"theirs")
        path.write_bytes(b"mine")
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("exists", [False, True])
def test_symbolic_link_at_the_name_is_not_followed(exists: bool, file_system: str, tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "a"
    if exists:
        target.write_bytes(b"theirs")
    with pytest.raises(FileExistsError), atomic_file(path) as file:
        file.write(b"ours")
        path.symlink_to(target)
    with pytest.raises(FileExistsError), atomic_file(path):
        pytest.fail("is refused before the work")
    with atomic_file(path, may_replace=True) as file:
        file.write(b"ours")
    assert not path.is_symlink()
    assert path.read_bytes() == b"ours"
    assert target.exists() is exists
    assert not exists or target.read_bytes() == b"theirs"


@BOTH_MODES
def test_link_planted_at_a_guessed_temporary_name_is_left_alone(
    may_replace: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guessed, free = "0" * 16, "1" * 16
    names = iter([guessed, free])
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(names))
    planted, target = tmp_path / f".a.{guessed}.partial.csv", tmp_path / "target"
    planted.symlink_to(target)
    with atomic_file(tmp_path / "a.csv", may_replace=may_replace) as file:
        assert free in file.name
        file.write(b"ours")
    assert planted.is_symlink()
    assert not target.exists()
    assert (tmp_path / "a.csv").read_bytes() == b"ours"


def test_link_planted_between_choosing_and_opening_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, planted = tmp_path / "target", tmp_path / ".a.planted"
    planted.symlink_to(target)
    monkeypatch.setattr(module, "_temporary_path", lambda path: planted)
    with pytest.raises(OSError), atomic_file(tmp_path / "a"):  # noqa: PT011 - EEXIST or ELOOP, as the system says
        pytest.fail("is refused before the work")
    assert not target.exists()


@BOTH_MODES
def test_temporary_file_that_was_exchanged_is_not_put_in_place(may_replace: bool, tmp_path: Path) -> None:
    exchanged = pytest.raises(OSError, match="was replaced while it was written")
    with exchanged, atomic_file(tmp_path / "a", may_replace=may_replace) as file:
        Path(file.name).unlink()
        Path(file.name).symlink_to("/etc/passwd")
    assert not list(tmp_path.iterdir())


@BOTH_MODES
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_block_that_fails_leaves_everything_as_it_was(
    error: type[BaseException], may_replace: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    if may_replace:
        path.write_bytes(b"before")
    before = set(tmp_path.iterdir())
    with pytest.raises(error), atomic_file(path, may_replace=may_replace) as file:
        file.write(b"half")
        raise error
    assert set(tmp_path.iterdir()) == before
    assert not may_replace or path.read_bytes() == b"before"


def test_sync_that_fails_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk failed")

    (tmp_path / "a").write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk failed"), atomic_file(tmp_path / "a", may_replace=True) as file:
        file.write(b"after")
    assert (tmp_path / "a").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


def race(folder: Path, may_replace: bool) -> tuple[int, bytes]:
    """How many of eight concurrent writers put their file in place, and the content of the result."""
    path, start, done = folder / "a", threading.Barrier(8), []

    def write(number: int) -> None:
        start.wait()
        try:
            with atomic_file(path, may_replace=may_replace) as file:
                file.write(b"%d" % number * 100_000)
                file.flush()
        except FileExistsError:
            return
        done.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(folder.iterdir()) == [path]
    return len(done), path.read_bytes()


def test_of_writers_at_once_one_makes_the_new_file(file_system: str, tmp_path: Path) -> None:
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        winners, content = race(folder, may_replace=False)
        assert winners == 1
        assert len(content) == 100_000
        assert len(set(content)) == 1


def test_writers_at_once_replace_each_other_whole(tmp_path: Path) -> None:
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        winners, content = race(folder, may_replace=True)
        assert winners == 8
        assert len(content) == 100_000
        assert len(set(content)) == 1


WRITER = """
import signal
import sys
from pathlib import Path
from cartpole_robot.files.atomic_file import atomic_file
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it
with atomic_file(Path(sys.argv[1]), may_replace=sys.argv[2] == "True") as file:
    file.write(b"x" * 100_000)
    file.flush()
    print("half", flush=True)
    sys.stdin.read()
    file.write(b"x" * 100_000)
"""


def writer(path: Path, may_replace: bool, prepare: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(may_replace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
        env=writes_no_bytecode(),
    )


@BOTH_MODES
def test_killed_writer_leaves_a_temporary_file_alone(may_replace: bool, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if may_replace:
        path.write_bytes(b"before")
    process = writer(path, may_replace)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = [item.name for item in tmp_path.iterdir() if item != path]
    assert len(left) == 1
    assert is_partial(left[0])
    assert path.exists() is may_replace
    assert not may_replace or path.read_bytes() == b"before"
    with atomic_file(path, may_replace=may_replace) as file:  # and does not block the next writer
        file.write(b"after")
    assert path.read_bytes() == b"after"
    remove_partials(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


@BOTH_MODES
def test_interrupted_writer_leaves_nothing(may_replace: bool, tmp_path: Path) -> None:
    process = writer(tmp_path / "a", may_replace)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    assert not list(tmp_path.iterdir())


@BOTH_MODES
def test_full_quota_leaves_everything_as_it_was(may_replace: bool, tmp_path: Path) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    path = tmp_path / "a"
    if may_replace:
        path.write_bytes(b"before")
    _, stderr = writer(path, may_replace, limit).communicate("")
    assert f"File too large: '{path}'" in stderr
    assert path.exists() is may_replace
    assert not may_replace or path.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == may_replace


@pytest.fixture
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", request.param, "none", str(folder)], check=False)
    if done.returncode != 0:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail("as root, a small disk can be mounted")
        pytest.skip("no permission to mount a small disk; a full quota is tested everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("mounted", ["size=200k"], indirect=True)
@BOTH_MODES
def test_full_disk_leaves_everything_as_it_was(may_replace: bool, mounted: Path) -> None:
    path = mounted / "a"
    if may_replace:
        path.write_bytes(b"before")
    with (
        pytest.raises(OSError, match=f"No space left on device: '{path}'"),
        atomic_file(path, may_replace=may_replace) as file,
    ):
        for _ in range(300):
            file.write(bytes(1000))
    assert path.exists() is may_replace
    assert not may_replace or path.read_bytes() == b"before"
    assert len(list(mounted.iterdir())) == may_replace


@pytest.mark.parametrize("mounted", ["size=200k"], indirect=True)
def test_full_disk_leaves_no_folder_and_is_named(mounted: Path) -> None:
    path = mounted / "a"
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"), atomic_folder(path) as partial:
        (partial / "file").write_bytes(bytes(300_000))
    assert list(mounted.iterdir()) == []


@pytest.mark.parametrize("mounted", ["ro"], indirect=True)
@BOTH_MODES
def test_read_only_disk_is_an_error(may_replace: bool, mounted: Path) -> None:
    with pytest.raises(OSError, match="Read-only"), atomic_file(mounted / "a", may_replace=may_replace):
        pytest.fail("is refused before the work")


def test_names_as_long_as_the_file_system_takes_them(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 125 + ".json")
    write_json(path, {"a": 1})
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", [".a.json.partial", "a.0123456789abcdef.partial", ".a.0123456789abcdeg.partial", "a"])
def test_other_files_are_never_taken_for_temporary_ones(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert (tmp_path / name).exists()


def test_error_names_what_exists_and_where_no_folder_can_be_created(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    exists = pytest.raises(UsageError, match="a: exists already, and nothing is overwritten; choose another --png")
    with exists, new_file(path, option="--png"):
        pytest.fail("is refused before the work")
    with (
        pytest.raises(UsageError, match=r"a/b: cannot be written \(.*a is not a folder\); choose another --out"),
        new_file(path / "b"),
    ):
        pytest.fail("is refused before the work")
    late = tmp_path / "late"
    with pytest.raises(UsageError, match="late: exists already"), new_file(late) as temporary:
        temporary.write_bytes(b"ours")
        late.write_bytes(b"theirs")
    assert late.read_bytes() == b"theirs"


def test_folder_replaces_another_whole(tmp_path: Path) -> None:
    path = tmp_path / "step"
    (tmp_path / ".step.partial").mkdir()
    (tmp_path / ".step.partial" / "of_a_killed_process").touch()
    for content in (b"first", b"second"):
        with atomic_folder(path) as partial:
            (partial / "file").write_bytes(content)
        assert [item.name for item in path.iterdir()] == ["file"]
        assert (path / "file").read_bytes() == content
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as partial:
        (partial / "file").write_bytes(b"third")
        raise KeyboardInterrupt
    assert (path / "file").read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_folder_whose_replacement_is_interrupted_is_whole(
    can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr(module, "_is_renamed", lambda *_: False)
    path = tmp_path / "step"
    with atomic_folder(path) as partial:
        (partial / "file").write_bytes(b"first")

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as partial:
        (partial / "file").write_bytes(b"second")
        monkeypatch.setattr(module.shutil, "rmtree", stopped)
    monkeypatch.undo()
    assert (path / "file").read_bytes() == (b"second" if can_exchange else b"first")
    with atomic_folder(path) as partial:
        (partial / "file").write_bytes(b"third")
    assert (path / "file").read_bytes() == b"third"
