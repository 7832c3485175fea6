"""The remark on a lower precision is made only where the numbers look like one."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.arrays import round_to
from lstm_xcheck.compare import judge, lower_precision
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.mistake import run_mistakes
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward

from .operands import with_short_operands

CASE = Case.random(LSTMSpec(input_size=4, hidden_size=6), init="torch", seed=3, steps=5, batch=3)
REMARK = "instead of float32 would explain every number"


def in_float32(result: Result) -> Result:
    return Result(**{name: np.asarray(getattr(result, name), np.float32) for name in ("y", "h_n", "c_n")})


def reasons(result: Result, **options: str) -> str:
    verdict = judge(result, CASE, **options)
    assert verdict.verdict in ("mismatch", "suspect")
    return " ".join(row.reason for row in verdict.rows)


@pytest.mark.parametrize(("precision", "bits"), [("tf32", 11), ("bfloat16", 8)])
def test_rounded_operands_are_remarked_on(precision: str, bits: int) -> None:
    assert f"computing in {precision} {REMARK}" in reasons(with_short_operands(CASE, bits))


def test_rounded_weights_alone_are_no_precision() -> None:
    outputs = run_mistakes([mistake_named("kernels-float16")], CASE)
    assert outputs is not None
    assert REMARK not in reasons(Result(y=outputs["y"].astype(np.float32)))


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
    monkeypatch.setattr(lower_precision, "_leave_rounding", lambda observed, case, profile, rounding: True)
    assert REMARK in reasons(one_off())


@pytest.mark.parametrize("size", [1e-5, 1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("kind", ["absolute", "relative", "constant"])
def test_noise_is_no_precision(size: float, kind: str) -> None:
    """Wide bounds allow noise of their size."""
    y, rng = np.asarray(forward(CASE).y), np.random.default_rng(1)
    noise = np.ones(y.shape) if kind == "constant" else rng.standard_normal(y.shape)
    noisy = y + size * noise * (np.abs(y) if kind == "relative" else 1.0)
    assert REMARK not in reasons(Result(y=noisy.astype(np.float32)))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_numbers_are_of_a_float_unless_by_chance(precision: str) -> None:
    y = round_to(np.asarray(forward(CASE).y), precision).astype(np.float32)
    stored = lower_precision.are_stored_in
    assert stored({"y": y}, precision)
    assert stored({"y": round_to(1e-6 * y, precision)}, precision)  # subnormal in float16
    assert not stored({"y": np.zeros_like(y)}, precision)
    assert not stored({"y": np.sign(y)}, precision)
    assert not stored({"y": y[:1, :1, :1]}, precision)
    assert not stored({"y": np.round(0.1 * y * 2.0**10) / 2.0**10}, precision)  # a fixed point


def test_wrong_weights_explain_the_outputs_themselves() -> None:
    native = {name: np.array(array) for name, array in to_layout(CASE.weights, "torch").items()}
    native["weight_ih_l0"] = round_to(native["weight_ih_l0"], "bfloat16")
    assert REMARK not in reasons(replace(with_short_operands(CASE, 11), native=native), layout="torch")


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


def test_without_a_look_at_their_distances_there_is_no_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    judging = importlib.import_module("lstm_xcheck.compare.judge")
    monkeypatch.setattr(judging, "eight_bit_step", lambda observed: 0.0)
    text = reasons(quantised(256))
    assert REMARK not in text
    assert "quantised" not in text


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_numbers_of_a_shorter_float_are_not_called_quantised(precision: str) -> None:
    for scale in (1.0, 0.3):
        y = round_to(np.asarray(forward(CASE).y) * scale, precision)
        assert lower_precision.eight_bit_step({"y": y}) == 0.0
    assert lower_precision.eight_bit_step({"y": np.asarray(quantised(256).y)}) > 0
    assert lower_precision.eight_bit_step({"y": np.round(np.asarray(quantised(5000).y), 2)}) == 0.0  # printed
    assert lower_precision.eight_bit_step({"y": np.asarray(quantised(5000).y)}) == 0.0
