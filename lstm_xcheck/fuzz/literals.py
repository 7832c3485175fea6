"""The arrays of a reproducer as text, without losing a bit."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from ..adapters.case_arrays import explicit_states
from ..arrays import Array
from ..compare.judge import SIGMAS
from ..compare.reference import references
from ..model import LSTMSpec
from ..oracle import forward, profile_named
from .search import Finding

WIDTH = 110
#: Arrays with more elements are written in base64.
_MOST_LITERAL = 64

UNPACK = '''
def unpack(dtype, shape, text):
    """An array from the base64 of its bytes."""
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape).copy()
'''


def data(finding: Finding) -> str:
    """The case and the bounds as assignments."""
    case = finding.recipe.case()
    given = case.h0 is not None or case.c0 is not None
    h0, c0 = map(literal, explicit_states(case)) if given else ("None", "None")
    lengths = "None" if case.lengths is None else f"np.array({case.lengths.tolist()})"
    cells = "".join(
        "    [\n" + "".join(f"        {_mapping(dict(cell.items()), 8)},\n" for cell in row) + "    ],\n"
        for row in case.weights.layers
    )
    return (
        f'PRECISION = "{case.precision}"\n'
        f"#: Inputs, (batch, steps, input).\nX = {literal(case.x)}\n"
        f"#: Initial states, (layers * directions, batch, width).\nH0 = {h0}\nC0 = {c0}\n"
        f"#: Valid steps of each row.\nLENGTHS = {lengths}\n"
        "#: CELLS[layer][direction]: W (4, hidden, input), U (4, hidden, output), gates in the order i, f, g, o.\n"
        f"CELLS = [\n{cells}]\n"
        "#: How often to call: what is carried over from call to call shows the second time.\n"
        f"CALLS = {2 if case.chunks == 'twice' or not finding.repeatable else 1}\n"
        f"#: By how much rounding may move each number.\nBOUND = {_mapping(_bounds(finding), 0)}\n"
    )


def spec_values(spec: LSTMSpec) -> str:
    """The spec as an assignment."""
    names = [*(field.name for field in fields(spec)), "num_directions", "output_size"]
    lines = "".join(f"    {name}={_quoted(getattr(spec, name))},\n" for name in names)
    return f"SPEC = dict(\n{lines})\n"


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _bounds(finding: Finding) -> dict[str, Array]:
    """Bounds near the right outputs: worst case, or statistical for a suspect."""
    case = finding.recipe.case()
    profile = profile_named((finding.result.computed_in if finding.result else "") or case.precision)
    truth = forward(case)
    assert truth.y is not None
    expected = references(case, {case.spec.num_layers - 1: truth.y}, profile)
    suspect = finding.outcome.verdict == "suspect"
    names = ("y", "h_n", "c_n")
    return {name: _upward(SIGMAS * expected[name].sigma if suspect else expected[name].bound) for name in names}


def _upward(array: Array) -> Array:
    """Three significant digits, rounded up."""
    with np.errstate(divide="ignore"):
        unit = 10.0 ** (np.floor(np.log10(array)) - 2)
    rounded = np.vectorize(lambda number: float(f"{number:.2e}"))(np.ceil(array / np.where(unit > 0, unit, 1.0)) * unit)
    return np.where((array > 0) & np.isfinite(array), rounded, array)


def _mapping(arrays: Mapping[str, Array], indent: int) -> str:
    inner = indent + 4
    items = "".join(f'{" " * inner}"{name}": {literal(np.asarray(array), inner)},\n' for name, array in arrays.items())
    return "{\n" + items + " " * indent + "}"


def literal(array: Array, indent: int = 0) -> str:
    """An expression for an array."""
    if array.size <= _MOST_LITERAL and np.isfinite(array).all():
        return f'np.array({_nested(array, indent)}, "{array.dtype.name}")'
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    text = base64.b64encode(little.tobytes()).decode()
    lines = "\n".join(f'{" " * (indent + 4)}"{line}"' for line in textwrap.wrap(text, WIDTH - indent - 10))
    return f'unpack("{little.dtype.str}", {array.shape}, (\n{lines}\n{" " * indent}))'


def _nested(array: Array, indent: int) -> str:
    """Nested lists, on one line where they fit."""
    if array.ndim == 0:
        return _shortest(array)
    parts = [_nested(part, indent + 4) for part in array]
    line = f"[{', '.join(parts)}]"
    if len(line) + indent <= WIDTH - 30 and "\n" not in line:
        return line
    return "[\n" + "".join(f"{' ' * (indent + 4)}{part},\n" for part in parts) + " " * indent + "]"


def _shortest(number: Array) -> str:
    """The fewest digits that restore the number, also through float64."""
    short = str(number[()])
    return short if number.dtype.type(float(short)) == number else repr(float(number))
