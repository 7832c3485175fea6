"""A file of tests that needs NumPy alone."""

from __future__ import annotations

import numpy as np

from ...arrays import Array
from ..content import ARRAYS, cells_of, filled, from_template, number, sizes_of, unusual_options
from ..cover import Vector, VectorSet
from ..expected import OUTPUTS

NAME = "test_lstm_vectors.py"


def files(vectors: VectorSet) -> dict[str, bytes]:
    """The file: a constant and a test for each case."""
    tests = [
        f"\n{_case(index, vector)}\n\ndef test_{vector.case.id.replace('-', '_')}():\n    check(CASE_{index})\n"
        for index, vector in enumerate(vectors.vectors)
    ]
    return {NAME: from_template("test_lstm_vectors.txt", vectors, "\n".join(tests))}


def _case(index: int, vector: Vector) -> str:
    case, expected = vector.case, vector.expected
    cells = "".join(
        "    {\n" + "".join(_item(name, cell.get(name)) for name in ARRAYS) + "    },\n" for cell in cells_of(vector)
    )
    lengths = None if case.lengths is None else case.lengths.tolist()
    return (
        f'CASE_{index} = {{\n"sizes": {sizes_of(vector)!r},\n"options": {unusual_options(vector)!r},\n'
        f'"lengths": {lengths!r},\n"cells": [\n{cells}],\n'
        + "".join(_item(name, getattr(case, name)) for name in ("x", "h0", "c0"))
        + "".join(_item(n, expected[n].value) + _item(f"{n}.allowed", expected[n].allowed) for n in OUTPUTS)
        + "}\n"
    )


def _item(name: str, array: Array | None) -> str:
    if array is None:
        return f'"{name}": None,\n'
    numbers = filled([number(value) for value in np.asarray(array).ravel()])
    return f'"{name}": array({tuple(map(int, array.shape))}, [\n{numbers}\n]),\n'
