"""The oracle driven by what a backend answered, with a rounding bound for every number.

At each step the oracle takes the *observed* h_{t-1} and its own c_{t-1}. All gates then depend on known numbers:
one matrix product gives every step's pre-activations, and c alone is a recurrence, linear with 0 < f < 1. A
componentwise bound on honest rounding can therefore be carried along any sequence without growing, chaotic weights
included. `block` computes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from ..arrays import Array
from ..spec import Case, CellWeights
from .block import Block, Carried
from .cell import Cell
from .profiles import Profile

# The C library of Linux hands freed memory back to the system, and gets it again zeroed, page by page, for the next
# block: a fifth of the time at 128 units. How much it keeps is twice the largest piece freed so far (mallopt(3),
# M_MMAP_THRESHOLD), which this one, never touched, sets to what it may at most be.
np.empty(31 << 20, np.uint8)

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
    cell = Cell(case.spec, _of_units(case.weights.layers[layer][direction], units))
    given = _Given.of(case, layer, direction, x, observed, dx, units)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if _float32_holds(cell, profile, given):
            driven = _driven(cell, profile, given, np.float32)
            # Sums and cells too large for the squares of float32 are rare, and show.
            if np.isfinite(driven.y_sigma).all() and np.isfinite(driven.c_sigma).all():
                return driven
        return _driven(cell, profile, given, np.float64)


@dataclass(frozen=True)
class _Given:
    """What a direction starts from, (steps, batch, ...) in the order of processing.

    Attributes:
        inputs: 1, x and h_{t-1} side by side; NaN where h was not observed.
        free: whether it was not observed somewhere.
        errors: bound on the error of x, or None.
        valid: or None where every step is.
        h0, c0: of the units that are asked for.
        backward: whether the order of processing is the reverse of time.
    """

    inputs: Array
    free: bool
    errors: Array | None
    valid: Array | None
    h0: Array
    c0: Array
    backward: bool

    @classmethod
    def of(
        cls, case: Case, layer: int, direction: int, x: Array, observed: Array | None, dx: Array | None,
        units: Array | None,
    ) -> _Given:  # fmt: skip
        """As `drive` takes them."""
        backward = case.spec.is_backward(direction)
        h0, c0 = case.initial("h0", layer, direction), case.initial("c0", layer, direction)
        valid = _in_order(case.valid, backward) if case.lengths is not None or case.mask is not None else None
        shape = (case.steps, case.batch, case.spec.output_size)
        seen = np.full(shape, np.nan) if observed is None else _in_order(np.asarray(observed, np.float64), backward)
        h_prev = _previous(seen, valid, h0)
        width = 1 + x.shape[-1]
        inputs = np.empty((case.steps, case.batch, width + h_prev.shape[-1]))
        inputs[..., 0] = 1.0  # for the bias
        inputs[..., 1:width] = _turned(x, backward)
        inputs[..., width:] = h_prev
        if units is not None:
            h0, c0 = h0[:, units], c0[:, units]
        errors = None if dx is None else _in_order(dx, backward)
        return cls(inputs, bool(np.isnan(h_prev).any()), errors, valid, h0, c0, backward)


def _float32_holds(cell: Cell, profile: Profile, given: _Given) -> bool:
    """Whether bounds may be computed in float32: it must be no coarser than the profile, and have no long sums."""
    sums = given.free or given.errors is not None or cell.projection is not None
    return profile.u >= 2.0**-24 and not sums


def _driven(cell: Cell, profile: Profile, given: _Given, dtype: DTypeLike) -> Driven:
    """With bounds computed in this type."""
    steps, batch, _ = given.inputs.shape
    shape = (steps, batch, given.h0.shape[-1])
    y, bound, variance = np.empty(shape), np.empty(shape, dtype), np.empty(shape, dtype)
    carried = Carried.start(given.h0, given.c0, dtype)
    block = Block(cell, profile, dtype)
    rows = max(_ROWS, _BLOCK // (4 * cell.spec.hidden_size))
    size = 1 if cell.peephole is not None or given.free else max(1, rows // batch)
    for start in range(0, steps, size):
        part = slice(start, start + size)
        errors = None if given.errors is None else given.errors[part] / profile.u
        valid = None if given.valid is None else given.valid[part]
        y[part], bound[part], variance[part] = block.run(given.inputs[part], errors, carried, valid)
    widened = _widened(profile, steps, dtype)
    values = [y, _in_float64(bound, widened), _sigma(variance, profile)]
    if given.valid is not None:
        for array in values:
            array[~given.valid] = 0.0
    final = [_final(array, given.valid, start) for array, start in zip(values, (given.h0, None, None), strict=True)]
    aligned = [_aligned(array, given.backward) for array in values]
    return Driven(*[*aligned, *final, carried.c, _in_float64(carried.dc, widened), _sigma(carried.var_c, profile)])


def _widened(profile: Profile, steps: int, dtype: DTypeLike) -> float:
    """By what a bound in units of u is multiplied, with what computing it rounded.

    Each step rounds twice what it passes on, and some thirty roundings are beside that; twice as many are allowed for.
    In float64 all are allowed for twice, so that no bound that must be computed in float64 is narrower than one in
    float32. The values are rounded too, in float64: negligible beside float32, as much again beside float64.
    """
    twice = 2.0**-23 if profile.u >= 2.0**-24 else 2.0**-52
    rounded = math.expm1(twice * (steps + 32) * (2.0 if dtype == np.float64 else 1.0))
    return profile.u * (1.0 + rounded) * (1.0 + 2.0**-53 / profile.u)


def _sigma(variance: Array, profile: Profile) -> Array:
    """The standard deviation, with what a variance underflows by."""
    return _in_float64(np.sqrt(variance + np.finfo(variance.dtype).tiny), profile.u)


def _in_float64(array: Array, unit: float) -> Array:
    """Numbers of that unit, as numbers."""
    product: Array = np.multiply(array, unit, dtype=np.float64)
    return product


def _of_units(weights: CellWeights, units: Array | None) -> CellWeights:
    """What some units are computed from."""
    if units is None:
        return weights
    # The unit is the second axis of W, U and the biases (4, hidden, ...) and of the peepholes (3, hidden).
    return weights.map(lambda array: array[:, units])


def _in_order(array: Array, backward: bool) -> Array:
    """(batch, steps, ...) as (steps, batch, ...), time in the order of processing."""
    return np.ascontiguousarray(_turned(array, backward))


def _turned(array: Array, backward: bool) -> Array:
    """The same as a view."""
    return (array[:, ::-1] if backward else array).swapaxes(0, 1)


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
