"""The one engine that moves weights between the canonical form and a layout, both ways.

This is the only file that permutes gates. It knows no framework: everything it does is written in the row.
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

    A split bias becomes one vector by one rounded addition in the weights' own precision where the layout has one
    vector; a single bias gets a second vector of zeros where it has two. Where the framework adds a constant to the
    forget gate itself, it is taken off, rounded once. Nothing else can change a bit.

    Args:
        weights: canonical.
        layout: by name or as a row.
        prefix: put before every name.
        copy: False for arrays that are only read: those that the layout stores as they are then come read-only.

    Raises:
        SpecError: when the layout has no place for a projection, peephole or second bias.

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
            per_direction = [{tensor: _stack(arrays) for tensor, arrays in _transpose(per_direction).items()}]
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
    """A framework's arrays in canonical form; sizes are read from the shapes.

    Args:
        arrays: the stored arrays by name. All of them must be used, those without `prefix` aside.
        spec: checked against what the shapes say, and the source of what they cannot say (activations, clips).
        dtype: `bfloat16` when float32 arrays stand for it; else the arrays' own type.

    Raises:
        SpecError: for missing, left-over or ill-shaped arrays.
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
    """How many layers and directions the arrays are of."""
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
    """The spec that the shapes mean, or the given one where it agrees."""
    found = _describe(cells)
    if spec is None:
        return found
    _check_same_shape(row, spec, found)
    return spec


def _leading_axis(row: Layout, given: Mapping[str, Array]) -> int:
    """How many directions the arrays stack; 1 where they are named apart.

    Raises:
        SpecError: for an array with too few axes to be read, or arrays that stack different numbers of directions.
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
    """The same LSTM with another bias scheme: `split` adds zeros, `single` adds the two vectors up once, rounded."""
    if weights.spec.bias in ("none", bias):
        return weights
    layers = tuple(tuple(adapt_cell(cell, bias, weights.dtype) for cell in row) for row in weights.layers)
    return LSTMWeights(replace(weights.spec, bias=bias), layers, weights.dtype)


def stored_cell(cell: CellWeights, layout: str, dtype: str) -> CellWeights:
    """What is read of a cell after one trip through a layout: a bias adapted to its scheme, all else as it was.

    Raises:
        SpecError: when the layout has no place for a parameter.
    """
    row = layout_named(layout)
    arrays = _with_bias_of(row, cell, dtype)
    if row.forget_bias:
        arrays["b"] = _shift_forget(arrays["b"], row.forget_bias)
    return CellWeights(**arrays)  # type: ignore[arg-type]


def adapt_cell(cell: CellWeights, bias: str, dtype: str) -> CellWeights:
    """`adapt_bias` of a cell that has a bias; its matrices stay where they are."""
    kept = {name: array for name, array in cell.items() if name not in ("b", "b_r")}
    b = np.asarray(cell.b)
    if bias == "single":
        total = b if cell.b_r is None else round_to(b + np.asarray(cell.b_r), dtype)
        return CellWeights(**kept, b=total)  # type: ignore[arg-type]
    return CellWeights(**kept, b=b, b_r=np.zeros_like(b))  # type: ignore[arg-type]


def _with_bias_of(row: Layout, cell: CellWeights, dtype: str) -> dict[str, Array]:
    """The cell's arrays with the layout's bias scheme and without its run-time forget bias."""
    if cell.b is not None and (cell.b_r is None) == (row.bias == "split"):
        cell = adapt_cell(cell, row.bias, dtype)
    arrays = {name: np.asarray(array) for name, array in cell.items()}
    for name in arrays:
        if row.tensor_for(name) is None:
            raise SpecError(f"layout {row.name} has no place for {name}; {row.source} stores no such parameter")
    if row.forget_bias:
        if "b" not in arrays:
            arrays["b"] = np.zeros(arrays["W"].shape[:2], arrays["W"].dtype)
        # bfloat16 lies in float32 arrays, where the difference would have more bits than a file keeps.
        arrays["b"] = round_to(_shift_forget(arrays["b"], -row.forget_bias), dtype)
    return arrays


def _shift_forget(bias: Array, constant: float) -> Array:
    shifted = bias.copy()
    shifted[1] += bias.dtype.type(constant)
    return shifted


def _write_cell(row: Layout, arrays: dict[str, Array], copy: bool) -> dict[Tensor, list[Array]]:
    """Each tensor of one direction, as a list with one array, or one for each gate where they are stored apart."""
    stored = {}
    for tensor in row.tensors:
        if all(part in arrays for part in tensor.parts):
            parts = [_write_part(row, part, arrays[part], "{gate}" in tensor.name, copy) for part in tensor.parts]
            joined = [np.concatenate(g, axis=-1) if len(g) > 1 or copy else g[0] for g in zip(*parts, strict=True)]
            stored[tensor] = [contiguous(_turn(tensor, a)) for a in joined]
    return stored


def _turn(tensor: Tensor, array: Array) -> Array:
    """(4 hidden, input) as the tensor is stored."""
    if tensor.reshaped and array.ndim == 2:
        blocks = array.reshape(4, array.shape[1], -1)
        return np.concatenate(list(blocks), axis=1)
    return array.T if tensor.transposed else array


def _turn_back(row: Layout, tensor: Tensor, array: Array) -> Array:
    """A stored tensor as (4 hidden, input)."""
    if tensor.reshaped and array.ndim == 2:
        if array.shape[1] % 4 or not array.size:
            raise SpecError(
                f"layout {row.name}: {tensor.name} has shape {array.shape}, but should have 4 x hidden columns"
            )
        blocks = np.split(array, 4, axis=1)
        return np.concatenate([block.reshape(-1, array.shape[0]) for block in blocks])
    if not tensor.transposed:
        return array
    # Copied now, so that what was read is let go; one repeated number would become an array of its size.
    return frozen(array.T) if any(array.strides) else array.T


def _write_part(row: Layout, part: str, array: Array, apart: bool, copy: bool) -> list[Array]:
    """A canonical array with the layout's gate order: rows of (4 hidden, input), or four blocks of them."""
    if part == "projection":
        return [array]
    if part == "peephole":
        ordered = array[["ifo".index(gate) for gate in row.peephole_order]]
        return list(ordered) if apart else [ordered.reshape(-1)]
    if apart:
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
            stored[tensor] = [_turn_back(row, tensor, a) for a in picked]
    hidden, width = _hidden_and_width(row, stored)
    parts: dict[str, Array] = {}
    for tensor, arrays in stored.items():
        parts.update(_read_tensor(row, tensor, arrays, hidden, width))
    if row.forget_bias and "b" in parts:
        parts["b"] = _shift_forget(parts["b"], row.forget_bias)
    return parts


def _hidden_and_width(row: Layout, stored: dict[Tensor, list[Array]]) -> tuple[int, int]:
    """Hidden size H and output width R of one direction."""
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
    """Split a stored tensor into its canonical arrays."""
    joined = np.concatenate(arrays, axis=0) if len(arrays) > 1 else arrays[0]
    sizes = {"U": width, "b": 4 * hidden, "b_r": 4 * hidden, "peephole": 3 * hidden}
    known = sum(sizes.get(part, 0) for part in tensor.parts)
    parts: dict[str, Array] = {}
    start = 0
    for part in tensor.parts:
        size = sizes.get(part, joined.shape[-1] - known)
        piece = joined[..., start : start + size]
        start += size
        parts[part] = _read_part(row, part, piece, hidden, apart=len(arrays) > 1)
    if start != joined.shape[-1]:
        raise SpecError(
            f"layout {row.name}: {tensor.name} has shape {joined.shape}, "
            f"but should have {start} numbers in its last axis"
        )
    return parts


def _read_part(row: Layout, part: str, piece: Array, hidden: int, *, apart: bool) -> Array:
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
    if apart:
        return flat.reshape(4, hidden, *flat.shape[1:])
    if row.gates == "units":
        blocks = np.swapaxes(flat.reshape(hidden, 4, *flat.shape[1:]), 0, 1)
    else:
        blocks = flat.reshape(4, hidden, *flat.shape[1:])
    return _in_order(blocks, np.argsort(storage_order(row)).tolist())


def _in_order(blocks: Array, order: list[int]) -> Array:
    """The blocks in another order; no copy where that is the order they have, or one repeated number in any order."""
    return blocks if order == list(range(len(order))) or not any(blocks.strides) else blocks[order]


def _describe(layers: Sequence[Sequence[Mapping[str, tuple[int, ...]]]]) -> LSTMSpec:
    """The spec that these shapes mean."""
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


def _transpose(per_direction: list[dict[Tensor, list[Array]]]) -> dict[Tensor, list[list[Array]]]:
    return {tensor: [stored[tensor] for stored in per_direction] for tensor in per_direction[0]}


def _stack(per_direction: list[list[Array]]) -> list[Array]:
    return [np.stack(arrays) for arrays in zip(*per_direction, strict=True)]
