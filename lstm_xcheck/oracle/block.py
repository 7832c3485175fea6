"""A run of steps whose previous hidden states are known, all gates at once, with their rounding bounds.

With u the unit roundoff and n the non-zeros of a row (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
chapter 3):

    |dz| <= (gamma_n(u_sum) + 2 u_in) (|W||x| + |U||h| + |b| + |b_r|)      any order of summation
    |dc_t| <= |f| dc_{t-1} + df |c_{t-1}| + di |g| + |i| dg + gamma_2(u) (|f c| + |i g|)

Beside the worst case, `sigma` carries the standard deviation of independent roundings. Values are float64; bounds are
in units of u and variances in units of u^2, so that float32, which takes half the time, can hold them. Arrays are
(steps, batch, ...), time in the order of processing; gates are stacked in front, in the order i, f, o, g, so that the
three of one activation are one array.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from ..arrays import Array
from .activations import absolute, apply, error_units, steepest
from .cell import Cell
from .profiles import Profile

#: Of i, f, o, g in the canonical order i, f, g, o.
_ORDER = np.array([0, 1, 3, 2])


@dataclass
class Carried:
    """State between blocks: value, bound and variance of c; of h, which matter only where h is not observed."""

    c: Array
    dc: Array
    var_c: Array
    h: Array
    dh: Array
    var_h: Array

    @classmethod
    def start(cls, h0: Array, c0: Array, dtype: DTypeLike) -> Carried:
        """Initial states are given, so they are exact."""
        none_c, none_h = np.zeros_like(c0, dtype), np.zeros_like(h0, dtype)
        return cls(c0, none_c, none_c, h0, none_h, none_h)


@dataclass
class _Gate:
    """Activated gates: value, bound, variance, and how fast they follow c_{t-1} through a peephole."""

    value: Array
    d: Array
    var: Array
    pull: Array | None = None

    def __getitem__(self, which: int) -> _Gate:
        """One of a stack."""
        return _Gate(self.value[which], self.d[which], self.var[which])


class Block:
    """The bounds of one cell at one precision; `run` answers for some steps and moves the state on."""

    def __init__(self, cell: Cell, profile: Profile, dtype: DTypeLike) -> None:
        p = profile
        self.cell, self.profile, self.dtype = cell, p, np.dtype(dtype)
        terms, bias, bias_mass = (part[_ORDER] for part in (cell.terms, cell.bias, cell.bias_mass))
        relative = terms * p.u_sum / (1.0 - terms * p.u_sum) + 2.0 * p.u_in + p.u_in**2
        deviation = np.maximum(1.0, np.sqrt(terms) / 4.0) * p.u_sum + p.u_in
        rows = self._rows(bias)
        self.kernels = rows.swapaxes(1, 2)
        # The same for dz, from [1, |x|, |h|]. What that rounds, some 2^-24 for each term in float32, is added, and
        # covers what it underflows by beside eta.
        errors = absolute(rows, self.dtype)
        allowed = relative * (1.0 + 2.0**-22 * terms) / p.u
        errors *= allowed[..., None].astype(self.dtype)
        errors[..., 0] = allowed * bias_mass + 2.0 * terms * p.eta / p.u * (1.0 + 2.0**-22 * terms)
        self.errors = errors.swapaxes(1, 2)
        #: Standard deviation of independent roundings, by dz.
        self.spread = (deviation / relative)[:, None].astype(self.dtype)
        self.bias_mass = bias_mass[:, None]
        self.two = 2.0 / (1.0 - 2.0 * p.u)
        #: An underflow.
        self.least = p.eta / p.u
        #: Roundings of each partial result, where they are stored in a lower precision than they are summed in.
        self.stored = 4.0 / (1.0 - 4.0 * p.u) if p.u > p.u_sum else 0.0
        #: An error of the inputs is passed on by a product that rounds too.
        self.rounded = (1.0 + relative + 2.0 * p.u * self.stored)[:, None]

    def _rows(self, bias: Array) -> Array:
        """[b | W | U] of each unit, so that one product with [1, x, h] gives z."""
        w, u = np.asarray(self.cell.weights.W), np.asarray(self.cell.weights.U)
        inputs = 1 + w.shape[-1]
        rows = np.empty((*bias.shape, inputs + u.shape[-1]))
        rows[..., 0] = bias
        for row, gate in zip(rows, _ORDER, strict=True):
            row[:, 1:inputs], row[:, inputs:] = w[gate], u[gate]
        return rows

    @cached_property
    def magnitudes(self) -> Array:
        """|[b; W; U]|."""
        return np.abs(self.kernels)

    def run(self, inputs: Array, dx: Array | None, carried: Carried, valid: Array | None) -> tuple[Array, Array, Array]:
        """Outputs of these steps with bound and variance, (steps, batch, output) each.

        Args:
            inputs: 1, x and h_{t-1} side by side, (steps, batch, 1 + input + output); NaN where h was not observed,
                which only a block of one step may have.
            dx: bound on the error of x in units of u, or None where it is exact.
            carried: moved on to the end of the block.
            valid: (steps, batch), or None where every step is.
        """
        h_prev = inputs[0, :, -carried.h.shape[-1] :]
        unseen = np.isnan(h_prev)
        free = bool(unseen.any())
        if free:
            own = np.where(unseen, carried.h, h_prev)
            inputs = np.concatenate([inputs[..., : -own.shape[-1]], own[None]], axis=-1)
        parts = self._affine(inputs)
        if dx is not None:
            parts[1] += self.rounded * _product(dx, self.magnitudes[:, 1 : 1 + dx.shape[-1]])
        if free:
            self._add_own(parts, np.where(unseen, carried.dh, 0.0), np.where(unseen, carried.var_h, 0.0))
        y, dy, var_y = self._step([part.reshape(4, *inputs.shape[:2], -1) for part in parts], carried, valid)
        keep: Array | bool = True if valid is None else valid[-1, :, None]
        carried.h = np.where(keep, y[-1], carried.h)
        carried.dh = np.where(keep, dy[-1], carried.dh)
        carried.var_h = np.where(keep, var_y[-1], carried.var_h)
        return y, dy, var_y

    def _affine(self, inputs: Array) -> list[Array]:
        """Pre-activations of all gates and steps, their bound and standard deviation, (4, steps * batch, hidden)."""
        z = _product(inputs, self.kernels)
        dz = _product(absolute(inputs, self.dtype), self.errors)
        if not self.stored:
            return [z, dz, dz * self.spread]
        width = inputs.shape[-1] - self.cell.spec.output_size
        partial = np.abs(_product(inputs[..., 1:width], self.kernels[:, 1:width]))
        partial += np.abs(_product(inputs[..., width:], self.kernels[:, width:]))
        partial += self.bias_mass + np.abs(z)
        partial = partial.astype(self.dtype, copy=False)
        return [z, dz + self.stored * partial, dz * self.spread + partial]

    def _add_own(self, parts: list[Array], dh: Array, var_h: Array) -> None:
        """Add what the oracle's own h, where it had to be used, is uncertain by; the block is one step long."""
        recurrent = slice(-dh.shape[-1], None)
        parts[1] += self.rounded * _product(dh, self.magnitudes[:, recurrent])
        parts[2] = np.sqrt(parts[2] ** 2 + _product(var_h, self.kernels[:, recurrent] ** 2))

    def _step(self, parts: list[Array], carried: Carried, valid: Array | None) -> tuple[Array, Array, Array]:
        """From pre-activations to outputs. With peepholes the block is one step long and c_{t-1} the carried one."""
        g = self._activate(1, *(part[3] for part in parts))
        if self.cell.peephole is None:
            gates = self._activate(0, *(part[:3] for part in parts))
            i, f, o = gates[0], gates[1], gates[2]
        else:
            # The error of c_{t-1} that a peephole carries is that of f c_{t-1} too: they add up, not their variances.
            before = carried.c, carried.dc, np.zeros_like(carried.var_c)
            i, f = (self._peeping(which, parts, *before) for which in (0, 1))
        i, f = self._coupled(i, f)
        c, dc, var_c = self._recur(i, f, g, carried, valid)
        if self.cell.peephole is not None:
            o = self._peeping(2, parts, c, dc, var_c)
        return self._output(o, c, dc, var_c)

    def _activate(self, which: int, z: Array, dz: Array, sz: Array, peep: Array | None = None) -> _Gate:
        """An activation with its propagated and its own error; peep: the weight that c has in z."""
        p, activation = self.profile, self.cell.activations[which]
        z = self.cell.clip_gates(z) if which != 2 else z
        value = apply(activation, z)
        own = error_units(activation, value, p.tanh_absolute, self.dtype)
        own += self.least
        slope = steepest(activation, z, value, dz, p.u)
        pull = None if peep is None else slope * np.abs(peep)
        d = slope * dz
        d += own
        var = np.multiply(slope, sz, out=slope)
        var *= var
        own *= own
        own /= 6.25
        var += own
        return _Gate(value, d, var, pull)

    def _peeping(self, which: int, parts: list[Array], c: Array, dc: Array, var: Array) -> _Gate:
        """A gate that adds p * c to its pre-activation."""
        assert self.cell.peephole is not None
        z, dz, sz = (part[which] for part in parts)
        p, u = self.cell.peephole[which], self.profile.u
        term = p * c
        rounding = 2.0 * (np.abs(term) + np.abs(z) + u * dz)
        dz, sz = dz + np.abs(p) * dc * (1 + u) + rounding, np.sqrt(sz**2 + p**2 * var + rounding**2)
        return self._activate(0, z + term, dz.astype(self.dtype), sz.astype(self.dtype), p)

    def _coupled(self, i: _Gate, f: _Gate) -> tuple[_Gate, _Gate]:
        """Coupled gates carry the same error: (g - c)^2 <= 2 g^2 + 2 c^2, hence twice the variance of each."""
        coupling = self.cell.spec.coupling
        if coupling is None:
            return i, f
        free = i if coupling == "f=1-i" else f
        free = replace(free, var=2.0 * free.var)
        tied = _Gate(1.0 - free.value, free.d + 1.0, free.var + 1.0, free.pull)
        return (free, tied) if coupling == "f=1-i" else (tied, free)

    def _recur(self, i: _Gate, f: _Gate, g: _Gate, carried: Carried, valid: Array | None) -> tuple[Array, Array, Array]:
        """c of every step with bound and variance: two recurrences, each linear in what it carries."""
        c = self._cells(f.value, i.value * g.value, carried.c, valid)
        i_size, f_size, g_size, c_size = (absolute(value, self.dtype) for value in (i.value, f.value, g.value, c))
        sizes = i_size, f_size, g_size, c_size[:-1]
        # Bound and variance side by side: each is gain * (its own before) + term.
        gain, term = (np.empty((len(c) - 1, 2, *c.shape[1:]), self.dtype) for _ in range(2))
        self._bound_of_c(i, f, g, *sizes, gain[:, 0], term[:, 0])
        self._variance_of_c(i, f, g, *sizes, gain[:, 1], term[:, 1])
        term[:, 1] += c_size[1:] * c_size[1:]
        if valid is not None:
            gain.swapaxes(1, 2)[~valid], term.swapaxes(1, 2)[~valid] = 1.0, 0.0
        spread = np.empty((len(c), 2, *c.shape[1:]), self.dtype)
        spread[0] = carried.dc, carried.var_c
        for now, factor, more, new in zip(spread[:-1], gain, term, spread[1:], strict=True):
            np.multiply(factor, now, out=new)
            np.add(new, more, out=new)
        carried.c, carried.dc, carried.var_c = c[-1], spread[-1, 0], spread[-1, 1]
        return c[1:], spread[1:, 0], spread[1:, 1]

    def _bound_of_c(
        self, i: _Gate, f: _Gate, g: _Gate, i_size: Array, f_size: Array, g_size: Array, c_size: Array,
        gain: Array, term: Array,
    ) -> None:  # fmt: skip
        """What a bound on c_{t-1} is multiplied by and what is added, to bound f c_{t-1} + i g."""
        u = self.profile.u
        of_f, of_i = self._product_error(f, f_size), self._product_error(i, i_size)
        np.multiply(of_f, c_size, out=term)
        of_f *= u
        np.add(f_size, of_f, out=gain)
        np.multiply(g.d, u, out=of_f)
        of_i *= np.add(g_size, of_f, out=of_f)
        term += of_i
        term += np.multiply(i_size, g.d, out=of_i)
        term += 4.0 * self.least

    def _product_error(self, gate: _Gate, size: Array) -> Array:
        """By how much, at most, gate * v may be off, by |v|: the gate's own error and two roundings."""
        error = (1.0 + self.profile.u * self.two) * gate.d
        error += self.two * size
        return error

    def _variance_of_c(
        self, i: _Gate, f: _Gate, g: _Gate, i_size: Array, f_size: Array, g_size: Array, c_size: Array,
        gain: Array, term: Array,
    ) -> None:  # fmt: skip
        """The same for variances, but for the rounding of the sum."""
        of_i, of_f = i_size * i_size, f_size * f_size
        if i.pull is None or f.pull is None:
            gain[...] = of_f
        else:
            pulled = f_size + g_size * i.pull + c_size * f.pull
            np.multiply(pulled, pulled, out=gain)
        np.multiply(of_i, g.var, out=term)
        of_i += i.var
        of_f += f.var
        term += np.multiply(of_i, g_size * g_size, out=of_i)
        term += np.multiply(of_f, c_size * c_size, out=of_f)

    def _cells(self, f: Array, add: Array, start: Array, valid: Array | None) -> Array:
        """c before the first and after each step; where a step is padding it stays as it is."""
        clip = self.cell.spec.cell_clip
        c = np.empty((len(add) + 1, *add.shape[1:]))
        c[0] = start
        for t, (now, factor, more, new) in enumerate(zip(c[:-1], f, add, c[1:], strict=True)):
            np.multiply(factor, now, out=new)
            np.add(new, more, out=new)
            if clip is not None:
                np.clip(new, -clip, clip, out=new)
            if valid is not None:
                np.copyto(new, now, where=~valid[t, :, None])
        return c

    def _output(self, o: _Gate, c: Array, dc: Array, var_c: Array) -> tuple[Array, Array, Array]:
        """h = o tanh(c), projected where the cell has a projection."""
        u = self.profile.u
        tau = self._activate(2, c, dc, np.sqrt(var_c))
        o_size, tau_size = (absolute(gate.value, self.dtype) for gate in (o, tau))
        h = o.value * tau.value
        dh = (1.0 + u) * o.d
        dh += o_size
        more = u * tau.d
        dh *= np.add(tau_size, more, out=more)
        dh += np.multiply(o_size, tau.d, out=more)
        dh += 2.0 * self.least
        square = np.multiply(o_size, o_size, out=o_size)
        var = square * tau.var
        square += o.var
        square *= np.multiply(tau_size, tau_size, out=tau_size)
        var += square
        return self._project(h, dh, var) if self.cell.projection is not None else (h, dh, var)

    def _project(self, h: Array, dh: Array, var: Array) -> tuple[Array, Array, Array]:
        p, matrix = self.profile, self.cell.projection
        assert matrix is not None
        magnitude, terms = np.abs(matrix).T, np.count_nonzero(matrix, axis=1) + 1.0
        r = self.cell.project(h)
        mass = (np.abs(h) + p.u * dh) @ magnitude
        gamma = terms * p.u_sum / (1.0 - terms * p.u_sum) + 2.0 * p.u_in
        dr = gamma / p.u * mass + dh @ magnitude + np.abs(r) + 2.0 * terms * self.least
        kappa = np.maximum(1.0, np.sqrt(terms) / 4.0) * p.u_sum + p.u_in
        return r, dr, var @ (magnitude**2) + (kappa / p.u * mass + np.abs(r)) ** 2


def _product(inputs: Array, kernels: Array) -> Array:
    """(steps, batch, width) by four (width, hidden): (4, steps * batch, hidden)."""
    product: Array = np.matmul(inputs.reshape(-1, inputs.shape[-1]), kernels)
    return product
