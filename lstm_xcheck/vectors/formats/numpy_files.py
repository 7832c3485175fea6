"""Vectors as one JSON file, or as one archive of NumPy's arrays."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from ...arrays import Array
from ...checkpoints.codecs import npy, npz
from ..content import CONVENTIONS, cells_of, sizes_of, unusual_options
from ..cover import Vector, VectorSet
from ..expected import OUTPUTS


def json_files(vectors: VectorSet) -> dict[str, bytes]:
    """`vectors.json`; arrays are nested lists of numbers that restore every float32."""
    data = {"schema": 1, "conventions": CONVENTIONS, "cases": [plain_case(vector) for vector in vectors.vectors]}
    return {"vectors.json": (json.dumps(data, allow_nan=False) + "\n").encode()}


def npz_files(vectors: VectorSet) -> dict[str, bytes]:
    """`vectors.npz`; names such as `0.cells.0.W` begin with the number of the case."""
    arrays = {
        f"{n}.{name}": array for n, vector in enumerate(vectors.vectors) for name, array in _arrays(vector).items()
    }
    about = {"schema": 1, "conventions": CONVENTIONS, "cases": [_about(vector) for vector in vectors.vectors]}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    buffer = io.BytesIO()
    npz.write(buffer, ((f"{name}.npy", npy.encode(array)) for name, array in arrays.items()), permissions=0o644)
    return {"vectors.npz": buffer.getvalue()}


def _about(vector: Vector) -> dict[str, Any]:
    return {
        "name": vector.case.id,
        **sizes_of(vector),
        "options": unusual_options(vector),
        "kills": sorted(vector.kills),
    }


def _arrays(vector: Vector) -> dict[str, Array]:
    """Every array; `y` and `y.allowed` are an output and its allowed error."""
    found = {f"cells.{n}.{name}": array for n, cell in enumerate(cells_of(vector)) for name, array in cell.items()}
    found |= {name: np.asarray(array) for name, array in vector.case.arrays().items()}
    for name in OUTPUTS:
        right = vector.expected[name]
        found |= {name: right.value, f"{name}.allowed": right.allowed}
    return found


def plain_case(vector: Vector) -> dict[str, Any]:
    """A case as plain data."""
    lists = {name: array.tolist() for name, array in _arrays(vector).items()}
    return {**_about(vector), **{name: each if name == "lengths" else _short(each) for name, each in lists.items()}}


def _short(numbers: Any) -> Any:
    """Nine digits in place of the seventeen of a float64."""
    return [_short(each) for each in numbers] if isinstance(numbers, list) else float(f"{numbers:.9g}")
