"""Back-propagation through time in float64, along the observed outputs of one direction.

With s the slope of each activation, backward in time from dh = G_h, dc = G_c:

    dh += G_y[t];   dh = P^T dh with a projection;   do = dh tanh(c);   dc += dh o tanh'(c) + p_o dz_o
    di = dc g;      df = dc c_{t-1};                 dg = dc i;         dz = s (di, df, dg, do)
    dW += dz x^T;   dU += dz h_{t-1}^T;              db += dz;          dx = W^T dz
    dh_{t-1} = U^T dz;                               dc_{t-1} = f dc + p_i dz_i + p_f dz_f

h_{t-1} is the backend's output, so that errors of the forward pass do not accumulate. Every value has a leading axis of
copies, each rounded independently; a single copy without rounding is the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from ..arrays import Array
from ..model import Case
from .activations import apply, error_units, kinks, slope
from .cell import Cell
from .monte_carlo import Roundings


class StepRecord(NamedTuple):
    """Intermediate values of one forward step, (copies, batch, hidden) each.

    `open_*` is 0 where a clip holds, else 1.
    """

    i: Array
    f: Array
    g: Array
    o: Array
    c_prev: Array
    c: Array
    tau: Array
    h: Array
    slopes: Array
    tau_slope: Array
    open_c: Array
    open_h: Array


class BackwardPass(NamedTuple):
    """Gradients of one direction in processing order.

    dz: (copies, batch, steps, 4, hidden); dr: of a projection's output, or None.
    """

    dz: Array
    dr: Array | None
    dx: Array
    dh0: Array
    dc0: Array


@dataclass(frozen=True)
class Direction:
    """One direction of one layer with its data in processing order.

    x: (batch, steps, input), as the backend read them; h_prev: the observed h_{t-1}, (batch, steps, output);
    c0: (batch, hidden); valid: (batch, steps).
    """

    cell: Cell
    x: Array
    h_prev: Array
    c0: Array
    valid: Array

    @classmethod
    def of(cls, case: Case, layer: int, direction: int, x: Array, observed: Array) -> Direction:
        """From inputs and observed outputs of this direction, aligned in time."""
        order = slice(None, None, -1 if case.spec.is_backward(direction) else 1)
        x, observed, valid = x[:, order], observed[:, order], case.valid[:, order]
        h, h_prev = case.initial("h0", layer, direction), []
        for t in range(case.steps):
            h_prev.append(h)
            h = np.where(valid[:, t, None], observed[:, t], h)
        cell = Cell(case.spec, case.weights.layers[layer][direction])
        return cls(cell, x, np.stack(h_prev, axis=1), case.initial("c0", layer, direction), valid)

    @cached_property
    def inputs(self) -> Array:
        """[x | h_{t-1}], (batch * steps, input + output)."""
        joined = np.concatenate([self.x, self.h_prev], axis=-1)
        return joined.reshape(-1, joined.shape[-1])

    @cached_property
    def z(self) -> Array:
        """Pre-activations without peepholes, (batch, steps, 4, hidden)."""
        return self.cell.affine(self.x, self.h_prev)

    @cached_property
    def _mass(self) -> Array:
        products = (np.abs(self.inputs) @ self.cell.magnitude.T).reshape(self.z.shape)
        mass: Array = products + self.cell.bias_mass
        return mass

    def forward(self, r: Roundings) -> list[StepRecord]:
        """Every step from observed h and computed c."""
        c, steps = np.broadcast_to(self.c0, (r.copies, *self.c0.shape)), []
        sigma = r.of_sum(self._mass, self.cell.terms)
        for t in range(self.z.shape[1]):
            z = r.rounded(np.broadcast_to(self.z[:, t], (r.copies, *self.z[:, t].shape)), sigma[:, t])
            counted = self.valid[:, t, None]
            now = self._step(z, c, r, counted)
            steps.append(now)
            c = np.where(counted, now.c, c)
        return steps

    def _step(self, z: Array, c_prev: Array, r: Roundings, counted: Array) -> StepRecord:
        cell, u = self.cell, r.profile.u
        pre = [self._add_peephole(z[..., k, :], which, c_prev, r) for k, which in ((0, 0), (1, 1), (2, None))]
        (i, s_i), (f, s_f), (g, s_g) = (
            self._gate(which, v, r, counted) for which, v in zip((0, 0, 1), pre, strict=True)
        )
        if cell.spec.coupling == "f=1-i":
            f = r.rounded(1.0 - i, u * np.ones_like(i))
        elif cell.spec.coupling == "i=1-f":
            i = r.rounded(1.0 - f, u * np.ones_like(f))
        c = r.rounded(f * c_prev + i * g, u * (np.abs(f * c_prev) + np.abs(i * g)))
        c, open_c = _clipped(c, cell.spec.cell_clip, r, counted)
        o, s_o = self._gate(0, self._add_peephole(z[..., 3, :], 2, c, r), r, counted)
        tau, tau_slope = self._activated(2, c, r, counted)
        h, open_h = r.rounded(o * tau, u * np.abs(o * tau)), np.ones(1)
        if cell.projection is not None and cell.spec.proj_clip is not None:
            _, open_h = _clipped(h @ cell.projection.T, cell.spec.proj_clip, r, counted)
        slopes = np.stack([s_i, s_f, s_g, s_o], axis=-2)
        return StepRecord(i, f, g, o, c_prev, c, tau, h, slopes, tau_slope, open_c, open_h)

    def _add_peephole(self, z: Array, which: int | None, c: Array, r: Roundings) -> Array:
        if self.cell.peephole is None or which is None:
            return z
        term = self.cell.peephole[which] * c
        return r.rounded(z + term, r.profile.u * (np.abs(z) + np.abs(term)))

    def _gate(self, which: int, z: Array, r: Roundings, counted: Array) -> tuple[Array, Array]:
        z, opened = _clipped(z, self.cell.spec.gate_clip, r, counted)
        value, steep = self._activated(which, z, r, counted)
        return value, steep * opened

    def _activated(self, which: int, z: Array, r: Roundings, counted: Array) -> tuple[Array, Array]:
        """Value and slope of an activation."""
        activation = self.cell.activations[which]
        for kink, _ in kinks(activation):
            r.watch(z, kink, counted)
        value = apply(activation, z)
        sigma = r.profile.u * error_units(activation, np.abs(value), r.profile.tanh_absolute) / 2.5
        value = r.rounded(value, sigma)
        return value, slope(activation, z, value)

    def backward(self, steps: list[StepRecord], g_y: Array, g_h: Array, g_c: Array, r: Roundings) -> BackwardPass:
        """Back-propagate from the cotangents of y, h_n and c_n.

        g_y: (copies or 1, batch, steps, output); g_h, g_c: (batch, width), with copies or without.
        `steps` have the same roundings.
        """
        cell = self.cell
        dh, dc = (np.broadcast_to(g, (r.copies, *g.shape[-2:])) for g in (g_h, g_c))
        dz = np.zeros((r.copies, *self.z.shape))
        dr = np.zeros((r.copies, *self.h_prev.shape)) if cell.projection is not None else None
        for t in reversed(range(len(steps))):
            keep = self.valid[:, t, None]
            up = r.rounded(dh + g_y[:, :, t], r.profile.u * np.abs(dh))
            if dr is not None:
                up = np.where(keep, up * steps[t].open_h, 0.0)
                dr[:, :, t] = up
                up = _product(up, cell.projection, r)  # type: ignore[arg-type]
            step_dz, dc_prev = self.step_back(steps[t], up, dc, r)
            dz[:, :, t] = np.where(keep[..., None], step_dz, 0.0)
            dh_prev, dc_prev = self.carried(t, self.through_kernel(step_dz, "U", r), dc_prev)
            dh = np.where(keep, dh_prev, dh)
            dc = np.where(keep, dc_prev, dc)
        dx = self.through_kernel(dz, "W", r)
        return BackwardPass(dz, dr, np.where(self.valid[..., None], dx, 0.0), dh, dc)

    def through_kernel(self, dz: Array, matrix: Literal["W", "U"], r: Roundings) -> Array:
        """dz (..., 4, hidden) times W or U."""
        width = self.x.shape[-1]
        columns = self.cell.kernel[:, :width] if matrix == "W" else self.cell.kernel[:, width:]
        return _product(dz.reshape(*dz.shape[:-2], -1), columns, r)

    def carried(self, t: int, dh: Array, dc: Array) -> tuple[Array, Array]:
        """What of dh and dc goes from step t to the step before: all."""
        return dh, dc

    def step_back(self, now: StepRecord, dh: Array, dc: Array, r: Roundings) -> tuple[Array, Array]:
        """dz of this step and dc of the previous one."""
        u, peephole, spec = r.profile.u, self.cell.peephole, self.cell.spec
        through = dh * now.o * now.tau_slope
        dz_o = dh * now.tau * now.slopes[..., 3, :]
        peeped = 0.0 if peephole is None else peephole[2] * dz_o
        total = dc + through + peeped
        dc = r.rounded(total, u * (np.abs(total) + 2.0 * np.abs(through) + np.abs(peeped))) * now.open_c
        di, df, dg = dc * now.g, dc * now.c_prev, dc * now.i
        if spec.coupling is not None:
            both = r.rounded(di - df, u * (np.abs(di) + np.abs(df)))
            zero = np.zeros_like(both)
            di, df = (both, zero) if spec.coupling == "f=1-i" else (zero, -both)
        dz = np.stack([di, df, dg, np.zeros_like(dg)], axis=-2) * now.slopes
        dz[..., 3, :] = dz_o
        dz = r.rounded(dz, 2.0 * u * np.abs(dz))
        dc_prev = dc * now.f
        if peephole is not None:
            dc_prev = dc_prev + peephole[0] * dz[..., 0, :] + peephole[1] * dz[..., 1, :]
        return dz, r.rounded(dc_prev, 2.0 * u * np.abs(dc_prev))

    def of_parameters(
        self, steps: list[StepRecord], back: BackwardPass, r: Roundings
    ) -> dict[str, tuple[Array, Array]]:
        """Gradient of each array, (copies, ...), and standard deviation of its last sum."""
        hidden, width, terms = self.c0.shape[-1], self.x.shape[-1], float(self.valid.sum())
        dz = back.dz.reshape(r.copies, -1, 4 * hidden)
        kernel = np.swapaxes(dz, 1, 2) @ self.inputs
        sigma = r.of_sum(np.abs(dz[0]).T @ np.abs(self.inputs), terms)
        shape = (4, hidden, -1)
        found = {
            "W": (kernel[..., :width].reshape(r.copies, *shape), sigma[:, :width].reshape(shape)),
            "U": (kernel[..., width:].reshape(r.copies, *shape), sigma[:, width:].reshape(shape)),
            "b": _summed(back.dz, (1, 2), r, terms),
        }
        if self.cell.peephole is not None:
            before, after = (np.stack([getattr(s, name) for s in steps], axis=2) for name in ("c_prev", "c"))
            parts = [back.dz[..., gate, :] * c for gate, c in ((0, before), (1, before), (3, after))]
            found["peephole"] = _summed(np.stack(parts, axis=3), (1, 2), r, terms)
        if back.dr is not None:
            h = np.stack([s.h for s in steps], axis=2).reshape(len(steps[0].h), -1, hidden)
            dr = back.dr.reshape(r.copies, h.shape[1], -1)
            found["projection"] = np.swapaxes(dr, 1, 2) @ h, r.of_sum(np.abs(dr[0]).T @ np.abs(h[0]), terms)
        return found


def _clipped(value: Array, bound: float | None, r: Roundings, counted: Array) -> tuple[Array, Array]:
    """The clipped value, and 1.0 where the clip does not hold."""
    if bound is None:
        return value, np.ones(1)
    for kink in (-bound, bound):
        r.watch(value, kink, counted)
    return np.clip(value, -bound, bound), (np.abs(value) < bound).astype(np.float64)


def _product(values: Array, matrix: Array, r: Roundings) -> Array:
    """values @ matrix, rounded; magnitudes are those of the first copy."""
    mass = np.abs(values[0]) @ np.abs(matrix)
    return r.rounded(values @ matrix, r.of_sum(mass, np.count_nonzero(matrix, axis=0) + 1.0))


def _summed(values: Array, axes: tuple[int, ...], r: Roundings, terms: float) -> tuple[Array, Array]:
    return values.sum(axis=axes), r.of_sum(np.abs(values).sum(axis=axes)[0], terms)
