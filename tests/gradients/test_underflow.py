"""Gradients that underflow are honest, and only as far as underflow reaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.compare import gradients as limits
from lstm_xcheck.compare import judge
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward, gradients

SMALLEST = np.finfo(np.float32).tiny


def flushed(case: Case) -> Result:
    """Right outputs and gradients, with subnormal numbers flushed to zero."""
    truth = forward(case)
    states = {name: np.float32(getattr(truth, name)) for name in ("y", "h_n", "c_n")}
    values = gradients(case, {0: np.asarray(states["y"], np.float64)}).value
    rounded = {name: np.float32(value) for name, value in values.items()}
    return Result(**states, gradients={n: np.where(np.abs(a) < SMALLEST, np.float32(0), a) for n, a in rounded.items()})


def tiny_case(size: float) -> Case:
    case = Case.random(LSTMSpec(3, 4, bias="single"), steps=5, batch=3, gradients=True)
    return replace(case, x=np.asarray(case.x, np.float64) * size, id="")


@pytest.mark.parametrize("size", [1e-36, 1e-38, 1e-41])
def test_flushed_gradients_of_tiny_inputs_match(size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    case = tiny_case(size)
    result = flushed(case)
    assert judge(result, case).verdict == "match"
    if size < 1e-37:
        monkeypatch.setattr(limits, "_underflows", lambda *_: 0.0)
        assert judge(result, case).verdict != "match"


@pytest.mark.parametrize("size", [1e-38, 1e-30, 1.0])
def test_an_error_beyond_underflow_is_no_match(size: float) -> None:
    case = tiny_case(size)
    result = flushed(case)
    wrong = np.array(result.gradients["0.0.W"]) + np.float32(max(1e-3 * size, 1e-34))
    verdict = judge(replace(result, gradients={**result.gradients, "0.0.W": wrong}), case)
    assert {row.quantity for row in verdict.rows if row.verdict != "match"} == {"grad:W"}
    assert {row.decided_by for row in verdict.rows if row.quantity.startswith("grad:")} == {"Monte Carlo"}
