"""The oracle driven by what a backend answered, with a rounding bound for every number.

At each step the oracle takes the *observed* h_{t-1} and its own c_{t-1}. All gates then depend on known numbers:
one matrix product gives every step's pre-activations, and c alone is a recurrence, linear with 0 < f < 1. A
componentwise bound on honest rounding can therefore be carried along any sequence without growing, chaotic weights
included. `block` computes it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import DTypeLike

from ..arrays import Array, has_nan
from ..model import Case, CellWeights, LSTMSpec
from .cell import Cell
from .error_bounds import SMALL, Block, Carried
from .precision_profiles import Profile

# The C library of Linux hands freed memory back to the system, and gets it again zeroed, page by page, for the next
# block: a fifth of the time at 128 units. How much it keeps is twice the largest piece freed so far (mallopt(3),
# M_MMAP_THRESHOLD), which this one, never touched, sets to what it may at most be.
np.empty(31 << 20, np.uint8)

#: Pre-activations computed at a time, in numbers: 256 kB stay in cache.
_BLOCK = 32_768
#: Rows of inputs at a time at least, so that reading the weights once more for each block pays.
_ROWS = 64
#: What is made of few weights, three times as large, is kept as long as the case is.
_KEPT: WeakKeyDictionary[Case, dict[Hashable, Block]] = WeakKeyDictionary()


@dataclass(frozen=True)
class TeacherForced:
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


def teacher_force(
    case: Case,
    layer: int,
    direction: int,
    x: Array,
    observed: Array | None,
    profile: Profile,
    dx: Array | None = None,
    units: Array | None = None,
) -> TeacherForced:
    """Drive one direction of one layer.

    Args:
        x: inputs of this layer, (batch, steps, input), as the backend fed them.
        observed: the backend's own outputs, (batch, steps, output), NaN where they were not observed, or None for
            nowhere: there the oracle runs freely on its own h and the bound grows with the sequence.
        dx: bound on the inputs' own error, where the layer below was not observed either.
        units: the hidden units that are asked for, or None for all. No unit depends on another once all outputs are
            observed, so that some cost less; every output must then be observed, and there be no projection.
    """
    given = _Given.of(case, layer, direction, x, observed, dx, units)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if _float32_holds(case.spec, profile, given):
            driven = _driven(_block(case, layer, direction, units, profile, np.float32), given)
            # Sums and cells too large for the squares of float32 are rare, and show.
            if math.isfinite(driven.y_sigma.max() + driven.c_sigma.max()):
                return driven
        return _driven(_block(case, layer, direction, units, profile, np.float64), given)


def _block(
    case: Case, layer: int, direction: int, units: Array | None, profile: Profile, dtype: type[np.floating[Any]]
) -> Block:
    """What is made of a cell's weights, once for all the backends that are asked the same case."""
    weights = case.weights.layers[layer][direction]
    if units is not None or weights.W.size + weights.U.size > SMALL:
        return Block(Cell(case.spec, _of_units(weights, units)), profile, dtype)
    kept, key = _KEPT.setdefault(case, {}), (layer, direction, profile, dtype)
    if key not in kept:
        kept[key] = Block(Cell(case.spec, weights), profile, dtype)
    return kept[key]


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
        """As `teacher_force` takes them."""
        backward = case.spec.is_backward(direction)
        h0, c0 = case.initial("h0", layer, direction), case.initial("c0", layer, direction)
        valid = _in_order(case.valid, backward) if case.lengths is not None or case.mask is not None else None
        free = observed is None or has_nan(observed)
        seen = np.broadcast_to(np.nan, (case.batch, case.steps, h0.shape[-1])) if observed is None else observed
        width = 1 + x.shape[-1]
        inputs = np.empty((case.steps, case.batch, width + h0.shape[-1]))
        inputs[..., 0] = 1.0  # for the bias
        inputs[..., 1:width] = _transposed(x, backward)
        _put_previous(inputs[..., width:], _transposed(seen, backward), valid, h0)
        if units is not None:
            h0, c0 = h0[:, units], c0[:, units]
        errors = None if dx is None else _in_order(dx, backward)
        return cls(inputs, free, errors, valid, h0, c0, backward)


def _float32_holds(spec: LSTMSpec, profile: Profile, given: _Given) -> bool:
    """Whether bounds may be computed in float32: it must be no coarser than the profile, and have no long sums."""
    sums = given.free or given.errors is not None or spec.proj_size > 0
    return profile.u >= 2.0**-24 and not sums


def _driven(block: Block, given: _Given) -> TeacherForced:
    """With bounds computed in the block's type."""
    cell, profile, dtype = block.cell, block.profile, block.dtype
    steps, batch, _ = given.inputs.shape
    carried = Carried.start(given.h0, given.c0, dtype)
    rows = max(_ROWS, _BLOCK // (4 * cell.spec.hidden_size))
    size = 1 if cell.peephole is not None or given.free else max(1, rows // batch)
    blocks = []
    for start in range(0, steps, size):
        part = slice(start, start + size)
        errors = None if given.errors is None else given.errors[part] / profile.u
        valid = None if given.valid is None else given.valid[part]
        blocks.append(block.run(given.inputs[part], errors, carried, valid))
    y, bound, variance = (_joined(parts) for parts in zip(*blocks, strict=True))
    widened = _widened(profile, steps, dtype)
    values = [y, _in_float64(bound, widened), _sigma(variance, profile)]
    if given.valid is not None:
        for array in values:
            array[~given.valid] = 0.0
    final = [_final(array, given.valid, start) for array, start in zip(values, (given.h0, None, None), strict=True)]
    aligned = [_aligned(array, given.backward) for array in values]
    return TeacherForced(
        *[*aligned, *final, carried.c, _in_float64(carried.dc, widened), _sigma(carried.var_c, profile)]
    )


def _joined(parts: tuple[Array, ...]) -> Array:
    """The steps of all blocks."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


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
    deviation = variance + np.finfo(variance.dtype).tiny
    return _in_float64(np.sqrt(deviation, out=deviation), profile.u)


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
    return np.ascontiguousarray(_transposed(array, backward))


def _transposed(array: Array, backward: bool) -> Array:
    """The same as a view."""
    return (array[:, ::-1] if backward else array).swapaxes(0, 1)


def _aligned(array: Array, backward: bool) -> Array:
    """The inverse of `_in_order`."""
    return (array[::-1] if backward else array).swapaxes(0, 1)


def _put_previous(out: Array, y: Array, valid: Array | None, h0: Array) -> None:
    """The hidden state each step starts from: the last valid output before it, or h0."""
    out[0] = h0
    if valid is None:
        out[1:] = y[:-1]
        return
    steps = len(y)
    index = np.maximum.accumulate(np.where(valid, np.arange(1, steps + 1)[:, None], 0), axis=0)
    out[1:] = np.take_along_axis(np.concatenate([h0[None], y]), index[:-1, :, None], axis=0)


def _final(array: Array, valid: Array | None, start: Array | None) -> Array:
    """The entry of the last valid step, or the start (zero if None) where a row has no valid step."""
    if valid is None:
        end: Array = array[-1]
        return end
    last = len(valid) - 1 - np.argmax(valid[::-1], axis=0)
    picked = np.take_along_axis(array, last[None, :, None], axis=0)[0]
    fallback = np.zeros_like(picked) if start is None else start
    return np.where(np.any(valid, axis=0)[:, None], picked, fallback)
