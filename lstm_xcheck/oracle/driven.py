"""The oracle driven by what a backend answered, with a rounding bound for every number.

At each step the oracle takes the *observed* h_{t-1} and its own c_{t-1}. All gates then depend on known numbers:
one matrix product gives every step's pre-activations, and c alone is a recurrence, linear with 0 < f < 1. A
componentwise bound on honest rounding can therefore be carried along any sequence without growing, chaotic weights
included. `block` computes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..spec import Case, CellWeights
from .block import Block, Carried
from .cell import Cell
from .profiles import Profile

#: Pre-activations computed at a time, in numbers: 256 kB stay in cache.
_BLOCK = 32_768
#: Rows of inputs at a time at least, so that reading the weights once more for each block pays.
_ROWS = 64


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


def drive(
    case: Case,
    layer: int,
    direction: int,
    x: Array,
    observed: Array | None,
    profile: Profile,
    dx: Array | None = None,
    units: Array | None = None,
) -> Driven:
    """Drive one direction of one layer.

    Args:
        x: inputs of this layer, (batch, steps, input), as the backend fed them.
        observed: the backend's own outputs, (batch, steps, output), NaN where they were not observed, or None for
            nowhere: there the oracle runs freely on its own h and the bound grows with the sequence.
        dx: bound on the inputs' own error, where the layer below was not observed either.
        units: the hidden units that are asked for, or None for all. No unit depends on another once all outputs are
            observed, so that some cost less; every output must then be observed, and there be no projection.
    """
    spec = case.spec
    cell = Cell(spec, _of_units(case.weights.layers[layer][direction], units))
    backward = spec.is_backward(direction)
    h0, c0 = case.initial("h0", layer, direction), case.initial("c0", layer, direction)
    valid = _in_order(case.valid, backward) if case.lengths is not None or case.mask is not None else None
    shape: tuple[int, ...] = (case.steps, case.batch, spec.output_size)
    seen = np.full(shape, np.nan) if observed is None else _in_order(np.asarray(observed, np.float64), backward)
    h_prev = _previous(seen, valid, h0)
    free = bool(np.isnan(h_prev).any())
    ones = np.ones((case.steps, case.batch, 1))  # for the bias
    inputs = np.concatenate([ones, _in_order(np.asarray(x, np.float64), backward), h_prev], axis=-1)
    if units is not None:
        h0, c0, shape = h0[:, units], c0[:, units], (*shape[:2], len(units))
    errors = None if dx is None else _in_order(dx, backward)
    carried = Carried.start(h0, c0)
    y, bound, variance = np.empty(shape), np.empty(shape), np.empty(shape)
    block = Block(cell, profile)
    rows = max(_ROWS, _BLOCK // (4 * spec.hidden_size))
    size = 1 if cell.peephole is not None or free else max(1, rows // case.batch)
    for start in range(0, case.steps, size):
        part = slice(start, start + size)
        answer = block.run(
            inputs[part],
            None if errors is None else errors[part],
            carried,
            None if valid is None else valid[part],
        )
        y[part], bound[part], variance[part] = answer
    # The oracle rounds too, in float64: negligible beside float32, as much again beside float64.
    own = 1.0 + 2.0**-53 / profile.u
    bound *= own
    sigma = np.sqrt(variance, out=variance)
    if valid is not None:
        for array in (y, bound, sigma):
            array[~valid] = 0.0
    final = [_final(array, valid, start) for array, start in ((y, h0), (bound, None), (sigma, None))]
    aligned = [_aligned(array, backward) for array in (y, bound, sigma)]
    return Driven(*[*aligned, *final, carried.c, carried.dc * own, np.sqrt(carried.var_c)])


def _of_units(weights: CellWeights, units: Array | None) -> CellWeights:
    """What some units are computed from."""
    if units is None:
        return weights
    # The unit is the second axis of W, U and the biases (4, hidden, ...) and of the peepholes (3, hidden).
    return weights.map(lambda array: array[:, units])


def _in_order(array: Array, backward: bool) -> Array:
    """(batch, steps, ...) as (steps, batch, ...), time in the order of processing."""
    ordered = array[:, ::-1] if backward else array
    return np.ascontiguousarray(ordered.swapaxes(0, 1))


def _aligned(array: Array, backward: bool) -> Array:
    """The inverse of `_in_order`."""
    return (array[::-1] if backward else array).swapaxes(0, 1)


def _previous(y: Array, valid: Array | None, h0: Array) -> Array:
    """The hidden state each step starts from: the last valid output before it, or h0."""
    if valid is None:
        return np.concatenate([h0[None], y[:-1]])
    steps, batch, _ = y.shape
    index = np.maximum.accumulate(np.where(valid, np.arange(1, steps + 1)[:, None], 0), axis=0)
    index = np.concatenate([np.zeros((1, batch), dtype=np.int64), index[:-1]])
    return np.take_along_axis(np.concatenate([h0[None], y]), index[..., None], axis=0)


def _final(array: Array, valid: Array | None, start: Array | None) -> Array:
    """The entry of the last valid step, or the start (zero if None) where a row has no valid step."""
    if valid is None:
        end: Array = array[-1]
        return end
    last = len(valid) - 1 - np.argmax(valid[::-1], axis=0)
    picked = np.take_along_axis(array, last[None, :, None], axis=0)[0]
    fallback = np.zeros_like(picked) if start is None else start
    return np.where(np.any(valid, axis=0)[:, None], picked, fallback)
