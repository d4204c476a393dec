"""Files and folders that are written whole or not at all, whatever fails on the way."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from io import BufferedWriter
from pathlib import Path

_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2  # linux/fcntl.h, linux/fs.h
_LONGEST_STEM = 32  # characters of a name that its temporary name repeats: file systems allow 255 bytes
_PARTIAL = re.compile(r"\..*\.[0-9a-f]{16}\.partial(\..*)?")


@contextlib.contextmanager
def atomic_file(path: Path, *, may_replace: bool = False) -> Iterator[BufferedWriter]:
    """A file open for writing, which takes the name `path` at the end of the block, its contents synced to disk.

    Until then it has an unpredictable name in the same folder. A library that opens files itself writes to the file's
    `name`, which ends in the suffix of `path`. When the block or the disk fails, the file is removed and `path` is as
    it was. Only a killed process leaves its temporary file, never a partial `path`; on a file system that has neither
    hard links nor renames without replacing, an empty one at worst.

    Raises `FileExistsError` where something is at `path` before the block or at its end, a symbolic link included,
    unless it `may_replace`: then a link itself is replaced, not what it points to. Raises `OSError` for the rest, a
    full disk with `path` as its file.
    """
    if not may_replace and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    temporary = _temporary_path(path)
    try:
        with _naming(path), open(temporary, "xb", opener=_open_here) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not os.path.samestat(os.fstat(file.fileno()), temporary.lstat()):
                raise OSError(errno.ESTALE, "its temporary file was replaced while it was written", str(path))
        if may_replace:
            temporary.replace(path)
        else:
            _give_free_name(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_names(path.parent)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty folder to write files into, which replaces the folder `path` at the end of the block, synced to disk.

    `path` is at each moment the whole folder from before or the whole new one, if the file system can exchange two
    names (ext4, btrfs, xfs, tmpfs); where it cannot, there is none for a moment, and the one from before is next to it.
    One process at a time may write `path`: its temporary name is fixed, so that what a killed one left is removed.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with _naming(path):
            yield partial
            for file in partial.iterdir():
                _sync(file)
            _sync_names(partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    replaced = partial  # what an exchange of names leaves there
    if not path.exists():
        partial.rename(path)
    elif not _is_renamed(partial, path, _RENAME_EXCHANGE):
        replaced = path.with_name(f".{path.name}.replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        path.rename(replaced)
        partial.rename(path)
    _sync_names(path.parent)
    shutil.rmtree(replaced, ignore_errors=True)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Makes `path` the file of an `OSError` that has none, as those of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def is_partial(name: str) -> bool:
    """Whether `atomic_file` gives such temporary names."""
    return _PARTIAL.fullmatch(name) is not None


def remove_partials(folder: Path) -> None:
    """Remove the temporary files that killed processes left; only where no other process writes into `folder`."""
    for left in folder.iterdir():
        if is_partial(left.name):
            left.unlink(missing_ok=True)


def _temporary_path(path: Path) -> Path:
    while True:
        temporary = path.with_name(f".{path.stem[:_LONGEST_STEM]}.{secrets.token_hex(8)}.partial{path.suffix}")
        if not os.path.lexists(temporary):
            return temporary


def _open_here(name: str, flags: int) -> int:
    """A file descriptor as `open` wants it, of the file itself and not of what a link points to."""
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def _give_free_name(temporary: Path, path: Path) -> None:
    """Give a file the name `path`; raises `FileExistsError` where something has it."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as an SD card's
        if not _is_renamed(temporary, path, _RENAME_NOREPLACE):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
            try:
                temporary.replace(path)  # over the empty file that is ours
            except BaseException:
                path.unlink()
                raise


def _is_renamed(temporary: Path, path: Path, how: int) -> bool:
    """Whether Linux and this file system renamed `how` says; raises `FileExistsError` where that is not to replace."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    names = os.fsencode(temporary), os.fsencode(path)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], how) == 0:
        return True
    if ctypes.get_errno() == errno.EEXIST:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_names(folder: Path) -> None:
    """Bring a folder's list of names to disk; some file systems cannot, and the files are whole without it."""
    with contextlib.suppress(OSError):
        _sync(folder)
