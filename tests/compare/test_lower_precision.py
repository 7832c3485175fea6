"""The remark on a lower precision is made only where the numbers look like one."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.arrays import round_to
from lstm_xcheck.compare import judge, lower_precision
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.low_precision import ROUNDED_OPERANDS
from lstm_xcheck.diagnose.mistake import changed_case, run_mistakes
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward

CASE = Case.random(LSTMSpec(input_size=4, hidden_size=6), init="torch", seed=3, steps=5, batch=3)
REMARK = "instead of float32 would explain every number"


def in_float32(result: Result) -> Result:
    return Result(**{name: np.asarray(getattr(result, name), np.float32) for name in ("y", "h_n", "c_n")})


def reasons(result: Result, **options: str) -> str:
    verdict = judge(result, CASE, **options)
    assert verdict.verdict in ("mismatch", "suspect")
    return " ".join(row.reason for row in verdict.rows)


def test_rounded_operands_are_remarked_on() -> None:
    changed = changed_case((ROUNDED_OPERANDS[0],), CASE)
    assert changed is not None
    assert f"computing in tf32 {REMARK}" in reasons(in_float32(forward(changed)))


def test_numbers_of_a_shorter_format_are_remarked_on() -> None:
    coarse = forward(CASE)
    stored = {name: round_to(getattr(coarse, name), "bfloat16") for name in ("y", "h_n", "c_n")}
    assert f"computing in bfloat16 {REMARK}" in reasons(Result(**stored))


def one_off() -> Result:
    """One number off by far less than tf32 would allow, all others exact."""
    result = in_float32(forward(CASE))
    y = np.array(result.y)
    y[2, 4, 1] += 2e-4
    return Result(y=y)


def test_one_wrong_number_is_not_blamed_on_a_precision() -> None:
    assert REMARK not in reasons(one_off())


def test_without_a_look_at_all_numbers_it_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower_precision, "_is_everywhere", lambda observed, case, profile, lower: True)
    assert REMARK in reasons(one_off())


def test_wrong_weights_explain_the_outputs_themselves() -> None:
    changed = changed_case((ROUNDED_OPERANDS[0],), CASE)
    assert changed is not None
    native = {name: np.array(array) for name, array in to_layout(CASE.weights, "torch").items()}
    native["weight_ih_l0"] = round_to(native["weight_ih_l0"], "bfloat16")
    assert REMARK not in reasons(replace(in_float32(forward(changed)), native=native), layout="torch")


def test_five_digits_of_weights_are_no_precision() -> None:
    outputs = run_mistakes([mistake_named("weights-5-digits")], CASE)
    assert outputs is not None
    assert REMARK not in reasons(Result(y=outputs["y"].astype(np.float32)))


#: As TensorFlow's converter quantises outputs: an integer of 8 bits, less a zero point, times a factor.
def quantised(levels: int, steps: int = 5) -> Result:
    case = replace(CASE, x=CASE.x[:, :steps], lengths=None)
    y = np.asarray(forward(case).y)
    factor = np.float32((y.max() - y.min()) / (levels - 1))
    return Result(y=(np.round(y / factor).astype(np.float32) * factor).astype(np.float32))


def test_outputs_of_8_bits_are_no_lower_float() -> None:
    text = reasons(quantised(256))
    assert REMARK not in text
    assert "as those of a model quantised to 8 bits are" in text


def test_without_a_look_at_their_distances_they_would_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower_precision, "eight_bit_step", lambda observed: 0.0)
    judging = importlib.import_module("lstm_xcheck.compare.judge")
    monkeypatch.setattr(judging, "eight_bit_step", lambda observed: 0.0)
    assert f"computing in bfloat16 {REMARK}" in reasons(quantised(256))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_numbers_of_a_shorter_float_are_not_called_quantised(precision: str) -> None:
    for scale in (1.0, 0.3):
        y = round_to(np.asarray(forward(CASE).y) * scale, precision)
        assert lower_precision.eight_bit_step({"y": y}) == 0.0
    assert lower_precision.eight_bit_step({"y": np.asarray(quantised(256).y)}) > 0
    assert lower_precision.eight_bit_step({"y": np.asarray(quantised(5000).y)}) == 0.0
