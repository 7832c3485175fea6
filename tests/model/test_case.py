"""Case and Result: error sentences and derived data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lstm_xcheck.errors import SpecError
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights, Result

SPEC = LSTMSpec(3, 4, num_layers=2, bidirectional=True)
WEIGHTS = LSTMWeights.random(SPEC)
X = np.zeros((2, 5, 3))

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "x-of-two-axes": ({"x": X[0]}, "x has shape (5, 3), but should be (batch, steps, 3), none of them 0"),
    "x-too-wide": ({"x": np.zeros((2, 5, 4))}, "x has shape (2, 5, 4), but should be (batch, steps, 3)"),
    "x-without-steps": ({"x": X[:, :0]}, "x has shape (2, 0, 3), but should be (batch, steps, 3), none of them 0"),
    "x-nan": ({"x": X + np.nan}, "x holds NaN, infinity or a number too large for float32; give finite numbers"),
    "x-beyond-float32": ({"x": X + 1e39}, "x holds NaN, infinity or a number too large for float32"),
    "h0": (
        {"h0": np.zeros((2, 2, 4))},
        "h0 has shape (2, 2, 4), but should be (4, 2, 4), (layers * directions, batch, width)",
    ),
    "c0": (
        {"c0": np.zeros((4, 3, 4))},
        "c0 has shape (4, 3, 4), but should be (4, 2, 4), (layers * directions, batch, width)",
    ),
    "c0-infinite": ({"c0": np.full((4, 2, 4), np.inf)}, "c0 holds NaN, infinity or a number too large for float32"),
    "lengths-and-mask": (
        {"lengths": [5, 5], "mask": np.ones((2, 5), bool)},
        "both lengths and mask are given, but should be one of them",
    ),
    "lengths-shape": (
        {"lengths": [5, 5, 5]},
        "lengths has shape (3,) and type int64, but should be (2,) whole numbers",
    ),
    "lengths-float": (
        {"lengths": [5.0, 5.0]},
        "lengths has shape (2,) and type float64, but should be (2,) whole numbers",
    ),
    "lengths-below-0": (
        {"lengths": [-1, 5]},
        "lengths are [-1, 5], but each should be from 0 to steps=5",
    ),
    "lengths-too-long": ({"lengths": [6, 5]}, "lengths are [6, 5], but each should be from 0 to steps=5"),
    "mask-shape": (
        {"mask": np.ones((5, 2), bool)},
        "mask has shape (5, 2) and type bool, but should be boolean (2, 5), (batch, steps)",
    ),
    "mask-of-numbers": (
        {"mask": np.ones((2, 5))},
        "mask has shape (2, 5) and type float64, but should be boolean (2, 5), (batch, steps)",
    ),
    "returns": ({"returns": "all"}, "returns is 'all', but should be 'sequence' or 'last'"),
    "precision": ({"precision": "float8"}, "unknown precision 'float8'; expected one of float64, float32"),
}


@pytest.mark.parametrize(("data", "sentence"), REFUSED.values(), ids=REFUSED)
def test_impossible_cases_are_refused_in_one_sentence(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as refusal:
        Case(**{"weights": WEIGHTS, "x": X, **data})
    assert str(refusal.value).startswith(sentence)
    assert "\n" not in str(refusal.value)


def test_random_refuses_weights_of_another_spec_and_empty_data() -> None:
    with pytest.raises(SpecError, match=r"the weights describe .* but the spec given is .*; pass weights.spec"):
        Case.random(LSTMSpec(3, 5), weights=WEIGHTS)
    with pytest.raises(SpecError, match="steps is 0, but should be 1 or more"):
        Case.random(SPEC, steps=0)
    with pytest.raises(SpecError, match="batch is 0, but should be 1 or more"):
        Case.random(SPEC, batch=0)


@pytest.mark.parametrize(
    ("precision", "storage"), [("float64", "f8"), ("float32", "f4"), ("float16", "f2"), ("bfloat16", "f4")]
)
def test_everything_is_rounded_to_the_precision(precision: str, storage: str) -> None:
    x = np.full((1, 1, 3), 1 / 3)
    case = Case(weights=LSTMWeights.random(LSTMSpec(3, 4), dtype="float64"), x=x, precision=precision)
    assert {case.x.dtype.str[1:], np.asarray(case.weights.layers[0][0].W).dtype.str[1:]} == {storage}
    assert (
        abs(float(case.x[0, 0, 0]) - 1 / 3)
        <= {"float64": 0, "float32": 2**-26, "float16": 2**-13, "bfloat16": 2**-10}[precision]
    )


def test_the_precision_is_that_of_the_weights_unless_given() -> None:
    assert Case(weights=WEIGHTS, x=X).precision == "float32"
    assert Case(weights=WEIGHTS.astype("float64"), x=X).precision == "float64"


def test_valid_steps() -> None:
    everything = Case(weights=WEIGHTS, x=X)
    ragged = Case(weights=WEIGHTS, x=X, lengths=np.array([2, 5]))
    holes = np.array([[False, True, False, True, True], [True] * 5])
    assert everything.valid.all()
    assert ragged.valid.tolist() == [[True, True, False, False, False], [True] * 5]
    assert np.array_equal(Case(weights=WEIGHTS, x=X, mask=holes).valid, holes)


def test_initial_states_of_a_direction() -> None:
    case = Case.random(SPEC, steps=2, batch=2)
    assert case.h0 is not None
    assert np.array_equal(case.initial("h0", 1, 0), case.h0[2].astype(np.float64))
    assert not Case(weights=WEIGHTS, x=X).initial("c0", 0, 1).any()


def test_data_cannot_be_written_to() -> None:
    case = Case.random(SPEC, ragged=True)
    for name, array in case.arrays().items():
        assert not array.flags.writeable, name


@pytest.mark.parametrize("precision", ["float64", "float32", "bfloat16"])
def test_a_case_does_not_change_when_its_source_does(precision: str) -> None:
    x = np.zeros((2, 5, 3), precision if precision == "float64" else "float32")
    mask = np.ones((2, 5), bool)
    case = Case(weights=WEIGHTS, x=x, mask=mask, precision=precision)
    x[:], mask[:] = 1.0, False
    assert not case.x.any()
    assert case.valid.all()


def test_different_cases_have_different_fingerprints() -> None:
    case = Case.random(SPEC, seed=1)
    assert case.fingerprint == Case.random(SPEC, seed=1).fingerprint
    others = [
        Case.random(SPEC, seed=2),
        Case.random(SPEC, seed=1, states=False),
        Case.random(SPEC, seed=1, ragged=True),
        Case.random(SPEC, seed=1, precision="float64"),
        Case.random(SPEC, seed=1, scale=2.0),
    ]
    assert len({case.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_ids_are_readable() -> None:
    spec = LSTMSpec(5, 4, 2, bidirectional=True, proj_size=2)
    case = Case.random(spec, steps=7, batch=3, ragged=True, returns="last")
    words, _, digest = case.id.rpartition("-")
    assert words == "h4-x5-t7-b3-l2-bi-split-p2-states-ragged-last-float32"
    assert case.fingerprint.startswith(digest)
    assert case.with_id("mine").id == "mine"
    assert case.with_id("mine").fingerprint == case.fingerprint


def test_random_lengths_are_ragged_and_reach_the_end() -> None:
    for seed in range(20):
        lengths = Case.random(SPEC, steps=6, batch=3, ragged=True, seed=seed).lengths
        assert lengths is not None
        assert lengths.min() >= 1
        assert lengths.max() == 6
        assert len(set(lengths.tolist())) > 1


def test_one_hot_inputs_have_a_single_one_each() -> None:
    x = Case.random(LSTMSpec(7, 2), one_hot=True, steps=9, batch=4).x
    assert set(np.unique(x)) == {0.0, 1.0}
    assert (x.sum(axis=-1) == 1).all()


def test_a_result_without_outputs_is_refused() -> None:
    with pytest.raises(
        SpecError, match="the result holds none of y, h_n, c_n, last, merged; give at least one to compare"
    ):
        Result(parameter_count=12)


@pytest.mark.parametrize("name", ["y", "h_n", "c_n", "last"])
def test_results_hold_floating_point_numbers(name: str) -> None:
    given: dict[str, Any] = {name: np.zeros(3, np.int64)}
    with pytest.raises(SpecError, match=f"{name} has type int64, but should be floating-point numbers"):
        Result(**given)
    given = {name: [0.5]}
    assert getattr(Result(**given), name).tolist() == [0.5]


def test_layer_outputs_of_a_result_are_checked_too() -> None:
    with pytest.raises(SpecError, match="layer_outputs has type bool"):
        Result(y=np.zeros(1), layer_outputs=(np.zeros(1, bool),))
