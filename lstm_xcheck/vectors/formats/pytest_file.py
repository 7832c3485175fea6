"""A file of tests that needs NumPy alone."""

from __future__ import annotations

import json

from ..content import from_template
from ..cover import Vector, VectorSet
from .numpy_files import plain_case

NAME = "test_lstm_vectors.py"


def files(vectors: VectorSet) -> dict[str, bytes]:
    """The file: its cases are JSON, each of which becomes a test."""
    return {NAME: from_template("test_lstm_vectors.txt", vectors, ",\n".join(map(_object, vectors.vectors)))}


def _object(vector: Vector) -> str:
    """A case with one line for each array."""
    case = {name: value for name, value in plain_case(vector).items() if name != "kills"}
    lines = (f'"{name}": {json.dumps(value, allow_nan=False)}' for name, value in case.items())
    return "{" + ",\n".join(lines) + "}"
