"""Bytes of a file that are read when they are needed, each time from the file as it was when it was described."""

from __future__ import annotations

import io
import zipfile
import zlib
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
    """Of the file as it is now."""
    found = path.stat()
    return FileVersion(found.st_ino, found.st_size, found.st_mtime_ns)


def refuse_changed(path: Path, then: FileVersion) -> None:
    """Refuse a file that is not the one that was described.

    Raises:
        CheckpointError: when it was replaced, changed or removed.
    """
    if not path.exists() or file_version(path) != then:
        raise CheckpointError(f"{path} was changed after it had been opened; read it again")


class ByteRange:
    """A stretch of a file.

    Attributes:
        path: of the file, and for messages.
        start: of the first byte.
        size: in bytes.
        crc: CRC-32 of the stretch, where the file keeps one.
        name: of the zip member, for messages.
    """

    def __init__(self, path: Path, start: int, size: int, crc: int | None = None, name: str = "") -> None:
        self.path, self.start, self.size, self.crc, self.name = path, start, size, crc, name
        self._verified = crc is None

    def whole(self) -> Array:
        """All bytes, read-only, their checksum checked.

        Raises:
            CheckpointError: when they are not there any more, or not those that were written.
        """
        data = np.empty(self.size, np.uint8)
        self._compare(self._fill(data.data, 0))
        data.flags.writeable = False
        return data

    def part(self, start: int, size: int) -> Array:
        """Some of the bytes, read-only; before the first, all are held against the checksum.

        Raises:
            CheckpointError: as `whole`, and for a part that is not within.
        """
        self.refuse_outside(start, size)
        self.verify()
        data = np.empty(size, np.uint8)
        self._fill(data.data, start)
        data.flags.writeable = False
        return data

    def refuse_outside(self, start: int, size: int) -> None:
        """Refuse a part that is not within.

        Raises:
            CheckpointError: saying how much there is.
        """
        if start < 0 or size < 0 or start + size > self.size:
            raise CheckpointError(
                f"{self.path}: {size} bytes at {start} are wanted, but only {self.size} are there; "
                "copy or download it again"
            )

    def verify(self) -> None:
        """Hold all bytes against the checksum, once.

        Raises:
            CheckpointError: when they are not those that were written.
        """
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
        """Read into memory, and go on with the checksum unless it has been checked.

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
    """A member of a zip archive, its claims checked, its bytes read when they are needed.

    Raises:
        CheckpointError: as `read_member`, but for what only the bytes can tell.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, name: str, limit: int | None = None) -> None:
        self.path, self.name = path, name
        self.info = check_member(path, archive, name, limit)
        self.size = self.info.file_size
        #: Where the bytes lie as they are; None for a compressed member.
        self.span: ByteRange | None = None
        if self.info.compress_type == zipfile.ZIP_STORED:
            self.span = ByteRange(path, _data_start(path, archive, self.info), self.size, self.info.CRC, name)

    def whole(self) -> Array:
        """All bytes, read-only, their checksum checked.

        Raises:
            CheckpointError: for a damaged member.
        """
        if self.span is not None:
            return self.span.whole()
        with zip_faults(self.path), zipfile.ZipFile(self.path) as archive:
            return np.frombuffer(read_member(self.path, archive, self.name), np.uint8)

    def beginning(self, archive: zipfile.ZipFile, size: int) -> bytes:
        """At most `size` bytes from the start, their checksum not checked."""
        with zip_faults(self.path), archive.open(self.info) as member:
            return member.read(size)


def _data_start(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin, held against the file and against zipfile's own view of the member."""
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
    """A span as a file that can be read and nothing else; its checksum is not checked."""

    def __init__(self, span: ByteRange) -> None:
        self._span, self._at = span, 0
        self._file = span.path.open("rb", buffering=0)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place within the span."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._span.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read, never beyond the span."""
        view = memoryview(buffer).cast("B")[: max(0, self._span.size - self._at)]
        self._file.seek(self._span.start + self._at)
        count = self._file.readinto(view) or 0
        self._at += count
        return count

    def close(self) -> None:
        """Close the file behind it, too."""
        self._file.close()
        super().close()
