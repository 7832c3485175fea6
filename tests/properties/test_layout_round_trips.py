"""`from_layout(to_layout(w)) == w` for every row of the table and every spec that the row can express.

A round trip alone proves no row: a row with two gates exchanged survives it, which the last test shows. What proves a
row are the frameworks' own numbers, in tests/layouts/test_rows_against_frameworks.py. These properties prove that the
engine loses nothing, and that reading with another row than the one written with never gives the same weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lstm_xcheck as lx
from lstm_xcheck.layouts import TABLE, Layout, from_layout, to_layout
from lstm_xcheck.model.spec import Bias

SPECS = lx.strategies.lstm_specs(max_hidden=4, max_input=4, plain=False)
#: Two gates of these are never the same numbers, and float16 holds all of them.
INITS = st.sampled_from(["probe", "torch", "normal", "saturated", "longmem", "positive", "outliers"])
DTYPES = st.sampled_from(["float32", "float64", "float16", "bfloat16"])
PAIRS_OF_GATES = st.sampled_from(list(combinations("ifgo", 2)))
#: Round trips that each row must make at least: in all, and with each kind of parameter or stack that it has.
LEAST, LEAST_OF_EACH = 45, 3


def fitted(row: Layout, spec: lx.LSTMSpec) -> lx.LSTMSpec:
    """The spec without the parameters that the row has no tensor for, in the row's own bias scheme."""
    projection = spec.proj_size if row.tensor_for("projection") else 0
    return replace(
        spec,
        bias="none" if spec.bias == "none" and not row.forget_bias else row.bias,
        proj_size=projection,
        proj_clip=spec.proj_clip if projection else None,
        peepholes=spec.peepholes and row.tensor_for("peephole") is not None,
    )


def with_exact_forget_bias(weights: lx.LSTMWeights) -> lx.LSTMWeights:
    """Forget biases as multiples of 1/8 up to 8: every precision can take 1 off and add it again exactly."""
    layers = []
    for row in weights.layers:
        biases = [np.array(cell.b) for cell in row]
        for bias in biases:
            bias[1] = np.clip(np.round(bias[1] * 8) / 8, -8, 8) + 0.0  # no -0, which 1 - 1 does not give
        layers.append(tuple(replace(cell, b=bias) for cell, bias in zip(row, biases, strict=True)))
    return lx.LSTMWeights(weights.spec, tuple(layers), weights.dtype)


@cache
def drawn(spec: lx.LSTMSpec, seed: int, init: str, dtype: str, exact: bool) -> lx.LSTMWeights:
    weights = lx.LSTMWeights.random(spec, seed, init, dtype)
    return with_exact_forget_bias(weights) if exact else weights


def for_each_row(
    spec: lx.LSTMSpec, seed: int, init: str, dtype: str = "float32", bias: dict[str, Bias] | None = None
) -> Iterator[tuple[Layout, lx.LSTMWeights]]:
    """Every row with weights that it can express; `bias` gives another bias scheme by that of the row."""
    for row in TABLE:
        own = fitted(row, spec)
        own = replace(own, bias=bias[row.bias]) if bias else own
        yield row, drawn(own, seed, init, dtype, bool(row.forget_bias))
    drawn.cache_clear()


def assert_every_bit(weights: lx.LSTMWeights, written: Layout, read: Layout) -> None:
    stored = to_layout(weights, written)
    assert from_layout(stored, read, spec=weights.spec, dtype=weights.dtype) == weights, written.name


def with_gates_exchanged(row: Layout, first: str, second: str) -> Layout:
    """The row with two gates in each other's place, or with each other's names."""
    exchanged = {first: second, second: first}

    def dealt(names: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
        i, f, g, o = (names["ifgo".index(exchanged.get(gate, gate))] for gate in "ifgo")
        return i, f, g, o

    if row.gates == "names":
        tensors = tuple(replace(t, gate_names=t.gate_names and dealt(t.gate_names)) for t in row.tensors)
        return replace(row, gate_names=dealt(row.gate_names), tensors=tensors)
    return replace(row, order="".join(exchanged.get(gate, gate) for gate in row.order))


def with_orientation_flipped(row: Layout, part: str) -> Layout:
    tensors = tuple(replace(t, transposed=not t.transposed) if part in t.parts else t for t in row.tensors)
    return replace(row, tensors=tensors)


def test_what_a_row_can_express_comes_back_bit_for_bit() -> None:
    made: dict[str, Counter[str]] = {row.name: Counter() for row in TABLE}

    @settings(max_examples=2 * settings().max_examples)
    @given(SPECS, lx.strategies.seeds(), INITS, DTYPES)
    def every_bit(spec: lx.LSTMSpec, seed: int, init: str, dtype: str) -> None:
        for row, weights in for_each_row(spec, seed, init, dtype):
            assert_every_bit(weights, row, row)
            own = weights.spec
            made[row.name].update(
                total=1, projection=bool(own.proj_size), peephole=own.peepholes, stack=own.num_layers > 1,
                bidirectional=own.bidirectional, no_bias=own.bias == "none",
            )  # fmt: skip

    every_bit()
    for row in TABLE:
        assert made[row.name]["total"] >= LEAST
        kinds = ["stack", "bidirectional", *(part for part in ("projection", "peephole") if row.tensor_for(part))]
        kinds += [] if row.forget_bias else ["no_bias"]
        assert [kind for kind in kinds if made[row.name][kind] < LEAST_OF_EACH] == [], row.name


@given(lx.strategies.lstm_specs(max_hidden=4, max_input=4), lx.strategies.seeds(), INITS, st.sampled_from(["", "a/b."]))
def test_the_methods_of_weights_do_what_the_functions_do(spec: lx.LSTMSpec, seed: int, init: str, prefix: str) -> None:
    for row, weights in for_each_row(spec, seed, init):
        stored = weights.to_layout(row.name, prefix=prefix)
        assert all(name.startswith(prefix) for name in stored)
        assert lx.LSTMWeights.from_layout(stored, row.name, prefix=prefix) == weights, row.name


def test_only_what_has_no_place_is_refused() -> None:
    """Any spec: a missing place for a projection or peephole is a SpecError, anything else is stored."""
    refused: dict[str, Counter[str]] = {row.name: Counter() for row in TABLE}

    @given(lx.strategies.lstm_weights(SPECS))
    def stored_or_refused(weights: lx.LSTMWeights) -> None:
        present = {"projection": bool(weights.spec.proj_size), "peephole": weights.spec.peepholes}
        for row in TABLE:
            missing = [part for part in present if present[part] and row.tensor_for(part) is None]
            if not missing:
                to_layout(weights, row)
                continue
            with pytest.raises(lx.SpecError, match=f"layout {row.name} has no place for ({'|'.join(missing)})"):
                to_layout(weights, row)
            refused[row.name].update(missing)

    stored_or_refused()
    for row in TABLE:
        assert set(refused[row.name]) == {part for part in ("projection", "peephole") if row.tensor_for(part) is None}


@given(SPECS, lx.strategies.seeds(), INITS)
def test_another_bias_scheme_is_one_rounded_sum_or_zeros(spec: lx.LSTMSpec, seed: int, init: str) -> None:
    """Two biases for one vector become their rounded sum, one bias for two gets zeros, and nothing else changes."""
    other: dict[str, Bias] = {"split": "single", "single": "split"}
    for row, weights in for_each_row(spec, seed, init, bias=other):
        back = from_layout(to_layout(weights, row), row, spec=replace(weights.spec, bias=row.bias))
        for layer, direction, cell in weights.cells():
            read = back.cell(layer, direction)
            for part in ("W", "U", "peephole", "projection"):
                np.testing.assert_array_equal(getattr(read, part), getattr(cell, part), row.name)
            if row.bias == "split":
                np.testing.assert_array_equal(read.b, cell.b, row.name)
                assert read.b_r is not None and not read.b_r.any()
                continue
            total, gates = np.asarray(cell.b) + np.asarray(cell.b_r), slice(None)
            if row.forget_bias:
                # 1 is taken off the forget bias and added again, each rounded once.
                np.testing.assert_allclose(np.asarray(read.b)[1], total[1], rtol=2**-22, atol=2**-22)
                gates = [0, 2, 3]
            np.testing.assert_array_equal(np.asarray(read.b)[gates], total[gates], row.name)


@given(SPECS, lx.strategies.seeds(), INITS, PAIRS_OF_GATES, st.sampled_from("WU"))
def test_a_wrong_row_does_not_give_the_same_weights(
    spec: lx.LSTMSpec, seed: int, init: str, gates: tuple[str, str], part: str
) -> None:
    """Two gates exchanged, or one orientation flipped, is an error or gives other weights."""
    # The matrices of a single unit may be the same in both orientations.
    for row, weights in for_each_row(replace(spec, hidden_size=spec.hidden_size + 1), seed, init):
        stored = to_layout(weights, row)
        wrong = [with_gates_exchanged(row, *gates)]
        if not any(tensor.reshaped for tensor in row.tensors):  # where `transposed` means nothing
            wrong.append(with_orientation_flipped(row, part))
        for other in wrong:
            try:
                read = from_layout(stored, other, spec=weights.spec)
            except lx.SpecError:  # names or shapes that do not fit the wrong row
                continue
            assert read != weights, row.name


@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_the_property_fails_for_a_reader_with_two_gates_exchanged(row: Layout) -> None:
    """The mutant: were the row of the reader alone wrong, the property would say so."""
    weights = lx.LSTMWeights.random(fitted(row, lx.LSTMSpec(3, 2)))
    weights = with_exact_forget_bias(weights) if row.forget_bias else weights
    assert_every_bit(weights, row, row)
    for gates in combinations("ifgo", 2):
        with pytest.raises(AssertionError):
            assert_every_bit(weights, row, with_gates_exchanged(row, *gates))


@given(SPECS, lx.strategies.seeds(), INITS)
def test_a_wrong_row_survives_its_own_round_trip(spec: lx.LSTMSpec, seed: int, init: str) -> None:
    """Why the frameworks' numbers are needed: written and read with the same mistake, every bit comes back."""
    for row, weights in for_each_row(spec, seed, init):
        mutant = with_gates_exchanged(row, "i", "o")
        assert mutant != row
        assert_every_bit(weights, mutant, mutant)
