"""Frames of the worker protocol: JSON and raw arrays.

    magic "LXC1" | header length, 4 bytes | payload length, 8 bytes | header | payload      (big-endian)

Nothing is pickled: any versions of Python and NumPy understand each other, and no answer can run code.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import XcheckError

_MAGIC = b"LXC1"
_PREFIX = struct.Struct(">4sIQ")
_DTYPES = ("<f8", "<f4", "<f2", "<i8", "|b1")
#: The largest header, bytes.
_MAX_HEADER_SIZE = 64 * 2**20


class ProtocolError(XcheckError):
    """Raised for bytes that are no frame."""


class Frame(NamedTuple):
    """A message: its kind, plain data, and arrays by name."""

    kind: str
    data: dict[str, Any]
    arrays: dict[str, Array]


def encode_frame(frame: Frame) -> bytes:
    """A frame as bytes."""
    listing, chunks = [], []
    for name, array in frame.arrays.items():
        plain = np.ascontiguousarray(array)
        plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
        if plain.dtype.str not in _DTYPES:
            raise ProtocolError(f"{name} has type {plain.dtype}, but a frame carries {', '.join(_DTYPES)}")
        listing.append([name, plain.dtype.str, list(array.shape)])
        chunks.append(plain.reshape(-1).view(np.uint8).data)
    header = json.dumps({"kind": frame.kind, "data": frame.data, "arrays": listing}).encode()
    # Joined once: weights may take much of the memory.
    return b"".join([_PREFIX.pack(_MAGIC, len(header), sum(map(len, chunks))), header, *chunks])


def read_frame(stream: BinaryIO, limit: int) -> Frame | None:
    """Read the next frame; None at the end of the stream.

    Raises:
        ProtocolError: for bytes that are no frame, and for a frame larger than `limit` bytes, before allocating it.
    """
    prefix = stream.read(_PREFIX.size)
    if not prefix:
        return None
    if len(prefix) < _PREFIX.size or prefix[:4] != _MAGIC:
        raise ProtocolError(f"expected a frame, but got {prefix[:40]!r}")
    _, header_size, payload_size = _PREFIX.unpack(prefix)
    if header_size > _MAX_HEADER_SIZE or header_size + payload_size > limit:
        raise ProtocolError(
            f"a frame of {header_size + payload_size:,} bytes, more than the {limit:,} this case can need"
        )
    header, payload = _read_exactly(stream, header_size), _read_exactly(stream, payload_size)
    return _decode_frame(header, payload)


def _decode_frame(header: bytes, payload: bytes) -> Frame:
    """Decode a frame; checks lengths before making arrays."""
    try:
        fields = json.loads(header)
        listing = [(str(name), str(dtype), tuple(map(int, shape))) for name, dtype, shape in fields["arrays"]]
        kind, data = str(fields["kind"]), dict(fields["data"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ProtocolError(f"the header is no frame header: {error}") from error
    arrays, start = {}, 0
    for name, dtype, shape in listing:
        if dtype not in _DTYPES or any(size < 0 for size in shape):
            raise ProtocolError(f"{name}: type {dtype} and shape {shape} are not allowed in a frame")
        count = int(np.prod(shape, dtype=object)) if shape else 1
        size = count * np.dtype(dtype).itemsize
        if start + size > len(payload):
            raise ProtocolError(f"{name} needs {size} bytes, but only {len(payload) - start} are left")
        try:
            arrays[name] = np.frombuffer(memoryview(payload)[start : start + size], dtype=dtype).reshape(shape)
        except ValueError as error:  # too many axes for NumPy, or too large a size beside an empty axis
            raise ProtocolError(f"{name}: shape {shape} is not possible: {error}") from error
        start += size
    if start != len(payload):
        raise ProtocolError(f"{len(payload) - start} bytes left over after the last array")
    return Frame(kind, data, arrays)


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    chunk = stream.read(size)
    if len(chunk) < size:
        raise ProtocolError(f"the stream ended {size - len(chunk)} bytes short")
    return chunk


def with_prefix(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Arrays by the rest of a name after a prefix."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
