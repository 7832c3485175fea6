"""Frames arrive bit for bit, and other bytes are refused."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.workers.frames import Frame, ProtocolError, encode_frame, read_frame

LIMIT = 2**20
PREFIX = struct.Struct(">4sIQ")


def framed(header: Any, payload: bytes = b"", *, magic: bytes = b"LXC1") -> bytes:
    """A frame by the description of the format, whatever its header says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return PREFIX.pack(magic, len(text), len(payload)) + text + payload


def listing(name: object, dtype: object, shape: object) -> dict[str, Any]:
    return {"kind": "result", "data": {}, "arrays": [[name, dtype, shape]]}


def read_all(data: bytes, limit: int = LIMIT) -> Frame | None:
    return read_frame(io.BytesIO(data), limit)


ARRAYS = {
    "float64": np.array([[1.5, -0.0], [np.inf, 5e-324]]),
    "float32": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "float16": np.array([65504.0, 6e-8], np.float16),
    "int64": np.array([-(2**63), 2**63 - 1]),
    "bool": np.array([True, False, True]),
    "nan": np.array([0x7FF8000000000123], np.uint64).view(np.float64),
    "scalar": np.float64(3.25),
    "empty": np.zeros((3, 0, 2)),
    "big-endian": np.array([1.0, -2.5], ">f8"),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(12.0)[::-3],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_every_bit_of_an_array_survives(name: str) -> None:
    array = np.asarray(ARRAYS[name])
    frame = read_all(encode_frame(Frame("result", {}, {"a": array})))
    assert frame is not None
    received = frame.arrays["a"]
    assert received.shape == array.shape
    assert received.dtype == array.dtype.newbyteorder("=")
    assert received.tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()


def test_frames_follow_each_other_until_the_stream_ends() -> None:
    frames = [Frame("run", {"id": f"case-{k}", "text": "Zürich\n\0"}, {"x": np.full(k, float(k))}) for k in range(1, 4)]
    stream = io.BytesIO(b"".join(encode_frame(frame) for frame in frames))
    for frame in frames:
        received = read_frame(stream, LIMIT)
        assert received is not None
        assert (received.kind, received.data) == (frame.kind, frame.data)
        np.testing.assert_array_equal(received.arrays["x"], frame.arrays["x"])
    assert read_frame(stream, LIMIT) is None


def test_a_frame_cut_off_anywhere_is_refused() -> None:
    data = encode_frame(Frame("result", {"a": 1}, {"x": np.arange(3.0)}))
    assert read_all(b"") is None
    for length in range(1, len(data)):
        with pytest.raises(ProtocolError):
            read_all(data[:length])


BAD = {
    "text": b"Traceback (most recent call last):\n  File",
    "zeros": bytes(64),
    "other-magic": framed({"kind": "result", "data": {}, "arrays": []}, magic=b"LXC2"),
    "header-is-no-json": framed(b"{nonsense"),
    "header-is-no-text": framed(b"\xff\xfe\x00"),
    "header-is-a-list": framed([1, 2]),
    "header-is-a-number": framed(7),
    "header-lacks-arrays": framed({"kind": "result", "data": {}}),
    "data-is-a-list": framed({"kind": "result", "data": [1], "arrays": []}),
    "arrays-is-a-number": framed({"kind": "result", "data": {}, "arrays": 7}),
    "nested-too-deeply": framed(b"[" * 200_000),
    "entry-too-short": framed({"kind": "result", "data": {}, "arrays": [["x", "<f8"]]}),
    "object-type": framed(listing("x", "|O", [1]), bytes(8)),
    "void-type": framed(listing("x", "|V8", [1]), bytes(8)),
    "unicode-type": framed(listing("x", "<U2", [1]), bytes(8)),
    "big-endian-type": framed(listing("x", ">f8", [1]), bytes(8)),
    "negative-size": framed(listing("x", "<f8", [-1]), bytes(8)),
    "two-negative-sizes": framed(listing("x", "<f8", [-1, -1]), bytes(8)),
    "infinite-size": framed(b'{"kind": "r", "data": {}, "arrays": [["x", "<f8", [Infinity]]]}', bytes(8)),
    "too-few-bytes": framed(listing("x", "<f8", [2]), bytes(8)),
    "too-many-bytes": framed(listing("x", "<f8", [1]), bytes(16)),
    "left-over-bytes": framed({"kind": "result", "data": {}, "arrays": []}, b"x"),
    "huge-shape": framed(listing("x", "<f8", [2**40, 2**40]), bytes(8)),
    "huge-empty-shape": framed(listing("x", "<f8", [0, 2**70])),
    "too-many-axes": framed(listing("x", "<f8", [1] * 100), bytes(8)),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_frame_is_a_protocol_error(name: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_all(BAD[name])
    assert str(caught.value)


@pytest.mark.parametrize(("header", "payload"), [(2**32 - 1, 0), (10, 2**64 - 1), (10, LIMIT), (65 * 2**20, 0)])
def test_a_frame_that_claims_too_much_is_refused_unread(header: int, payload: int) -> None:
    stream = io.BytesIO(PREFIX.pack(b"LXC1", header, payload) + bytes(1000))
    with pytest.raises(ProtocolError, match="more than the"):
        read_frame(stream, LIMIT)
    assert stream.tell() == PREFIX.size


@pytest.mark.parametrize("kind", ["complex128", "int32", "longdouble", "object", "U3"])
def test_what_a_frame_cannot_carry_is_refused_by_the_sender(kind: str) -> None:
    if kind == "longdouble" and np.dtype(np.longdouble).itemsize == 8:
        pytest.skip("a long double is a double here")
    with pytest.raises(ProtocolError, match=r"x has type .*, but a frame carries"):
        encode_frame(Frame("result", {}, {"x": np.zeros(2, np.dtype(kind))}))
