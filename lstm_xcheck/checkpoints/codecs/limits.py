"""Bounds and checks that all readers share, for files from anywhere.

Sizes are compared with the size of the file before memory is allocated; text from a file is shortened and escaped
before it is printed.
"""

from __future__ import annotations

import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import CheckpointError

#: Floating-point types that weights are read from, with their size in bytes.
FLOAT_SIZES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}

#: A compressed member may grow by this factor. Trained weights compress by less than 2, a zip bomb by 1000.
MAX_EXPANSION = 100
#: Members that stay below this size are harmless whatever their compression.
SMALL = 1 << 20

#: No real checkpoint has more tensors, or LSTMs.
MAX_TENSORS = 100_000
MAX_LSTMS = 2_000
_MAX_MEMBERS = 60_000

#: What is made of a file may be this many times the file, and some more for small ones.
_GROWTH = 8
_FREE = 64 << 20
#: A name is kept by its tensor, its group, its LSTM and a table.
_COPIES = 4

ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error, ValueError,
    OverflowError, IndexError, KeyError,
)  # fmt: skip


def escape(text: object, limit: int = 80) -> str:
    r"""Text from a file as one bounded line without control characters.

    >>> escape("weight\n")
    'weight\\n'
    """
    try:
        whole = str(text)
    except ValueError:  # Python writes no number of more than 4,300 digits
        whole = "a number of thousands of digits"
    plain = "".join(c if c.isprintable() else repr(c)[1:-1] for c in whole[: limit + 1])
    return plain if len(plain) <= limit else plain[:limit] + "..."


def shortlist(names: list[str], limit: int = 6) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def refuse_many(path: Path, count: int, what: str = "tensors", limit: int = MAX_TENSORS) -> None:
    """Refuse a file that lists more than any real checkpoint."""
    if count > limit:
        raise CheckpointError(f"{path} describes more than {limit} {what}; it is not a real checkpoint")


class Budget:
    """The bytes that may be made of a file of `size` bytes."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._allowed = path, _GROWTH * size + _FREE
        self.left = self._allowed

    def spend(self, size: int, what: str) -> None:
        """Subtracts bytes that are about to be made.

        Raises:
            CheckpointError: saying what was too large.
        """
        self.left -= size
        if self.left < 0:
            raise CheckpointError(
                f"{self._path}: {what} would take more than {self._allowed} bytes, {_GROWTH} times the file and "
                f"{_FREE >> 20} MiB; it is not a real checkpoint"
            )

    def spend_name(self, name: str) -> str:
        """The name, joined of parts, once its bytes are subtracted."""
        self.spend(_COPIES * sys.getsizeof(name), "the joined names of its tensors")
        return name


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose members have distinct names."""
    with zip_faults(path):
        archive = zipfile.ZipFile(path)
    with archive:
        names = archive.namelist()
        if len(set(names)) != len(names):
            raise CheckpointError(f"{path} lists a zip member twice, so it is ambiguous; save the file again")
        refuse_many(path, len(names), "zip members", _MAX_MEMBERS)
        packed = (info for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED)
        Budget(path, path.stat().st_size).spend(sum(info.file_size for info in packed), "its unpacked members")
        yield archive


@contextmanager
def zip_faults(path: Path) -> Iterator[None]:
    """Re-raise zipfile's exceptions on a damaged archive as CheckpointError."""
    try:
        yield
    except ZIP_ERRORS as error:
        raise CheckpointError(
            f"{path} begins as a zip archive but is truncated or damaged ({escape(error)}); copy or download it again"
        ) from error


def read_member(path: Path, archive: zipfile.ZipFile, name: str, limit: int | None = None) -> bytes:
    """The bytes of one zip member, its declared size checked first."""
    info = check_member(path, archive, name, limit)
    with zip_faults(path), archive.open(info) as member:
        data = member.read(info.file_size)
    if len(data) != info.file_size:
        raise CheckpointError(f"{path}: member {escape(name)} holds {len(data)} bytes instead of {info.file_size}")
    return data


def check_member(path: Path, archive: zipfile.ZipFile, name: str, limit: int | None = None) -> zipfile.ZipInfo:
    """The directory entry of a zip member, checked to be possible."""
    if name not in archive.NameToInfo:
        raise CheckpointError(f"{path} has no member {escape(name)}, which it needs; copy or download it again")
    info = archive.getinfo(name)
    stored = info.compress_type == zipfile.ZIP_STORED
    possible = path.stat().st_size if stored else max(SMALL, info.compress_size * MAX_EXPANSION)
    if info.flag_bits & 1:
        raise CheckpointError(f"{path}: member {escape(name)} is encrypted; unpack it and save it without a password")
    if info.file_size > possible or (limit is not None and info.file_size > limit):
        raise CheckpointError(
            f"{path}: member {escape(name)} claims {info.file_size} bytes, but should be at most "
            f"{possible if limit is None else min(possible, limit)}; it was not unpacked"
        )
    return info
