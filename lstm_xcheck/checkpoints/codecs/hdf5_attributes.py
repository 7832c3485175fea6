"""Text attributes of HDF5 objects, read from the bytes themselves.

HDF5 keeps a text of variable length outside its object, in a "global heap". libhdf5 1.14 believes the lengths in there:
one flipped byte makes it reserve 3 GB, another makes it search for ever. Keras notes layer names this way, so they are
read here instead, every length held against the file.
Source: HDF5 File Format Specification 3.0, III.E "Global Heap", IV.A.1.a "Version 1 Data Object Header Prefix" and
IV.A.2.m "Attribute Message"; the versions that Keras 3.15.1 writes through h5py 3.14.0 (libver "earliest").
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import h5py

#: No layer name or type is longer.
_MAX_LENGTH = 4096
#: Far larger than the heaps and headers that Keras writes.
_MAX_BLOCK = 1 << 20
_MAX_BLOCKS = 64

_ATTRIBUTE = 0x000C
_CONTINUATION = 0x0010
#: Version 1 of a datatype, class 9 (variable length), and its kind 1 (text).
_VARIABLE_TEXT = (0x19, 0x01)


def text_attribute(file: BinaryIO, item: Any, key: str, limit: int = _MAX_LENGTH) -> str:
    """A scalar text attribute of a group or dataset; empty where there is none or it is not stored as Keras does.

    Args:
        file: the file the item was opened from.
        item: an open h5py object.
        key: the attribute's name.
        limit: the most bytes it may have; a longer one counts as none.
    """
    wanted = key.encode() + b"\0"
    for kind, body in _messages(file, h5py.h5o.get_info(item.id).addr):
        if kind == _ATTRIBUTE and body[8 : 8 + len(wanted)] == wanted:
            reference = _text_reference(body)
            data = _heap_object(file, *reference, limit) if reference else b""
            return data.decode("utf-8", "replace")
    return ""


def _text_reference(body: bytes) -> tuple[int, int, int] | None:
    """Length, heap address and heap index of a scalar text in an attribute message of version 1."""
    name, datatype, dataspace = struct.unpack_from("<HHH", body, 2)
    type_at = 8 + name + -name % 8
    space_at = type_at + datatype + -datatype % 8
    value = body[space_at + dataspace + -dataspace % 8 :]
    rank = body[space_at + 1 : space_at + 2]
    if body[0] != 1 or tuple(body[type_at : type_at + 2]) != _VARIABLE_TEXT or rank != b"\0" or len(value) < 16:
        return None
    length, address, index = struct.unpack_from("<IQI", value)
    return length, address, index


def _heap_object(file: BinaryIO, length: int, address: int, index: int, limit: int) -> bytes:
    """An object of a global heap collection, empty unless it has the length that its reference claims."""
    if length > limit or address >= 1 << 62:
        return b""
    file.seek(address)
    heap = file.read(16)
    if heap[:5] != b"GCOL\x01" or len(heap) < 16:
        return b""
    heap += file.read(max(0, min(int.from_bytes(heap[8:], "little"), limit + _MAX_BLOCK) - 16))
    at = 16
    while at + 16 <= len(heap):
        number, _, _, size = struct.unpack_from("<HHIQ", heap, at)
        if number == index and size == length:
            return heap[at + 16 : at + 16 + size]
        # Object 0 is the free space that ends the collection.
        if number in (0, index):
            break
        at += 16 + size + -size % 8
    return b""


def _messages(file: BinaryIO, address: int) -> Iterator[tuple[int, bytes]]:
    """Type and body of every message in a version 1 object header."""
    file.seek(address)
    prefix = file.read(16)
    if len(prefix) < 16 or prefix[0] != 1:
        return
    blocks = [(address + 16, int.from_bytes(prefix[8:12], "little"))]
    for position, size in blocks:
        file.seek(position)
        block = file.read(min(size, _MAX_BLOCK))
        at = 0
        while at + 8 <= len(block):
            kind, length = struct.unpack_from("<HH", block, at)
            body = block[at + 8 : at + 8 + length]
            at += 8 + length
            if kind == _CONTINUATION and len(body) >= 16 and len(blocks) < _MAX_BLOCKS:
                where, much = struct.unpack_from("<QQ", body)
                blocks.append((min(where, 1 << 62), much))
            yield kind, body
