"""Reads canonical weights from the arrays of any layout.

It knows no framework: all facts come from the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays import STORAGE, Array, frozen, to_numpy
from ..errors import SpecError
from ..model import CellWeights, LSTMSpec, LSTMWeights
from ..model.spec import Bias
from ..model.weights import check_shapes
from .naming import in_order, shift_forget, stack_from_names, storage_order, tensor_names
from .table import Layout, Tensor, layout_named

_VECTORS = ("b", "b_r", "peephole")
_PER_UNIT = "4 rows or columns per unit make an LSTM, a GRU has 3 and a simple RNN 1"


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
    if not isinstance(arrays, Mapping):
        raise SpecError(f"got a {type(arrays).__name__}, but should get a dict of arrays by name")
    unnamed = [name for name in arrays if not isinstance(name, str)]
    if unnamed:
        raise SpecError(f"an array is named {unnamed[0]!r}, but names should be text such as 'kernel'")
    if spec is not None and not isinstance(spec, LSTMSpec):
        raise SpecError(f"spec is a {type(spec).__name__}, but should be an LSTMSpec")
    row = layout if isinstance(layout, Layout) else layout_named(layout)
    given = {name[len(prefix) :]: to_numpy(array) for name, array in arrays.items() if name.startswith(prefix)}
    cells = read_all_parts(row, given)
    spec = settled_spec(row, [[shapes_of(parts) for parts in directions] for directions in cells], spec)
    layers = tuple(tuple(CellWeights(**parts) for parts in directions) for directions in cells)  # type: ignore[arg-type]
    return LSTMWeights(spec, layers, dtype or _precision_of(given))


def spec_of(shapes: Mapping[str, tuple[int, ...]], layout: str | Layout, spec: LSTMSpec | None = None) -> LSTMSpec:
    """The spec that `from_layout` finds in arrays of these shapes.

    >>> spec_of({"kernel": (3, 8), "recurrent_kernel": (2, 8)}, "keras").hidden_size
    2
    """
    row = layout if isinstance(layout, Layout) else layout_named(layout)
    cells = read_all_parts(row, {name: _shape_only(name, shape) for name, shape in shapes.items()})
    found = [[shapes_of(parts) for parts in directions] for directions in cells]
    spec = settled_spec(row, found, spec)
    for layer, directions in enumerate(found):
        for direction, actual in enumerate(directions):
            check_shapes(spec, layer, direction, actual)
    return spec


def read_cell(
    shapes: Mapping[str, tuple[int, ...]],
    fetch: Callable[[str], Array],
    layout: str | Layout,
    layer: int,
    direction: int,
) -> CellWeights:
    """Read a single cell; `fetch` returns an array by name."""
    row = layout if isinstance(layout, Layout) else layout_named(layout)
    stack = stack_of(row, {name: _shape_only(name, shape) for name, shape in shapes.items()})
    return CellWeights(**read_parts(row, _Fetched(shapes, fetch), layer, direction, *stack))  # type: ignore[arg-type]


class _Fetched(Mapping[str, Array]):
    """Arrays that are fetched on access."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], fetch: Callable[[str], Array]) -> None:
        self._shapes, self._fetch = shapes, fetch

    def __getitem__(self, name: str) -> Array:
        return self._fetch(name)

    def __contains__(self, name: object) -> bool:
        return name in self._shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def _shape_only(name: str, shape: tuple[int, ...]) -> Array:
    """An array of this shape in one byte of memory."""
    try:
        return np.broadcast_to(np.int8(0), shape)
    except ValueError as error:
        raise SpecError(f"{name} has shape {shape}, which no array can have: {error}") from error


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
    for name in ("input_size", "hidden_size", "num_layers", "bidirectional", "bias", "proj_size", "peepholes"):
        if getattr(spec, name) != getattr(found, name):
            raise SpecError(
                f"layout {row.name}: {name} is {getattr(found, name)!r} by the arrays' shapes, but should be "
                f"{getattr(spec, name)!r} by the spec"
            )
    return spec


def _leading_axis(row: Layout, given: Mapping[str, Array]) -> int:
    """Size of the directions' axis; 1 where directions have different names."""
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


def read_parts(
    row: Layout, given: Mapping[str, Array], layer: int, direction: int, num_layers: int, num_directions: int
) -> dict[str, Array]:
    """The canonical arrays of one direction of one layer."""
    stored: dict[Tensor, list[Array]] = {}
    shown: dict[Tensor, str] = {}
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
            shown[tensor] = f"{', '.join(names)} {'have' if len(names) > 1 else 'has'} shape {arrays[0].shape}"
            stored[tensor] = [_from_storage(row, tensor, a, shown[tensor]) for a in picked]
    hidden, width = _hidden_and_width(row, stored, shown)
    parts: dict[str, Array] = {}
    for tensor, arrays in stored.items():
        parts.update(_read_tensor(row, tensor, arrays, hidden, width, shown[tensor]))
    if row.forget_bias and "b" in parts:
        parts["b"] = shift_forget(parts["b"], row.forget_bias)
    return parts


def _from_storage(row: Layout, tensor: Tensor, array: Array, shown: str) -> Array:
    """A stored tensor as (4 hidden, input), the inverse of `_to_storage`."""
    if tensor.reshaped and array.ndim == 2:
        if array.shape[1] % 4 or not array.size:
            raise SpecError(f"layout {row.name}: {shown}, but should have 4 x hidden columns")
        blocks = np.split(array, 4, axis=1)
        return np.concatenate([block.reshape(-1, array.shape[0]) for block in blocks])
    if not tensor.transposed:
        return array
    # A copy releases the array that was read; an array of one repeated number stays small.
    return frozen(array.T) if any(array.strides) else array.T


def _hidden_and_width(
    row: Layout, stored: Mapping[Tensor, Sequence[Array]], shown: Mapping[Tensor, str]
) -> tuple[int, int]:
    """Hidden size and output width of one direction."""
    kernel = next(tensor for tensor in stored if "W" in tensor.parts)
    arrays = stored[kernel]
    rows = sum(a.shape[0] for a in arrays if a.ndim == 2)
    if any(a.ndim != 2 for a in arrays) or rows % 4 or not rows:
        raise SpecError(f"layout {row.name}: {shown[kernel]}, but should have 4 x hidden rows or columns: {_PER_UNIT}")
    hidden = rows // 4
    projection = next((t for t in stored if "projection" in t.parts), None)
    return hidden, stored[projection][0].shape[0] if projection else hidden


def _read_tensor(
    row: Layout, tensor: Tensor, arrays: Sequence[Array], hidden: int, width: int, shown: str
) -> dict[str, Array]:
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
        parts[part] = _read_part(row, part, piece, hidden, shown, separate=len(arrays) > 1)
    if start != joined.shape[-1]:
        raise SpecError(
            f"layout {row.name}: {shown}, but should have {start} where it has {joined.shape[-1]}, since the weights "
            f"of the input are those of {hidden} units: {_PER_UNIT}"
        )
    return parts


def _read_part(row: Layout, part: str, piece: Array, hidden: int, shown: str, *, separate: bool) -> Array:
    if part == "projection":
        return piece
    gates = 3 if part == "peephole" else 4
    flat = piece.reshape(-1) if part in _VECTORS else piece
    if flat.shape[0] != gates * hidden:
        raise SpecError(
            f"layout {row.name}: {shown}, but should have {gates} x hidden = {gates * hidden} numbers where it has "
            f"{flat.shape[0]}, since the weights of the input are those of {hidden} units"
        )
    if part == "peephole":
        blocks = flat.reshape(3, hidden)
        return in_order(blocks, [row.peephole_order.index(gate) for gate in "ifo"])
    if separate:
        return flat.reshape(4, hidden, *flat.shape[1:])
    if row.gates == "units":
        blocks = np.swapaxes(flat.reshape(hidden, 4, *flat.shape[1:]), 0, 1)
    else:
        blocks = flat.reshape(4, hidden, *flat.shape[1:])
    return in_order(blocks, np.argsort(storage_order(row)).tolist())


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


def _precision_of(arrays: Mapping[str, Array]) -> str:
    types = sorted({str(a.dtype) for a in arrays.values()})
    if len(types) != 1 or types[0] not in STORAGE:
        raise SpecError(f"the arrays have types {', '.join(types)}, but should all have one of {', '.join(STORAGE)}")
    return types[0]
