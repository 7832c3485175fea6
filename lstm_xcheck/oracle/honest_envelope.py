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
from .honest_sums import HonestSums, exact_type, rounded_operands, rounding_of
from .pre_activations import is_inexact
from .precision_profiles import Profile


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
    """Run the variants of some pairs; the cell has no projection.

    Args:
        x: inputs of this layer, (batch, steps, input), as the backend read them.
        observed: the backend's outputs of this direction, (batch, steps, output).
        pairs: batch row and hidden unit, (pairs, 2).
    """
    rows, units = pairs.T
    order = slice(None, None, -1 if case.spec.is_backward(direction) else 1)
    weights, kind = case.weights.layers[layer][direction], exact_type(profile)
    valid = np.ascontiguousarray(case.valid[rows][:, order].T)[..., None]
    inputs = np.concatenate([x[rows], _previous(case, layer, direction, observed)[rows]], axis=-1)[:, order]
    kernel = np.concatenate([np.asarray(weights.W, np.float64), np.asarray(weights.U, np.float64)], axis=-1)[:, units]
    biases = tuple(
        np.zeros(len(pairs) * 4) if b is None else np.asarray(b, np.float64)[:, units].reshape(-1)
        for b in (weights.b, weights.b_r)
    )
    peephole = None if weights.peephole is None else np.asarray(weights.peephole, np.float64)[:, units, None]
    cell = HonestCell(
        Cell(case.spec, weights), peephole, case.initial("c0", layer, direction)[rows, units][:, None], valid
    )
    steps, split = inputs.shape[1], x.shape[-1]
    b, b_r = (np.repeat(bias.reshape(4, 1, -1), steps, axis=1) for bias in biases)
    exact = _terms(inputs, kernel, kind)
    truth = (exact.sum(axis=-1) + b + b_r)[..., None]
    sums = [
        total.reshape(b.shape)
        for terms in _rounded_terms(inputs, kernel, exact, profile)
        for total in HonestSums(terms.reshape(-1, terms.shape[-1]), split, (b.reshape(-1), b_r.reshape(-1)), profile)
    ]
    true_h, true_c = cell.run(truth, lambda array: array)
    z, store = np.stack(sums, axis=-1), rounding_of(profile.u)
    runs = [cell.run(z, store, *how) for how in CELLS]
    h = np.concatenate([np.abs(run - true_h) for run, _ in runs], axis=-1).astype(np.float64)
    c = np.concatenate([np.abs(run - true_c) for _, run in runs], axis=-1).astype(np.float64)
    last = steps - 1 - np.argmax(valid[::-1, :, 0], axis=0)
    return HonestErrors(h.transpose(1, 2, 0)[..., order], h[last, np.arange(len(pairs))], c)


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
