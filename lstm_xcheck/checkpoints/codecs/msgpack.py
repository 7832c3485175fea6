"""Flax's msgpack, decoded and encoded without a library.

Maps are nested; arrays are of extension type 1. Every length is compared with the bytes present before anything is
allocated.
Source: msgpack specification of 2017; flax 0.12.8, flax/serialization.py (`_msgpack_ext_pack`, `_chunk`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import CheckpointError
from .limits import escape, refuse_many

ARRAY = 1
#: The key under which Flax splits arrays of more than a gibibyte.
CHUNKED = "__msgpack_chunked_array__"

_MAX_DEPTH = 64
#: Far more numbers, texts, lists and maps than describe the arrays of a checkpoint.
_MAX_VALUES = 1_000_000
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i",
    0xD3: ">q",
}  # fmt: skip
#: First byte -> kind of value, and the bytes that its length takes.
_SIZED = {
    0xC4: ("bin", 1), 0xC5: ("bin", 2), 0xC6: ("bin", 4), 0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4),
    0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4), 0xDC: ("array", 2), 0xDD: ("array", 4), 0xDE: ("map", 2),
    0xDF: ("map", 4),
}  # fmt: skip


@dataclass(frozen=True)
class Extension:
    """An extension's type and bytes."""

    kind: int
    data: memoryview | bytes


class Decoder:
    """Decodes one value that takes all of the data."""

    def __init__(self, path: Path, data: memoryview) -> None:
        self.path, self.data, self.at, self._count = path, data, 0, 0

    def decode(self) -> Any:
        """The value, with dict, list, memoryview and `Extension`."""
        try:
            value = self._value(0)
        except (struct.error, UnicodeDecodeError, TypeError) as error:
            raise self._damaged(str(error)) from error
        if self.at != len(self.data):
            raise self._damaged(f"{len(self.data) - self.at} bytes are left over")
        return value

    def _damaged(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"{self.path}: the msgpack data is truncated or damaged ({escape(what)}); copy or download it again"
        )

    def _take(self, size: int) -> memoryview:
        if size > len(self.data) - self.at:
            raise self._damaged(f"{size} bytes expected at {self.at}, {len(self.data) - self.at} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def _value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise CheckpointError(f"{self.path} nests maps more than {_MAX_DEPTH} deep; it is not a real checkpoint")
        self._count += 1
        refuse_many(self.path, self._count, "msgpack values", _MAX_VALUES)
        first = self._take(1)[0]
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first < 0x80 or first >= 0xE0:
            return first if first < 0x80 else first - 0x100
        if first in _NUMBERS:
            code = _NUMBERS[first]
            return struct.unpack(code, self._take(struct.calcsize(code)))[0]
        kind, size = self._kind_and_size(first)
        if kind == "map":
            return self._map(size, depth)
        if kind == "array":
            return [self._value(depth + 1) for _ in range(self._possible(size))]
        if kind == "ext":
            return Extension(self._take(1)[0], self._take(size))
        taken = self._take(size)
        return bytes(taken).decode("utf-8") if kind == "str" else taken

    def _kind_and_size(self, first: int) -> tuple[str, int]:
        if first in _SIZED:
            kind, width = _SIZED[first]
            return kind, int.from_bytes(self._take(width), "big")
        if first < 0xA0:
            return ("map" if first < 0x90 else "array"), first & 0x0F
        if first < 0xC0:
            return "str", first & 0x1F
        if 0xD4 <= first <= 0xD8:
            return "ext", 1 << (first - 0xD4)
        raise self._damaged(f"byte {first:#x} at {self.at - 1} has no meaning")

    def _possible(self, count: int) -> int:
        """A count of items, checked: each takes a byte at least."""
        if count > len(self.data) - self.at:
            raise self._damaged(f"{count} items expected at {self.at}, {len(self.data) - self.at} bytes are left")
        return count

    def _map(self, size: int, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for _ in range(self._possible(size)):
            key = self._value(depth + 1)
            if not isinstance(key, (str, int)):
                raise self._damaged(f"a {type(key).__name__} as a key")
            if key in result:
                raise CheckpointError(
                    f"{self.path}: the msgpack data has the key {escape(key)} twice; save the file again"
                )
            result[key] = self._value(depth + 1)
        return result


def encode(value: Any) -> bytes:
    """The msgpack form of what `Decoder` gives.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(value, Mapping):
        return _sized(len(value), 0x80, 16, (0xDE, 0xDF)) + b"".join(encode(k) + encode(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return _sized(len(value), 0x90, 16, (0xDC, 0xDD)) + b"".join(map(encode, value))
    if isinstance(value, str):
        text = value.encode()
        return _sized(len(text), 0xA0, 32, (0xD9, 0xDA, 0xDB)) + text
    if isinstance(value, (bytes, memoryview)):
        return _sized(len(value), 0, 0, (0xC4, 0xC5, 0xC6)) + bytes(value)
    if isinstance(value, Extension):
        return _sized(len(value.data), 0, 0, (0xC7, 0xC8, 0xC9)) + bytes([value.kind]) + bytes(value.data)
    return _scalar(value)


def _scalar(value: Any) -> bytes:
    for byte, constant in _CONSTANTS.items():
        if value is constant:
            return bytes([byte])
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, int):
        if 0 <= value < 0x80:
            return bytes([value])
        return b"\xcf" + struct.pack(">Q", value) if value >= 0 else b"\xd3" + struct.pack(">q", value)
    raise TypeError(f"{type(value).__name__} has no msgpack form")


def _sized(size: int, short: int, below: int, codes: tuple[int, ...]) -> bytes:
    """The shortest encoding of a length."""
    if size < below:
        return bytes([short | size])
    widths = (1, 2, 4)[-len(codes) :]
    code, width = next(pair for pair in zip(codes, widths, strict=True) if size < 1 << 8 * pair[1])
    return bytes([code]) + size.to_bytes(width, "big")
