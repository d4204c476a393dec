"""NumPy archives of others: checked for size and kind before anything is expanded."""

from __future__ import annotations

import io
import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartpole_robot.files.arrays import read_arrays

LIMIT = 1 << 20


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def npy(shape: str, content: bytes = b"", descr: str = "'<f8'") -> bytes:
    """The bytes of an array with a header of our own."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_come_back_as_they_were_written(tmp_path: Path, compressed: bool) -> None:
    written: dict[str, Any] = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "c": np.float32(3.5),
        "d": np.zeros((0, 4), np.uint8),
        "e": np.zeros(3, [("x", "<i4"), ("y", "<u1")]),
    }
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", **written)
    found = read_arrays(tmp_path / "a.npz", [*written, "missing"], most_bytes=LIMIT)
    assert found.keys() == written.keys()
    for name, array in written.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert (found[name] == array).all()
        assert found[name].flags.c_contiguous
        assert found[name].flags.writeable


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_numpy_does_not_write_is_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as file:
        file.writestr("a.npy", npy("(1,)", bytes(8)))
    with pytest.raises(ValueError, match=f"a has compression {method}, expected none or deflate"):
        read_arrays(tmp_path / "a.npz", ["a"], most_bytes=LIMIT)


def test_zip_bomb_is_refused_before_it_expands(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", a=npy("(1000000000,)", bytes(1 << 28)))
    assert path.stat().st_size < LIMIT
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"expands to \d+ bytes, expected at most 1048576"):
        read_arrays(path, ["a"], most_bytes=LIMIT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 14  # kB


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy("(1000000000000,)", bytes(80)), "claims 8000000000000 bytes and has"),
        (npy("(3,)", bytes(16)), "claims 24 bytes and has|does not have the 24 bytes"),
        (npy("(1,)", bytes(16)), "does not have the 8 bytes"),
        (npy("(-1,)"), "has the shape"),
        (npy("(True,)", bytes(8)), "has the shape"),
        (npy("(1,)", bytes(8), "'|O'"), "expected numbers"),
        (npy("(1,)", bytes(8), "'<U2'"), "expected numbers"),
        (npy("(1,)", bytes(0), "'V0'"), "expected numbers"),
        (npy("(" + "1," * 70 + ")", bytes(8)), "."),
        (npy("(1,"), "."),
        (npy('(1, """'), "."),
        (npy("(1,)" + " " * 20_000, bytes(8)), "."),
        (b"", "."),
    ],
)
def test_header_that_lies_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_arrays(archive(tmp_path / "a.npz", a=content), ["a"], most_bytes=LIMIT)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.array([Bomb(tmp_path / "exploded")], object), allow_pickle=True)
    for member in (content.getvalue(), pickle.dumps(Bomb(tmp_path / "exploded"))):
        with pytest.raises(ValueError, match=r"expected numbers|magic string"):
            read_arrays(archive(tmp_path / "a.npz", a=member), ["a"], most_bytes=LIMIT)
    assert not (tmp_path / "exploded").exists()


def test_file_larger_than_the_limit_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(bytes(LIMIT + 1))
    with pytest.raises(ValueError, match="is larger than 1048576 bytes"):
        read_arrays(tmp_path / "a.npz", ["a"], most_bytes=LIMIT)
