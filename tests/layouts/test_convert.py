"""Conversion: exact bits, one allowed rounding, and refusals."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from lstm_xcheck.arrays import Array, round_to
from lstm_xcheck.errors import SpecError
from lstm_xcheck.layouts import TABLE, Layout, adapt_bias, from_layout, layout_named, to_layout
from lstm_xcheck.layouts.naming import tensor_names
from lstm_xcheck.layouts.table import Tensor
from lstm_xcheck.model import CellWeights, LSTMSpec, LSTMWeights
from lstm_xcheck.model.spec import Bias

ROWS = {row.name: row for row in TABLE}


def specs_of(row: Layout) -> list[LSTMSpec]:
    """Every spec that the row stores without changing it."""
    biases: list[Bias] = [row.bias] if row.forget_bias else [row.bias, "none"]
    projections = [0, 2] if row.tensor_for("projection") else [0]
    peepholes = [False, True] if row.tensor_for("peephole") else [False]
    return [
        LSTMSpec(3, 4, layers, bidirectional, bias, projection, peephole)
        for layers, bidirectional, bias, projection, peephole in product(
            (1, 2, 3), (False, True), biases, projections, peepholes
        )
    ]


#: Distance of the floats next above 1.
EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}

EVERY = [(row.name, spec) for row in TABLE for spec in specs_of(row)]
IDS = [
    f"{name}-l{s.num_layers}{'-bi' if s.bidirectional else ''}-{s.bias}{'-p' if s.proj_size else ''}"
    f"{'-peepholes' if s.peepholes else ''}"
    for name, s in EVERY
]


def ravel(array: Array | None) -> Array:
    assert array is not None
    return np.ravel(array)


@pytest.mark.parametrize(("name", "spec"), EVERY, ids=IDS)
def test_round_trip_keeps_every_bit(name: str, spec: LSTMSpec) -> None:
    """Except a run-time forget bias, which is subtracted and added, rounded twice."""
    weights = LSTMWeights.random(spec, seed=3)
    if ROWS[name].forget_bias:
        weights = with_forget_bias_on_a_grid(weights)
    back = from_layout(to_layout(weights, name), name)
    assert back == weights


def with_forget_bias_on_a_grid(weights: LSTMWeights) -> LSTMWeights:
    """Forget biases as multiples of 2**-20, to which adding 1 is exact."""

    def rounded(cell: CellWeights) -> CellWeights:
        assert cell.b is not None
        bias = cell.b.copy()
        bias[1] = np.round(bias[1] * 2**20) / 2**20
        return replace(cell, b=bias)

    layers = tuple(tuple(rounded(cell) for cell in row) for row in weights.layers)
    return LSTMWeights(weights.spec, layers, weights.dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.forget_bias])
def test_round_trip_keeps_every_precision(name: str, dtype: str) -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 4, bias=ROWS[name].bias), seed=3, dtype=dtype)
    stored = to_layout(weights, name)
    assert {array.dtype for array in stored.values()} == {np.asarray(weights.layers[0][0].W).dtype}
    assert from_layout(stored, name, dtype=dtype) == weights


@pytest.mark.parametrize("prefix", ["encoder.", "a/b/"])
def test_every_name_has_the_prefix_and_reading_removes_it(prefix: str) -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 4, num_layers=2, bidirectional=True))
    stored = to_layout(weights, "torch", prefix=prefix)
    assert all(name.startswith(prefix) for name in stored)
    others = {"head.weight": np.zeros((2, 2), np.float32)}
    assert from_layout({**stored, **others}, "torch", prefix=prefix) == weights


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_split_to_single_is_one_rounded_addition(dtype: str) -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 4), seed=5, dtype=dtype)
    cell = weights.layers[0][0]
    stored = to_layout(weights, "keras")
    kind = np.dtype(dtype).type
    expected = [kind(np.float64(b) + np.float64(r)) for b, r in zip(ravel(cell.b), ravel(cell.b_r), strict=True)]
    assert stored["bias"].dtype == dtype
    assert stored["bias"].tolist() == [float(number) for number in expected]
    assert np.array_equal(stored["kernel"], np.asarray(cell.W).reshape(16, 3).T), "nothing but the bias may change"


def test_bfloat16_biases_are_added_in_float32_and_rounded_to_bfloat16() -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 4), seed=5, dtype="bfloat16")
    total = to_layout(weights, "keras")["bias"]
    assert (total.view(np.uint32) & 0xFFFF == 0).all()
    cell = weights.layers[0][0]
    assert np.abs(total - np.ravel(cell.total_bias)).max() <= 2.0**-9 * np.abs(total).max()


def test_single_to_split_gives_a_second_vector_of_zeros() -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 4, bias="single"), seed=5)
    stored = to_layout(weights, "torch")
    assert not stored["bias_hh_l0"].any()
    assert np.array_equal(stored["bias_ih_l0"], ravel(weights.layers[0][0].b))


@pytest.mark.parametrize("bias", ["split", "single"])
def test_adapt_bias_returns_weights_that_fit_unchanged(bias: Bias) -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 4, bias=bias))
    none = LSTMWeights.random(LSTMSpec(3, 4, bias="none"))
    assert adapt_bias(weights, bias) is weights
    assert adapt_bias(none, bias) is none


def test_adapt_bias_there_and_back() -> None:
    single = LSTMWeights.random(LSTMSpec(3, 4, bias="single"))
    split = adapt_bias(single, "split")
    assert split.spec.bias == "split"
    assert adapt_bias(split, "single") == single


def test_forget_bias_added_at_run_time_is_not_stored() -> None:
    weights = with_forget_bias_on_a_grid(LSTMWeights.random(LSTMSpec(3, 4, bias="single"), seed=5))
    stored = to_layout(weights, "tf1")["bias"].reshape(4, 4)
    b = weights.layers[0][0].b
    assert b is not None
    assert np.array_equal(stored[2], b["f"] - np.float32(1)), "TensorFlow 1 stores i, g, f, o and adds 1 to f"
    assert np.array_equal(stored[[0, 1, 3]], np.stack([b["i"], b["g"], b["o"]]))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.forget_bias])
def test_a_stored_forget_bias_has_the_precision_of_the_weights(name: str, dtype: str) -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 4, bias="single"), 5, "torch", dtype)
    stored = to_layout(weights, name)
    assert all(np.array_equal(round_to(array, dtype), array) for array in stored.values())
    back = from_layout(stored, name, dtype=dtype)
    assert np.abs(back.layers[0][0].total_bias - weights.layers[0][0].total_bias).max() <= EPS[dtype]


def test_no_bias_where_the_framework_adds_one_cancels_it() -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 4, bias="none"))
    assert to_layout(weights, "tf1")["bias"].reshape(4, 4).tolist() == [[0] * 4, [0] * 4, [-1] * 4, [0] * 4]


@pytest.mark.parametrize(
    ("name", "part", "options"),
    [
        ("keras", "projection", {"proj_size": 2}),
        ("onnx", "projection", {"proj_size": 2}),
        ("torch", "peephole", {"peepholes": True}),
        ("openvino", "peephole", {"peepholes": True}),
    ],
)
def test_parameters_without_a_place_are_refused(name: str, part: str, options: dict[str, int]) -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 4, **options))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=f"layout {name} has no place for {part}"):
        to_layout(weights, name)


@pytest.mark.parametrize("name", ROWS)
def test_surplus_names_are_refused(name: str) -> None:
    stored = to_layout(LSTMWeights.random(LSTMSpec(3, 4, num_layers=2, bias=ROWS[name].bias)), name)
    with pytest.raises(SpecError, match="surplus left over after reading 2 layers"):
        from_layout({**stored, "surplus": next(iter(stored.values()))}, name)


@pytest.mark.parametrize("name", ROWS)
def test_missing_matrices_are_refused(name: str) -> None:
    """Without W or U of a layer, arrays are surplus or not recognised."""
    row = ROWS[name]
    stored = to_layout(LSTMWeights.random(LSTMSpec(3, 4, num_layers=2, bias=row.bias)), name)
    matrices = [key for key, array in stored.items() if array.ndim - row.direction_axis == 2]
    assert matrices
    for gone in matrices:
        with pytest.raises(SpecError, match=r"left over|needs names such as"):
            from_layout({key: array for key, array in stored.items() if key != gone}, name)


@pytest.mark.parametrize("name", ROWS)
def test_a_bias_missing_from_one_layer_is_refused(name: str) -> None:
    row = ROWS[name]
    stored = to_layout(LSTMWeights.random(LSTMSpec(3, 4, num_layers=2, bias=row.bias)), name)
    biases = [key for key, array in stored.items() if array.ndim - row.direction_axis == 1]
    vectors = len([tensor for tensor in row.tensors if {"b", "b_r"} & set(tensor.parts)])
    assert len(biases) == 2 * vectors * (4 if row.gates == "names" else 1)
    for gone in biases:
        with pytest.raises(SpecError, match=r"but should be|missing beside"):
            from_layout({key: array for key, array in stored.items() if key != gone}, name)


def test_missing_gates_are_refused() -> None:
    row = Layout(
        name="apart",
        order="ifgo",
        bias="single",
        gates="names",
        tensors=(Tensor("{layer}{direction}W{gate}", ("W",)), Tensor("{layer}{direction}U{gate}", ("U",))),
        layer_names=("", "{k}/"),
        directions=("", "f/", "b/"),
        source="this test",
    )
    weights = LSTMWeights.random(LSTMSpec(3, 4, bias="none"))
    stored = to_layout(weights, row)
    assert sorted(stored) == ["Uf", "Ug", "Ui", "Uo", "Wf", "Wg", "Wi", "Wo"]
    assert from_layout(stored, row) == weights
    del stored["Wg"]
    with pytest.raises(SpecError):
        from_layout(stored, row)


def reshaped(array: Array, change: str) -> Array:
    return {
        "a-row-more": np.concatenate([array, array[:1]]),
        "a-row-less": array[:-1],
        "scalar": array.reshape(-1)[:1].reshape(()),
        "empty": array[:0],
        "a-third-axis": array[..., None],
    }[change]


@pytest.mark.parametrize("change", ["a-row-more", "a-row-less", "scalar", "empty", "a-third-axis"])
@pytest.mark.parametrize("name", ROWS)
def test_wrong_shapes_are_refused_in_a_sentence(name: str, change: str) -> None:
    """Except the input width, the rows of a transposed kernel."""
    row = ROWS[name]
    stored = to_layout(LSTMWeights.random(LSTMSpec(3, 4, bias=row.bias)), name)
    transposed = [tensor for tensor in row.tensors if "W" in tensor.parts and (tensor.transposed or tensor.reshaped)]
    inputs = [key for tensor in transposed for key in tensor_names(row, tensor, 0, 0, 1, 1)]
    for key, array in stored.items():
        if change.startswith("a-row") and key in inputs and row.gates != "names":
            continue
        with pytest.raises(SpecError, match=rf"layout {name}: |layer 0 direction 0: |input_size is 0"):
            from_layout({**stored, key: reshaped(array, change)}, name)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.direction_axis])
def test_different_numbers_of_directions_are_refused(name: str) -> None:
    stored = to_layout(LSTMWeights.random(LSTMSpec(3, 4, bias=ROWS[name].bias)), name)
    for key, array in stored.items():
        with pytest.raises(SpecError, match="first axes have sizes 1, 2, but all should have"):
            from_layout({**stored, key: np.concatenate([array, array])}, name)
    with pytest.raises(SpecError, match="first axes have sizes 3"):
        from_layout({key: np.concatenate([array] * 3) for key, array in stored.items()}, name)


def test_mixed_and_integer_types_are_refused() -> None:
    stored = to_layout(LSTMWeights.random(LSTMSpec(3, 4)), "torch")
    with pytest.raises(SpecError, match="types float32, float64, but should all have one of"):
        from_layout({**stored, "bias_ih_l0": stored["bias_ih_l0"].astype(np.float64)}, "torch")
    with pytest.raises(SpecError, match="types int8"):
        from_layout({key: array.astype(np.int8) for key, array in stored.items()}, "torch")


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(broken: float) -> None:
    stored = to_layout(LSTMWeights.random(LSTMSpec(3, 4)), "torch")
    stored["weight_hh_l0"] = stored["weight_hh_l0"].copy()
    stored["weight_hh_l0"][5, 2] = broken
    with pytest.raises(SpecError, match=r"layer 0 direction 0: U\[1, 1, 2\] is (nan|inf)"):
        from_layout(stored, "torch")


def test_a_spec_that_the_shapes_contradict_is_refused() -> None:
    stored = to_layout(LSTMWeights.random(LSTMSpec(3, 4)), "torch")
    with pytest.raises(
        SpecError, match="layout torch: input_size is 3 by the arrays' shapes, but should be 5 by the spec"
    ):
        from_layout(stored, "torch", spec=LSTMSpec(5, 4))


def test_options_without_shapes_come_from_the_spec() -> None:
    spec = LSTMSpec(3, 4, bias="single", gate_activation="hard_sigmoid:0.2,0.5", cell_clip=3.0)
    weights = LSTMWeights.random(spec)
    assert from_layout(to_layout(weights, "keras"), "keras", spec=spec) == weights


def test_an_unknown_layout_is_refused_with_the_names() -> None:
    with pytest.raises(SpecError, match="unknown layout 'tocrh'; did you mean torch"):
        layout_named("tocrh")


@pytest.mark.parametrize("layers", [1, 3])
def test_a_row_without_names_for_layers_reads_one(layers: int) -> None:
    """Names without a layer index describe a single layer."""
    row = Layout(
        name="flat",
        order="ifgo",
        bias="single",
        tensors=(Tensor("W", ("W",)), Tensor("U", ("U",)), Tensor("b", ("b",))),
        source="this test",
    )
    weights = LSTMWeights.random(LSTMSpec(4, 4, num_layers=layers, bias="single"))
    assert from_layout(to_layout(weights.layer(layers - 1), row), row) == weights.layer(layers - 1)
