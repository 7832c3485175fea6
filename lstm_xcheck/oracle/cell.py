"""The equations of one LSTM cell in float64.

z   = W x_t + U h_{t-1} + b + b_r        (4 gates at once)
c_t = f c_{t-1} + i g
h_t = o tanh(c_t), then P h_t
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..model import CellWeights, LSTMSpec
from ..model.spec import Activation
from .activations import apply


@dataclass(frozen=True)
class Cell:
    """Parameters of one cell in float64, and arrays derived from them once."""

    spec: LSTMSpec
    weights: CellWeights

    @cached_property
    def kernel(self) -> Array:
        """[W | U] as (4 * hidden, input + output)."""
        parts = [np.asarray(self.weights.W), np.asarray(self.weights.U)]
        return np.concatenate([p.reshape(-1, p.shape[2]).astype(np.float64) for p in parts], axis=1)

    @cached_property
    def magnitude(self) -> Array:
        """|[W | U]|."""
        return np.abs(self.kernel)

    @cached_property
    def terms(self) -> Array:
        """Rounded terms per pre-activation: non-zeros of the row and two biases; (4, hidden)."""
        return _nonzeros(np.asarray(self.weights.W)) + _nonzeros(np.asarray(self.weights.U)) + 2.0

    @cached_property
    def bias(self) -> Array:
        """b + b_r, shape (4, hidden)."""
        total: Array = self.weights.total_bias
        return total

    @cached_property
    def bias_mass(self) -> Array:
        """|b| + |b_r|, shape (4, hidden)."""
        parts = [np.abs(np.asarray(b, np.float64)) for b in (self.weights.b, self.weights.b_r) if b is not None]
        return np.sum(parts, axis=0) if parts else np.zeros_like(self.bias)

    @cached_property
    def peephole(self) -> Array | None:
        """Diagonals of i, f, o in float64."""
        return None if self.weights.peephole is None else np.asarray(self.weights.peephole, np.float64)

    @cached_property
    def projection(self) -> Array | None:
        """P in float64, shape (output, hidden)."""
        return None if self.weights.projection is None else np.asarray(self.weights.projection, np.float64)

    @cached_property
    def activations(self) -> tuple[Activation, Activation, Activation]:
        """Activations of the gates i, f, o; of g; of c."""
        spec = self.spec
        names = (spec.gate_activation, spec.cell_activation, spec.output_activation)
        gate, cell, output = (Activation.parse(name) for name in names)
        return gate, cell, output

    def affine(self, x: Array, h: Array) -> Array:
        """Pre-activations W x + U h + b, (..., 4, hidden)."""
        inputs = np.concatenate([x, h], axis=-1)
        return (inputs @ self.kernel.T).reshape(*inputs.shape[:-1], 4, -1) + self.bias

    def clip_gates(self, z: Array) -> Array:
        """Clip pre-activations where the spec says so."""
        clip = self.spec.gate_clip
        return z if clip is None else np.clip(z, -clip, clip)

    def project(self, h: Array) -> Array:
        """P h, clipped where the spec says so; h without a projection."""
        if self.projection is None:
            return h
        r = h @ self.projection.T
        clip = self.spec.proj_clip
        return r if clip is None else np.clip(r, -clip, clip)


def _nonzeros(matrix: Array) -> Array:
    """Non-zeros of each row."""
    nonzero = matrix != 0.0
    if nonzero.all():  # four times faster than counting
        return np.full(matrix.shape[:-1], float(matrix.shape[-1]))
    count: Array = nonzero.sum(axis=-1)
    return count


class Step(NamedTuple):
    """Gates and states of one step, (batch, hidden) each; h after the projection."""

    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


def step(cell: Cell, x: Array, h: Array, c: Array) -> Step:
    """One step for a batch: x (batch, input), h (batch, output), c (batch, hidden)."""
    return activate(cell, cell.affine(x, h), c)


def activate(cell: Cell, z: Array, c: Array) -> Step:
    """One step from pre-activations z (..., 4, hidden) and previous c (..., hidden)."""
    z_i, z_f, z_g, z_o = np.moveaxis(z, -2, 0)
    gate, candidate, output = cell.activations
    if cell.peephole is not None:
        z_i, z_f = z_i + cell.peephole[0] * c, z_f + cell.peephole[1] * c
    i, f = apply(gate, cell.clip_gates(z_i)), apply(gate, cell.clip_gates(z_f))
    i, f = couple(cell.spec, i, f)
    g = apply(candidate, cell.clip_gates(z_g))
    c_new = f * c + i * g
    if cell.spec.cell_clip is not None:
        c_new = np.clip(c_new, -cell.spec.cell_clip, cell.spec.cell_clip)
    if cell.peephole is not None:
        z_o = z_o + cell.peephole[2] * c_new
    o = apply(gate, cell.clip_gates(z_o))
    return Step(i, f, g, o, c_new, cell.project(o * apply(output, c_new)))


def couple(spec: LSTMSpec, i: Array, f: Array) -> tuple[Array, Array]:
    """Tie, and scale, the input and forget gates where the spec says so."""
    if spec.coupling == "f=1-i":
        f = 1.0 - i
    elif spec.coupling == "i=1-f":
        i = 1.0 - f
    return (i, f) if spec.cell_factor == 1.0 else (spec.cell_factor * i, spec.cell_factor * f)
