"""A Rust module with constants and a checking function; it needs no crate."""

from __future__ import annotations

import numpy as np

from ...arrays import Array
from ..content import ARRAYS, cells_of, filled, from_template, number, sizes_of
from ..cover import Vector, VectorSet
from ..expected import OUTPUTS

NAME = "lstm_xcheck_vectors.rs"


def files(vectors: VectorSet) -> dict[str, bytes]:
    """The module."""
    return {NAME: from_template(NAME, vectors, "".join(map(_case, vectors.vectors)))}


def _case(vector: Vector) -> str:
    case, sizes = vector.case, sizes_of(vector)
    sizes_text = " ".join(f"{k}: {str(bool(v)).lower() if k == 'reverse' else v}," for k, v in sizes.items())
    cells = ""
    for cell in cells_of(vector):
        cells += "Cell {\n" + "".join(_floats(name.lower(), cell.get(name)) for name in ARRAYS) + "},\n"
    data = "".join(_floats(name, getattr(case, name)) for name in ("x", "h0", "c0"))
    lengths = ", ".join(map(str, [] if case.lengths is None else case.lengths.tolist()))
    outputs = ""
    for name in OUTPUTS:
        right = vector.expected[name]
        outputs += f"{name}: Output {{\n{_floats('value', right.value)}{_floats('allowed', right.allowed)}}},\n"
    return (
        f'Case {{\nname: "{case.id}", {sizes_text}\ncells: &[\n{cells}],\n{data}lengths: &[{lengths}],\n{outputs}}},\n'
    )


def _floats(name: str, array: Array | None) -> str:
    if array is None:
        return f"{name}: &[],\n"
    return f"{name}: &[\n{filled([number(value) for value in np.asarray(array).ravel()])}\n],\n"
