"""Honest kernels withdraw an objection where roundings are correlated, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.compare import Verdict, envelope, judge
from lstm_xcheck.compare.reference import references
from lstm_xcheck.model import Case, CellWeights, LSTMSpec, LSTMWeights, Result
from lstm_xcheck.oracle import HonestErrors, honest_errors, honest_outputs, profile_named

from .test_tiers import KERNELS, kernel


def constant(seed: int, hidden: int = 4, steps: int = 400, **spec: Any) -> Case:
    """The same input at every step, and gates that remember."""
    shape = LSTMSpec(input_size=3, hidden_size=hidden, **spec)
    case = Case.random(shape, init="longmem", seed=seed, steps=steps, batch=2)
    return replace(case, x=np.broadcast_to(case.x[:, :1], case.x.shape), id="")


def equal_terms(n: int, value: float, hidden: int = 1, steps: int = 1, precision: str = "float32") -> Case:
    spec = LSTMSpec(input_size=n, hidden_size=hidden, bias="none")
    w = np.full((4, hidden, n), value)
    cell = CellWeights(W=w, U=np.full((4, hidden, hidden), value / 10.0))  # type: ignore[arg-type]
    return Case(weights=LSTMWeights(spec, ((cell,),), precision), x=np.full((1, steps, n), 0.7), precision=precision)


def decided(verdict: Verdict) -> set[str]:
    return {row.decided_by for row in verdict.rows}


def without_envelope(result: Result, case: Case, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.setattr(envelope, "honest_errors", nothing)
        return judge(result, case).verdict


def nothing(case: Case, layer: int, direction: int, x: Any, observed: Any, pairs: Any, profile: Any) -> HonestErrors:
    """Honest kernels that err nowhere."""
    errors = honest_errors(case, layer, direction, x, observed, pairs, profile)
    return HonestErrors(*(np.zeros_like(part) for part in (errors.h, errors.h_n, errors.c_n)))


def nothing_behind_a_projection(
    case: Case, layer: int, direction: int, x: Any, observed: Any, pairs: Any, profile: Any
) -> HonestErrors:
    errors = honest_outputs(case, layer, direction, x, observed, pairs, profile)
    return HonestErrors(*(np.zeros_like(part) for part in (errors.h, errors.h_n, errors.c_n)))


@pytest.mark.parametrize("tanh", KERNELS.TANHS)
@pytest.mark.parametrize("sigmoid", ["exp", "exp2", "quotient", "tanh"])
def test_the_same_input_at_every_step_is_honest(sigmoid: str, tanh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objected = 0
    for seed in range(2):
        case = constant(seed)
        result = KERNELS.run(case, kernel("float32", sigmoid=sigmoid, tanh=tanh))
        verdict = judge(result, case)
        assert verdict.verdict == "match", verdict
        if envelope.WITHDRAWN in decided(verdict):
            objected += without_envelope(result, case, monkeypatch) == "suspect"
    assert objected  # the statistics alone object


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("sums", KERNELS.ROUNDED_SUMS)
def test_equal_terms_are_honest_in_every_order(sums: str, precision: str) -> None:
    for value in (0.0013, 0.0021, 0.013):
        case = equal_terms(1000, value, precision=precision)
        assert judge(KERNELS.run(case, kernel(precision, sums=sums)), case).verdict == "match"


def test_one_wrong_unit_among_many_correlated_ones_stands() -> None:
    """Every unit beyond 8 sigma is run, not the farthest alone."""
    case = equal_terms(2000, 0.0011, hidden=100)
    cell = case.weights.layers[0][0]
    w = np.array(cell.W)
    w[:, 70, :] = np.random.default_rng(0).normal(scale=0.0011, size=2000)
    cell = CellWeights(W=w, U=cell.U)  # type: ignore[arg-type]
    case = replace(case, weights=LSTMWeights(case.spec, ((cell,),), "float32"), id="")
    result = KERNELS.run(case, kernel("float32", sums="one by one"))
    verdict = judge(result, case)
    assert verdict.verdict == "match"
    assert envelope.WITHDRAWN in decided(verdict)
    expected = references(case, {0: np.asarray(result.y, np.float64)}, profile_named("float32"))["c_n"]
    moved = np.array(result.c_n)
    moved[0, 0, 70] = expected.value[0, 0, 70] + 14.0 * expected.sigma[0, 0, 70]
    sigmas = (np.abs(moved - expected.value) / expected.sigma)[0, 0]
    assert (sigmas > sigmas[70]).sum() > 64
    row = next(row for row in judge(replace(result, c_n=moved), case).rows if row.quantity == "c_n")
    assert (row.verdict, row.decided_by) == ("suspect", "8 sigma")
    assert "no honest kernel is as far off" in row.reason


@pytest.mark.parametrize("name", ["y", "h_n", "c_n", "last"])
def test_a_wrong_number_in_one_quantity_stands(name: str) -> None:
    case = constant(1, steps=300)
    result = KERNELS.run(case, kernel("float32"))
    result = replace(result, last=np.asarray(result.h_n)[0])
    assert judge(result, case).verdict == "match"
    moved = np.array(getattr(result, name))
    place = (0, 3, 1) if name == "y" else (0, 0, 1)[-moved.ndim :]
    moved[place] *= np.float32(1.0 + 3e-5)
    verdict = judge(replace(result, **{name: moved}), case)
    assert [row.quantity for row in verdict.rows if row.verdict != "match"] == [name]


OPTIONS: list[dict[str, Any]] = [
    {},
    {"peepholes": True},
    {"coupling": "f=1-i", "bias": "single"},
    {"coupling": "i=1-f", "bias": "single"},
    {"bidirectional": True},
    {"num_layers": 2},
]


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_plain_kernel_is_one_of_the_variants(options: dict[str, Any], precision: str) -> None:
    """Its error is that of a variant, bit for bit, in every option."""
    spec = LSTMSpec(input_size=3, hidden_size=4, **options)
    case = Case.random(spec, init="torch", steps=9, batch=3, ragged=True, precision=precision)
    result = KERNELS.run(case, kernel(precision, sums="fused" if precision != "float64" else "one by one"))
    outputs = [np.asarray(y, np.float64) for y in (*result.layer_outputs, result.y)]
    expected = references(case, dict(enumerate(outputs)), profile_named(precision))
    pairs, last = np.array([[0, 0], [2, 3], [1, 1]]), spec.num_layers - 1
    x = np.asarray(case.x, np.float64) if last == 0 else outputs[0]
    for direction in range(spec.num_directions):
        half = slice(4 * direction, 4 * direction + 4)
        errors = honest_errors(case, last, direction, x, outputs[-1][..., half], pairs, profile_named(precision))
        seen = np.abs(outputs[-1] - expected["y"].value)[..., half][pairs[:, 0], :, pairs[:, 1]]
        distance = np.abs(errors.h - seen[:, None]).max(axis=(0, 2))
        assert distance.min() < 1e-15
        assert seen.max() > 1e-17
        row = last * spec.num_directions + direction
        final = np.abs(np.asarray(result.c_n, np.float64) - expected["c_n"].value)[row][pairs[:, 0], pairs[:, 1]]
        assert np.abs(errors.c_n - final[:, None]).max(axis=0)[distance < 1e-15].min() < 1e-15


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}], ids=str)
def test_stacks_and_both_directions_are_covered(options: dict[str, Any]) -> None:
    withdrawn = 0
    for seed in range(2):
        case = constant(seed, **options)
        verdict = judge(KERNELS.run(case, kernel("float32", tanh="eigen")), case)
        assert verdict.verdict == "match", verdict
        withdrawn += envelope.WITHDRAWN in decided(verdict)
    assert withdrawn


def test_a_lower_precision_is_not_withdrawn() -> None:
    case = Case.random(LSTMSpec(input_size=64, hidden_size=64), init="torch", steps=4, batch=2)
    for bits in (11, 14, 16):
        mantissa, exponent = np.frexp(np.asarray(case.weights.layers[0][0].W, np.float64))
        w = np.ldexp(np.rint(mantissa * 2.0**bits) / 2.0**bits, exponent)
        cell = case.weights.layers[0][0]
        rounded = CellWeights(W=w, U=cell.U, b=cell.b, b_r=cell.b_r)  # type: ignore[arg-type]
        lower = replace(case, weights=LSTMWeights(case.spec, ((rounded,),), "float32"), id="")
        assert judge(KERNELS.run(lower, kernel("float32")), case).verdict in ("suspect", "mismatch")


@pytest.mark.parametrize("tanh", ["library", "eigen"])
def test_projections_are_covered(tanh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objected = 0
    for seed in range(2):
        case = constant(seed, hidden=6, steps=300, proj_size=2)
        result = KERNELS.run(case, kernel("float32", tanh=tanh, sums="one by one"))
        verdict = judge(result, case)
        assert verdict.verdict == "match", verdict
        for name in ("y", "c_n"):
            moved = np.array(getattr(result, name))
            moved[0, 0, 1] *= np.float32(1.0 + 1e-4)
            rows = judge(replace(result, **{name: moved}), case).rows
            assert {row.quantity for row in rows if row.verdict != "match"} == {name}
        if envelope.WITHDRAWN in decided(verdict):
            with monkeypatch.context() as patch:
                patch.setattr(envelope, "honest_errors", nothing)
                patch.setattr(envelope, "honest_outputs", nothing_behind_a_projection)
                objected += judge(result, case).verdict == "suspect"
    assert objected


def test_the_outputs_of_a_projection_are_those_of_its_hidden_units() -> None:
    """A projection that only picks units errs as they do."""
    case = Case.random(LSTMSpec(input_size=3, hidden_size=4, proj_size=2), init="torch", steps=6, ragged=True)
    cell = case.weights.layers[0][0]
    picking = CellWeights(W=cell.W, U=cell.U, b=cell.b, b_r=cell.b_r, projection=np.eye(4)[[2, 0]])
    case = replace(case, weights=LSTMWeights(case.spec, ((picking,),), "float32"), id="")
    y, x = np.asarray(KERNELS.run(case, kernel("float32")).y, np.float64), np.asarray(case.x, np.float64)
    profile = profile_named("float32")
    outputs = honest_outputs(case, 0, 0, x, y, np.array([[0, 0], [2, 1]]), profile)
    units = honest_errors(case, 0, 0, x, y, np.array([[0, 2], [2, 0]]), profile)
    variants = units.h.shape[1]
    np.testing.assert_array_equal(outputs.h[:, :variants], units.h)
    np.testing.assert_array_equal(outputs.h_n[:, :variants], units.h_n)
    assert (units.h[0, :, int(case.lengths[0]) :] == 0.0).all()
