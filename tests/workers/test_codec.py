"""Cases and results arrive as they were sent."""

from __future__ import annotations

import io
from dataclasses import fields

import numpy as np
import pytest

from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward
from lstm_xcheck.workers.codec import case_from_frame, encode_case, result_from_frame, result_to_frame
from lstm_xcheck.workers.frames import Frame, encode_frame, read_frame


def received(data: bytes) -> Frame:
    frame = read_frame(io.BytesIO(data), 2**20)
    assert frame is not None
    return frame


CASES = {
    "plain": {},
    "float64": {"precision": "float64"},
    "bfloat16": {"precision": "bfloat16"},
    "lengths": {"ragged": True},
    "zero-states": {"states": False},
    "last": {"returns": "last"},
    "options": {"padding": "held", "merge": "mul", "call": "time-major", "chunks": "rows", "ragged": "zero"},
}


@pytest.mark.parametrize("name", CASES)
def test_a_case_arrives_as_it_was(name: str) -> None:
    spec = LSTMSpec(
        input_size=3, hidden_size=4, num_layers=2, bidirectional=True, proj_size=2, peepholes=True, cell_clip=0.1
    )
    case = Case.random(spec, steps=5, batch=3, seed=9, **CASES[name])  # type: ignore[arg-type]
    frame = received(encode_case(case))
    arrived = case_from_frame(frame)
    assert (arrived.fingerprint, arrived.spec, arrived.id) == (case.fingerprint, case.spec, case.id)
    assert arrived.options == case.options
    assert (arrived.precision, arrived.returns, arrived.weights) == (case.precision, case.returns, case.weights)


def test_a_mask_arrives_as_it_was() -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    drawn = Case.random(LSTMSpec(input_size=3, hidden_size=4), steps=3, batch=2)
    case = Case(weights=drawn.weights, x=drawn.x, mask=mask, gradients=True)
    frame = received(encode_case(case))
    assert case_from_frame(frame).gradients
    np.testing.assert_array_equal(case_from_frame(frame).valid, mask)


def test_a_result_arrives_as_it_was() -> None:
    case = Case.random(LSTMSpec(input_size=3, hidden_size=4, num_layers=12), steps=2, batch=2)
    truth = forward(case)
    sent = Result(
        y=truth.y, h_n=truth.h_n, c_n=truth.c_n, last=truth.last, layer_outputs=truth.layer_outputs,
        gradients={"0.0.W": np.ones((4, 4, 3))}, native={"weight_ih_l0": np.zeros((16, 3), np.float32)},
        parameter_count=144, computed_in="float32", note="why", environment={"torch": "2"},
        merged=np.ones((2, 2, 4)),
    )  # fmt: skip
    frame = received(encode_frame(result_to_frame(sent, 0.5)))
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
