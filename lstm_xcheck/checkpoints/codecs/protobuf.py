"""Fields of a protobuf message, read without its schema.

Source: the encoding of protocol buffers, versions 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator

#: What a field may hold: a number, or the bytes of a text or of an inner message.
Value = int | bytes


def varint(data: bytes, start: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and where it ends.

    Raises:
        ValueError: when it is cut off or longer than 64 bits.
    """
    result = 0
    for count in range(10):
        if start + count >= len(data):
            break
        byte = data[start + count]
        result |= (byte & 127) << (7 * count)
        if byte < 128:
            return result & (1 << 64) - 1, start + count + 1
    raise ValueError("a number is cut off")


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """The number and value of each field, in order.

    Raises:
        ValueError: for a message that is cut off or no message.
    """
    position = 0
    while position < len(data):
        key, position = varint(data, position)
        kind = key & 7
        if kind == 0:
            number, position = varint(data, position)
            yield key >> 3, number
            continue
        if kind == 2:
            size, position = varint(data, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if position + size > len(data):
            raise ValueError("a field is cut off")
        piece = data[position : position + size]
        position += size
        yield key >> 3, piece if kind == 2 else int.from_bytes(piece, "little")


def signed(value: Value) -> int:
    """A number as int64.

    Raises:
        ValueError: for what is no number.
    """
    if not isinstance(value, int):
        raise ValueError("a number was expected")
    return value - (1 << 64) if value >> 63 else value


def message(value: Value) -> bytes:
    """The bytes of an inner message or text.

    Raises:
        ValueError: for a number.
    """
    if not isinstance(value, bytes):
        raise ValueError("a message was expected")
    return value
