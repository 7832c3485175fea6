"""Gates and states of every step, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..display import Shown, Summary, figure, pyplot
from ..errors import UserError
from ..model import Case, Result
from .cell import Step
from .forward import forward

#: Recorded at each step: three gates and the candidate, then the states after the step.
TRACED = ("i", "f", "g", "o", "c", "h")
#: Units of a plot; more are not told apart at a glance.
_UNITS = 8


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
class Trace(Shown):
    """A case, the trace of each cell as `cells[layer][direction]`, and the result."""

    case: Case
    cells: tuple[tuple[CellTrace, ...], ...]
    result: Result

    def summary(self) -> Summary:
        """The first steps of unit 0 of the top layer, for row 0."""
        spec, case, cell = self.case.spec, self.case, self.cells[-1][0]
        size = f"input {spec.input_size}, hidden {spec.hidden_size}, layers {spec.num_layers}, {spec.kind}"
        rows = tuple(
            (str(t), *(figure(float(getattr(cell, name)[0, t, 0])) for name in TRACED)) for t in range(case.steps)
        )
        shown = f"unit 0 of layer {cell.layer}, row 0; .plot() shows {min(_UNITS, spec.hidden_size)} units"
        return Summary(f"LSTM of {size}; x {case.x.shape}", ("t", *TRACED), rows, (shown,))

    def plot(self, *, row: int = 0, layer: int = -1, direction: int = 0, units: Sequence[int] | None = None) -> Any:
        """Plot gates and states over the steps.

        Args:
            row: of the batch.
            layer: of the stack; -1 is the top one.
            direction: 0, or 1 for the second one.
            units: a line each; the first 8 by default.

        Returns:
            An array of six matplotlib axes, shape (3, 2): i, f, g, o, c, h.

        Raises:
            UserError: for a row, layer, direction or unit that is not there, and where matplotlib is missing.
        """
        spec = self.case.spec
        lines = range(min(spec.hidden_size, _UNITS)) if units is None else units
        sizes = [("row", row, self.case.batch), ("layer", layer, spec.num_layers)]
        sizes += [("direction", direction, spec.num_directions), *(("unit", u, spec.hidden_size) for u in lines)]
        for name, value, size in sizes:
            if not -size <= value < size:
                raise UserError(f"{name} is {value}, but should be from 0 to {size - 1}")
        page, axes = pyplot().subplots(3, 2, sharex=True, layout="constrained", figsize=(9, 6))
        cell = self.cells[layer][direction]
        for name, panel in zip(TRACED, axes.flat, strict=True):
            for unit in lines:
                if unit < getattr(cell, name).shape[2]:
                    panel.plot(getattr(cell, name)[row, :, unit], marker=".", label=f"unit {unit}")
            panel.set_ylabel(name)
        page.supxlabel(f"step; layer {cell.layer}, direction {cell.direction}, row {row}")
        axes[0, 0].legend(fontsize="x-small")
        return axes


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
