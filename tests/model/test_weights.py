"""LSTMWeights and GateArray: access by gate, validation, equality by bits."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.arrays import Array, all_finite, same_bits
from lstm_xcheck.errors import SpecError
from lstm_xcheck.model import GATES, CellWeights, LSTMSpec, LSTMWeights

SPEC = LSTMSpec(3, 4, bias="split")


@pytest.fixture
def weights() -> LSTMWeights:
    return LSTMWeights.random(SPEC, seed=1)


@pytest.fixture
def cell(weights: LSTMWeights) -> CellWeights:
    return weights.layers[0][0]


@pytest.mark.parametrize("gate", GATES)
def test_gates_are_found_by_letter(cell: CellWeights, gate: str) -> None:
    index = GATES.index(gate)
    assert cell.b is not None
    assert np.array_equal(cell.W[gate], np.asarray(cell.W)[index])
    assert np.array_equal(cell.U[gate], np.asarray(cell.U)[index])
    assert np.array_equal(cell.b[gate], np.asarray(cell.b)[index])
    assert type(cell.W[gate]) is np.ndarray


def test_unknown_gates_are_refused(cell: CellWeights) -> None:
    with pytest.raises(SpecError, match=r"unknown gate 'c'; expected one of i, f, g, o"):
        cell.W["c"]


def test_arrays_cannot_be_written_to(cell: CellWeights) -> None:
    for name, array in cell.items():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
        assert not array.flags.writeable, name


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_do_not_change_when_their_source_does(dtype: str) -> None:
    """Training may continue in the source arrays."""
    W, U, projection = np.zeros((4, 4, 3), dtype), np.zeros((4, 4, 2), dtype), np.zeros((2, 4), dtype)
    cell = CellWeights(W, U, projection=projection)  # type: ignore[arg-type]
    weights = LSTMWeights(LSTMSpec(3, 4, bias="none", proj_size=2), ((cell,),), dtype)
    for source in (W, U, projection):
        source[:] = 1.0
    assert not any(array.any() for array in weights.arrays().values())


def test_total_bias_adds_in_float64(cell: CellWeights) -> None:
    assert cell.total_bias.dtype == np.float64
    assert np.array_equal(cell.total_bias, np.asarray(cell.b, np.float64) + np.asarray(cell.b_r, np.float64))


def with_cell(weights: LSTMWeights, **arrays: Array | None) -> LSTMWeights:
    changed = replace(weights.layers[0][0], **arrays)  # type: ignore[arg-type]
    return LSTMWeights(weights.spec, ((changed,),), weights.dtype)


def test_layers_must_fit_the_spec(weights: LSTMWeights) -> None:
    with pytest.raises(SpecError, match=r"weights have 2 layers of \[1, 1\] directions, but should have 1 of 1"):
        LSTMWeights(SPEC, weights.layers * 2)
    with pytest.raises(SpecError, match=r"weights have 1 layers of \[1\] directions, but should have 1 of 2"):
        LSTMWeights(replace(SPEC, bidirectional=True), weights.layers)


def test_wrong_shapes_are_refused(weights: LSTMWeights) -> None:
    with pytest.raises(SpecError) as refusal:
        with_cell(weights, U=np.zeros((4, 4, 5)))
    assert str(refusal.value) == ("layer 0 direction 0: U has shape (4, 4, 5), but should be (4, 4, 4) for this spec")


def test_missing_arrays_are_refused(weights: LSTMWeights) -> None:
    with pytest.raises(SpecError, match=r"b_r has shape missing, but should be \(4, 4\) for this spec"):
        with_cell(weights, b_r=None)


def test_arrays_that_are_not_in_the_spec_are_refused(weights: LSTMWeights) -> None:
    with pytest.raises(SpecError, match=r"peephole has shape \(3, 4\), but should be absent for this spec"):
        with_cell(weights, peephole=np.zeros((3, 4)))


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_with_their_index(weights: LSTMWeights, broken: float) -> None:
    damaged = np.array(weights.layers[0][0].W)
    damaged[2, 1, 0] = broken
    with pytest.raises(SpecError, match=rf"W\[2, 1, 0\] is {broken}, but every weight should be a finite number"):
        with_cell(weights, W=damaged)


def test_equality_is_by_bits(weights: LSTMWeights) -> None:
    assert weights == LSTMWeights.random(SPEC, seed=1)
    assert weights != LSTMWeights.random(SPEC, seed=2)
    assert weights != LSTMWeights.random(SPEC, seed=1, dtype="float64")
    assert weights != "weights"
    plus, minus = (with_cell(weights, b=np.full((4, 4), zero)) for zero in (0.0, -0.0))
    assert plus != minus


def test_one_bit_is_found_anywhere_in_a_large_array() -> None:
    large = np.zeros((3, 1 << 17), np.float32)
    for place in ((0, 0), (1, 5), (2, -1)):
        other = large.copy()
        other[place] = -0.0
        assert not same_bits(large, other)
        assert same_bits(other, other.copy())
        assert not same_bits(large.T, other.T)
        other[place] = np.nan
        assert all_finite(large)
        assert not all_finite(other)
    assert not same_bits(large, large.reshape(-1, 3))


def test_cells_are_checked_again_only_if_they_could_have_changed(weights: LSTMWeights) -> None:
    cell = weights.layers[0][0]
    assert LSTMWeights(SPEC, weights.layers, weights.dtype).layers[0][0] is cell
    assert weights.astype("float64").layers[0][0].W.dtype == np.float64
    copy: CellWeights = deepcopy(cell)
    copy.W[0, 0, 0] = np.nan  # a copy can be written to
    with pytest.raises(SpecError, match=r"W\[0, 0, 0\] is nan"):
        LSTMWeights(SPEC, ((copy,),), weights.dtype)


def test_weights_cannot_be_hashed(weights: LSTMWeights) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(weights)


def test_astype_rounds_once(weights: LSTMWeights) -> None:
    assert weights.astype("float32") is weights
    assert weights.astype("float64").astype("float32") == weights
    half = weights.astype("bfloat16").arrays()
    assert half["0.0.W"].dtype == np.float32
    assert all((array.view(np.uint32) & 0xFFFF == 0).all() for array in half.values())


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        LSTMSpec(3, 4, 2, bidirectional=True, bias="single", proj_size=2),
        LSTMSpec(1, 1, bias="none", peepholes=True),
    ],
    ids=["plain", "stack", "peepholes"],
)
def test_weights_store_as_many_parameters_as_the_spec_counts(spec: LSTMSpec) -> None:
    assert LSTMWeights.random(spec).parameter_count == spec.parameter_count


def test_one_layer_of_a_stack() -> None:
    stack = LSTMWeights.random(LSTMSpec(3, 4, num_layers=2, bidirectional=True))
    upper = stack.layer(1)
    assert upper.spec == LSTMSpec(8, 4, bidirectional=True)
    assert np.array_equal(upper.arrays()["0.1.U"], stack.arrays()["1.1.U"])
    assert [(layer, direction) for layer, direction, _ in stack.cells()] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_to_layout_and_from_layout_are_inverse(weights: LSTMWeights) -> None:
    assert LSTMWeights.from_layout(weights.to_layout("torch", prefix="rnn."), "torch", prefix="rnn.") == weights


def test_an_unknown_initializer_is_refused_with_the_names() -> None:
    with pytest.raises(SpecError, match="unknown init 'xavier'; expected one of probe, keras, torch"):
        LSTMWeights.random(SPEC, init="xavier")
