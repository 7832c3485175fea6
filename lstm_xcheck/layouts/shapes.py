"""Reading a layout by shapes: the spec without arrays, and single cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ..arrays import Array
from ..errors import SpecError
from ..model import CellWeights, LSTMSpec
from ..model.weights import check_shapes
from .convert import read_all_parts, read_parts, settled_spec, shapes_of, stack_of
from .table import layout_named


def spec_of(shapes: Mapping[str, tuple[int, ...]], layout: str, spec: LSTMSpec | None = None) -> LSTMSpec:
    """The spec that `from_layout` finds in arrays of these shapes.

    Raises:
        SpecError: for missing or surplus arrays, or wrong shapes.

    >>> spec_of({"kernel": (3, 8), "recurrent_kernel": (2, 8)}, "keras").hidden_size
    2
    """
    row = layout_named(layout)
    cells = read_all_parts(row, {name: _shape_only(name, shape) for name, shape in shapes.items()})
    found = [[shapes_of(parts) for parts in directions] for directions in cells]
    spec = settled_spec(row, found, spec)
    for layer, directions in enumerate(found):
        for direction, actual in enumerate(directions):
            check_shapes(spec, layer, direction, actual)
    return spec


def read_cell(
    shapes: Mapping[str, tuple[int, ...]], fetch: Callable[[str], Array], layout: str, layer: int, direction: int
) -> CellWeights:
    """Read a single cell; `fetch` returns an array by name.

    Raises:
        SpecError: as `from_layout`.
    """
    row = layout_named(layout)
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
