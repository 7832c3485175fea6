"""Reads groups, datasets and text attributes of HDF5, links and sizes checked.

HDF5 keeps a text of variable length outside its object, in a "global heap". libhdf5 1.14 believes the lengths in there:
one flipped byte makes it reserve 3 GB, another makes it search for ever. Keras notes layer names this way, so they are
read from the bytes, every length checked against the file. Keras writes object headers of version 1; h5repack and
h5py's `libver="latest"` write version 2.
Source: HDF5 File Format Specification 3.0, III.E "Global Heap", IV.A.1 "Data Object Header Prefix", IV.A.2.d
"Datatype Message" and IV.A.2.m "Attribute Message"; what h5py 3.14.0 writes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np

from ...arrays import Array, native_values
from ...errors import CheckpointError
from ..tensor_info import TensorInfo
from .lazy_bytes import ByteRange
from .limits import FLOAT_SIZES, MAX_EXPANSION, SMALL, Budget, escape

_MAX_DEPTH = 64
#: Hard links can make a small file look like an endless tree.
_MAX_ENTRIES = 30_000

_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError, IndexError)


@contextmanager
def hdf5_faults(path: Path) -> Iterator[None]:
    """Re-raise h5py's exceptions on damaged data as CheckpointError."""
    try:
        yield
    except _HDF5_ERRORS as error:
        raise CheckpointError(
            f"{path}: the HDF5 data is truncated or damaged ({escape(error)}); copy or download it again"
        ) from error


def walk(
    path: Path, file: BinaryIO, root: Any, size: int, byte_range: ByteRange | None = None
) -> Iterator[tuple[str, Any, dict[str, TensorInfo]]]:
    """Path, object and datasets of every group, starting at the root."""
    source = _Source(path, file, size, byte_range, Budget(path, size))
    waiting = [("", root, 0)]
    seen = 0
    while waiting:
        place, group, depth = waiting.pop()
        seen += len(group) + 1
        if depth > _MAX_DEPTH or seen > _MAX_ENTRIES:
            raise CheckpointError(
                f"{path} nests HDF5 groups without end or has more than {_MAX_ENTRIES} groups and datasets; "
                "it is not a real model"
            )
        inside = list(_children(source, place, group))
        datasets = {key: (name, item) for key, name, item in inside if isinstance(item, h5py.Dataset)}
        for _, item in datasets.values():
            if _is_contiguous(item):
                source.budget.spend(item.nbytes, "its datasets, which overlap,")
        yield place, group, {key: _describe(source, name, item) for key, (name, item) in datasets.items()}
        waiting += [(name, item, depth + 1) for key, name, item in reversed(inside) if key not in datasets]


def _children(source: _Source, place: str, group: Any) -> Iterator[tuple[str, str, Any]]:
    """Key, joined name and object of everything in a group."""
    for key in group:
        # Before it is opened: HDF5 keeps the whole name of each open object.
        name = source.budget.spend_name(f"{place}/{key}" if place else key)
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise CheckpointError(
                f"{source.path}: {escape(f'{place}/{key}')} is a link to another place or file, which Keras never "
                "writes; it was not followed"
            )
        yield key, name, group[key]


class _Source(NamedTuple):
    """The file that datasets lie in."""

    path: Path
    file: BinaryIO
    size: int
    byte_range: ByteRange | None
    budget: Budget  # of names, and of numbers that are unpacked


def _describe(source: _Source, name: str, dataset: Any) -> TensorInfo:
    dtype = str(dataset.dtype)
    # HDF5 has no bfloat16: Keras stores its two bytes and notes the type in an attribute.
    if dtype == "|V2" and text_attribute(source.path, source.file, dataset, "dtype") == "bfloat16":
        dtype = "bfloat16"
    shape = tuple(int(n) for n in dataset.shape or ())
    if source.byte_range is not None and dtype in FLOAT_SIZES and _is_contiguous(dataset):
        start, size = dataset.id.get_offset(), math.prod(shape) * FLOAT_SIZES[dtype]
        load = partial(_load_range, source.byte_range, start, size, shape, dtype)
        return TensorInfo(name, shape, dtype, load, check=partial(source.byte_range.refuse_outside, start, size))
    return TensorInfo(name, shape, dtype, partial(_load, source, name, dataset, dtype))


def _is_contiguous(dataset: Any) -> bool:
    """Whether the values lie in this file, contiguous and little-endian."""
    plain = dataset.dtype.kind == "V" or dataset.dtype.str[0] == "<"
    here = not dataset.external and not dataset.is_virtual and dataset.chunks is None
    return bool(plain and here and dataset.nbytes and dataset.id.get_offset() is not None)


def _load_range(byte_range: ByteRange, start: int, size: int, shape: tuple[int, ...], dtype: str) -> Array:
    return native_values(byte_range.read(start, size), dtype).reshape(shape)


def _load(source: _Source, name: str, dataset: Any, dtype: str) -> Array:
    path, size = source.path, source.size
    with hdf5_faults(path):
        if dataset.external or dataset.is_virtual:
            raise CheckpointError(f"{path}: {escape(name)} keeps its values in another file, which was not opened")
        stored = dataset.id.get_storage_size()
        if stored > size or dataset.nbytes > max(SMALL, stored * MAX_EXPANSION):
            raise CheckpointError(
                f"{path}: {escape(name)} claims {dataset.nbytes} bytes, but the file holds {stored} for it; "
                "it was not read"
            )
        source.budget.spend(dataset.nbytes, "its unpacked datasets")
        values: Array = dataset[()]
        if dtype == "bfloat16":
            return native_values(np.ascontiguousarray(values).tobytes(), dtype).reshape(values.shape)
        return values.astype(values.dtype.newbyteorder("="))


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
    """A text attribute of a group or dataset, empty if absent.

    Raises:
        CheckpointError: for one that is there and cannot be read.
    """
    for body in _attribute_messages(file, h5py.h5o.get_info(item.id).addr):
        attribute = _parse(body)
        if attribute.name == key.encode():
            text = _text(file, attribute, limit)
            if text is None:
                raise _unreadable(path, item, key, f"is damaged, or is no single text of at most {limit} bytes")
            return text.decode("utf-8", "replace")
    if h5py.h5a.exists(item.id, key.encode()):
        raise _unreadable(path, item, key, "lies outside the header of its object")
    return ""


def _unreadable(path: Path, item: Any, key: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: the attribute {key} of {escape(item.name)} {why}, so it cannot be read safely; save the model again "
        "with Keras"
    )


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


def _text(file: BinaryIO, attribute: _Attribute, limit: int) -> bytes | None:
    """The bytes of one text; None for any other value."""
    datatype, value = attribute.datatype, attribute.value
    count = _count(attribute.dataspace)
    if count == 0:
        return b""
    if count != 1 or len(datatype) < 8:
        return None
    kind, properties = datatype[0] & 15, datatype[1] & 15
    if kind == _FIXED_TEXT:
        size = int.from_bytes(datatype[4:8], "little")
        return value[:size].rstrip(b"\0 ") if size <= min(limit, len(value)) else None
    if kind == _VARIABLE_LENGTH and properties == 1 and len(value) >= 16:  # of text
        length, address, index = struct.unpack_from("<IQI", value)
        return _heap_object(file, length, address, index, limit) if length else b""
    return None


def _count(dataspace: bytes) -> int:
    """The number of elements of an attribute; -1 for what is no dataspace."""
    version, rank = dataspace[:1], dataspace[1] if len(dataspace) > 3 else 255
    start = {b"\1": 8, b"\2": 4}.get(version, 0)
    if not start or len(dataspace) < start + 8 * rank:
        return -1
    if version == b"\2" and dataspace[3] == 2:  # a null dataspace
        return 0
    return math.prod(struct.unpack_from(f"<{rank}Q", dataspace, start))


def _heap_object(file: BinaryIO, length: int, address: int, index: int, limit: int) -> bytes | None:
    """An object of a global heap, None unless it has this length."""
    if length > limit or address >= _FAR:
        return None
    file.seek(address)
    heap = file.read(16)
    if heap[:5] != b"GCOL\x01" or len(heap) < 16:
        return None
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
    return None


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
