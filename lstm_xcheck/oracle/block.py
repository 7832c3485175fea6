"""A run of steps whose previous hidden states are known, all gates at once, with their rounding bounds.

With u the unit roundoff and n the non-zeros of a row (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
chapter 3):

    |dz| <= (gamma_n(u_sum) + 2 u_in) (|W||x| + |U||h| + |b| + |b_r|)      any order of summation
    |dc_t| <= |f| dc_{t-1} + df |c_{t-1}| + di |g| + |i| dg + gamma_2(u) (|f c| + |i g|)

Beside the worst case, `sigma` carries the standard deviation of independent roundings. Arrays are (steps, batch, ...),
time in the order of processing; gates are stacked in front, in the order i, f, o, g, so that the three of one
activation are one array.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array
from .activations import apply, error_units, steepest
from .cell import Cell
from .profiles import Profile

#: Of i, f, o, g in the canonical order i, f, g, o.
_ORDER = [0, 1, 3, 2]


@dataclass
class Carried:
    """State between blocks: value, bound and variance of c; of h only where h is not observed."""

    c: Array
    dc: Array
    var_c: Array
    h: Array
    dh: Array
    var_h: Array

    @classmethod
    def start(cls, h0: Array, c0: Array) -> Carried:
        """Initial states are given, so they are exact."""
        return cls(c0, np.zeros_like(c0), np.zeros_like(c0), h0, np.zeros_like(h0), np.zeros_like(h0))


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

    def __init__(self, cell: Cell, profile: Profile) -> None:
        p = profile
        self.cell, self.profile = cell, p
        self.kernels = cell.kernel.reshape(4, -1, cell.kernel.shape[1])[_ORDER].swapaxes(1, 2)
        self.magnitudes = np.abs(self.kernels)
        self.bias = cell.bias[_ORDER][:, None]
        terms = cell.terms[_ORDER][:, None]
        self.two = 2.0 * p.u / (1.0 - 2.0 * p.u)
        self.relative = terms * p.u_sum / (1.0 - terms * p.u_sum) + 2.0 * p.u_in + p.u_in**2
        self.deviation = np.maximum(1.0, np.sqrt(terms) / 4.0) * p.u_sum + p.u_in
        self.bias_mass = cell.bias_mass[_ORDER][:, None]
        self.underflow = 2.0 * terms * p.eta
        #: Roundings of each partial result, where they are stored in a lower precision than they are summed in.
        self.stored = 4.0 * p.u / (1.0 - 4.0 * p.u) if p.u > p.u_sum else 0.0
        #: An error of the inputs is passed on by a product that rounds too.
        self.rounded = 1.0 + self.relative + 2.0 * self.stored

    def run(self, inputs: Array, dx: Array | None, carried: Carried, valid: Array | None) -> tuple[Array, Array, Array]:
        """Outputs of these steps with bound and variance, (steps, batch, output) each.

        Args:
            inputs: x and h_{t-1} side by side, (steps, batch, input + output); NaN where h was not observed, which
                only a block of one step may have.
            dx: bound on the error of x, or None where it is exact.
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
            parts[1] += self.rounded * _product(dx, self.magnitudes[:, : dx.shape[-1]])
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
        z += self.bias
        mass = _product(np.abs(inputs), self.magnitudes)
        mass += self.bias_mass
        dz = self.relative * mass
        dz += self.underflow
        if not self.stored:
            return [z, dz, np.multiply(mass, self.deviation, out=mass)]
        width = inputs.shape[-1] - self.cell.spec.output_size
        partial = np.abs(_product(inputs[..., :width], self.kernels[:, :width]))
        partial += np.abs(_product(inputs[..., width:], self.kernels[:, width:]))
        partial += self.bias_mass + np.abs(z)
        return [z, dz + self.stored * partial, mass * self.deviation + self.profile.u * partial]

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
        slope = steepest(activation, z, value, dz)
        own = p.u * error_units(activation, value, p.tanh_absolute) + p.eta
        var = slope * sz
        var *= var
        var += own * own / 6.25
        d = slope * dz
        d += own
        return _Gate(value, d, var, None if peep is None else slope * np.abs(peep))

    def _peeping(self, which: int, parts: list[Array], c: Array, dc: Array, var: Array) -> _Gate:
        """A gate that adds p * c to its pre-activation."""
        assert self.cell.peephole is not None
        z, dz, sz = (part[which] for part in parts)
        p, u = self.cell.peephole[which], self.profile.u
        term = p * c
        rounding = 2.0 * u * (np.abs(term) + np.abs(z) + dz)
        dz, sz = dz + np.abs(p) * dc * (1 + u) + rounding, np.sqrt(sz**2 + p**2 * var + rounding**2)
        return self._activate(0, z + term, dz, sz, p)

    def _coupled(self, i: _Gate, f: _Gate) -> tuple[_Gate, _Gate]:
        """Coupled gates carry the same error: (g - c)^2 <= 2 g^2 + 2 c^2, hence twice the variance of each."""
        u, coupling = self.profile.u, self.cell.spec.coupling
        if coupling is None:
            return i, f
        free = i if coupling == "f=1-i" else f
        free = replace(free, var=2.0 * free.var)
        tied = _Gate(1.0 - free.value, free.d + u, free.var + u**2, free.pull)
        return (free, tied) if coupling == "f=1-i" else (tied, free)

    def _recur(self, i: _Gate, f: _Gate, g: _Gate, carried: Carried, valid: Array | None) -> tuple[Array, Array, Array]:
        """c of every step with bound and variance: two recurrences, each linear in what it carries."""
        u2, two = self.profile.u**2, self.two
        i_size, f_size, g_size = np.abs(i.value), np.abs(f.value), np.abs(g.value)
        add = i.value * g.value
        c = self._cells(f.value, add, carried.c, valid)
        before, after = c[:-1], c[1:]
        size = np.abs(before)
        # Bound and variance side by side: each is gain * (its own before) + term.
        gain, term = (np.empty((len(add), 2, *add.shape[1:])) for _ in range(2))
        gain[:, 0] = (1.0 + two) * (f_size + f.d)
        term[:, 0] = ((1.0 + two) * f.d + two * f_size) * size
        term[:, 0] += ((1.0 + two) * i.d + two * i_size) * (g_size + g.d) + i_size * g.d + 4.0 * self.profile.eta
        pulled = f_size
        if i.pull is not None and f.pull is not None:
            pulled = f_size + g_size * i.pull + size * f.pull
        gain[:, 1] = pulled * pulled
        term[:, 1] = (f.var + u2 * f_size * f_size) * (size * size) + g_size * g_size * i.var
        term[:, 1] += i_size * i_size * g.var + u2 * (add * add + after * after)
        if valid is not None:
            gain.swapaxes(1, 2)[~valid], term.swapaxes(1, 2)[~valid] = 1.0, 0.0
        spread = np.empty((len(add) + 1, 2, *add.shape[1:]))
        spread[0] = carried.dc, carried.var_c
        for now, factor, more, new in zip(spread[:-1], gain, term, spread[1:], strict=True):
            np.multiply(factor, now, out=new)
            np.add(new, more, out=new)
        carried.c, carried.dc, carried.var_c = c[-1], spread[-1, 0], spread[-1, 1]
        return after, spread[1:, 0], spread[1:, 1]

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
        u, eta = self.profile.u, self.profile.eta
        tau = self._activate(2, c, dc, np.sqrt(var_c))
        o_size, tau_size = np.abs(o.value), np.abs(tau.value)
        h = o.value * tau.value
        dh = ((1.0 + u) * o.d + u * o_size) * (tau_size + tau.d)
        dh += o_size * tau.d
        dh += 2.0 * eta
        var = o_size * o_size * tau.var
        var += tau_size * tau_size * o.var
        var += u**2 * (h * h)
        return self._project(h, dh, var) if self.cell.projection is not None else (h, dh, var)

    def _project(self, h: Array, dh: Array, var: Array) -> tuple[Array, Array, Array]:
        p, matrix = self.profile, self.cell.projection
        assert matrix is not None
        magnitude, terms = np.abs(matrix).T, np.count_nonzero(matrix, axis=1) + 1.0
        r = self.cell.project(h)
        mass = (np.abs(h) + dh) @ magnitude
        gamma = terms * p.u_sum / (1.0 - terms * p.u_sum) + 2.0 * p.u_in
        dr = gamma * mass + dh @ magnitude + p.u * np.abs(r) + 2.0 * terms * p.eta
        kappa = np.maximum(1.0, np.sqrt(terms) / 4.0) * p.u_sum + p.u_in
        return r, dr, var @ (magnitude**2) + (kappa * mass + p.u * np.abs(r)) ** 2


def _product(inputs: Array, kernels: Array) -> Array:
    """(steps, batch, width) by four (width, hidden): (4, steps * batch, hidden)."""
    product: Array = np.matmul(inputs.reshape(-1, inputs.shape[-1]), kernels)
    return product
