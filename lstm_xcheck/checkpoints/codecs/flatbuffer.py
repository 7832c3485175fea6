"""Tables of a FlatBuffers file, read without its schema.

Nothing is read beyond the bytes given. Offsets may lead anywhere, and to one place many times. Each is therefore
checked, and the number of all entries listed is bounded by the size of the file.
Source: the FlatBuffers binary format, https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

#: Entries that may be listed in addition to those that the size of the file allows.
_EXTRA_ENTRIES = 1024
#: A table takes as many bytes or more, its place in a list included.
_TABLE = 12


@dataclass
class Source:
    """The bytes of a file, and a budget of vector entries."""

    data: bytes
    remaining: int = field(init=False)

    def __post_init__(self) -> None:
        # An entry takes 4 bytes or more, and no writer shares vectors; shared ones may be listed a few times.
        self.remaining = len(self.data) + _EXTRA_ENTRIES

    def count_entries(self, count: int) -> None:
        """Subtract entries that are about to be listed.

        Raises:
            ValueError: when the file has listed more than it can hold.
        """
        self.remaining -= count
        if self.remaining < 0:
            raise ValueError("its lists are longer than the file")

    def unpack(self, code: str, at: int) -> int:
        """One number.

        Raises:
            ValueError: when it lies outside.
        """
        size = struct.calcsize(code)
        if at < 0 or at + size > len(self.data):
            raise ValueError("an offset leads out of the file")
        (value,) = struct.unpack_from(code, self.data, at)
        return int(value)

    def root(self) -> Table:
        """The outermost table.

        Raises:
            ValueError: when it lies outside.
        """
        return Table(self, self.unpack("<I", 0))


class Table:
    """Fields by their number in the schema, with defaults for absent ones."""

    def __init__(self, source: Source, at: int) -> None:
        self._source, self._at = source, at
        self._vtable = at - source.unpack("<i", at)
        self._size = source.unpack("<H", self._vtable)
        self._width = source.unpack("<H", self._vtable + 2)

    def _field(self, number: int, size: int) -> int:
        """The offset of a field's value, 0 where it is absent."""
        entry = 4 + 2 * number
        if entry + 2 > self._size:
            return 0
        offset = self._source.unpack("<H", self._vtable + entry)
        if offset and (offset < 4 or offset + size > self._width):
            raise ValueError("a field lies outside of its table")
        return self._at + offset if offset else 0

    def integer(self, number: int, code: str = "<i", default: int = 0) -> int:
        """An integer or boolean, by its `struct` code."""
        at = self._field(number, struct.calcsize(code))
        return self._source.unpack(code, at) if at else default

    def real(self, number: int) -> float:
        """A float32."""
        at = self._field(number, 4)
        if not at:
            return 0.0
        self._refuse_outside(at, 4)
        return float(struct.unpack_from("<f", self._source.data, at)[0])

    def _refuse_outside(self, at: int, size: int) -> None:
        if at + size > len(self._source.data):
            raise ValueError("an offset leads out of the file")

    def _target(self, number: int) -> int:
        """The offset that a field points to, 0 where it is absent."""
        at = self._field(number, 4)
        return at + self._source.unpack("<I", at) if at else 0

    def table(self, number: int) -> Table | None:
        """An inner table."""
        at = self._target(number)
        return Table(self._source, at) if at else None

    def vector(self, number: int, width: int = 1) -> tuple[int, int] | None:
        """Offset of a vector's first entry, and the number of entries."""
        at = self._target(number)
        if not at:
            return None
        count = self._source.unpack("<I", at)
        self._refuse_outside(at + 4, count * width)
        return at + 4, count

    def integers(self, number: int) -> tuple[int, ...]:
        """A vector of int32."""
        start, count = self.vector(number, 4) or (0, 0)
        self._source.count_entries(count)
        return struct.unpack_from(f"<{count}i", self._source.data, start) if count else ()

    def tables(self, number: int) -> list[Table]:
        """A vector of tables."""
        start, count = self.vector(number, 4) or (0, 0)
        self._source.count_entries(_TABLE * count)
        places = range(start, start + 4 * count, 4)
        return [Table(self._source, at + self._source.unpack("<I", at)) for at in places]

    def text(self, number: int, limit: int = 512) -> str:
        """A text, cut off at the limit."""
        start, count = self.vector(number) or (0, 0)
        return self._source.data[start : start + min(count, limit)].decode("utf-8", "replace")
