"""Weights read back must be equal bit for bit, and all parameters counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.compare import Verdict, judge
from lstm_xcheck.layouts import count_parameters, to_layout
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights, Result
from lstm_xcheck.oracle import forward


def loaded(case: Case, layout: str) -> Result:
    """The result of a framework with exactly the given weights."""
    truth = forward(case)
    count = count_parameters(case.spec, layout).total
    return replace(truth, native=to_layout(case.weights, layout), parameter_count=count)


@pytest.fixture
def case() -> Case:
    return Case.random(LSTMSpec(input_size=3, hidden_size=4), steps=4, id="probe")


def reason_of(verdict: Verdict, quantity: str) -> str:
    (row,) = (row for row in verdict.rows if row.quantity == quantity)
    assert row.verdict == "mismatch"
    assert verdict.verdict == "mismatch"
    return row.reason


@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_weights_and_count_get_separate_rows(case: Case, layout: str) -> None:
    verdict = judge(loaded(case, layout), case, layout=layout)
    assert {row.quantity: row.verdict for row in verdict.rows if row.quantity in ("weights", "parameters")} == {
        "weights": "match", "parameters": "match",
    }  # fmt: skip


def test_without_a_layout_neither_is_judged(case: Case) -> None:
    verdict = judge(loaded(case, "torch"), case)
    assert {row.quantity for row in verdict.rows} == {"y", "h_n", "c_n", "last"}


@pytest.mark.parametrize("change", ["last-bit", "minus-zero", "nan"])
def test_one_changed_bit_is_a_mismatch(case: Case, change: str) -> None:
    case = with_zero(case) if change == "minus-zero" else case
    result = loaded(case, "torch")
    native = {name: np.array(array) for name, array in result.native.items()}
    kernel = native["weight_ih_l0"]
    kernel[2, 1] = {"last-bit": np.nextafter(kernel[2, 1], np.float32(9)), "minus-zero": -0.0, "nan": np.nan}[change]
    reason = reason_of(judge(replace(result, native=native), case, layout="torch"), "weights")
    assert "weight_ih_l0[2, 1] is held as" in reason
    assert "but was given as" in reason


def with_zero(case: Case) -> Case:
    """The case with a zero in the input kernel at [2, 1]."""
    arrays = {name: np.array(array) for name, array in to_layout(case.weights, "torch").items()}
    arrays["weight_ih_l0"][2, 1] = 0.0
    return replace(case, weights=LSTMWeights.from_layout(arrays, "torch"))


def test_another_type_shape_or_name_is_a_mismatch(case: Case) -> None:
    result = loaded(case, "keras")
    wide = {name: np.asarray(array, np.float64) for name, array in result.native.items()}
    assert "float64, but was given as (3, 16) float32" in reason_of(
        judge(replace(result, native=wide), case, layout="keras"), "weights"
    )
    transposed = {**result.native, "kernel": np.asarray(result.native["kernel"]).T}
    assert "kernel is held as (16, 3)" in reason_of(
        judge(replace(result, native=transposed), case, layout="keras"), "weights"
    )
    fewer = {name: array for name, array in result.native.items() if name != "bias"}
    assert "holds ['kernel', 'recurrent_kernel'], but was given" in reason_of(
        judge(replace(result, native=fewer), case, layout="keras"), "weights"
    )


def test_the_two_conventions_are_explained() -> None:
    spec = LSTMSpec(input_size=1, hidden_size=1)
    case = Case.random(spec, steps=5, batch=1)
    keras = judge(loaded(case, "keras"), case, layout="keras").count
    torch = judge(loaded(case, "torch"), case, layout="torch").count
    assert keras is not None
    assert torch is not None
    assert (keras.native, keras.canonical, torch.native, torch.canonical) == (12, 12, 16, 12)
    assert "second bias" in torch.explanation
    assert "second bias" not in keras.explanation


@pytest.mark.parametrize("surplus", [1, -4, 1000])
def test_a_count_that_nothing_explains_is_a_mismatch(case: Case, surplus: int) -> None:
    result = loaded(case, "torch")
    assert result.parameter_count is not None
    wrong = result.parameter_count + surplus
    verdict = judge(replace(result, parameter_count=wrong), case, layout="torch")
    reason = reason_of(verdict, "parameters")
    assert f"reports {wrong} parameters, but should report {result.parameter_count}" in reason
    assert verdict.count is not None
    assert verdict.count.native == wrong


def test_the_other_conventions_count_is_a_mismatch_too(case: Case) -> None:
    """PyTorch must count its second bias."""
    result = replace(loaded(case, "torch"), parameter_count=case.spec.canonical_count)
    assert "but should report 144" in reason_of(judge(result, case, layout="torch"), "parameters")
