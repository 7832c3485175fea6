"""Honest implementations in any precision, with sums in any order.

Every operation is rounded once. Sums, products and quotients of numbers of up to 24 bits, computed in float64 and then
rounded, are correctly rounded, so float64 NumPy represents the arithmetic of any lower precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lstm_xcheck.arrays import round_to
from lstm_xcheck.model import Case, Result

Array = np.ndarray[Any, Any]

ORDERS = ("sequential", "reversed", "pairwise", "two-products", "tanh-sigmoid")


def emulate(case: Case, order: str = "sequential", precision: str = "float32") -> Result:
    """The result of an honest implementation in this precision."""
    return _Machine(case, order, precision).run()


class _Machine:
    def __init__(self, case: Case, order: str, precision: str) -> None:
        self.case, self.order, self.precision = case, order, precision
        self.accumulator = "float64" if precision == "float64" else "float32"

    def store(self, value: Array) -> Array:
        return round_to(value, self.precision).astype(np.float64)

    def accumulate(self, value: Array) -> Array:
        return round_to(value, self.accumulator).astype(np.float64)

    def run(self) -> Result:
        spec, x = self.case.spec, np.asarray(self.case.x, np.float64)
        outputs, h_n, c_n = [], [], []
        for layer in range(spec.num_layers):
            halves = [self.direction(layer, d, x) for d in range(spec.num_directions)]
            x = np.concatenate([y for y, _, _ in halves], axis=-1)
            outputs.append(x)
            h_n += [h for _, h, _ in halves]
            c_n += [c for _, _, c in halves]
        return Result(y=x, h_n=np.stack(h_n), c_n=np.stack(c_n), layer_outputs=tuple(outputs[:-1]))

    def direction(self, layer: int, direction: int, x: Array) -> tuple[Array, Array, Array]:
        case, spec = self.case, self.case.spec
        h, c = case.initial("h0", layer, direction), case.initial("c0", layer, direction)
        y = np.zeros((case.batch, case.steps, spec.output_size))
        order = range(case.steps)
        for t in reversed(order) if direction or spec.reverse else order:
            new_h, new_c = self.step(layer, direction, x[:, t], h, c)
            keep = case.valid[:, t, None]
            h, c = np.where(keep, new_h, h), np.where(keep, new_c, c)
            y[:, t] = np.where(keep, h, 0.0)
        return y, h, c

    def step(self, layer: int, direction: int, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        spec, cell = self.case.spec, self.case.weights.layers[layer][direction]
        z = [self.affine(cell, gate, x, h) for gate in range(4)]
        peep = cell.peephole
        if peep is not None:
            z[0], z[1] = self.add_product(z[0], peep[0], c), self.add_product(z[1], peep[1], c)
        i, f = (self.activate(spec.gate_activation, self.clip(v, spec.gate_clip)) for v in z[:2])
        if spec.coupling == "f=1-i":
            f = self.store(1.0 - i)
        elif spec.coupling == "i=1-f":
            i = self.store(1.0 - f)
        g = self.activate(spec.cell_activation, self.clip(z[2], spec.gate_clip))
        c = self.clip(self.store(self.store(f * c) + self.store(i * g)), spec.cell_clip)
        if peep is not None:
            z[3] = self.add_product(z[3], peep[2], c)
        o = self.activate(spec.gate_activation, self.clip(z[3], spec.gate_clip))
        h = self.store(o * self.activate(spec.output_activation, c))
        if cell.projection is not None:
            h = self.clip(self.store(self.sum(self.products(np.asarray(cell.projection), h))), spec.proj_clip)
        return h, c

    def affine(self, cell: Any, gate: int, x: Array, h: Array) -> Array:
        biases = [np.broadcast_to(np.asarray(b[gate], np.float64), (len(x), b.shape[1])) for b in (cell.b, cell.b_r)
                  if b is not None]  # fmt: skip
        parts = self.products(np.asarray(cell.W[gate]), x), self.products(np.asarray(cell.U[gate]), h)
        if self.order == "two-products" or self.precision != self.accumulator:
            total = self.store(self.sum(parts[0]))
            for extra in (self.store(self.sum(parts[1])), *biases):
                total = self.store(total + extra)
            return total
        return self.store(self.sum(np.concatenate([*parts, *(b[..., None] for b in biases)], axis=-1)))

    def products(self, matrix: Array, vector: Array) -> Array:
        """Products of matrix rows and vectors, (batch, rows, columns)."""
        return self.accumulate(matrix.astype(np.float64) * vector[:, None, :])

    def sum(self, terms: Array) -> Array:
        if self.order == "pairwise":
            while terms.shape[-1] > 1:
                half = terms.shape[-1] // 2
                summed = self.accumulate(terms[..., :half] + terms[..., half : 2 * half])
                terms = np.concatenate([summed, terms[..., 2 * half :]], axis=-1)
            return terms[..., 0]
        ordered = terms[..., ::-1] if self.order == "reversed" else terms
        total = np.zeros(terms.shape[:-1])
        for k in range(terms.shape[-1]):
            total = self.accumulate(total + ordered[..., k])
        return total

    def add_product(self, z: Array, peep: Array, c: Array) -> Array:
        return self.store(z + self.store(np.asarray(peep, np.float64) * c))

    def clip(self, value: Array, bound: float | None) -> Array:
        if bound is None:
            return value
        limit = float(self.store(np.array([bound]))[0])
        return np.clip(value, -limit, limit)

    def activate(self, name: str, z: Array) -> Array:
        if name.startswith("hard_sigmoid:"):
            alpha, beta = (float(self.store(np.array([float(v)]))[0]) for v in name.split(":")[1].split(","))
            return np.clip(self.store(self.store(alpha * z) + beta), 0.0, 1.0)
        if name == "sigmoid" and self.order == "tanh-sigmoid":
            return self.store(0.5 * self.store(np.tanh(0.5 * z)) + 0.5)
        functions: dict[str, Callable[[Array], Array]] = {
            "sigmoid": lambda v: self.store(1.0 / self.store(1.0 + self.store(np.exp(np.minimum(-v, 700.0))))),
            "tanh": lambda v: self.store(np.tanh(v)),
            "relu": lambda v: np.maximum(v, 0.0),
            "linear": lambda v: v,
        }
        return functions[name](z)
