"""A C99 header with static arrays and a checking function."""

from __future__ import annotations

import numpy as np

from ...arrays import Array
from ..content import ARRAYS, cells_of, filled, from_template, number, sizes_of
from ..cover import Vector, VectorSet
from ..expected import OUTPUTS

NAME = "lstm_xcheck_vectors.h"


def files(vectors: VectorSet) -> dict[str, bytes]:
    """The header."""
    cases = "".join(_case(index, vector) for index, vector in enumerate(vectors.vectors))
    rows = ",\n".join(_row(index, vector) for index, vector in enumerate(vectors.vectors))
    cases += f"\nenum {{ LXV_CASES = {len(vectors.vectors)} }};\n"
    cases += f"static const lxv_case lxv_cases[LXV_CASES] = {{\n{rows}\n}};"
    return {NAME: from_template(NAME, vectors, cases)}


def _case(index: int, vector: Vector) -> str:
    case = vector.case
    text = f"\n/* {case.id} */\n"
    names = []
    for place, cell in enumerate(cells_of(vector)):
        for name, array in cell.items():
            text += _floats(f"lxv_{index}_{place}_{name}", array)
        names.append("{" + ", ".join(f"lxv_{index}_{place}_{n}" if n in cell else "NULL" for n in ARRAYS) + "}")
    text += f"static const lxv_cell lxv_{index}_cells[] = {{\n    " + ",\n    ".join(names) + "\n};\n"
    for name in ("x", "h0", "c0"):
        array = getattr(case, name)
        text += "" if array is None else _floats(f"lxv_{index}_{name}", array)
    if case.lengths is not None:
        text += f"static const int lxv_{index}_lengths[] = {{{', '.join(map(str, case.lengths.tolist()))}}};\n"
    for name in OUTPUTS:
        text += _floats(f"lxv_{index}_{name}", vector.expected[name].value)
        text += _floats(f"lxv_{index}_{name}_allowed", vector.expected[name].allowed)
    return text


def _row(index: int, vector: Vector) -> str:
    case, sizes = vector.case, ", ".join(map(str, sizes_of(vector).values()))
    given = [f"lxv_{index}_{n}" if getattr(case, n) is not None else "NULL" for n in ("x", "h0", "c0", "lengths")]
    outputs = [f"{{{vector.expected[n].value.size}, lxv_{index}_{n}, lxv_{index}_{n}_allowed}}" for n in OUTPUTS]
    return f'    {{"{case.id}", {sizes},\n     lxv_{index}_cells, {", ".join(given)},\n     {", ".join(outputs)}}}'


def _floats(name: str, array: Array) -> str:
    numbers = [number(value, "f") for value in np.asarray(array).ravel()]
    return f"static const float {name}[{array.size}] = {{\n{filled(numbers)}\n}};\n"
