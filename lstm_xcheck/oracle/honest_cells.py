"""Honest cells behind the matrix products, with the activations of many libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..model.spec import Activation
from .activations import apply
from .cell import Cell
from .honest_sums import Rounding

Function = Callable[[Array, Rounding], Array]

#: Numerator and denominator of Eigen's and XLA's float32 tanh, highest power of x^2 first.
_NUMERATOR = (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)  # fmt: skip
_DENOMINATOR = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
_FARTHEST = 7.90531110763549805


def _plain_sigmoid(z: Array, store: Rounding) -> Array:
    return store(1 / (1 + np.exp(-z)))


def _stored_sigmoid(z: Array, store: Rounding) -> Array:
    return store(1 / store(1 + store(np.exp(-z))))


def _quotient_sigmoid(z: Array, store: Rounding) -> Array:
    grown = np.exp(np.minimum(z, 80))
    return store(grown / (grown + 1))


def _binary_sigmoid(z: Array, store: Rounding) -> Array:
    return store(1 / (1 + np.exp2(z.dtype.type(-1.4426950408889634) * z)))


def _tanh_sigmoid(z: Array, store: Rounding) -> Array:
    half = z.dtype.type(0.5)
    return store(store(half * store(np.tanh(store(half * z)))) + half)


def _library_tanh(z: Array, store: Rounding) -> Array:
    return store(np.tanh(z))


def _rational_tanh(z: Array, store: Rounding) -> Array:
    """Eigen's quotient of polynomials, which is for float32."""
    if z.dtype != np.float32:
        return _library_tanh(z, store)
    near = np.clip(z, np.float32(-_FARTHEST), np.float32(_FARTHEST))
    square = near * near
    top, bottom = (_polynomial(square, coefficients) for coefficients in (_NUMERATOR, _DENOMINATOR))
    return store(np.where(np.abs(z) < np.float32(0.0004), z, top * near / bottom))


def _polynomial(square: Array, coefficients: Iterable[float]) -> Array:
    total = np.zeros_like(square)
    for coefficient in coefficients:
        total = total * square + np.float32(coefficient)
    return total


def _expm1_tanh(z: Array, store: Rounding) -> Array:
    less = np.expm1(-2 * np.abs(z))
    return store(-np.sign(z) * less / (less + 2))


#: How libraries compute sigmoid and tanh, and whether f c + i g is fused.
CELLS: tuple[tuple[Function, Function, bool], ...] = (
    (_plain_sigmoid, _library_tanh, False),
    (_plain_sigmoid, _library_tanh, True),
    (_plain_sigmoid, _rational_tanh, False),
    (_stored_sigmoid, _rational_tanh, True),
    (_tanh_sigmoid, _library_tanh, False),
    (_tanh_sigmoid, _rational_tanh, True),
    (_quotient_sigmoid, _expm1_tanh, False),
    (_binary_sigmoid, _expm1_tanh, True),
)


@dataclass(frozen=True)
class HonestCell:
    """Some units of a cell, one for each row of `z`.

    Attributes:
        cell: of all units.
        peephole: (3, rows, 1), or None.
        c0: (rows, 1).
        valid: (steps, rows, 1), in processing order.
    """

    cell: Cell
    peephole: Array | None
    c0: Array
    valid: Array

    def run(
        self, z: Array, store: Rounding, sigmoid: Function | None = None, tanh: Function | None = None,
        fused: bool = False,
    ) -> tuple[Array, Array]:  # fmt: skip
        """h of every step, (steps, rows, variants), and the last c, (rows, variants).

        Args:
            z: pre-activations i, f, g, o in front, (4, steps, rows, variants).
            store: rounding of stored numbers.
            sigmoid, tanh: None for those of z's own type.
        """
        gate, candidate, output = (_function(a, sigmoid, tanh) for a in self.cell.activations)
        spec, kind = self.cell.spec, z.dtype.type
        ready = self.peephole is None
        gates = (
            [f(self.cell.clip_gates(v), store) for f, v in zip((gate, gate, candidate, gate), z, strict=True)]
            if ready
            else []
        )
        c = np.broadcast_to(self.c0, z.shape[2:]).astype(z.dtype)
        cells, outputs = np.empty(z.shape[1:], z.dtype), np.empty(z.shape[1:], z.dtype)
        for t, valid in enumerate(self.valid):
            if ready:
                i, f, g = (part[t] for part in gates[:3])
            else:
                i, f = (self._peeped(gate, z[k, t], k, c, store) for k in (0, 1))
                g = candidate(self.cell.clip_gates(z[2, t]), store)
            if spec.coupling == "f=1-i":
                f = store(1 - i)
            elif spec.coupling == "i=1-f":
                i = store(1 - f)
            product = store(i * g)
            new = (
                store((f.astype(np.longdouble if kind == np.float64 else np.float64) * c + product).astype(kind))
                if fused
                else store(store(f * c) + product)
            )
            if spec.cell_clip is not None:
                new = np.clip(new, kind(-spec.cell_clip), kind(spec.cell_clip))
            c = np.where(valid, new, c)
            cells[t] = c
            outputs[t] = gates[3][t] if ready else self._peeped(gate, z[3, t], 2, c, store)
        h = store(outputs * output(cells, store))
        return np.where(self.valid, h, kind(0)), c

    def _peeped(
        self, gate: Callable[[Array, Rounding], Array], z: Array, which: int, c: Array, store: Rounding
    ) -> Array:
        assert self.peephole is not None
        term = store(self.peephole[which].astype(z.dtype) * c)
        return gate(self.cell.clip_gates(store(z + term)), store)


def _function(activation: Activation, sigmoid: Function | None, tanh: Function | None) -> Function:
    chosen = {"sigmoid": sigmoid, "tanh": tanh}.get(activation.kind)
    if chosen is not None:
        return chosen
    return lambda z, store: store(apply(activation, z))
