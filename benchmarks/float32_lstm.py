"""An honest float32 LSTM in NumPy for every spec, in several orders of summation."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.model import Case, CellWeights, Result
from lstm_xcheck.model.spec import Activation

F32 = np.float32
ORDERS = ("blas", "two-products", "sequential", "reversed", "pairwise", "tanh-sigmoid")


def run(case: Case, order: str) -> Result:
    """Outputs, final states and every lower layer's outputs, in float32."""
    spec, x = case.spec, np.asarray(case.x, F32)
    outputs, h_n, c_n = [], [], []
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for layer in range(spec.num_layers):
            halves = [_direction(case, layer, d, x, order) for d in range(spec.num_directions)]
            x = np.concatenate([y for y, _, _ in halves], axis=-1)
            outputs.append(x)
            h_n += [h for _, h, _ in halves]
            c_n += [c for _, _, c in halves]
    return Result(y=x, h_n=np.stack(h_n), c_n=np.stack(c_n), layer_outputs=tuple(outputs[:-1]))


def _direction(case: Case, layer: int, direction: int, x: Array, order: str) -> tuple[Array, Array, Array]:
    spec, cell = case.spec, case.weights.layers[layer][direction]
    h, c = (case.initial(name, layer, direction).astype(F32) for name in ("h0", "c0"))  # type: ignore[arg-type]
    y = np.zeros((case.batch, case.steps, spec.output_size), F32)
    times = range(case.steps)
    for t in reversed(times) if spec.is_backward(direction) else times:
        new_h, new_c = _step(case, cell, x[:, t], h, c, order)
        keep = case.valid[:, t, None]
        h, c = np.where(keep, new_h, h), np.where(keep, new_c, c)
        y[:, t] = np.where(keep, new_h, F32(0))
    return y, h, c


def _step(case: Case, cell: CellWeights, x: Array, h: Array, c: Array, order: str) -> tuple[Array, Array]:
    spec = case.spec
    gate, candidate, output = spec.gate_activation, spec.cell_activation, spec.output_activation
    z = _affine(cell, x, h, order)
    z_i, z_f, z_g, z_o = (z[:, k] for k in range(4))
    peep = None if cell.peephole is None else np.asarray(cell.peephole, F32)
    if peep is not None:
        z_i, z_f = z_i + peep[0] * c, z_f + peep[1] * c
    i, f = (_activate(gate, _clip(v, spec.gate_clip), order) for v in (z_i, z_f))
    i, f = (F32(1) - f if spec.coupling == "i=1-f" else i), (F32(1) - i if spec.coupling == "f=1-i" else f)
    c = f * c + i * _activate(candidate, _clip(z_g, spec.gate_clip), order)
    c = _clip(c if spec.cell_factor == 1.0 else F32(spec.cell_factor) * c, spec.cell_clip)
    z_o = z_o if peep is None else z_o + peep[2] * c
    h = _activate(gate, _clip(z_o, spec.gate_clip), order) * _activate(output, c, order)
    if cell.projection is not None:
        h = _clip(_sum(h[:, None, :] * np.asarray(cell.projection, F32), order), spec.proj_clip)
    return h, c


def _affine(cell: CellWeights, x: Array, h: Array, order: str) -> Array:
    """Pre-activations, (batch, 4, hidden)."""
    w, u = (np.asarray(a, F32).reshape(-1, a.shape[2]) for a in (cell.W, cell.U))
    biases = [np.asarray(b, F32).reshape(-1) for b in (cell.b, cell.b_r) if b is not None]
    if order in ("two-products", "tanh-sigmoid"):
        parts = [x @ w.T, h @ u.T]
        z = sum((part + bias for part, bias in zip(parts, biases, strict=False)), np.zeros_like(parts[0]))
        z = z if len(biases) == 2 else z + sum(parts[len(biases) :], np.zeros_like(z))
    elif order == "blas":
        z = np.concatenate([x, h], axis=1) @ np.concatenate([w, u], axis=1).T
        z = z + sum(biases, np.zeros(len(w), F32))
    else:
        columns = [
            x[:, None, :] * w,
            h[:, None, :] * u,
            *(np.broadcast_to(b[:, None], (len(x), len(b), 1)) for b in biases),
        ]
        z = _sum(np.concatenate(columns, axis=2), order)
    return z.reshape(len(x), 4, -1)


def _sum(terms: Array, order: str) -> Array:
    """Sum the last axis in an order."""
    if order in ("sequential", "reversed"):
        ordered = terms[..., ::-1] if order == "reversed" else terms
        return np.add.accumulate(ordered, axis=-1, dtype=F32)[..., -1]
    return terms.sum(axis=-1, dtype=F32)


def _clip(value: Array, bound: float | None) -> Array:
    return value if bound is None else np.clip(value, F32(-bound), F32(bound))


def _activate(name: str, z: Array, order: str) -> Any:
    one, half = F32(1), F32(0.5)
    parsed = Activation.parse(name)
    if parsed.kind == "sigmoid":
        return half * np.tanh(half * z) + half if order == "tanh-sigmoid" else one / (one + np.exp(-z))
    if parsed.kind == "tanh":
        return np.tanh(z)
    if parsed.kind == "relu":
        return np.maximum(z, F32(0))
    if parsed.kind == "hard_sigmoid":
        return np.clip(F32(parsed.alpha) * z + F32(parsed.beta), F32(0), one)
    if parsed.kind == "hard_tanh":
        return np.clip(z, -one, one)
    if parsed.kind == "softsign":
        return z / (one + np.abs(z))
    if parsed.kind == "tanh_pade":
        v = np.clip(z, F32(-3), F32(3))
        return v * (F32(27) + v * v) / (F32(27) + F32(9) * v * v)
    return z
