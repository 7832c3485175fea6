"""What files of vectors hold, in words and numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import fields
from importlib.resources import files
from typing import Any

import numpy as np

from ..arrays import Array
from .cover import Vector, VectorSet, counted

WIDTH = 110
#: The arrays of a cell, of which some may be absent.
ARRAYS = ("W", "U", "b", "b_r", "peephole", "projection")

#: What every reader of a file must know.
CONVENTIONS = (
    "Gates are in the order i, f, g, o. W (4, hidden, input), U (4, hidden, output), b and b_r (4, hidden), peephole "
    "of i, f, o (3, hidden), projection (output, hidden), cell by cell: layer 0 forward, layer 0 backward, layer 1 ... "
    "x (batch, steps, input), h0 (cells, batch, output), c0 (cells, batch, hidden), lengths (batch). Both biases are "
    "added. Expected: y (batch, steps, directions x output), which is 0 at padding, h_n like h0, c_n like c0. All "
    "arrays are row-major, in float32."
)


def cells_of(vector: Vector) -> Iterator[dict[str, Array]]:
    """The arrays of each cell, layer by layer."""
    for _, _, cell in vector.case.weights.cells():
        yield {name: np.asarray(array) for name, array in cell.items()}


def sizes_of(vector: Vector) -> dict[str, int]:
    """The sizes that a program must know."""
    spec, case = vector.case.spec, vector.case
    return {
        "layers": spec.num_layers, "directions": spec.num_directions, "reverse": int(spec.reverse),
        "batch": case.batch, "steps": case.steps,
        "input": spec.input_size, "hidden": spec.hidden_size, "output": spec.output_size,
    }  # fmt: skip


def unusual_options(vector: Vector) -> dict[str, Any]:
    """The options of the spec beyond sizes, such as clips."""
    spec = vector.case.spec
    names = [field for field in fields(spec) if field.name.endswith(("activation", "clip", "coupling"))]
    return {field.name: getattr(spec, field.name) for field in names if getattr(spec, field.name) != field.default}


def _heading(vectors: VectorSet) -> str:
    """What the vectors are, what they kill and how to read them."""
    text = f"LSTM test vectors of lstm-xcheck, which kill {counted(vectors.kills)}. {CONVENTIONS}"
    options = ", ".join(f"{name} = {value}" for name, value in unusual_options(vectors.vectors[0]).items())
    return textwrap.fill(f"{text}{f' Options: {options}.' if options else ''}", WIDTH, break_on_hyphens=False)


def number(value: Any, suffix: str = "") -> str:
    """Nine digits, which restore a float32, always with a point or an exponent."""
    text = f"{value:.9g}"
    return f"{text}{'' if '.' in text or 'e' in text else '.0'}{suffix}"


def filled(numbers: list[str], indent: str = "    ") -> str:
    """Numbers with commas on lines of equal indent."""
    text = ", ".join(numbers)
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def from_template(name: str, vectors: VectorSet, cases: str) -> bytes:
    """A file of `templates/` with what the vectors are and their cases."""
    text = files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
    return text.replace("@HEADING@", _heading(vectors)).replace("@CASES@", cases).encode()
