"""Stacks of single directions, layer after layer, in tensors of any framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array
from ..model import Case, LSTMSpec, Result
from .case_arrays import last_output

Tensor = Any

#: `(layer, direction, x, h0, c0) -> (y, h, c)`: x and y (batch, steps, width) in order of time for both directions,
#: states (batch, width).
Direction = Callable[[int, int, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


class StackTensors(NamedTuple):
    """What a stack computes, as tensors of the framework.

    Attributes:
        layers: outputs of every layer, each (batch, steps, directions * output), the top one last.
        h_n: final hidden states over layers and directions, each (batch, output).
        c_n: final cell states, each (batch, hidden).
    """

    layers: list[Tensor]
    h_n: list[Tensor]
    c_n: list[Tensor]


def run_layers(
    spec: LSTMSpec,
    x: Tensor,
    h0: Sequence[Tensor],
    c0: Sequence[Tensor],
    run_direction: Direction,
    concatenate: Callable[[list[Tensor]], Tensor],
) -> StackTensors:
    """Run each layer on the outputs of the one below.

    Args:
        x: inputs, (batch, steps, input).
        h0: initial hidden states over layers and directions, as in `case_arrays.explicit_states`.
        c0: initial cell states, likewise.
        run_direction: one direction of one layer.
        concatenate: joins the outputs of two directions along their last axis.
    """
    found = StackTensors([], [], [])
    for layer in range(spec.num_layers):
        outputs = []
        for direction in range(spec.num_directions):
            row = layer * spec.num_directions + direction
            y, h, c = run_direction(layer, direction, x, h0[row], c0[row])
            outputs.append(y)
            found.h_n.append(h)
            found.c_n.append(c)
        x = outputs[0] if len(outputs) == 1 else concatenate(outputs)
        found.layers.append(x)
    return found


def stack_result(found: StackTensors, case: Case, to_numpy: Callable[[Tensor], Array]) -> Result:
    """The outputs of every layer and the states, as NumPy arrays."""
    *lower, y = map(to_numpy, found.layers)
    h_n, c_n = (_stacked(states, to_numpy) for states in (found.h_n, found.c_n))
    last = last_output(h_n, case.spec) if case.returns == "last" else None
    return Result(y=y, h_n=h_n, c_n=c_n, last=last, layer_outputs=tuple(lower))


def _stacked(states: list[Tensor], to_numpy: Callable[[Tensor], Array]) -> Array:
    return np.stack([to_numpy(state) for state in states])
