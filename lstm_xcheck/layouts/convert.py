"""Conversion between canonical weights and any layout, in both directions.

Only this file permutes gates. It knows no framework: all facts come from the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import STORAGE, Array, contiguous, frozen, round_to
from ..errors import SpecError
from ..model import CellWeights, LSTMSpec, LSTMWeights
from ..model.spec import Bias
from .naming import stack_from_names, storage_order, tensor_names
from .table import Layout, Tensor, layout_named

_VECTORS = ("b", "b_r", "peephole")


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


def from_layout(
    arrays: Mapping[str, Any],
    layout: str | Layout,
    *,
    spec: LSTMSpec | None = None,
    prefix: str = "",
    dtype: str | None = None,
) -> LSTMWeights:
    """A framework's arrays in canonical form, with sizes from their shapes.

    Args:
        arrays: the stored arrays by name. Each one with `prefix` must belong to the LSTM.
        spec: checked against the shapes, and the source of other options (activations, clips).
        dtype: `bfloat16` when float32 arrays represent it; else the arrays' type.

    Raises:
        SpecError: for missing or surplus arrays, or wrong shapes.
    """
    row = layout if isinstance(layout, Layout) else layout_named(layout)
    given = {name[len(prefix) :]: np.asarray(array) for name, array in arrays.items() if name.startswith(prefix)}
    cells = read_all_parts(row, given)
    spec = settled_spec(row, [[shapes_of(parts) for parts in directions] for directions in cells], spec)
    layers = tuple(tuple(CellWeights(**parts) for parts in directions) for directions in cells)  # type: ignore[arg-type]
    return LSTMWeights(spec, layers, dtype or _precision_of(given))


def shapes_of(parts: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    """The shape of every array."""
    return {name: array.shape for name, array in parts.items()}


def stack_of(row: Layout, given: Mapping[str, Array]) -> tuple[int, int]:
    """Number of layers and directions of the arrays."""
    return stack_from_names(row, given, _leading_axis(row, given))


def read_all_parts(row: Layout, given: Mapping[str, Array]) -> list[list[dict[str, Array]]]:
    """The canonical arrays of every direction of every layer."""
    num_layers, num_directions = stack_of(row, given)
    return [
        [read_parts(row, given, layer, direction, num_layers, num_directions) for direction in range(num_directions)]
        for layer in range(num_layers)
    ]


def settled_spec(
    row: Layout, cells: Sequence[Sequence[Mapping[str, tuple[int, ...]]]], spec: LSTMSpec | None
) -> LSTMSpec:
    """The spec of these shapes, or the given one if it agrees."""
    found = _describe(cells)
    if spec is None:
        return found
    _check_same_shape(row, spec, found)
    return spec


def _leading_axis(row: Layout, given: Mapping[str, Array]) -> int:
    """Size of the directions' axis; 1 where directions have different names.

    Raises:
        SpecError: for too few axes, or different numbers of directions.
    """
    least = 2 if row.direction_axis else 1
    for name, array in given.items():
        if array.ndim < least:
            raise SpecError(f"layout {row.name}: {name} has shape {array.shape}, but should have at least {least} axes")
    sizes = sorted({array.shape[0] for array in given.values()}) if row.direction_axis else [1]
    if given and sizes not in ([1], [2]):
        raise SpecError(
            f"layout {row.name}: the first axes have sizes {', '.join(map(str, sizes))}, but all should have the "
            "number of directions, 1 or 2"
        )
    return sizes[0] if given else 1


def adapt_bias(weights: LSTMWeights, bias: Bias) -> LSTMWeights:
    """The same LSTM with another bias scheme.

    `split` adds a vector of zeros, `single` adds the two vectors up, rounded once.
    """
    if weights.spec.bias in ("none", bias):
        return weights
    layers = tuple(tuple(adapt_cell(cell, bias, weights.dtype) for cell in row) for row in weights.layers)
    return LSTMWeights(replace(weights.spec, bias=bias), layers, weights.dtype)


def stored_cell(cell: CellWeights, layout: str, dtype: str) -> CellWeights:
    """The cell after a round trip through a layout, its bias adapted.

    Raises:
        SpecError: when the layout has no tensor for a parameter.
    """
    row = layout_named(layout)
    arrays = _with_bias_of(row, cell, dtype)
    if row.forget_bias:
        arrays["b"] = _shift_forget(arrays["b"], row.forget_bias)
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
        arrays["b"] = round_to(_shift_forget(arrays["b"], -row.forget_bias), dtype)
    return arrays


def _shift_forget(bias: Array, constant: float) -> Array:
    shifted = bias.copy()
    shifted[1] += bias.dtype.type(constant)
    return shifted


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


def _from_storage(row: Layout, tensor: Tensor, array: Array) -> Array:
    """A stored tensor as (4 hidden, input), the inverse of `_to_storage`."""
    if tensor.reshaped and array.ndim == 2:
        if array.shape[1] % 4 or not array.size:
            raise SpecError(
                f"layout {row.name}: {tensor.name} has shape {array.shape}, but should have 4 x hidden columns"
            )
        blocks = np.split(array, 4, axis=1)
        return np.concatenate([block.reshape(-1, array.shape[0]) for block in blocks])
    if not tensor.transposed:
        return array
    # A copy releases the array that was read; an array of one repeated number stays small.
    return frozen(array.T) if any(array.strides) else array.T


def _write_part(row: Layout, part: str, array: Array, separate: bool, copy: bool) -> list[Array]:
    """A canonical array in the layout's gate order, (4 hidden, input) or per gate."""
    if part == "projection":
        return [array]
    if part == "peephole":
        ordered = array[["ifo".index(gate) for gate in row.peephole_order]]
        return list(ordered) if separate else [ordered.reshape(-1)]
    if separate:
        return list(array)
    ordered = array[storage_order(row)] if copy else _in_order(array, storage_order(row))
    if row.gates == "units":
        ordered = np.swapaxes(ordered, 0, 1)
    return [ordered.reshape(-1, *array.shape[2:])]


def read_parts(
    row: Layout, given: Mapping[str, Array], layer: int, direction: int, num_layers: int, num_directions: int
) -> dict[str, Array]:
    """The canonical arrays of one direction of one layer."""
    stored: dict[Tensor, list[Array]] = {}
    for tensor in row.tensors:
        names = tensor_names(row, tensor, layer, direction, num_layers, num_directions)
        present = [name for name in names if name in given]
        if present:
            missing = [name for name in names if name not in given]
            if missing:
                raise SpecError(f"layout {row.name}: {', '.join(missing)} missing beside {present[0]}")
            arrays = [given[name] for name in names]
            picked = [a[direction] for a in arrays] if row.direction_axis else arrays
            if len({a.shape for a in picked}) > 1:
                shapes = ", ".join(f"{name} {a.shape}" for name, a in zip(names, picked, strict=True))
                raise SpecError(
                    f"layout {row.name}: {shapes} are of different shapes, but the gates should all be alike"
                )
            stored[tensor] = [_from_storage(row, tensor, a) for a in picked]
    hidden, width = _hidden_and_width(row, stored)
    parts: dict[str, Array] = {}
    for tensor, arrays in stored.items():
        parts.update(_read_tensor(row, tensor, arrays, hidden, width))
    if row.forget_bias and "b" in parts:
        parts["b"] = _shift_forget(parts["b"], row.forget_bias)
    return parts


def _hidden_and_width(row: Layout, stored: dict[Tensor, list[Array]]) -> tuple[int, int]:
    """Hidden size and output width of one direction."""
    kernel = next(tensor for tensor in stored if "W" in tensor.parts)
    arrays = stored[kernel]
    rows = sum(a.shape[0] for a in arrays if a.ndim == 2)
    if any(a.ndim != 2 for a in arrays) or rows % 4 or not rows:
        shapes = [a.shape for a in arrays]
        raise SpecError(
            f"layout {row.name}: {kernel.name} has shape {shapes}, but should have 4 x hidden rows or columns"
        )
    hidden = rows // 4
    projection = next((t for t in stored if "projection" in t.parts), None)
    return hidden, stored[projection][0].shape[0] if projection else hidden


def _read_tensor(row: Layout, tensor: Tensor, arrays: list[Array], hidden: int, width: int) -> dict[str, Array]:
    """The canonical arrays of a stored tensor."""
    joined = np.concatenate(arrays, axis=0) if len(arrays) > 1 else arrays[0]
    sizes = {"U": width, "b": 4 * hidden, "b_r": 4 * hidden, "peephole": 3 * hidden}
    known = sum(sizes.get(part, 0) for part in tensor.parts)
    parts: dict[str, Array] = {}
    start = 0
    for part in tensor.parts:
        size = sizes.get(part, joined.shape[-1] - known)
        piece = joined[..., start : start + size]
        start += size
        parts[part] = _read_part(row, part, piece, hidden, separate=len(arrays) > 1)
    if start != joined.shape[-1]:
        raise SpecError(
            f"layout {row.name}: {tensor.name} has shape {joined.shape}, "
            f"but should have {start} numbers in its last axis"
        )
    return parts


def _read_part(row: Layout, part: str, piece: Array, hidden: int, *, separate: bool) -> Array:
    if part == "projection":
        return piece
    gates = 3 if part == "peephole" else 4
    flat = piece.reshape(-1) if part in _VECTORS else piece
    if flat.shape[0] != gates * hidden:
        raise SpecError(
            f"layout {row.name}: {part} has shape {piece.shape}, but should have {gates} x hidden={gates * hidden} rows"
        )
    if part == "peephole":
        blocks = flat.reshape(3, hidden)
        return _in_order(blocks, [row.peephole_order.index(gate) for gate in "ifo"])
    if separate:
        return flat.reshape(4, hidden, *flat.shape[1:])
    if row.gates == "units":
        blocks = np.swapaxes(flat.reshape(hidden, 4, *flat.shape[1:]), 0, 1)
    else:
        blocks = flat.reshape(4, hidden, *flat.shape[1:])
    return _in_order(blocks, np.argsort(storage_order(row)).tolist())


def _in_order(blocks: Array, order: list[int]) -> Array:
    """The blocks in this order, copied only if that changes anything."""
    return blocks if order == list(range(len(order))) or not any(blocks.strides) else blocks[order]


def _describe(layers: Sequence[Sequence[Mapping[str, tuple[int, ...]]]]) -> LSTMSpec:
    """The spec of these shapes."""
    cell = layers[0][0]
    _, hidden, inputs = cell["W"]
    bias: Bias = "none" if "b" not in cell else ("single" if "b_r" not in cell else "split")
    return LSTMSpec(
        input_size=inputs,
        hidden_size=hidden,
        num_layers=len(layers),
        bidirectional=len(layers[0]) == 2,
        bias=bias,
        proj_size=cell["projection"][0] if "projection" in cell else 0,
        peepholes="peephole" in cell,
    )


def _check_same_shape(row: Layout, spec: LSTMSpec, found: LSTMSpec) -> None:
    for name in ("input_size", "hidden_size", "num_layers", "bidirectional", "bias", "proj_size", "peepholes"):
        if getattr(spec, name) != getattr(found, name):
            raise SpecError(
                f"layout {row.name}: {name} is {getattr(found, name)!r} by the arrays' shapes, but should be "
                f"{getattr(spec, name)!r} by the spec"
            )


def _precision_of(arrays: Mapping[str, Array]) -> str:
    types = sorted({str(a.dtype) for a in arrays.values()})
    if len(types) != 1 or types[0] not in STORAGE:
        raise SpecError(f"the arrays have types {', '.join(types)}, but should all have one of {', '.join(STORAGE)}")
    return types[0]


def _stacked(per_direction: list[dict[Tensor, list[Array]]]) -> dict[Tensor, list[Array]]:
    """Tensors of all directions with a leading axis of directions."""
    return {
        tensor: [np.stack(arrays) for arrays in zip(*(stored[tensor] for stored in per_direction), strict=True)]
        for tensor in per_direction[0]
    }
