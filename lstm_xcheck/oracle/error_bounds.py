"""Error bounds of consecutive steps whose previous hidden states are known.

The pre-activations and their bound dz are those of `pre_activations`. With u the unit roundoff,

    |dc_t| <= |f| dc_{t-1} + df |c_{t-1}| + di |g| + |i| dg + gamma_2(u) (|f c| + |i g|)

Variances of independent roundings are computed along with the worst case. Values are float64; bounds are in units of u
and variances in units of u^2, so that float32 can represent them in half the time. Arrays are (steps, batch, ...) in
processing order; gates are stacked in front in the order i, f, o, g, so that the three of one activation are one array.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike

from ..arrays import Array
from .activations import absolute, apply, error_units, steepest, stored_error_units
from .cell import Cell
from .pre_activations import STORED_VARIANCE, PreActivations, is_inexact, product
from .precision_profiles import Profile

#: Limit of growing bounds: a slope of zero times infinity is no number.
_LARGEST_BOUND = 1e300


@dataclass
class CellState:
    """State between blocks: value, bound and variance of c and h.

    Those of h are read only where h is not observed.
    """

    c: Array
    dc: Array
    var_c: Array
    h: Array
    dh: Array
    var_h: Array

    @classmethod
    def start(cls, h0: Array, c0: Array, dtype: DTypeLike) -> CellState:
        """Initial states, which are exact."""
        zero_c, zero_h = np.zeros_like(c0, dtype), np.zeros_like(h0, dtype)
        return cls(c0, zero_c, zero_c, h0, zero_h, zero_h)

    def set_h(self, h: Array, dh: Array, var_h: Array, valid: Array | None) -> None:
        """Store h of a block's last step in rows where it is valid."""
        if valid is not None:
            h, dh = np.where(valid, h, self.h), np.where(valid, dh, self.dh)
            var_h = np.where(valid, var_h, self.var_h)
        self.h, self.dh, self.var_h = h, dh, var_h


@dataclass
class _Gate:
    """One activated gate or a stack of gates.

    `value` is float64, `size` its magnitude in the type of the bounds. `d` and `var` are bound and variance, `pull` is
    the slope by c through a peephole.
    """

    value: Array
    size: Array
    d: Array
    var: Array
    pull: Array | None = None

    def __getitem__(self, which: int) -> _Gate:
        """One gate of a stack."""
        return _Gate(self.value[which], self.size[which], self.d[which], self.var[which])


class BoundedCell:
    """One cell with what its error bounds need, for one precision profile."""

    def __init__(self, cell: Cell, profile: Profile, dtype: DTypeLike) -> None:
        self.cell, self.profile, self.dtype = cell, profile, np.dtype(dtype)
        self.sums = PreActivations(cell, profile, dtype)
        self.two = 2.0 / (1.0 - 2.0 * profile.u)
        #: Largest error of an underflow, in units of u.
        self.underflow = profile.eta / profile.u

    def run(self, inputs: Array, dx: Array | None, state: CellState, valid: Array | None) -> tuple[Array, Array, Array]:
        """Outputs of a block with bound and variance, (steps, batch, output) each.

        Args:
            inputs: 1, x and h_{t-1} in one row, (steps, batch, 1 + input + output); NaN where h was not observed,
                which is allowed in a block of one step only.
            dx: bound on the error of x in units of u, or None where it is exact.
            state: updated to the end of the block.
            valid: (steps, batch), or None where every step is.
        """
        observed_h = inputs[0, :, -state.h.shape[-1] :]
        unobserved = np.isnan(observed_h)
        free = bool(unobserved.any())
        if free:
            h_prev = np.where(unobserved, state.h, observed_h)
            inputs = np.concatenate([inputs[..., : -h_prev.shape[-1]], h_prev[None]], axis=-1)
        parts = self.sums.of(inputs)
        if dx is not None:
            columns = slice(1, 1 + dx.shape[-1])
            # Printed digits are rounded independently of each other; other errors of inputs are not.
            variance = product(dx**2 / 3.0, self.sums.kernels[:, columns] ** 2) if self.profile.resolution else 0.0
            self._add(parts, self.sums.rounded * product(dx, self.sums.magnitudes[:, columns]), variance)
        if free:
            self._add_state_error(parts, np.where(unobserved, state.dh, 0.0), np.where(unobserved, state.var_h, 0.0))
        y, dy, var_y = self._step(parts, state, valid)
        state.set_h(y[-1], dy[-1], var_y[-1], None if valid is None else valid[-1, :, None])
        return y, dy, var_y

    def _add_state_error(self, parts: list[Array], dh: Array, var_h: Array) -> None:
        """Add the error of an unobserved h; the block is one step long."""
        recurrent = slice(-dh.shape[-1], None)
        bound = self.sums.rounded * product(dh[None], self.sums.magnitudes[:, recurrent])
        self._add(parts, bound, product(var_h[None], self.sums.kernels[:, recurrent] ** 2))

    def _add(self, parts: list[Array], bound: Array, variance: Array | float = 0.0) -> None:
        """Add to bound and variance of pre-activations."""
        _, dz, var = parts
        parts[1] = np.minimum(dz + bound, _LARGEST_BOUND)
        parts[2] = var + variance

    def _step(self, parts: list[Array], state: CellState, valid: Array | None) -> tuple[Array, Array, Array]:
        """From pre-activations to outputs; with peepholes the block is one step long."""
        g = self._activate(1, *(part[3] for part in parts))
        if self.cell.peephole is None:
            gates = self._activate(0, *(part[:3] for part in parts))
            i, f, o = gates[0], gates[1], gates[2]
        else:
            # The error of c_{t-1} passes through a peephole and through f c_{t-1}: errors add up, not variances.
            before = state.c, state.dc, np.zeros_like(state.var_c)
            i, f = (self._peephole_gate(which, parts, *before) for which in (0, 1))
        i, f = self._coupled(i, f)
        c, dc, var_c = self._recur(i, f, g, state, valid)
        if self.cell.peephole is not None:
            o = self._peephole_gate(2, parts, c, dc, var_c)
        return self._output(o, c, dc, var_c)

    def _activate(self, which: int, z: Array, dz: Array, var: Array, peep: Array | None = None) -> _Gate:
        """The gate of pre-activations z, which are overwritten; `peep`: weight of c in z."""
        value, size, rounding, slope = self._follow(which, self.cell.clip_gates(z), dz, z)
        pull = None if peep is None else slope * np.abs(peep)
        d = slope * dz
        d += rounding
        slope *= slope
        slope *= var
        slope += _variance(rounding)
        return _Gate(value, size, d, slope, pull)

    def _follow(
        self, which: int, z: Array, dz: Array, out: Array | None = None
    ) -> tuple[Array, Array, Array | float, Array]:
        """Value, size, rounding error and slope of an activation; `out`: buffer for the value."""
        p, activation = self.profile, self.cell.activations[which]
        # The other activations take their slope from z, which must stay.
        value = apply(activation, z, out if activation.kind in ("sigmoid", "tanh") else None)
        size = value.astype(self.dtype) if activation.kind == "sigmoid" else absolute(value, self.dtype)
        rounding: Array | float
        if p.is_low and activation.kind in ("sigmoid", "tanh"):
            rounding = stored_error_units(size, activation.kind, p.u_sum / p.u)
            rounding += self.underflow + (p.tanh_absolute if activation.kind == "tanh" else 0.0)
        else:
            rounding = error_units(activation, size, p.tanh_absolute) + self.underflow
        return value, size, rounding, steepest(activation, z, value, size, dz, p.u)

    def _peephole_gate(self, which: int, parts: list[Array], c: Array, dc: Array, var: Array) -> _Gate:
        """A gate with p * c added to its pre-activation."""
        assert self.cell.peephole is not None
        z, dz, var_z = (part[which] for part in parts)
        p, u = self.cell.peephole[which], self.profile.u
        term = p * c
        rounding = 2.0 * (np.abs(term) + np.abs(z) + u * dz)
        variance = var_z + p**2 * var + rounding**2
        dz = dz + np.abs(p) * dc * (1 + u) + rounding
        return self._activate(0, z + term, dz.astype(self.dtype), variance.astype(self.dtype), p)

    def _coupled(self, i: _Gate, f: _Gate) -> tuple[_Gate, _Gate]:
        """Tie i and f where the spec says so, with twice the variance.

        Coupled gates have the same error: (g - c)^2 <= 2 g^2 + 2 c^2.
        """
        coupling = self.cell.spec.coupling
        if coupling is None:
            return self._scaled(i), self._scaled(f)
        free = i if coupling == "f=1-i" else f
        free = replace(free, var=2.0 * free.var)
        value = 1.0 - free.value
        tied = _Gate(value, absolute(value, self.dtype), free.d + 1.0, free.var + 1.0, free.pull)
        free, tied = self._scaled(free), self._scaled(tied)
        return (free, tied) if coupling == "f=1-i" else (tied, free)

    def _scaled(self, gate: _Gate) -> _Gate:
        """The gate times the factor on c, with one more rounding."""
        factor = self.cell.spec.cell_factor
        if factor == 1.0:
            return gate
        size = factor * gate.size
        pull = None if gate.pull is None else factor * gate.pull
        return _Gate(factor * gate.value, size, factor * gate.d + size, factor**2 * gate.var + size**2, pull)

    def _recur(self, i: _Gate, f: _Gate, g: _Gate, state: CellState, valid: Array | None) -> tuple[Array, Array, Array]:
        """c of every step with bound and variance, by linear recurrences."""
        c = self._cells(f.value, np.multiply(i.value, g.value, out=g.value), state.c, valid)
        size = absolute(c, self.dtype)
        # Bound and variance in one array: each is gain * (its previous value) + term.
        gain, term = (np.empty((len(c) - 1, 2, *c.shape[1:]), self.dtype) for _ in range(2))
        self._bound_of_c(i, f, g, size[:-1], gain[:, 0], term[:, 0])
        self._variance_of_c(i, f, g, size, gain[:, 1], term[:, 1])
        if valid is not None:
            gain.swapaxes(1, 2)[~valid], term.swapaxes(1, 2)[~valid] = 1.0, 0.0
        spread = np.empty((len(c), 2, *c.shape[1:]), self.dtype)
        spread[0] = state.dc, state.var_c
        _recurrence(spread, gain, term)
        dc, var_c = np.ascontiguousarray(spread[1:].swapaxes(0, 1))
        state.c, state.dc, state.var_c = c[-1], dc[-1], var_c[-1]
        return c[1:], dc, var_c

    # Buffers are reused as early as possible: a new array costs half as much as the arithmetic.
    # `gain` and `term` are not contiguous and are therefore written once each.

    def _bound_of_c(self, i: _Gate, f: _Gate, g: _Gate, before: Array, gain: Array, term: Array) -> None:
        """Gain and term of the bound on f c_{t-1} + i g; `before`: |c_{t-1}|."""
        u, scratch = self.profile.u, np.empty_like(g.d)
        of_f, of_i = self._product_error(f, scratch), self._product_error(i, scratch)
        total = of_f * before
        of_f *= u
        np.add(f.size, of_f, out=gain)
        np.multiply(g.d, u, out=scratch)
        scratch += g.size
        of_i *= scratch
        total += of_i
        total += np.multiply(i.size, g.d, out=scratch)
        np.add(total, 4.0 * self.underflow, out=term)

    def _product_error(self, gate: _Gate, scratch: Array) -> Array:
        """Bound on the error of gate * v, divided by |v|: two roundings included."""
        error = (1.0 + self.profile.u * self.two) * gate.d
        error += np.multiply(gate.size, self.two, out=scratch)
        return error

    def _variance_of_c(self, i: _Gate, f: _Gate, g: _Gate, size: Array, gain: Array, term: Array) -> None:
        """Gain and term of the variance; `size`: |c| of `_cells`."""
        of_i, of_f, of_c = i.size * i.size, f.size * f.size, size * size
        if i.pull is None or f.pull is None:
            gain[...] = of_f
        else:
            pulled = f.size + g.size * i.pull + size[:-1] * f.pull
            np.multiply(pulled, pulled, out=gain)
        total = of_i * g.var
        of_i *= STORED_VARIANCE
        of_i += i.var
        of_i *= g.size
        of_i *= g.size
        total += of_i
        of_f *= STORED_VARIANCE
        of_f += f.var
        of_f *= of_c[:-1]
        total += of_f
        if self.profile.underflows_often:
            # Roundings of subnormals err to one side for as long as f remembers: 1 / (1 - f) steps.
            memory = (1.0 + f.size) / np.maximum(1.0 - f.size, 2.0**-12)
            total += (0.75 * self.underflow) ** 2 * memory
        of_c *= STORED_VARIANCE
        np.add(total, of_c[1:], out=term)  # the sum is rounded too

    def _cells(self, f: Array, add: Array, start: Array, valid: Array | None) -> Array:
        """c before the first and after each step, unchanged by padding."""
        clip = self.cell.spec.cell_clip
        c = np.empty((len(add) + 1, *add.shape[1:]))
        c[0] = start
        if clip is None and valid is None:
            _recurrence(c, f, add)
            return c
        for t, (now, factor, more, new) in enumerate(zip(c[:-1], f, add, c[1:], strict=True)):
            np.add(np.multiply(factor, now, new), more, new)
            if clip is not None:
                np.clip(new, -clip, clip, out=new)
            if valid is not None:
                np.copyto(new, now, where=~valid[t, :, None])
        return c

    def _output(self, o: _Gate, c: Array, dc: Array, var_c: Array) -> tuple[Array, Array, Array]:
        """h = o tanh(c), then P h, with bound and variance."""
        u = self.profile.u
        tanh, size, rounding, slope = self._follow(2, c, dc)
        error = slope * dc
        error += rounding
        h = np.multiply(o.value, tanh, out=o.value)
        dh = (1.0 + u) * o.d
        dh += o.size
        scratch = u * error
        scratch += size
        dh *= scratch
        error *= o.size
        dh += error
        dh += 2.0 * self.underflow
        slope *= slope
        slope *= var_c
        slope += _variance(rounding)
        square = np.multiply(o.size, o.size, out=scratch)
        var = np.multiply(slope, square, out=slope)
        square *= STORED_VARIANCE
        square += o.var
        square *= size
        square *= size
        var += square
        if self.profile.underflows_often:
            var += self.underflow**2
        return self._project(h, dh, var) if self.cell.projection is not None else (h, dh, var)

    def _project(self, h: Array, dh: Array, var: Array) -> tuple[Array, Array, Array]:
        """P h with bound and variance."""
        p, matrix = self.profile, self.cell.projection
        assert matrix is not None
        magnitude, terms = np.abs(matrix).T, np.count_nonzero(matrix, axis=1) + 1.0
        r = self.cell.project(h)
        mass = (np.abs(h) + p.u * dh) @ magnitude
        # h was stored in the precision of operands, except where it has more bits than they have.
        rounded = magnitude * ((p.u_in > p.u) + is_inexact(magnitude, p.operand_bits))
        of_operands = p.u_in * ((np.abs(h) + p.u * dh) @ rounded)
        dr = terms * p.u_sum / p.u * mass + (1.0 + p.u_in) * of_operands / p.u
        dr += (1.0 + terms * p.u_sum + 2.0 * p.u_in) * (dh @ magnitude) + np.abs(r) + 2.0 * terms * self.underflow
        deviation = np.maximum(1.0, np.sqrt(terms) / 4.0) * p.u_sum * mass + of_operands
        return r, dr, var @ (magnitude**2) + (deviation / p.u + np.abs(r)) ** 2


def _variance(error: Array | float) -> Array | float:
    """Variance of an error of at most 2.5 standard deviations, computed in place."""
    error *= 0.4
    error *= error
    return error


def _recurrence(values: Array, gain: Array, term: Array) -> None:
    """Fill in values[t + 1] = gain[t] values[t] + term[t] from values[0] on."""
    multiply, add, now = np.multiply, np.add, values[0]
    for factor, more, new in zip(gain, term, values[1:], strict=True):
        multiply(factor, now, new)
        now = add(new, more, new)
