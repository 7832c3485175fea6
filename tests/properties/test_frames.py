"""Frames of the worker protocol: arbitrary data arrives as it was, and arbitrary bytes are at worst a ProtocolError.

A frame has no checksum, since a pipe loses nothing: a flipped bit in the payload is another number. What must not
happen is another exception, a hang, or an array that is not what the header describes.
"""

from __future__ import annotations

import io
import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_xcheck.arrays import Array
from lstm_xcheck.workers.frames import Frame, ProtocolError, encode_frame, read_frame, with_prefix

LIMIT = 2**16
TYPES = ("<f8", "<f4", "<f2", "<i8", "|b1", ">f8", ">f4", ">i8")
TEXT = st.text(max_size=12)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """Every type of a frame, any bits, up to four axes of which some are empty, contiguous or not."""
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    count = math.prod(shape)
    data = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
    if dtype == np.bool_:
        data = bytes(byte & 1 for byte in data)
    array = np.frombuffer(data, dtype).reshape(shape)
    if shape:
        array = array.transpose(draw(st.permutations(range(len(shape)))))
        array = array[:: draw(st.sampled_from([1, 2, -1]))]
    return np.broadcast_to(array, (2, *array.shape)) if draw(st.booleans()) and array.ndim < 4 else array


FRAMES = st.builds(Frame, TEXT, st.dictionaries(TEXT, JSON, max_size=3), st.dictionaries(TEXT, arrays(), max_size=3))


def taken(data: bytes, limit: int = LIMIT) -> Frame | None:
    return read_frame(io.BytesIO(data), limit)


def framed(header: bytes, payload: bytes) -> bytes:
    """A frame by the description of the format, whatever its header holds."""
    return struct.pack(">4sIQ", b"LXC1", len(header), len(payload)) + header + payload


def native(array: Array) -> Array:
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))


def assert_same_frame(received: Frame | None, sent: Frame) -> None:
    assert received is not None
    assert (received.kind, received.data) == (sent.kind, sent.data)
    assert list(received.arrays) == list(sent.arrays)
    for name, array in sent.arrays.items():
        assert (received.arrays[name].shape, received.arrays[name].dtype) == (array.shape, native(array).dtype)
        assert received.arrays[name].tobytes() == native(array).tobytes()


@given(FRAMES)
def test_every_frame_arrives_as_it_was(frame: Frame) -> None:
    assert_same_frame(taken(encode_frame(frame)), frame)


@given(st.lists(FRAMES, max_size=3))
def test_frames_follow_each_other(frames: list[Frame]) -> None:
    stream = io.BytesIO(b"".join(encode_frame(frame) for frame in frames))
    for frame in frames:
        assert_same_frame(read_frame(stream, LIMIT), frame)
    assert read_frame(stream, LIMIT) is None


@given(FRAMES, st.data())
def test_a_truncated_frame_is_a_protocol_error(frame: Frame, data: st.DataObject) -> None:
    encoded = encode_frame(frame)
    length = data.draw(st.integers(1, len(encoded) - 1))
    with pytest.raises(ProtocolError):
        taken(encoded[:length])


@given(FRAMES, st.data())
def test_flipped_bits_are_a_protocol_error_or_a_frame_of_the_same_size(frame: Frame, data: st.DataObject) -> None:
    damaged = bytearray(encode_frame(frame))
    for position in data.draw(st.lists(st.integers(0, 8 * len(damaged) - 1), min_size=1, max_size=4)):
        damaged[position // 8] ^= 1 << position % 8
    stream = io.BytesIO(bytes(damaged))
    try:
        received = read_frame(stream, LIMIT)
    except ProtocolError:
        return
    assert received is not None
    payload = int.from_bytes(damaged[8:16], "big")
    assert sum(array.nbytes for array in received.arrays.values()) <= payload <= len(damaged)
    assert stream.tell() <= len(damaged)


@given(FRAMES)
def test_a_flipped_bit_of_the_payload_is_seen_by_a_comparison(frame: Frame) -> None:
    """The mutant: what these tests compare is every bit of the arrays."""
    encoded = bytearray(encode_frame(frame))
    if not int.from_bytes(encoded[8:16], "big"):
        return
    encoded[-1] ^= 1
    with pytest.raises(AssertionError):
        assert_same_frame(taken(bytes(encoded)), frame)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_arbitrary_bytes_are_a_protocol_error(header: bytes, payload: bytes) -> None:
    for data in (header or b"x", framed(header, payload)):
        with pytest.raises(ProtocolError):
            taken(data)


@given(JSON, st.lists(st.lists(JSON, max_size=4), max_size=3), st.binary(max_size=32))
def test_any_json_for_a_header_is_a_protocol_error_or_a_frame(data: Any, listing: Any, payload: bytes) -> None:
    header = json.dumps({"kind": "result", "data": data, "arrays": listing}).encode()
    try:
        frame = taken(framed(header, payload))
    except ProtocolError:
        return
    assert frame is not None
    assert sum(array.nbytes for array in frame.arrays.values()) <= len(payload)


@given(FRAMES, st.integers(0, 200))
def test_a_frame_beyond_the_limit_is_refused_after_its_prefix(frame: Frame, less: int) -> None:
    encoded = encode_frame(frame)
    stream, limit = io.BytesIO(encoded), len(encoded) - 16
    assert_same_frame(taken(encoded, limit), frame)
    with pytest.raises(ProtocolError, match="more than the"):
        read_frame(stream, max(0, limit - 1 - less))
    assert stream.tell() == 16


@given(FRAMES, st.sampled_from(["", "output.", "weights.0.", "ä"]))
def test_a_subset_of_what_is_decoded_is_what_was_put_in(frame: Frame, prefix: str) -> None:
    """Arrays under a prefix come back under their own names, whatever else the frame carries."""
    others = {name: array for name, array in frame.arrays.items() if not name.startswith(prefix)}
    prefixed = {prefix + name: array for name, array in frame.arrays.items()}
    received = taken(encode_frame(frame._replace(arrays={**others, **prefixed})))
    assert received is not None
    assert_same_frame(frame._replace(arrays=with_prefix(received.arrays, prefix)), frame)
