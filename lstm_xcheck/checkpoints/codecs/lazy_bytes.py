"""Lazy byte ranges of a file, checksums verified before first use."""

from __future__ import annotations

import io
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array
from ...errors import CheckpointError
from .limits import check_member, escape, read_member, zip_faults

_PIECE = 1 << 20
_LOCAL_HEADER = 30


class FileVersion(NamedTuple):
    """What tells a file from the one that had its name before."""

    inode: int
    size: int
    modified: int


def file_version(path: Path) -> FileVersion:
    """The version of the file as it is now."""
    found = path.stat()
    return FileVersion(found.st_ino, found.st_size, found.st_mtime_ns)


def refuse_changed(path: Path, then: FileVersion) -> None:
    """Refuse a file that has changed since it was described."""
    if not path.exists() or file_version(path) != then:
        raise CheckpointError(f"{path} was changed after it had been opened; read it again")


class ByteRange:
    """A contiguous range of a file's bytes.

    `crc` is the CRC-32, where the file keeps one; `name` is that of the zip member, for messages.
    """

    def __init__(self, path: Path, start: int, size: int, crc: int | None = None, name: str = "") -> None:
        self.path, self.start, self.size, self.crc, self.name = path, start, size, crc, name
        self._verified = crc is None

    def read_all(self) -> Array:
        """All bytes, read-only, their checksum verified."""
        data = np.empty(self.size, np.uint8)
        self._compare(self._fill(data.data, 0))
        data.flags.writeable = False
        return data

    def read(self, start: int, size: int) -> Array:
        """A part of the bytes, read-only, once the checksum of all is verified."""
        self.refuse_outside(start, size)
        if size == self.size:
            return self.read_all()  # in one pass
        self.verify()
        data = np.empty(size, np.uint8)
        self._fill(data.data, start)
        data.flags.writeable = False
        return data

    def refuse_outside(self, start: int, size: int) -> None:
        """Refuse a part that is not within."""
        if start < 0 or size < 0 or start + size > self.size:
            raise CheckpointError(
                f"{self.path}: {size} bytes at {start} are wanted, but only {self.size} are there; "
                "copy or download it again"
            )

    def verify(self) -> None:
        """Verify the checksum of all bytes, once."""
        if self._verified:
            return
        checksum = 0
        piece = memoryview(bytearray(min(_PIECE, self.size)))
        for start in range(0, self.size, _PIECE):
            checksum = self._fill(piece[: self.size - start], start, checksum)
        self._compare(checksum)

    def _compare(self, checksum: int) -> None:
        if not self._verified and checksum != self.crc:
            raise CheckpointError(
                f"{self.path}: member {escape(self.name)} is damaged: its CRC-32 is {checksum:#010x}, but should be "
                f"{self.crc:#010x}; copy or download it again"
            )
        self._verified = True

    def _fill(self, view: memoryview, start: int, checksum: int = 0) -> int:
        """Read into memory and, until it is verified, continue the checksum.

        Piece by piece: what was just read is still in a processor's cache.
        """
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start + start)
            while view:
                count = file.readinto(view[:_PIECE])
                if not count:
                    raise CheckpointError(f"{self.path} ended while it was read; was it replaced meanwhile?")
                checksum = checksum if self._verified else zlib.crc32(view[:count], checksum)
                view = view[count:]
        return checksum


class Member:
    """A member of a zip archive, checked now and read later.

    `size` is that of the unpacked bytes; `byte_range` is None for a compressed member.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, name: str, limit: int | None = None) -> None:
        self._path, self._name = path, name
        self._info = check_member(path, archive, name, limit)
        self.size = self._info.file_size
        self.byte_range: ByteRange | None = None
        if self._info.compress_type == zipfile.ZIP_STORED:
            start = _data_start(path, archive, self._info)
            self.byte_range = ByteRange(path, start, self.size, self._info.CRC, name)

    def read_all(self) -> Array:
        """All bytes, read-only, their checksum verified."""
        if self.byte_range is not None:
            return self.byte_range.read_all()
        with zip_faults(self._path), zipfile.ZipFile(self._path) as archive:
            return np.frombuffer(read_member(self._path, archive, self._name), np.uint8)

    def read(self, start: int, size: int) -> Array:
        """A part of the bytes, read-only, once the checksum of all is verified."""
        return self.byte_range.read(start, size) if self.byte_range else self._unpacked[start : start + size]

    @cached_property
    def _unpacked(self) -> Array:
        """The bytes of a compressed member, kept for its parts."""
        return self.read_all()

    def beginning(self, archive: zipfile.ZipFile, size: int) -> bytes:
        """At most `size` bytes from the start, their checksum not verified."""
        with zip_faults(self._path), archive.open(self._info) as member:
            return member.read(size)


def _data_start(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """The checked offset of a member's bytes."""
    with zip_faults(path):
        archive.open(info).close()  # refuses a local header that contradicts the directory
        with path.open("rb") as file:
            file.seek(info.header_offset)
            header = file.read(_LOCAL_HEADER)
    start = info.header_offset + _LOCAL_HEADER + sum(int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    if len(header) < _LOCAL_HEADER or start + info.file_size > path.stat().st_size:
        raise CheckpointError(
            f"{path}: member {escape(info.filename)} reaches beyond the file; copy or download it again"
        )
    return start


class ByteRangeFile(io.RawIOBase):
    """A byte range as a readable file; its checksum is not verified."""

    def __init__(self, byte_range: ByteRange) -> None:
        self._range, self._at = byte_range, 0
        self._file = byte_range.path.open("rb", buffering=0)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset within the range."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._range.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read, never beyond the range."""
        view = memoryview(buffer).cast("B")[: max(0, self._range.size - self._at)]
        self._file.seek(self._range.start + self._at)
        count = self._file.readinto(view) or 0
        self._at += count
        return count

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()
