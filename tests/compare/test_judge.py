"""The verdict and the reason for each kind of result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.arrays import round_to
from lstm_xcheck.compare import Row, Verdict, judge
from lstm_xcheck.errors import NothingComparedError, SpecError
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights, Result
from lstm_xcheck.oracle import forward

from .operands import with_short_operands

SPEC = LSTMSpec(input_size=3, hidden_size=4)


def honest(case: Case) -> Result:
    """The exact result, rounded once to the case's precision."""
    truth = forward(case)
    arrays = {name: round_to(getattr(truth, name), case.precision) for name in ("y", "h_n", "c_n", "last")}
    lower = tuple(round_to(array, case.precision) for array in truth.layer_outputs)
    return Result(**arrays, layer_outputs=lower)  # type: ignore[arg-type]


def changed(result: Result, name: str, index: tuple[int, ...], value: float) -> Result:
    array = np.array(getattr(result, name))
    array[index] = value
    return replace(result, **{name: array})  # type: ignore[arg-type]


def row_of(verdict: Verdict, quantity: str) -> Row:
    (row,) = (row for row in verdict.rows if row.quantity == quantity)
    return row


@pytest.fixture
def case() -> Case:
    return Case.random(SPEC, steps=5, batch=3, seed=1, ragged=True, id="probe")


def test_an_honest_result_matches_in_every_quantity(case: Case) -> None:
    verdict = judge(honest(case), case, adapter="mine")
    assert verdict.verdict == "match"
    assert [row.quantity for row in verdict.rows] == ["y", "h_n", "c_n", "last"]
    for row in verdict.rows:
        assert (row.case, row.adapter, row.verdict, row.reason) == ("probe", "mine", "match", "")
        assert row.score is not None
        assert 0.0 < row.score <= 1.0
        assert row.max_abs is not None
        assert 0.0 < row.max_abs < 1e-6


def test_a_mismatch_reports_index_value_and_error(case: Case) -> None:
    result = honest(case)
    assert result.y is not None
    right = float(result.y[1, 0, 2])
    row = row_of(judge(changed(result, "y", (1, 0, 2), right + 0.25), case), "y")
    assert row.verdict == "mismatch"
    assert row.worst == (1, 0, 2)
    assert row.max_abs == pytest.approx(0.25, rel=1e-5)
    assert row.score is not None
    assert row.score > 1e4
    for part in (f"y[1, 0, 2] = {right + 0.25:.6g}", f"should be {right:.6g}", "x the bound", "first at step 0"):
        assert part in row.reason
    assert "of 60 elements outside" in row.reason


@pytest.mark.parametrize(("name", "index"), [("h_n", (0, 2, 1)), ("c_n", (0, 0, 3)), ("last", (1, 2))])
def test_one_wrong_state_is_a_mismatch_of_that_quantity_alone(case: Case, name: str, index: tuple[int, ...]) -> None:
    result = honest(case)
    wrong = changed(result, name, index, float(getattr(result, name)[index]) + 1e-3)
    verdict = judge(wrong, case)
    assert [row.quantity for row in verdict.rows if row.verdict != "match"] == [name]
    assert row_of(verdict, name).worst == index
    assert verdict.verdict == "mismatch"


@pytest.mark.parametrize("value", [1e-30, 1.0, -0.5])
def test_padding_that_is_not_zero_is_a_mismatch_however_small(case: Case, value: float) -> None:
    assert case.lengths is not None
    short = int(np.argmin(case.lengths))
    where = (short, int(case.lengths[short]), 0)
    row = row_of(judge(changed(honest(case), "y", where, value), case), "y")
    assert (row.verdict, row.worst, row.score) == ("mismatch", where, float("inf"))
    assert "outputs at padding should be 0" in row.reason


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")], ids=["nan", "inf", "minus-inf"])
@pytest.mark.parametrize("name", ["y", "h_n", "c_n", "last"])
def test_a_number_that_is_not_finite_is_a_mismatch(case: Case, name: str, value: float) -> None:
    index = (1,) * (2 if name == "last" else 3) if name in ("y", "last") else (0, 1, 1)
    verdict = judge(changed(honest(case), name, index, value), case)
    row = row_of(verdict, name)
    assert (row.verdict, row.worst) == ("mismatch", index)
    assert f"{name}{list(index)} = {value}" in row.reason
    assert verdict.verdict == "mismatch"


def test_nan_is_a_mismatch_even_where_the_bound_overflows() -> None:
    """Without usable outputs the oracle runs freely and its bound overflows."""
    case = Case.random(LSTMSpec(input_size=4, hidden_size=24), steps=300, batch=1, init="chaos8")
    result = honest(case)
    assert result.y is not None
    verdict = judge(replace(result, y=np.full_like(result.y, np.nan), last=None), case)
    assert {row.quantity: row.verdict for row in verdict.rows} == {
        "y": "mismatch", "h_n": "inconclusive", "c_n": "inconclusive",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shape"), [("y", (5, 3, 4)), ("h_n", (3, 4)), ("c_n", (2, 3, 4)), ("last", (4, 3)), ("y", (3, 5, 8))]
)
def test_a_wrong_shape_is_a_mismatch_that_reports_the_right_one(case: Case, name: str, shape: tuple[int, ...]) -> None:
    right = getattr(honest(case), name).shape
    row = row_of(judge(replace(honest(case), **{name: np.zeros(shape, np.float32)}), case), name)
    assert (row.verdict, row.reason) == ("mismatch", f"{name} has shape {shape}, but should be {right}")


def test_the_output_of_a_layer_that_does_not_exist_is_a_mismatch(case: Case) -> None:
    result = replace(honest(case), layer_outputs=(np.zeros((3, 5, 4), np.float32),))
    row = row_of(judge(result, case), "layer0.y")
    assert row.verdict == "mismatch"
    assert "there is no such layer" in row.reason


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(SpecError, match="holds none of y, h_n, c_n, last"):
        Result()
    assert issubclass(NothingComparedError, Exception)


# --- suspect: within the worst case, beyond independent roundings and every honest kernel ---


@pytest.mark.parametrize("off", [0.0, 3e-5])
def test_equal_terms_in_one_order_are_honest_and_a_small_error_on_them_is_suspect(off: float) -> None:
    """Sequential sum of 2000 equal float32 terms: roundings of equal sign."""
    spec, n = LSTMSpec(input_size=2000, hidden_size=1, bias="none"), 2000
    cell = LSTMWeights.random(spec).layers[0][0].map(lambda array: np.full_like(array, 0.0013))
    case = Case(weights=LSTMWeights(spec, ((cell,),), "float32"), x=np.full((1, 1, n), 0.7), precision="float32")
    product = np.float32(case.x[0, 0, 0]) * np.float32(0.0013)
    z = np.cumsum(np.full(n, product, np.float32), dtype=np.float32)[-1].astype(np.float64)
    gate = (1.0 + off) / (1.0 + np.exp(-z))
    c = gate * np.tanh(z)
    h = gate * np.tanh(c)
    result = Result(y=np.full((1, 1, 1), h), h_n=np.full((1, 1, 1), h), c_n=np.full((1, 1, 1), c))
    verdict = judge(result, case)
    if not off:
        assert verdict.verdict == "match"
        assert "withdrawn by the envelope" in {row.decided_by for row in verdict.rows}
        return
    assert verdict.verdict == "suspect"
    row = next(row for row in verdict.rows if row.decided_by == "8 sigma")
    assert row.score is not None
    assert row.score < 1.0
    assert "standard deviations of independent rounding away (limit 8)" in row.reason
    assert "within the worst case" in row.reason


# --- inconclusive ---


def stack_case(steps: int, init: str = "normal") -> Case:
    return Case.random(LSTMSpec(input_size=4, hidden_size=16, num_layers=2), steps=steps, batch=2, init=init)


def test_a_hidden_lower_layer_of_a_long_stack_is_inconclusive() -> None:
    case = stack_case(60)
    result = replace(honest(case), layer_outputs=())
    verdict = judge(result, case)
    assert verdict.verdict == "inconclusive"
    for row in verdict.rows:
        assert row.verdict == "inconclusive"
        assert "the outputs of layer 0 were not observed at every step" in row.reason
        assert "give the outputs of every step and layer" in row.reason


def test_with_the_lower_layer_observed_the_same_stack_matches() -> None:
    case = stack_case(60)
    assert judge(honest(case), case).verdict == "match"


def test_a_short_stack_is_decided_without_its_lower_layer() -> None:
    case = Case.random(LSTMSpec(input_size=2, hidden_size=2, num_layers=2), steps=2, batch=2)
    result = replace(honest(case), layer_outputs=())
    assert judge(result, case).verdict == "match"
    assert result.y is not None
    assert judge(changed(result, "y", (0, 0, 0), float(result.y[0, 0, 0]) + 0.01), case).verdict == "mismatch"


@pytest.mark.parametrize("only", ["last", "h_n", "c_n"])
def test_a_final_state_alone_is_decided_for_short_sequences_only(only: str) -> None:
    verdicts = {}
    for steps in (1, 100):
        case = Case.random(LSTMSpec(input_size=4, hidden_size=16), steps=steps, batch=2, init="chaotic")
        verdicts[steps] = judge(Result(**{only: getattr(honest(case), only)}), case).verdict
    assert verdicts == {1: "match", 100: "inconclusive"}


def test_a_large_error_is_detected_even_where_the_bound_is_wide() -> None:
    case = stack_case(5, init="torch")
    result = replace(honest(case), layer_outputs=())
    assert result.y is not None
    assert judge(replace(result, y=np.array(result.y) + 0.5), case).verdict == "mismatch"


def overflowing_case(precision: str) -> Case:
    """A cell without tanh that grows beyond every precision."""
    spec = LSTMSpec(input_size=1, hidden_size=1, bias="none", cell_activation="relu", output_activation="linear")
    cell = LSTMWeights.random(spec).layers[0][0].map(lambda array: np.full_like(array, 40.0))
    weights = LSTMWeights(spec, ((cell,),), precision)
    return Case(weights=weights, x=np.ones((1, 60, 1)), precision=precision, id="overflow")


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_overflow_is_inconclusive_where_the_truth_overflows_too(precision: str) -> None:
    case = overflowing_case(precision)
    with np.errstate(over="ignore", invalid="ignore"):
        truth = forward(case).y
        assert truth is not None
        y = truth.astype(round_to([0.0], precision).dtype)
    assert np.isinf(y).any()
    row = row_of(judge(Result(y=y), case), "y")
    assert row.verdict == "inconclusive"
    assert f"the oracle itself overflows {precision}" in row.reason


def test_overflow_is_a_mismatch_where_the_truth_is_finite() -> None:
    case = overflowing_case("float32")
    y = np.full((1, 60, 1), np.inf, np.float32)
    row = row_of(judge(Result(y=y), case), "y")
    assert (row.verdict, row.worst) == ("mismatch", (0, 0, 0))


def test_outputs_that_make_the_oracle_overflow_are_a_mismatch() -> None:
    case = Case.random(SPEC, steps=5, precision="float64")
    y = np.full((3, 5, 4), 1.7e308)
    y[:, ::2] *= -1.0
    assert row_of(judge(Result(y=y), case), "y").verdict == "mismatch"


# --- silent downgrades of precision ---


@pytest.mark.parametrize(
    ("asked", "done", "named"),
    [
        ("float64", "float32", "float32"),
        ("float32", "float16", "float16"),
        ("float32", "bfloat16", "bfloat16"),
        ("float32", "tf32", "tf32"),
    ],
)
def test_a_silent_downgrade_is_named(asked: str, done: str, named: str) -> None:
    case = Case.random(LSTMSpec(input_size=8, hidden_size=8), steps=6, precision=asked, seed=2)
    verdict = judge(downgraded(case, done), case)
    assert verdict.verdict == "mismatch"
    wrong = [row for row in verdict.rows if row.verdict in ("mismatch", "suspect")]
    assert wrong
    for row in wrong:
        assert f"computing in {named} instead of {asked} would explain every number" in row.reason


def downgraded(case: Case, precision: str) -> Result:
    """A result of lower precision: of stored numbers, or of operands for TF32."""
    if precision == "tf32":
        return with_short_operands(case, bits=11)
    truth = honest(Case(weights=case.weights, x=case.x, h0=case.h0, c0=case.c0, precision=precision))
    return Result(y=truth.y, h_n=truth.h_n, c_n=truth.c_n)


def test_a_mistake_is_not_attributed_to_precision(case: Case) -> None:
    result = honest(case)
    assert result.y is not None
    verdict = judge(replace(result, y=np.array(result.y)[:, ::-1]), case)
    assert verdict.verdict == "mismatch"
    assert all("would explain" not in row.reason for row in verdict.rows)


def test_a_declared_precision_is_judged_by_its_profile_and_reported() -> None:
    case = Case.random(SPEC, steps=5, precision="float64")
    single = downgraded(case, "float32")
    assert judge(single, case).verdict == "mismatch"
    verdict = judge(replace(single, computed_in="float32", note="JAX without x64 computes in float32"), case)
    assert verdict.verdict == "match"
    declared = "judged as float32, which the implementation declares; the case asks for float64"
    assert {row.reason for row in verdict.rows} == {f"{declared}; JAX without x64 computes in float32"}
    assert {row.precision for row in verdict.rows} == {"float32"}
    assert {row.reason for row in judge(replace(single, computed_in="float32"), case).rows} == {declared}
    assert not any(row.reason for row in judge(downgraded(case, "float64"), case).rows), "nothing else was declared"


def test_outputs_beyond_every_square_are_a_mismatch() -> None:
    case = Case.random(SPEC, steps=5, precision="float64")
    right = forward(case)
    assert right.y is not None
    assert judge(Result(y=np.where(np.arange(5)[:, None] == 1, 1e200, right.y)), case).verdict == "mismatch"
