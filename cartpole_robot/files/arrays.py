"""NumPy archives from others: arrays of plain numbers, checked for size before anything is expanded.

A zip of a few megabytes may claim gigabytes, and an array's header any shape. Both are compared with a limit first.
"""

from __future__ import annotations

import math
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.files.regular_file import open_regular

_SUFFIX = ".npy"
_KINDS = "biufV"  # numbers and records of them: no objects, no text
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes
_MOST_HEADER = 10_000
# What zipfile and NumPy raise for a damaged archive, unknown compression and encryption among it.
_DAMAGED = (
    *(ValueError, EOFError, TypeError, KeyError, AttributeError, RuntimeError, OverflowError, MemoryError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, RecursionError, tokenize.TokenError),
)


def read_arrays(path: Path, names: Iterable[str], *, most_bytes: int) -> dict[str, NDArray[Any]]:
    """Those of the arrays `names` that the `.npz` file has, never more than `most_bytes` of memory for all of them.

    Raises `ValueError` for a file that is damaged, too large or holds anything but numbers, and `OSError`.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most_bytes:
            raise ValueError(f"is larger than {most_bytes} bytes")
        try:
            with zipfile.ZipFile(file) as archive, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy's, about headers of another Python
                return _arrays(archive, names, most_bytes)
        except (*_DAMAGED, OSError) as error:  # an OSError, too: a place in the file that is before its beginning
            raise ValueError(str(error) or type(error).__name__) from None


def _arrays(archive: zipfile.ZipFile, names: Iterable[str], most_bytes: int) -> dict[str, NDArray[Any]]:
    members = {item.filename: item for item in archive.infolist()}
    wanted = {name: members[name + _SUFFIX] for name in names if name + _SUFFIX in members}
    total = sum(item.file_size for item in wanted.values())
    if total > most_bytes:
        raise ValueError(f"expands to {total} bytes, expected at most {most_bytes}")
    found = {}
    for name, item in wanted.items():
        if item.compress_type not in _COMPRESSIONS:
            raise ValueError(f"{name} has compression {item.compress_type}, expected none or deflate")
        with archive.open(item) as member:
            found[name] = _array(member, name, item.file_size)
    return found


def _array(member: IO[bytes], name: str, size: int) -> NDArray[Any]:
    """The array in an archive's member of `size` bytes."""
    version = np.lib.format.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} has format {version}")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(member, max_header_size=_MOST_HEADER)
    if dtype.hasobject or dtype.kind not in _KINDS or not dtype.itemsize:
        raise ValueError(f"{name} has the type {dtype}, expected numbers")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"{name} has the shape {shape}")
    needed = math.prod(shape) * dtype.itemsize
    if needed > size:
        raise ValueError(f"{name} claims {needed} bytes and has {size}")
    content = member.read(needed + 1)  # one more: it must not have more
    if len(content) != needed:
        raise ValueError(f"{name} does not have the {needed} bytes that its shape needs")
    array: NDArray[Any] = np.frombuffer(bytearray(content), dtype).reshape(shape, order="F" if is_fortran else "C")
    return array.copy(order="C") if is_fortran else array
