"""The sorted string table in the `.index` of a TensorFlow checkpoint.

Blocks of entries, each with a checksum, then an index of the blocks, then a footer of 48 bytes. Keys share their
beginnings with the key before. Source: TensorFlow 2.21, tensorflow/core/lib/io/{format,block,table}.cc, which follow
LevelDB's doc/table_format.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from .crc32c import crc32c, masked
from .limits import MAX_TENSORS
from .protobuf import varint

#: How the table ends.
MAGIC = bytes.fromhex("57fb808b247547db")

_FOOTER = 48
#: Bytes of all keys, which share their beginnings in the file, by bytes of the table; and for small tables.
_KEY_BYTES, _FREE = 4, 16 << 20
#: A block's compression and checksum follow it.
_TRAILER = 5


def entries(data: bytes) -> dict[bytes, bytes]:
    """Every key and value.

    Raises:
        ValueError: when it is damaged, compressed, or no such table.
    """
    if len(data) < _FOOTER or data[-8:] != MAGIC:
        raise ValueError("the end of the table is missing")
    footer = data[-_FOOTER:]
    _, _, position = _handle(footer, 0)
    start, size, _ = _handle(footer, position)
    result: dict[bytes, bytes] = {}
    read = key_bytes = 0
    for _, handle in _block(data, start, size):
        start, size, _ = _handle(handle, 0)
        read += size
        if read > len(data):
            raise ValueError("blocks overlap")
        for key, value in _block(data, start, size):
            key_bytes += len(key)
            if key in result or key_bytes > _KEY_BYTES * len(data) + _FREE or len(result) > 2 * MAX_TENSORS:
                raise ValueError("a key is there twice, or keys are more or longer than in any real table")
            result[key] = value
    return result


def _handle(data: bytes, position: int) -> tuple[int, int, int]:
    """Offset and size of a block, and the position behind them."""
    start, position = varint(data, position)
    size, position = varint(data, position)
    return start, size, position


def _block(data: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each entry of a block."""
    if start + size + _TRAILER > len(data) - _FOOTER or size < 4:
        raise ValueError("a block reaches beyond the file")
    block, trailer = data[start : start + size], data[start + size : start + size + _TRAILER]
    if masked(crc32c(block + trailer[:1])) != int.from_bytes(trailer[1:], "little"):
        raise ValueError("a checksum is wrong")
    if trailer[0]:
        raise ValueError("it is compressed, as TensorFlow never writes it")
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    position, key = 0, b""
    while position < end:
        shared, position = varint(block, position)
        suffix, position = varint(block, position)
        length, position = varint(block, position)
        if shared > len(key) or position + suffix + length > end:
            raise ValueError("an entry is cut off")
        key = key[:shared] + block[position : position + suffix]
        position += suffix
        yield key, block[position : position + length]
        position += length
    if position != end:
        raise ValueError("a block is cut off")
