"""Cyclic shifts of units, by any number of places, in any array and gate."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model import CellWeights, LSTMSpec
from ...model.spec import GATES
from ..mistake import CellChange, Mistake, with_arrays

#: Wider cells have too many shifts to try.
MOST_UNITS = 64
_BIASES = ("b", "b_r")


def shifted_units(spec: LSTMSpec) -> list[Mistake]:
    """Every cyclic shift of a cell's arrays; none for wide cells."""
    hidden = spec.hidden_size
    if not 3 <= hidden <= MOST_UNITS:
        return []
    rows = {"W": ("W",), "U": ("U",), "bias": _BIASES, "every array": ("W", "U", *_BIASES)}
    found = []
    for name, arrays in rows.items():
        for gate in (None, *range(4)):
            found += [_entry(name, "rows", gate, k, _rolled(arrays, 1, gate, k)) for k in range(1, hidden)]
    widest = max(spec.layer_input_size(layer) for layer in range(spec.num_layers))
    widths = {"W": widest, "U": spec.output_size}
    for name, width in widths.items():
        if 3 <= width <= MOST_UNITS:
            for gate in (None, *range(4)):
                found += [_entry(name, "columns", gate, k, _rolled((name,), 2, gate, k)) for k in range(1, width)]
    return found


def _entry(name: str, axis: str, gate: int | None, places: int, change: CellChange) -> Mistake:
    where = "" if gate is None else f" of gate {GATES[gate]}"
    of = name if name == "every array" else f"the {name}" if name == "bias" else name
    return Mistake(
        id="-".join(["shifted", name.replace(" ", "-").lower(), axis, *([GATES[gate]] if gate is not None else []),
                     str(places)]),
        family="shift",
        title=f"{axis} of {of}{where} shifted cyclically by {places}",
        explanation="An offset, a rotation of a buffer or a wrong start index moved the units round.",
        fix=f"Shift the {axis} of {of}{where} back by {places}.",
        cell=change,
    )  # fmt: skip


def _rolled(names: tuple[str, ...], axis: int, gate: int | None, places: int) -> CellChange:
    def change(cell: CellWeights) -> CellWeights | None:
        arrays: dict[str, Any] = {name: np.asarray(array) for name, array in cell.items() if name in names}
        if not arrays or any(array.shape[axis] <= places for array in arrays.values()):
            return None
        return with_arrays(cell, **{name: _roll(array, axis, gate, places) for name, array in arrays.items()})

    return change


def _roll(array: Any, axis: int, gate: int | None, places: int) -> Any:
    if gate is None:
        return np.roll(array, places, axis)
    rolled = np.array(array)
    rolled[gate] = np.roll(array[gate], places, axis - 1)
    return rolled
