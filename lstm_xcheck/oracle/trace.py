"""Gates and states of every step, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..model import Case, Result
from .cell import Step
from .forward import forward

#: Recorded at each step: three gates and the candidate, then the states after the step.
TRACED = ("i", "f", "g", "o", "c", "h")


@dataclass(frozen=True, eq=False)
class CellTrace:
    """Steps of one direction of one layer, aligned in time; NaN at padding.

    Attributes:
        layer, direction: position of the cell; direction 0 is the only or the forward one.
        i, f, g, o, c: shape (batch, steps, hidden).
        h: after the projection, shape (batch, steps, output).
        last: the last step that each row processed, shape (batch,); of a backward direction the first in time.
    """

    layer: int
    direction: int
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array
    last: Array


@dataclass(frozen=True, eq=False)
class Trace:
    """A case, the trace of each cell as `cells[layer][direction]`, and the result."""

    case: Case
    cells: tuple[tuple[CellTrace, ...], ...]
    result: Result


def trace(case: Case) -> Trace:
    """Run a case in float64 and record every step.

    >>> from lstm_xcheck.model import Case, LSTMSpec
    >>> run = trace(Case.random(LSTMSpec(input_size=1, hidden_size=1), steps=5))
    >>> run.cells[0][0].f.shape
    (3, 5, 1)
    """
    spec = case.spec
    shapes = {name: (case.batch, case.steps, spec.output_size if name == "h" else spec.hidden_size) for name in TRACED}
    recorded = [
        [{name: np.full(shape, np.nan) for name, shape in shapes.items()} for _ in range(spec.num_directions)]
        for _ in range(spec.num_layers)
    ]

    def observe(layer: int, direction: int, time: int, now: Step) -> None:
        rows = case.valid[:, time]
        for name, array in recorded[layer][direction].items():
            array[rows, time] = getattr(now, name)[rows]

    result = forward(case, observe)
    cells = tuple(
        tuple(CellTrace(layer, d, last=_last_step(case, d), **arrays) for d, arrays in enumerate(directions))
        for layer, directions in enumerate(recorded)
    )
    return Trace(case, cells, result)


def _last_step(case: Case, direction: int) -> Array:
    if case.spec.is_backward(direction):
        first: Array = np.argmax(case.valid, axis=1)
        return first
    last: Array = case.steps - 1 - np.argmax(case.valid[:, ::-1], axis=1)
    return last
