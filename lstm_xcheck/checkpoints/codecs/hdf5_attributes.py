"""Text attributes of HDF5 objects, read from the bytes themselves.

HDF5 keeps a text of variable length outside its object, in a "global heap". libhdf5 1.14 believes the lengths in there:
one flipped byte makes it reserve 3 GB, another makes it search for ever. Keras notes layer names this way, so they are
read here instead, every length checked against the file. Keras writes object headers of version 1; h5repack and h5py's
`libver="latest"` write version 2.
Source: HDF5 File Format Specification 3.0, III.E "Global Heap", IV.A.1 "Data Object Header Prefix", IV.A.2.d
"Datatype Message" and IV.A.2.m "Attribute Message"; what h5py 3.14.0 writes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py

from ...errors import CheckpointError
from .limits import escape

#: No layer name or type is longer.
_MAX_LENGTH = 4096
#: Far larger than the heaps and headers that Keras writes.
_MAX_BLOCK = 1 << 20
_MAX_BLOCKS = 64
#: No seek goes beyond this offset.
_FAR = 1 << 62

#: Kinds of messages.
_ATTRIBUTE = 0x000C
_CONTINUATION = 0x0010
#: Classes of datatypes.
_FIXED_TEXT = 3
_VARIABLE_LENGTH = 9


def text_attribute(path: Path, file: BinaryIO, item: Any, key: str, limit: int = _MAX_LENGTH) -> str:
    """A scalar text attribute of a group or dataset, empty if absent.

    Args:
        path: for messages.
        file: the file that the item was opened from.
        item: an open h5py object.
        key: the attribute's name.
        limit: the most bytes it may have; a longer one counts as none.

    Raises:
        CheckpointError: for an attribute outside the header of its object.
    """
    for body in _attribute_messages(file, h5py.h5o.get_info(item.id).addr):
        attribute = _parse(body)
        if attribute.name == key.encode():
            return _text(file, attribute, limit).decode("utf-8", "replace")
    if h5py.h5a.exists(item.id, key.encode()):
        raise CheckpointError(
            f"{path}: the attribute {key} of {escape(item.name)} lies outside the header of its object, where it "
            "cannot be read safely; save the model again with Keras"
        )
    return ""


class _Attribute(NamedTuple):
    """The parts of an attribute message."""

    name: bytes
    datatype: bytes
    dataspace: bytes
    value: bytes


def _parse(body: bytes) -> _Attribute:
    """Splits an attribute message; a shared type gives empty parts."""
    version, flags, *sizes = struct.unpack_from("<BBHHH", body)
    if version not in (1, 2, 3) or (version > 1 and flags):
        return _Attribute(b"", b"", b"", b"")
    at = 9 if version == 3 else 8
    parts = []
    for size in sizes:
        parts.append(body[at : at + size])
        at += size + (-size % 8 if version == 1 else 0)
    name, datatype, dataspace = parts
    return _Attribute(name.rstrip(b"\0"), datatype, dataspace, body[at:])


def _text(file: BinaryIO, attribute: _Attribute, limit: int) -> bytes:
    """The bytes of a scalar text, empty for any other value."""
    datatype, value = attribute.datatype, attribute.value
    if len(datatype) < 8 or attribute.dataspace[1:2] != b"\0":  # a rank of 0
        return b""
    kind, properties = datatype[0] & 15, datatype[1] & 15
    if kind == _FIXED_TEXT:
        size = int.from_bytes(datatype[4:8], "little")
        return value[:size].rstrip(b"\0 ") if size <= min(limit, len(value)) else b""
    if kind == _VARIABLE_LENGTH and properties == 1 and len(value) >= 16:  # of text
        length, address, index = struct.unpack_from("<IQI", value)
        return _heap_object(file, length, address, index, limit)
    return b""


def _heap_object(file: BinaryIO, length: int, address: int, index: int, limit: int) -> bytes:
    """An object of a global heap, empty unless it has this length."""
    if length > limit or address >= _FAR:
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


def _attribute_messages(file: BinaryIO, address: int) -> Iterator[bytes]:
    """The bodies of all attribute messages in an object header."""
    file.seek(address)
    prefix = file.read(64)
    if prefix[:5] == b"OHDR\x02":
        flags = prefix[5]
        # Bit 5: four times of day; bit 4: limits of compact storage; bit 2: a message has its order of creation.
        start = 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
        width = 1 << (flags & 3)
        blocks = [(address + start + width, int.from_bytes(prefix[start : start + width], "little"))]
        header, code, frame = 6 if flags & 4 else 4, "<BH", 4
    elif prefix[:1] == b"\1":
        blocks = [(address + 16, int.from_bytes(prefix[8:12], "little"))]
        header, code, frame = 8, "<HH", 0
    else:
        return
    for position, size in blocks:
        file.seek(position)
        block = file.read(min(size, _MAX_BLOCK))
        at = 0
        while at + header <= len(block):
            kind, length = struct.unpack_from(code, block, at)
            body = block[at + header : at + header + length]
            at += header + length
            if kind == _CONTINUATION and len(body) >= 16 and len(blocks) < _MAX_BLOCKS:
                # Version 2 has a signature before the messages and a checksum behind them.
                offset, extent = struct.unpack_from("<QQ", body)
                blocks.append((min(offset + frame, _FAR), max(0, extent - 2 * frame)))
            elif kind == _ATTRIBUTE and len(body) >= 8:
                yield body
