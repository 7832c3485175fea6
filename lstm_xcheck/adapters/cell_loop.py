"""The loop over time that users write around a cell, and stacks of cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..model import LSTMSpec

Tensor = Any

#: `(x, h, c) -> (h, c)`: one step of a cell.
Cell = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass
class CellStack:
    """A model of cells that the framework's containers name.

    Attributes:
        spec: what was built.
        cells: the framework's cells, `cells[layer][direction]`.
        root: the framework's container of all cells.
    """

    spec: LSTMSpec
    cells: list[list[Any]]
    root: Any


def nested(cells: list[list[Any]], group: Callable[..., Any]) -> Any:
    """The cells in containers whose paths are `layers.0.forward.`, where there are several."""
    layers = [row[0] if len(row) == 1 else group(forward=row[0], backward=row[1]) for row in cells]
    return layers[0] if len(layers) == 1 else group(layers=layers)


def run_cell(
    cell: Cell,
    steps: Sequence[Tensor],
    h: Tensor,
    c: Tensor,
    valid: Sequence[Tensor] | None,
    where: Callable[[Tensor, Tensor, Any], Tensor],
    *,
    backward: bool,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Call a cell step by step; padding keeps the states and outputs 0.

    Args:
        cell: one step.
        steps: inputs in order of time, each (batch, input).
        h: initial hidden state.
        c: initial cell state.
        valid: which rows are valid at each step, each (batch, 1); None if all are.
        where: the framework's choice between two tensors, or a tensor and a number.
        backward: from the last step to the first; outputs stay in order of time.
    """
    outputs = [h] * len(steps)
    order = range(len(steps))
    for t in reversed(order) if backward else order:
        new_h, new_c = cell(steps[t], h, c)
        if valid is None:
            outputs[t], h, c = new_h, new_h, new_c
        else:
            outputs[t] = where(valid[t], new_h, 0.0)
            h, c = where(valid[t], new_h, h), where(valid[t], new_c, c)
    return outputs, h, c
