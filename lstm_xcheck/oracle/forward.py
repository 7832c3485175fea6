"""The float64 forward pass of a stack on its own states."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Array
from ..model import Case, Result
from .cell import Cell, Step, step
from .layer_map import LayerMap

Observer = Callable[[int, int, int, Step], None]


def forward(case: Case, observe: Observer | None = None, between: LayerMap | None = None) -> Result:
    """Run a case in float64, exact up to about 1e-16 per step.

    `observe` is called with (layer, direction, time, step) for each step, in processing order; `between` is made to
    the outputs of each layer.

    >>> from lstm_xcheck.model import Case, LSTMSpec
    >>> forward(Case.random(LSTMSpec(input_size=1, hidden_size=1), steps=5)).y.shape
    (3, 5, 1)
    """
    spec = case.spec
    x = np.asarray(case.x, dtype=np.float64)
    outputs, h_n, c_n = [], [], []
    for layer in range(spec.num_layers):
        halves = []
        for direction in range(spec.num_directions):
            y, h, c = run_direction(case, layer, direction, x, observe)
            halves.append(y)
            h_n.append(h)
            c_n.append(c)
        x = np.concatenate(halves, axis=-1)
        if between is not None and between.concerns(case, layer):
            x = between.change(x, case)
        outputs.append(x)
    last = np.concatenate(h_n[-spec.num_directions :], axis=-1)
    merged = None if case.merge == "concat" else merge_halves(x, case.merge)
    lower = tuple(outputs[:-1])
    return Result(y=x, h_n=np.stack(h_n), c_n=np.stack(c_n), last=last, layer_outputs=lower, merged=merged)


def merge_halves(y: Array, merge: str) -> Array:
    """The two halves of the last axis merged by `sum`, `mul` or `ave`."""
    forward_half, backward_half = np.split(np.asarray(y, np.float64), 2, axis=-1)
    if merge == "mul":
        return np.asarray(forward_half * backward_half)
    total: Array = forward_half + backward_half
    return total / 2.0 if merge == "ave" else total


def run_direction(
    case: Case, layer: int, direction: int, x: Array, observe: Observer | None = None
) -> tuple[Array, Array, Array]:
    """Outputs of one direction, aligned in time, and final h and c."""
    spec = case.spec
    cell = Cell(spec, case.weights.layers[layer][direction])
    h, c = case.initial("h0", layer, direction), case.initial("c0", layer, direction)
    y = np.zeros((case.batch, case.steps, spec.output_size))
    padding = np.zeros((case.batch, spec.output_size))
    times = range(case.steps)
    for t in reversed(times) if spec.is_backward(direction) else times:
        now = step(cell, x[:, t], h, c)
        if observe is not None:
            observe(layer, direction, t, now)
        keep = case.valid[:, t, None]
        h, c = np.where(keep, now.h, h), np.where(keep, now.c, c)
        y[:, t] = np.where(keep, now.h, padding)
        if case.padding == "held":
            padding = y[:, t]
    return y, h, c
