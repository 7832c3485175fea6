"""Writes canonical weights as the arrays of any layout.

It knows no framework: all facts come from the row.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import Array, contiguous, round_to
from ..errors import SpecError
from ..model import CellWeights, LSTMWeights
from ..model.spec import Bias
from .naming import in_order, shift_forget, storage_order, tensor_names
from .table import Layout, Tensor, layout_named


def to_layout(weights: LSTMWeights, layout: str | Layout, *, prefix: str = "", copy: bool = True) -> dict[str, Array]:
    """Canonical weights as a framework stores them.

    Where the layout has one bias vector, a split bias is added up, rounded once to the weights' precision; where it
    has two, a single bias gets a second vector of zeros. A constant that the framework adds to the forget gate is
    subtracted, rounded once. All other bits are kept.

    Args:
        weights: canonical.
        layout: by name or as a row.
        prefix: of every name.
        copy: False for arrays that are only read; arrays that need no conversion are then read-only views.

    Raises:
        SpecError: when the layout has no tensor for a projection or peephole.

    >>> from lstm_xcheck.model import LSTMSpec, LSTMWeights
    >>> weights = LSTMWeights.random(LSTMSpec(input_size=3, hidden_size=2))
    >>> {name: array.shape for name, array in to_layout(weights, "keras").items()}
    {'kernel': (3, 8), 'recurrent_kernel': (2, 8), 'bias': (8,)}
    """
    row = layout if isinstance(layout, Layout) else layout_named(layout)
    spec = weights.spec
    result: dict[str, Array] = {}
    for layer, cells in enumerate(weights.layers):
        per_direction = [_write_cell(row, _with_bias_of(row, cell, weights.dtype), copy) for cell in cells]
        if row.direction_axis:
            per_direction = [_stacked(per_direction)]
        for direction, stored in enumerate(per_direction):
            for tensor, arrays in stored.items():
                names = tensor_names(row, tensor, layer, direction, spec.num_layers, spec.num_directions)
                result.update({prefix + name: array for name, array in zip(names, arrays, strict=True)})
    return result


def adapt_bias(weights: LSTMWeights, bias: Bias) -> LSTMWeights:
    """The same LSTM with another bias scheme.

    `split` adds a vector of zeros, `single` adds the two vectors up, rounded once.
    """
    if weights.spec.bias in ("none", bias):
        return weights
    layers = tuple(tuple(adapt_cell(cell, bias, weights.dtype) for cell in row) for row in weights.layers)
    return LSTMWeights(replace(weights.spec, bias=bias), layers, weights.dtype)


def stored_cell(cell: CellWeights, layout: str, dtype: str) -> CellWeights:
    """The cell after a round trip through a layout, its bias adapted."""
    row = layout_named(layout)
    arrays = _with_bias_of(row, cell, dtype)
    if row.forget_bias:
        arrays["b"] = shift_forget(arrays["b"], row.forget_bias)
    return CellWeights(**arrays)  # type: ignore[arg-type]


def adapt_cell(cell: CellWeights, bias: str, dtype: str) -> CellWeights:
    """`adapt_bias` of one cell with a bias; matrices are not copied."""
    others = {name: array for name, array in cell.items() if name not in ("b", "b_r")}
    b = np.asarray(cell.b)
    if bias == "single":
        total = b if cell.b_r is None else round_to(b + np.asarray(cell.b_r), dtype)
        return CellWeights(**others, b=total)  # type: ignore[arg-type]
    return CellWeights(**others, b=b, b_r=np.zeros_like(b))  # type: ignore[arg-type]


def _with_bias_of(row: Layout, cell: CellWeights, dtype: str) -> dict[str, Array]:
    """The cell's arrays with the layout's bias scheme, without a run-time forget bias."""
    if cell.b is not None and (cell.b_r is None) == (row.bias == "split"):
        cell = adapt_cell(cell, row.bias, dtype)
    arrays = {name: np.asarray(array) for name, array in cell.items()}
    for name in arrays:
        if row.tensor_for(name) is None:
            raise SpecError(f"layout {row.name} has no place for {name}; {row.source} stores no such parameter")
    if row.forget_bias:
        if "b" not in arrays:
            arrays["b"] = np.zeros(arrays["W"].shape[:2], arrays["W"].dtype)
        # bfloat16 is stored in float32 arrays, where the difference could have more bits.
        arrays["b"] = round_to(shift_forget(arrays["b"], -row.forget_bias), dtype)
    return arrays


def _write_cell(row: Layout, arrays: dict[str, Array], copy: bool) -> dict[Tensor, list[Array]]:
    """The tensors of one direction, each one array, or one per gate."""
    stored = {}
    for tensor in row.tensors:
        if all(part in arrays for part in tensor.parts):
            parts = [_write_part(row, part, arrays[part], "{gate}" in tensor.name, copy) for part in tensor.parts]
            joined = [np.concatenate(g, axis=-1) if len(g) > 1 or copy else g[0] for g in zip(*parts, strict=True)]
            stored[tensor] = [contiguous(_to_storage(tensor, a)) for a in joined]
    return stored


def _to_storage(tensor: Tensor, array: Array) -> Array:
    """(4 hidden, input) in the tensor's orientation."""
    if tensor.reshaped and array.ndim == 2:
        blocks = array.reshape(4, array.shape[1], -1)
        return np.concatenate(list(blocks), axis=1)
    return array.T if tensor.transposed else array


def _write_part(row: Layout, part: str, array: Array, separate: bool, copy: bool) -> list[Array]:
    """A canonical array in the layout's gate order, (4 hidden, input) or per gate."""
    if part == "projection":
        return [array]
    if part == "peephole":
        ordered = array[["ifo".index(gate) for gate in row.peephole_order]]
        return list(ordered) if separate else [ordered.reshape(-1)]
    if separate:
        return list(array)
    ordered = array[storage_order(row)] if copy else in_order(array, storage_order(row))
    if row.gates == "units":
        ordered = np.swapaxes(ordered, 0, 1)
    return [ordered.reshape(-1, *array.shape[2:])]


def _stacked(per_direction: list[dict[Tensor, list[Array]]]) -> dict[Tensor, list[Array]]:
    """Tensors of all directions with a leading axis of directions."""
    return {
        tensor: [np.stack(arrays) for arrays in zip(*(stored[tensor] for stored in per_direction), strict=True)]
        for tensor in per_direction[0]
    }
