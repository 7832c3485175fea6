"""Tables of a FlatBuffers file, read without a schema's code; nothing reaches beyond the bytes given.

Offsets may lead anywhere and to one place many times, so that each is checked, and what is listed in all is bounded by
the size of the file: a file cannot make work that it does not pay for in bytes.
Source: the FlatBuffers binary format, https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

#: Entries that may be listed beside those that the file's own size allows.
_FREE = 1024


@dataclass
class Source:
    """The bytes, and how many entries of vectors may still be listed."""

    data: bytes
    left: int = field(init=False)

    def __post_init__(self) -> None:
        # An entry takes 4 bytes or more, and no writer shares vectors; shared ones may be listed a few times.
        self.left = len(self.data) + _FREE

    def spend(self, count: int) -> None:
        """Pay for so many entries.

        Raises:
            ValueError: when the file has listed more than it can hold.
        """
        self.left -= count
        if self.left < 0:
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
    """Fields by their number in the schema; an absent one has its default."""

    def __init__(self, source: Source, at: int) -> None:
        self._source, self._at = source, at
        self._vtable = at - source.unpack("<i", at)
        self._size = source.unpack("<H", self._vtable)
        self._width = source.unpack("<H", self._vtable + 2)

    def _place(self, number: int, size: int) -> int:
        """Where a field's value is, 0 where it is absent."""
        entry = 4 + 2 * number
        if entry + 2 > self._size:
            return 0
        offset = self._source.unpack("<H", self._vtable + entry)
        if offset and (offset < 4 or offset + size > self._width):
            raise ValueError("a field lies outside of its table")
        return self._at + offset if offset else 0

    def integer(self, number: int, code: str = "<i", default: int = 0) -> int:
        """A whole number or truth value, by its `struct` code."""
        at = self._place(number, struct.calcsize(code))
        return self._source.unpack(code, at) if at else default

    def real(self, number: int) -> float:
        """A float32."""
        at = self._place(number, 4)
        return float(struct.unpack_from("<f", self._source.data, at)[0]) if at and self._inside(at, 4) else 0.0

    def _inside(self, at: int, size: int) -> bool:
        if at + size > len(self._source.data):
            raise ValueError("an offset leads out of the file")
        return True

    def _target(self, number: int) -> int:
        """Where the offset in a field leads, 0 where it is absent."""
        at = self._place(number, 4)
        return at + self._source.unpack("<I", at) if at else 0

    def table(self, number: int) -> Table | None:
        """An inner table."""
        at = self._target(number)
        return Table(self._source, at) if at else None

    def span(self, number: int, width: int = 1) -> tuple[int, int] | None:
        """Where the entries of a vector begin, and how many there are."""
        at = self._target(number)
        if not at:
            return None
        count = self._source.unpack("<I", at)
        self._inside(at + 4, count * width)
        return at + 4, count

    def integers(self, number: int) -> tuple[int, ...]:
        """A vector of int32."""
        start, count = self.span(number, 4) or (0, 0)
        self._source.spend(count)
        return struct.unpack_from(f"<{count}i", self._source.data, start) if count else ()

    def tables(self, number: int) -> list[Table]:
        """A vector of tables."""
        start, count = self.span(number, 4) or (0, 0)
        self._source.spend(count)
        places = range(start, start + 4 * count, 4)
        return [Table(self._source, at + self._source.unpack("<I", at)) for at in places]

    def text(self, number: int, limit: int = 512) -> str:
        """A text, its beginning where it is longer than the limit."""
        start, count = self.span(number) or (0, 0)
        return self._source.data[start : start + min(count, limit)].decode("utf-8", "replace")
