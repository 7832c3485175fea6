"""How far honest kernels take single units from the truth, by running them.

Each unit in question is computed in the declared precision, in some twenty orders of summation and eight kinds of
cells, along the observed outputs. A unit then needs no other unit but what was observed of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..model import Case
from .cell import Cell
from .honest_cells import CELLS, HonestCell
from .honest_sums import HonestSums, exact_type, rounded_operands, rounding_of, sum_type
from .pre_activations import is_inexact
from .precision_profiles import Profile

#: Products of hidden units that run at a time for one row of a projection.
_PRODUCTS = 1_000_000


@dataclass(frozen=True)
class HonestErrors:
    """Errors of the honest variants of some pairs of batch row and unit.

    h: of every step, (pairs, variants, steps), aligned in time, zero at padding; h_n, c_n: of the final states,
    (pairs, variants).
    """

    h: Array
    h_n: Array
    c_n: Array

    def largest(self, backward: bool) -> Array:
        """The largest error of any variant up to each step, (pairs, steps)."""
        time = slice(None, None, -1 if backward else 1)
        so_far: Array = np.maximum.accumulate(self.h.max(axis=1)[:, time], axis=1)
        return so_far[:, time]


def honest_errors(
    case: Case, layer: int, direction: int, x: Array, observed: Array, pairs: Array, profile: Profile
) -> HonestErrors:
    """Run the variants of some pairs, before any projection.

    Args:
        x: inputs of this layer, (batch, steps, input), as the backend read them.
        observed: the backend's outputs of this direction, (batch, steps, output).
        pairs: batch row and hidden unit, (pairs, 2).
    """
    runs = _Runs.of(case, layer, direction, x, observed, pairs, profile)
    return runs.errors(np.abs(runs.h - runs.true_h).astype(np.float64), case.spec.is_backward(direction))


def honest_outputs(
    case: Case, layer: int, direction: int, x: Array, observed: Array, pairs: Array, profile: Profile
) -> HonestErrors:
    """The same behind a projection, for pairs of batch row and output; without c.

    Every hidden unit of these rows runs. The projection is summed in one order for every variant, and in all orders for
    the true h.
    """
    rows, places = np.unique(pairs[:, 0], return_inverse=True)
    matrix = np.asarray(case.weights.layers[layer][direction].projection, np.float64)
    kind, store, clip = sum_type(profile), rounding_of(profile.u), case.spec.proj_clip
    size = max(1, _PRODUCTS // (4 * case.steps * (x.shape[-1] + observed.shape[-1])))
    found = []
    for row in rows:
        total, hidden, valid = np.zeros(1, kind), list[Array](), _valid(case, direction, np.array([row]))
        for start in range(0, case.spec.hidden_size, size):
            units = np.arange(start, min(start + size, case.spec.hidden_size))
            chosen = np.stack(np.broadcast_arrays(row, units), axis=-1)
            runs = _Runs.of(case, layer, direction, x, observed, chosen, profile)
            total = total + np.einsum("ru,tuv->trv", matrix[:, units].astype(kind), runs.h.astype(kind))
            hidden.append(runs.true_h[..., 0].astype(np.float64))
        true_h = np.concatenate(hidden, axis=-1)
        truth = (true_h @ matrix.T)[..., None]
        terms = matrix * store(true_h.astype(kind)).astype(np.float64)[:, None, :]
        zero = np.zeros(truth.size)
        orders = HonestSums(terms.reshape(truth.size, -1), terms.shape[-1], (zero, zero), profile)
        r = np.concatenate([store(total), *(order.reshape(truth.shape) for order in orders)], axis=-1).astype(
            np.float64
        )
        if clip is not None:
            r, truth = np.clip(r, -clip, clip), np.clip(truth, -clip, clip)
        found.append(np.where(valid, np.abs(r - truth), 0.0))
    h = np.stack(found)[places, :, pairs[:, 1]].swapaxes(0, 1)
    valid = _valid(case, direction, pairs[:, 0])
    return _Runs(h, h, h[0], h[0], valid).errors(h, case.spec.is_backward(direction))


@dataclass(frozen=True)
class _Runs:
    """Variants beside the truth, (steps, pairs, variants) in processing order; c is final."""

    h: Array
    true_h: Array
    c: Array
    true_c: Array
    valid: Array

    @classmethod
    def of(
        cls, case: Case, layer: int, direction: int, x: Array, observed: Array, pairs: Array, profile: Profile
    ) -> _Runs:
        """Run them, as `honest_errors` says."""
        rows, units = pairs.T
        order = slice(None, None, -1 if case.spec.is_backward(direction) else 1)
        weights, kind = case.weights.layers[layer][direction], exact_type(profile)
        inputs = np.concatenate([x[rows], _previous(case, layer, direction, observed)[rows]], axis=-1)[:, order]
        parts = [np.asarray(array, np.float64) for array in (weights.W, weights.U)]
        kernel = np.concatenate(parts, axis=-1)[:, units]
        steps, split = inputs.shape[1], x.shape[-1]
        b, b_r = (
            np.repeat(
                np.asarray(np.zeros((4, case.spec.hidden_size)) if b is None else b, np.float64)[:, None, units],
                steps,
                axis=1,
            )
            for b in (weights.b, weights.b_r)
        )
        peephole = None if weights.peephole is None else np.asarray(weights.peephole, np.float64)[:, units, None]
        c0 = case.initial("c0", layer, direction)[rows, units][:, None]
        cell = HonestCell(Cell(case.spec, weights), peephole, c0, _valid(case, direction, rows))
        exact = _terms(inputs, kernel, kind)
        truth = (exact.sum(axis=-1) + b + b_r)[..., None]
        sums = [
            total.reshape(b.shape)
            for terms in _rounded_terms(inputs, kernel, exact, profile)
            for total in HonestSums(terms.reshape(b.size, -1), split, (b.reshape(-1), b_r.reshape(-1)), profile)
        ]
        true_h, true_c = cell.run(truth, lambda array: array)
        z, store = np.stack(sums, axis=-1), rounding_of(profile.u)
        h, c = (
            np.concatenate(parts, axis=-1) for parts in zip(*(cell.run(z, store, *how) for how in CELLS), strict=True)
        )
        return cls(h, true_h, c, true_c, cell.valid)

    def errors(self, h: Array, backward: bool) -> HonestErrors:
        """With these errors of h, in processing order."""
        last = len(h) - 1 - np.argmax(self.valid[::-1, :, 0], axis=0)
        aligned = h.transpose(1, 2, 0)[..., :: -1 if backward else 1]
        c_n = np.abs(self.c - self.true_c).astype(np.float64)
        return HonestErrors(aligned, h[last, np.arange(h.shape[1])], c_n)


def _valid(case: Case, direction: int, rows: Array) -> Array:
    """(steps, pairs, 1) in processing order."""
    valid = case.valid[rows][:, :: -1 if case.spec.is_backward(direction) else 1]
    return np.ascontiguousarray(valid.T)[..., None]


def _previous(case: Case, layer: int, direction: int, observed: Array) -> Array:
    """h_{t-1} of each step, aligned with the step t."""
    previous, h = np.empty(observed.shape), case.initial("h0", layer, direction)
    for t in range(case.steps)[:: -1 if case.spec.is_backward(direction) else 1]:
        previous[:, t] = h
        h = np.where(case.valid[:, t, None], observed[:, t], h)
    return previous


def _terms(inputs: Array, kernel: Array, kind: type) -> Array:
    """(4, steps, pairs, n) from inputs (pairs, steps, n) and kernel (4, pairs, n)."""
    products: Array = inputs.swapaxes(0, 1)[None].astype(kind) * kernel[:, None]
    return products


def _rounded_terms(inputs: Array, kernel: Array, exact: Array, profile: Profile) -> list[Array]:
    """The products of rounded operands, and of truncated ones where both may be."""
    bits = profile.operand_bits
    if not profile.u_in or not (is_inexact(inputs, bits).any() or is_inexact(kernel, bits).any()):
        return [exact]
    ways = (False, True) if profile.u_in * 2.0**bits > 1.0 else (False,)
    return [
        _terms(rounded_operands(inputs, profile, way), rounded_operands(kernel, profile, way), np.float64)
        for way in ways
    ]
