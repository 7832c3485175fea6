"""Frames: every bit survives the way, and no other bytes are taken for one."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward
from lstm_xcheck.workers.codec import case_from_frame, case_to_frame, result_from_frame, result_to_frame
from lstm_xcheck.workers.frames import Frame, ProtocolError, encode, read

LIMIT = 2**20
PREFIX = struct.Struct(">4sIQ")


def framed(header: Any, payload: bytes = b"", *, magic: bytes = b"LXC1") -> bytes:
    """A frame by the description of the format, whatever its header says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return PREFIX.pack(magic, len(text), len(payload)) + text + payload


def listing(name: object, dtype: object, shape: object) -> dict[str, Any]:
    return {"kind": "result", "data": {}, "arrays": [[name, dtype, shape]]}


def read_all(data: bytes, limit: int = LIMIT) -> Frame | None:
    return read(io.BytesIO(data), limit)


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
    frame = read_all(encode(Frame("result", {}, {"a": array})))
    assert frame is not None
    received = frame.arrays["a"]
    assert received.shape == array.shape
    assert received.dtype == array.dtype.newbyteorder("=")
    assert received.tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()


def test_frames_follow_each_other_until_the_stream_ends() -> None:
    frames = [Frame("run", {"id": f"case-{k}", "text": "Zürich\n\0"}, {"x": np.full(k, float(k))}) for k in range(1, 4)]
    stream = io.BytesIO(b"".join(encode(frame) for frame in frames))
    for frame in frames:
        received = read(stream, LIMIT)
        assert received is not None
        assert (received.kind, received.data) == (frame.kind, frame.data)
        np.testing.assert_array_equal(received.arrays["x"], frame.arrays["x"])
    assert read(stream, LIMIT) is None


def test_a_frame_cut_off_anywhere_is_refused() -> None:
    whole = encode(Frame("result", {"a": 1}, {"x": np.arange(3.0)}))
    assert read_all(b"") is None
    for length in range(1, len(whole)):
        with pytest.raises(ProtocolError):
            read_all(whole[:length])


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
        read(stream, LIMIT)
    assert stream.tell() == PREFIX.size


@pytest.mark.parametrize("kind", ["complex128", "int32", "longdouble", "object", "U3"])
def test_what_a_frame_cannot_carry_is_refused_by_the_sender(kind: str) -> None:
    if kind == "longdouble" and np.dtype(np.longdouble).itemsize == 8:
        pytest.skip("a long double is a double here")
    with pytest.raises(ProtocolError, match=r"x has type .*, but a frame carries"):
        encode(Frame("result", {}, {"x": np.zeros(2, np.dtype(kind))}))


# --- cases and results ---

CASES = {
    "plain": {},
    "float64": {"precision": "float64"},
    "bfloat16": {"precision": "bfloat16"},
    "lengths": {"ragged": True},
    "zero-states": {"states": False},
    "last": {"returns": "last"},
}


@pytest.mark.parametrize("name", CASES)
def test_a_case_arrives_as_it_was(name: str) -> None:
    spec = LSTMSpec(
        input_size=3, hidden_size=4, num_layers=2, bidirectional=True, proj_size=2, peepholes=True, cell_clip=0.1
    )
    case = Case.random(spec, steps=5, batch=3, seed=9, **CASES[name])  # type: ignore[arg-type]
    frame = read_all(encode(case_to_frame(case)))
    assert frame is not None
    arrived = case_from_frame(frame)
    assert (arrived.fingerprint, arrived.spec, arrived.id) == (case.fingerprint, case.spec, case.id)
    assert (arrived.precision, arrived.returns, arrived.weights) == (case.precision, case.returns, case.weights)


def test_a_mask_arrives_as_it_was() -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    drawn = Case.random(LSTMSpec(input_size=3, hidden_size=4), steps=3, batch=2)
    case = Case(weights=drawn.weights, x=drawn.x, mask=mask, gradients=True)
    frame = read_all(encode(case_to_frame(case)))
    assert frame is not None
    assert case_from_frame(frame).gradients
    np.testing.assert_array_equal(case_from_frame(frame).valid, mask)


def test_a_result_arrives_as_it_was() -> None:
    case = Case.random(LSTMSpec(input_size=3, hidden_size=4, num_layers=12), steps=2, batch=2)
    truth = forward(case)
    sent = Result(
        y=truth.y, h_n=truth.h_n, c_n=truth.c_n, last=truth.last, layer_outputs=truth.layer_outputs,
        gradients={"0.0.W": np.ones((4, 4, 3))}, native={"weight_ih_l0": np.zeros((16, 3), np.float32)},
        parameter_count=144, computed_in="float32", note="why", environment={"torch": "2"},
    )  # fmt: skip
    frame = read_all(encode(result_to_frame(sent, 0.5)))
    assert frame is not None
    arrived = result_from_frame(frame)
    for field in fields(Result):
        before, after = getattr(sent, field.name), getattr(arrived, field.name)
        if field.name in ("gradients", "native"):
            assert list(before) == list(after)
            before, after = list(before.values()), list(after.values())
        if isinstance(before, (tuple, list)):
            assert len(before) == len(after)
            for one, other in zip(before, after, strict=True):
                np.testing.assert_array_equal(one, other)
        elif isinstance(before, np.ndarray):
            np.testing.assert_array_equal(before, after)
        else:
            assert before == after
    assert len(arrived.layer_outputs) == 11  # ten or more layers: by number, not by name
