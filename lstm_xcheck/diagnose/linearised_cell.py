"""A teacher-forced cell and its slopes: how its outputs answer small changes of pre-activations.

Driven by observed h, units do not depend on each other. For changes dz of the pre-activations, to first order

    d c_t = carry_t d c_{t-1} + c_by_i dz_i + c_by_f dz_f + c_by_g dz_g
    d h_t = h_by_c d c_t + h_by_o dz_o
    d y_t = y_by_r P d h_t with a projection, else d h_t

A change of one weight by dk is dz = dk times its column of `inputs`. Clips, couplings, peepholes and masks are in the
slopes: zero where a clip acts; at padding, carry is one and the others are zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, has_nan
from ..model import Case
from ..model.spec import Activation
from ..oracle.activations import apply, slope
from ..oracle.cell import Cell, Step, activate
from .fit import cell_arrays


@dataclass(frozen=True)
class DrivenCell:
    """What one cell read and answered, in processing order.

    Attributes:
        cell: its parameters.
        inputs: x, observed h_{t-1} and 1 (for the bias) in one row, (steps, batch, input + output + 1).
        y: observed outputs, (steps, batch, output).
        c0: initial c, (batch, hidden).
        valid: (steps, batch).
        backward: whether processing order is the reverse of time.
    """

    cell: Cell
    inputs: Array
    y: Array
    c0: Array
    valid: Array
    backward: bool

    @classmethod
    def of(cls, case: Case, outputs: Mapping[int, Array], index: tuple[int, int]) -> DrivenCell | None:
        """The cell (layer, direction) on observed outputs by layer; None where they lack."""
        arrays = cell_arrays(case, dict(outputs), index)
        if arrays is None or any(has_nan(array) for array in arrays):
            return None
        layer, direction = index
        backward = case.spec.is_backward(direction)
        x, y, valid = (in_processing_order(array, backward) for array in (*arrays, case.valid))
        h, previous = case.initial("h0", layer, direction), []
        for t in range(case.steps):
            previous.append(h)
            h = np.where(valid[t, :, None], y[t], h)
        inputs = np.concatenate([x, np.stack(previous), np.ones((*valid.shape, 1))], axis=-1, dtype=np.float64)
        cell = Cell(case.spec, case.weights.layers[layer][direction])
        return cls(cell, inputs, y.astype(np.float64), case.initial("c0", layer, direction), valid, backward)

    @property
    def z(self) -> Array:
        """Pre-activations without peepholes, (steps, batch, 4, hidden)."""
        width = self.cell.weights.W.shape[2]
        return self.cell.affine(self.inputs[..., :width], self.inputs[..., width:-1])


@dataclass(frozen=True)
class LinearisedCell:
    """Values and slopes of each step.

    Arrays are (steps, ..., batch, hidden) unless another shape is given.

    Attributes:
        c_before, c: c_{t-1} and c_t.
        h: output before a projection; zero at padding.
        carry: slope of c_t by c_{t-1}.
        c_by_i, c_by_f, c_by_g: slopes of c_t by pre-activations.
        h_by_c, h_by_o: slopes of h_t by c_t and by the pre-activation of o.
        y: output, (steps, ..., batch, output); zero at padding.
        y_by_r: 0 where the clip of a projection acts, else 1; the shape of y. None without a projection.
        projection: (output, hidden), or None.
    """

    c_before: Array
    c: Array
    h: Array
    carry: Array
    c_by_i: Array
    c_by_f: Array
    c_by_g: Array
    h_by_c: Array
    h_by_o: Array
    y: Array
    y_by_r: Array | None
    projection: Array | None

    def respond(self, dz: Array) -> tuple[Array, Array]:
        """The changes of every h_t and c_t.

        dz: (steps, ..., batch, 4, hidden, changes), each column a change of its own; the results are
        (steps, ..., batch, hidden, changes).
        """
        dh, dc = np.empty((*self.c.shape, dz.shape[-1])), np.empty((*self.c.shape, dz.shape[-1]))
        now = np.zeros(dc.shape[1:])
        for t in range(len(dz)):
            i, f, g, o = np.moveaxis(dz[t], -3, 0)
            now = self.carry[t, ..., None] * now + self.c_by_i[t, ..., None] * i
            now += self.c_by_f[t, ..., None] * f + self.c_by_g[t, ..., None] * g
            dc[t] = now
            dh[t] = self.h_by_c[t, ..., None] * now + self.h_by_o[t, ..., None] * o
        return dh, dc

    def project(self, dh: Array) -> Array:
        """The changes of y, (..., batch, output, changes), from those of h."""
        if self.projection is None or self.y_by_r is None:
            return dh
        changed: Array = self.y_by_r[..., None] * np.matmul(self.projection, dh)
        return changed


def linearise(driven: DrivenCell, z: Array | None = None) -> LinearisedCell:
    """Run a cell on what was observed, with the slopes of each step.

    z: other pre-activations than the driven cell's, (steps, ..., batch, 4, hidden).
    """
    z = driven.z if z is None else z
    cell, valid = driven.cell, driven.valid.reshape(len(z), *(1,) * (z.ndim - 4), -1, 1)
    c_before = _states(cell, z, driven.c0, valid)
    now = activate(cell, z, c_before)
    peephole = np.zeros((3, 1)) if cell.peephole is None else cell.peephole
    seen = (peephole[0] * c_before, peephole[1] * c_before, 0.0, peephole[2] * now.c)
    gate, candidate, output = cell.activations
    i, f, g, o = (
        _gate_slope(cell, activation, z[..., k, :] + seen[k], value)
        for k, (activation, value) in enumerate(zip((gate, gate, candidate, gate), now[:4], strict=True))
    )
    i, f, g = (*_coupled(cell, now, i, f, c_before), now.i * g)
    tau = apply(output, now.c)
    h, o = np.where(valid, now.o * tau, 0.0), o * tau
    inside = valid if cell.spec.cell_clip is None else valid & (np.abs(now.c) < cell.spec.cell_clip)
    carry = np.where(valid, inside * (now.f + peephole[0] * i + peephole[1] * f), 1.0)
    h_by_c = valid * (now.o * slope(output, now.c, tau) + peephole[2] * o)
    c = np.where(valid, now.c, c_before)
    y, y_by_r = _projected(cell, h)
    return LinearisedCell(
        c_before, c, h, carry, inside * i, inside * f, inside * g, h_by_c, valid * o, y, y_by_r, cell.projection
    )


def _states(cell: Cell, z: Array, c0: Array, valid: Array) -> Array:
    """c before each step."""
    c, before = np.broadcast_to(c0, (*z.shape[1:-2], z.shape[-1])), np.empty((*z.shape[:-2], z.shape[-1]))
    gates = None if cell.peephole is not None else activate(cell, z, np.zeros_like(before))
    clip, padded = cell.spec.cell_clip, not valid.all()
    for t in range(len(z)):
        before[t] = c
        now = activate(cell, z[t], c).c if gates is None else gates.f[t] * c + gates.i[t] * gates.g[t]
        now = now if clip is None else np.clip(now, -clip, clip)
        c = np.where(valid[t], now, c) if padded else now
    return before


def _projected(cell: Cell, h: Array) -> tuple[Array, Array | None]:
    """The outputs, and 1 where the clip of a projection does not act."""
    if cell.projection is None:
        return h, None
    r, clip = h @ cell.projection.T, cell.spec.proj_clip
    if clip is None:
        return r, np.ones(r.shape)
    return np.clip(r, -clip, clip), (np.abs(r) < clip).astype(np.float64)


def _gate_slope(cell: Cell, activation: Activation, z: Array, value: Array) -> Array:
    """The slope of a gate by its pre-activation; zero where the clip acts."""
    clip = cell.spec.gate_clip
    if clip is None:
        return slope(activation, z, value)
    clipped = np.clip(z, -clip, clip)
    return np.where(np.abs(z) < clip, slope(activation, clipped, apply(activation, clipped)), 0.0)


def _coupled(cell: Cell, now: Step, by_i: Array, by_f: Array, c_before: Array) -> tuple[Array, Array]:
    """Slopes of c by the pre-activations of i and f, which may be tied."""
    if cell.spec.coupling == "f=1-i":
        return by_i * (now.g - c_before), np.zeros_like(by_f)
    if cell.spec.coupling == "i=1-f":
        return np.zeros_like(by_i), by_f * (c_before - now.g)
    return by_i * now.g, by_f * c_before


def in_processing_order(array: Array, backward: bool) -> Array:
    """(batch, steps, ...) as (steps, batch, ...), the last step first where backward."""
    return (array[:, ::-1] if backward else array).swapaxes(0, 1)
