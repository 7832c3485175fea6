"""An LSTM by its definition in float64: one row, one step at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.model import Case, LSTMSpec, Result


def _function(name: str) -> Callable[[Array], Array]:
    if name.startswith("hard_sigmoid"):
        alpha, beta = map(float, name.split(":")[1].split(","))
        return lambda v: np.minimum(np.maximum(alpha * v + beta, 0.0), 1.0)
    functions: dict[str, Callable[[Array], Array]] = {
        "sigmoid": lambda v: 1.0 / (1.0 + np.exp(-v)),
        "tanh": np.tanh,
        "relu": lambda v: np.maximum(v, 0.0),
        "linear": lambda v: v,
    }
    return functions[name]


def _bounded(v: Array, bound: float | None) -> Array:
    return v if bound is None else np.minimum(np.maximum(v, -bound), bound)


def reference_step(spec: LSTMSpec, cell: Any, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """h_t and c_t of one row."""
    sigma = _function(spec.gate_activation)
    z = [np.asarray(cell.W)[k] @ x + np.asarray(cell.U)[k] @ h + cell.total_bias[k] for k in range(4)]
    p = cell.peephole if spec.peepholes else np.zeros((3, spec.hidden_size))
    i = sigma(_bounded(z[0] + p[0] * c, spec.gate_clip))
    f = sigma(_bounded(z[1] + p[1] * c, spec.gate_clip))
    g = _function(spec.cell_activation)(_bounded(z[2], spec.gate_clip))
    if spec.coupling == "f=1-i":
        f = 1.0 - i
    if spec.coupling == "i=1-f":
        i = 1.0 - f
    c = _bounded(f * c + i * g, spec.cell_clip)
    o = sigma(_bounded(z[3] + p[2] * c, spec.gate_clip))
    h = o * _function(spec.output_activation)(c)
    if spec.proj_size:
        h = _bounded(np.asarray(cell.projection) @ h, spec.proj_clip)
    return h, c


def reference(case: Case) -> Result:
    spec, weights = case.spec, case.weights.astype("float64")
    x, outputs, h_n, c_n = case.x.astype(np.float64), [], [], []
    for layer in range(spec.num_layers):
        y = np.zeros((case.batch, case.steps, spec.num_directions, spec.output_size))
        for direction in range(spec.num_directions):
            h_end, c_end = case.initial("h0", layer, direction).copy(), case.initial("c0", layer, direction).copy()
            order = range(case.steps)[:: -1 if spec.is_backward(direction) else 1]
            for b in range(case.batch):
                for t in (t for t in order if case.valid[b, t]):
                    cell = weights.layers[layer][direction]
                    h_end[b], c_end[b] = reference_step(spec, cell, x[b, t], h_end[b], c_end[b])
                    y[b, t, direction] = h_end[b]
            h_n.append(h_end)
            c_n.append(c_end)
        x = y.reshape(case.batch, case.steps, -1)
        outputs.append(x)
    last = np.concatenate(h_n[-spec.num_directions :], axis=-1)
    return Result(y=x, h_n=np.stack(h_n), c_n=np.stack(c_n), last=last, layer_outputs=tuple(outputs[:-1]))
