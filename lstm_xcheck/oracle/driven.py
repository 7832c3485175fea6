"""The oracle driven by what a backend answered, with a rounding bound for every number.

At each step the oracle takes the *observed* h_{t-1} and its own c_{t-1}. All gates then depend on known numbers:
one matrix product gives every step's pre-activations, and c alone is a recurrence, linear with 0 < f < 1. A
componentwise bound on honest rounding can therefore be carried along any sequence without growing, chaotic weights
included. With u the unit roundoff and n the non-zeros of a row (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed., chapter 3):

    |dz| <= (gamma_n(u_sum) + 2 u_in) (|W||x| + |U||h| + |b| + |b_r|)      any order of summation
    |dc_t| <= |f| dc_{t-1} + df |c_{t-1}| + di |g| + |i| dg + gamma_2(u) (|f c| + |i g|)

Beside the worst case, `sigma` carries the standard deviation of independent roundings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..spec import Case
from .activations import apply, error_units, steepest
from .cell import Cell
from .profiles import Profile

#: Pre-activations kept at a time, in numbers: two megabytes, which stay in cache.
_BLOCK = 262_144


@dataclass(frozen=True)
class Driven:
    """What an honest backend may answer: value, worst-case bound and standard deviation, each of the same shape.

    y: (batch, steps, output), aligned in time, zero at padding; h and c: final states, (batch, width).
    """

    y: Array
    y_bound: Array
    y_sigma: Array
    h: Array
    h_bound: Array
    h_sigma: Array
    c: Array
    c_bound: Array
    c_sigma: Array


@dataclass
class _Carried:
    """State between blocks: value, bound and variance of c; of h only where h is not observed."""

    c: Array
    dc: Array
    var_c: Array
    h: Array
    dh: Array
    var_h: Array


def drive(
    case: Case,
    layer: int,
    direction: int,
    x: Array,
    observed: Array | None,
    profile: Profile,
    dx: Array | None = None,
) -> Driven:
    """Drive one direction of one layer.

    Args:
        x: inputs of this layer, (batch, steps, input), as the backend fed them.
        observed: the backend's own outputs, (batch, steps, output), NaN where they were not observed, or None for
            nowhere: there the oracle runs freely on its own h and the bound grows with the sequence.
        dx: bound on the inputs' own error, where the layer below was not observed either.
    """
    spec = case.spec
    cell = Cell(spec, case.weights.layers[layer][direction])
    backward = spec.is_backward(direction)
    h0, c0 = case.initial("h0", layer, direction), case.initial("c0", layer, direction)
    x, valid = _in_order(np.asarray(x, np.float64), backward), _in_order(case.valid, backward)
    shape = (case.batch, case.steps, spec.output_size)
    seen = np.full(shape, np.nan) if observed is None else np.asarray(observed, np.float64)
    h_prev = _previous(_in_order(seen, backward), valid, h0)
    dx = None if dx is None else _in_order(dx, backward)
    carried = _Carried(c0, np.zeros_like(c0), np.zeros_like(c0), h0, np.zeros_like(h0), np.zeros_like(h0))
    y, bound, variance = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    size = max(1, _BLOCK // (4 * spec.hidden_size * case.batch))
    size = 1 if cell.peephole is not None or np.isnan(h_prev).any() else size
    for start in range(0, case.steps, size):
        part = slice(start, start + size)
        block = _Block(cell, profile, valid[:, part])
        y[:, part], bound[:, part], variance[:, part] = block.run(
            x[:, part],
            None if dx is None else dx[:, part],
            h_prev[:, part],
            carried,
        )
    # The oracle rounds too, in float64: negligible beside float32, as much again beside float64.
    own = 1.0 + 2.0**-53 / profile.u
    keep = valid[..., None]
    y, bound, sigma = np.where(keep, y, 0.0), np.where(keep, bound, 0.0) * own, np.where(keep, np.sqrt(variance), 0.0)
    final = [_final(array, valid, start) for array, start in ((y, h0), (bound, None), (sigma, None))]
    aligned = [_in_order(array, backward) for array in (y, bound, sigma)]
    return Driven(*[*aligned, *final, carried.c, carried.dc * own, np.sqrt(carried.var_c)])


def _in_order(array: Array, backward: bool) -> Array:
    """Time in the order of processing (its own inverse)."""
    return array[:, ::-1] if backward else array


def _previous(y: Array, valid: Array, h0: Array) -> Array:
    """The hidden state each step starts from: the last valid output before it, or h0."""
    batch, steps, _ = y.shape
    index = np.maximum.accumulate(np.where(valid, np.arange(1, steps + 1), 0), axis=1)
    index = np.concatenate([np.zeros((batch, 1), dtype=np.int64), index[:, :-1]], axis=1)
    states = np.concatenate([h0[:, None], y], axis=1)
    return np.take_along_axis(states, index[..., None], axis=1)


def _final(array: Array, valid: Array, start: Array | None) -> Array:
    """The entry of the last valid step, or the start (zero if None) where a row has no valid step."""
    steps = valid.shape[1]
    last = steps - 1 - np.argmax(valid[:, ::-1], axis=1)
    picked = np.take_along_axis(array, last[:, None, None], axis=1)[:, 0]
    fallback = np.zeros_like(picked) if start is None else start
    return np.where(np.any(valid, axis=1, keepdims=True), picked, fallback)


@dataclass
class _Gate:
    """An activated gate: value, bound, variance, and how fast it follows c_{t-1} through a peephole."""

    value: Array
    d: Array
    var: Array
    pull: Array | float = 0.0


class _Block:
    """A run of steps whose previous hidden states are all known."""

    def __init__(self, cell: Cell, profile: Profile, valid: Array) -> None:
        self.cell, self.profile, self.valid = cell, profile, valid
        self.two = 2.0 * profile.u / (1.0 - 2.0 * profile.u)
        gamma = cell.terms * profile.u_sum / (1.0 - cell.terms * profile.u_sum)
        self.relative = gamma + 2.0 * profile.u_in + profile.u_in**2
        #: Roundings of each partial result, where they are stored in a lower precision than they are summed in.
        self.stored = 4.0 * profile.u / (1.0 - 4.0 * profile.u) if profile.u > profile.u_sum else 0.0
        #: An error of the inputs is passed on by a product that rounds too.
        self.rounded = 1.0 + self.relative + 2.0 * self.stored

    def run(self, x: Array, dx: Array | None, h_prev: Array, carried: _Carried) -> tuple[Array, Array, Array]:
        """Outputs of these steps with bound and variance; moves `carried` on. NaN in h_prev: not observed."""
        unseen = np.isnan(h_prev)
        free = bool(unseen.any())
        h = np.where(unseen, carried.h[:, None], h_prev) if free else h_prev
        z, dz, sz = self._affine(x, h)
        if dx is not None:
            dz = dz + self.rounded * (dx @ self.cell.magnitude[:, : x.shape[-1]].T).reshape(z.shape)
        if free:
            dz, sz = self._add_own(
                dz, sz, np.where(unseen[:, 0], carried.dh, 0.0), np.where(unseen[:, 0], carried.var_h, 0.0)
            )
        i, f, g = self._input_gates(z, dz, sz, carried)
        c, dc, var_c = self._recur(i, f, g, carried)
        o = self._output_gate(z[..., 3, :], dz[..., 3, :], sz[..., 3, :], c, dc, var_c)
        y, dy, var_y = self._output(o, c, dc, var_c)
        keep = self.valid[:, -1, None]
        carried.h = np.where(keep, y[:, -1], carried.h)
        carried.dh = np.where(keep, dy[:, -1], carried.dh)
        carried.var_h = np.where(keep, var_y[:, -1], carried.var_h)
        return y, dy, var_y

    def _affine(self, x: Array, h: Array) -> tuple[Array, Array, Array]:
        """Pre-activations of all gates and steps, their bound and standard deviation: (batch, steps, 4, hidden)."""
        cell, p = self.cell, self.profile
        z = cell.affine(x, h)
        inputs = np.abs(np.concatenate([x, h], axis=-1))
        mass = (inputs @ cell.magnitude.T).reshape(z.shape) + cell.bias_mass
        dz = self.relative * mass + 2.0 * cell.terms * p.eta
        sz = (np.maximum(1.0, np.sqrt(cell.terms) / 4.0) * p.u_sum + p.u_in) * mass
        if self.stored:
            width = x.shape[-1]
            parts = (np.abs(x @ cell.kernel[:, :width].T) + np.abs(h @ cell.kernel[:, width:].T)).reshape(z.shape)
            parts = parts + cell.bias_mass + np.abs(z)
            dz = dz + self.stored * parts
            sz = sz + p.u * parts
        return z, dz, sz

    def _add_own(self, dz: Array, sz: Array, dh: Array, var_h: Array) -> tuple[Array, Array]:
        """Add what the oracle's own h, where it had to be used, is uncertain by; the block is one step long."""
        width = self.cell.kernel.shape[1] - dh.shape[-1]
        spread = (dh @ self.cell.magnitude[:, width:].T).reshape(dz.shape)
        noise = (var_h @ (self.cell.kernel[:, width:] ** 2).T).reshape(dz.shape)
        return dz + self.rounded * spread, np.sqrt(sz**2 + noise)

    def _activate(self, which: int, z: Array, dz: Array, sz: Array, peep: Array | float = 0.0) -> _Gate:
        """An activation with its propagated and its own error."""
        p, activation = self.profile, self.cell.activations[which]
        z = self.cell.clip_gates(z) if which != 2 else z
        value = apply(activation, z)
        slope = steepest(activation, z, value, dz)
        own = p.u * error_units(activation, value, p.tanh_absolute) + p.eta
        return _Gate(value, slope * dz + own, (slope * sz) ** 2 + (own / 2.5) ** 2, slope * np.abs(peep))

    def _peep(
        self, which: int, z: Array, dz: Array, sz: Array, c: Array, dc: Array, var: Array
    ) -> tuple[Array, Array, Array]:
        """Add a peephole term p * c to a pre-activation."""
        if self.cell.peephole is None:
            return z, dz, sz
        p, u = self.cell.peephole[which], self.profile.u
        term = p * c
        rounding = 2.0 * u * (np.abs(term) + np.abs(z) + dz)
        return z + term, dz + np.abs(p) * dc * (1 + u) + rounding, np.sqrt(sz**2 + p**2 * var + rounding**2)

    def _input_gates(self, z: Array, dz: Array, sz: Array, carried: _Carried) -> tuple[_Gate, _Gate, _Gate]:
        """i, f and g; with peepholes the block is one step long and c_{t-1} is the carried one."""
        # The error of c_{t-1} that a peephole carries is that of f c_{t-1} too: the two add up, not their variances.
        before = carried.c[:, None], carried.dc[:, None], np.zeros_like(carried.var_c[:, None])
        gates = []
        for which in (0, 1):
            args = self._peep(which, z[..., which, :], dz[..., which, :], sz[..., which, :], *before)
            gates.append(self._activate(0, *args, 0.0 if self.cell.peephole is None else self.cell.peephole[which]))
        i, f = gates
        u = self.profile.u
        coupling = self.cell.spec.coupling
        # Coupled gates carry the same error: (g - c)^2 <= 2 g^2 + 2 c^2, hence twice the variance of each.
        if coupling == "f=1-i":
            i = _Gate(i.value, i.d, 2.0 * i.var, i.pull)
            f = _Gate(1.0 - i.value, i.d + u, i.var + u**2, i.pull)
        elif coupling == "i=1-f":
            f = _Gate(f.value, f.d, 2.0 * f.var, f.pull)
            i = _Gate(1.0 - f.value, f.d + u, f.var + u**2, f.pull)
        return i, f, self._activate(1, z[..., 2, :], dz[..., 2, :], sz[..., 2, :])

    def _recur(self, i: _Gate, f: _Gate, g: _Gate, carried: _Carried) -> tuple[Array, Array, Array]:
        """c of every step with bound and variance; the only loop over time."""
        u2, two, eta = self.profile.u**2, self.two, self.profile.eta
        f_top, g_top = np.abs(f.value) + f.d, np.abs(g.value) + g.d
        add = i.value * g.value
        d_c, d_dc = f.d + two * f_top, (1.0 + two) * f_top
        d_add = i.d * g_top + np.abs(i.value) * g.d + two * (np.abs(i.value) + i.d) * g_top + 4.0 * eta
        v_c, pulled = f.var + u2 * f.value**2, np.abs(f.value) + np.abs(g.value) * i.pull
        v_add = g.value**2 * i.var + i.value**2 * g.var + u2 * add**2
        pulls, peeps = np.broadcast_to(f.pull, add.shape), self.cell.peephole is not None
        c, dc, var = (np.empty_like(add) for _ in range(3))
        clip = self.cell.spec.cell_clip
        now, d_now, v_now = carried.c, carried.dc, carried.var_c
        for t in range(add.shape[1]):
            new = f.value[:, t] * now + add[:, t]
            new = new if clip is None else np.clip(new, -clip, clip)
            d_new = d_c[:, t] * np.abs(now) + d_dc[:, t] * d_now + d_add[:, t]
            gain = pulled[:, t] + pulls[:, t] * np.abs(now) if peeps else pulled[:, t]
            v_new = v_c[:, t] * now**2 + gain**2 * v_now + v_add[:, t] + u2 * new**2
            keep = self.valid[:, t, None]
            now, d_now, v_now = np.where(keep, new, now), np.where(keep, d_new, d_now), np.where(keep, v_new, v_now)
            c[:, t], dc[:, t], var[:, t] = now, d_now, v_now
        carried.c, carried.dc, carried.var_c = now, d_now, v_now
        return c, dc, var

    def _output_gate(self, z: Array, dz: Array, sz: Array, c: Array, dc: Array, var: Array) -> _Gate:
        return self._activate(0, *self._peep(2, z, dz, sz, c, dc, var))

    def _output(self, o: _Gate, c: Array, dc: Array, var_c: Array) -> tuple[Array, Array, Array]:
        """h = o tanh(c), projected where the cell has a projection."""
        u, eta = self.profile.u, self.profile.eta
        tau = self._activate(2, c, dc, np.sqrt(var_c))
        tau_top = np.abs(tau.value) + tau.d
        h = o.value * tau.value
        dh = o.d * tau_top + np.abs(o.value) * tau.d + u * (np.abs(o.value) + o.d) * tau_top + 2.0 * eta
        var = o.value**2 * tau.var + tau.value**2 * o.var + (u * h) ** 2
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
