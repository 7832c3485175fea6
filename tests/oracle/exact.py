"""The LSTM in fifty-digit arithmetic, written from the definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np

from lstm_xcheck.model import Case

Number = Any
Vector = list[Number]

DIGITS = 50


class Exact(NamedTuple):
    """Outputs and final states, correctly rounded to float64."""

    y: np.ndarray[Any, Any]
    h_n: np.ndarray[Any, Any]
    c_n: np.ndarray[Any, Any]


def exact_forward(case: Case) -> Exact:
    """Run a case in fifty-digit arithmetic."""
    with mpmath.workdps(DIGITS):
        spec = case.spec
        x = [[_vector(step) for step in row] for row in case.x]
        h_n: list[list[Vector]] = []
        c_n: list[list[Vector]] = []
        for layer in range(spec.num_layers):
            halves = []
            for direction in range(spec.num_directions):
                rows = [_row(case, layer, direction, b, x[b]) for b in range(case.batch)]
                halves.append([y for y, _, _ in rows])
                h_n.append([h for _, h, _ in rows])
                c_n.append([c for _, _, c in rows])
            x = [
                [[value for half in halves for value in half[b][t]] for t in range(case.steps)]
                for b in range(case.batch)
            ]
        return Exact(_floats(x), _floats(h_n), _floats(c_n))


def _row(case: Case, layer: int, direction: int, b: int, x: list[Vector]) -> tuple[list[Vector], Vector, Vector]:
    """One row of the batch through one direction of one layer."""
    spec = case.spec
    index = layer * spec.num_directions + direction
    width = spec.proj_size or spec.hidden_size
    h = _vector(case.h0[index, b]) if case.h0 is not None else [mpmath.mpf(0)] * width
    c = _vector(case.c0[index, b]) if case.c0 is not None else [mpmath.mpf(0)] * spec.hidden_size
    y: list[Vector] = [[mpmath.mpf(0)] * width for _ in range(case.steps)]
    times = list(range(case.steps))
    if direction == 1 or spec.reverse:
        times.reverse()
    for t in times:
        if not case.valid[b, t]:
            continue
        h, c = _step(case, layer, direction, x[t], h, c)
        y[t] = h
    return y, h, c


def _step(case: Case, layer: int, direction: int, x: Vector, h: Vector, c: Vector) -> tuple[Vector, Vector]:
    spec, cell = case.spec, case.weights.layers[layer][direction]
    gate, candidate, output = (
        _function(name) for name in (spec.gate_activation, spec.cell_activation, spec.output_activation)
    )
    new_c, hidden = [], []
    for unit in range(spec.hidden_size):
        z = [_dot(cell.W[k, unit], x) + _dot(cell.U[k, unit], h) for k in range(4)]
        for bias in (cell.b, cell.b_r):
            if bias is not None:
                z = [z[k] + mpmath.mpf(float(bias[k, unit])) for k in range(4)]
        peep = [mpmath.mpf(0)] * 3 if cell.peephole is None else _vector(cell.peephole[:, unit])
        i = gate(_clip(z[0] + peep[0] * c[unit], spec.gate_clip))
        f = gate(_clip(z[1] + peep[1] * c[unit], spec.gate_clip))
        if spec.coupling == "f=1-i":
            f = 1 - i
        elif spec.coupling == "i=1-f":
            i = 1 - f
        c_t = _clip(f * c[unit] + i * candidate(_clip(z[2], spec.gate_clip)), spec.cell_clip)
        o = gate(_clip(z[3] + peep[2] * c_t, spec.gate_clip))
        new_c.append(c_t)
        hidden.append(o * output(c_t))
    if cell.projection is not None:
        hidden = [_clip(_dot(row, hidden), spec.proj_clip) for row in cell.projection]
    return hidden, new_c


def _function(name: str) -> Callable[[Number], Number]:
    if name.startswith("hard_sigmoid:"):
        alpha, beta = (mpmath.mpf(float(word)) for word in name.split(":")[1].split(","))
        return lambda z: min(max(alpha * z + beta, mpmath.mpf(0)), mpmath.mpf(1))
    functions: dict[str, Callable[[Number], Number]] = {
        "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
        "tanh": mpmath.tanh,
        "relu": lambda z: max(z, mpmath.mpf(0)),
        "linear": lambda z: z,
    }
    return functions[name]


def _clip(value: Number, bound: float | None) -> Number:
    return value if bound is None else min(max(value, -mpmath.mpf(bound)), mpmath.mpf(bound))


def _dot(weights: Any, values: Vector) -> Number:
    return mpmath.fsum(mpmath.mpf(float(w)) * v for w, v in zip(weights, values, strict=True))


def _vector(values: Any) -> Vector:
    return [mpmath.mpf(float(value)) for value in values]


def _floats(nested: Any) -> np.ndarray[Any, Any]:
    return np.array(nested, dtype=object).astype(np.float64)
