"""Teacher forcing: the oracle on observed outputs, with an error bound for each number.

At each step the oracle takes the *observed* h_{t-1} and its own c_{t-1}. All gates then depend on known numbers:
one matrix product gives every step's pre-activations, and only c is a recurrence, linear with 0 < f < 1. A
componentwise bound on honest rounding therefore follows a sequence of any length without growing, chaotic weights
included. `error_bounds` computes it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import DTypeLike

from ..arrays import Array, has_nan
from ..model import Case, LSTMSpec
from .cell import Cell
from .error_bounds import BoundedCell, CellState
from .pre_activations import SMALL
from .precision_profiles import Profile

#: Pre-activations per block of steps: 256 kB stay in cache.
_BLOCK_NUMBERS = 32_768
#: Minimum rows of inputs per block, since each block reads all weights again.
_MIN_ROWS = 64
#: Bounded cells of small weights (each four times their size), dropped with the case.
_CELL_CACHE: WeakKeyDictionary[Case, dict[Hashable, BoundedCell]] = WeakKeyDictionary()


@dataclass(frozen=True)
class TeacherForced:
    """Expected values, worst-case bounds and standard deviations, each of the same shape.

    y: (batch, steps, output), aligned in time; at padding zero or, where it repeats, exactly what was observed before.
    h and c: final states, (batch, width).
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
    """Run one direction of one layer on observed outputs.

    Args:
        x: inputs of this layer, (batch, steps, input), as the backend read them.
        observed: the backend's outputs, (batch, steps, output), NaN where not observed; None for no output at all.
            Without an observed output the oracle uses its own h, and the bound grows with the sequence.
        dx: bound on the error of the inputs, where the layer below was not observed either.
        units: the hidden units to compute, or None for all. Units depend on each other through observed outputs only,
            so fewer units cost less; every output must then be observed, and the cell must have no projection.
    """
    _keep_freed_memory()
    inputs = _Inputs.of(case, layer, direction, x, observed, dx, units)
    forced = _run(case, layer, direction, inputs, profile, units)
    if case.padding == "zero" or inputs.valid is None:
        return forced
    return _hold(forced, inputs, observed if observed is None or units is None else observed[..., units])


def _run(
    case: Case, layer: int, direction: int, inputs: _Inputs, profile: Profile, units: Array | None
) -> TeacherForced:
    """In the type that suffices."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if _float32_suffices(case.spec, profile, inputs):
            forced = _run_blocks(_bounded_cell(case, layer, direction, units, profile, np.float32), inputs)
            # Sums and cells too large for the squares of float32 are rare, and become infinite.
            if math.isfinite(forced.y_sigma.max() + forced.c_sigma.max()):
                return forced
        return _run_blocks(_bounded_cell(case, layer, direction, units, profile, np.float64), inputs)


@cache
def _keep_freed_memory() -> None:
    """Let glibc reuse freed memory, once per process.

    By default it returns freed arrays to the system, and gets them back zeroed page by page: half of the time at 32
    units. It keeps arrays up to the size of the largest one freed so far, at most 32 MiB (mallopt(3),
    M_MMAP_THRESHOLD); this one is never written to.
    """
    np.empty(31 << 20, np.uint8)


def _bounded_cell(
    case: Case, layer: int, direction: int, units: Array | None, profile: Profile, dtype: type[np.floating[Any]]
) -> BoundedCell:
    """The cell with its bounds, cached for all backends that run the same case."""
    weights = case.weights.layers[layer][direction]
    if units is not None:
        # The unit is the second axis of W, U and the biases (4, hidden, ...) and of the peepholes (3, hidden).
        return BoundedCell(Cell(case.spec, weights.map(lambda array: array[:, units])), profile, dtype)
    if weights.W.size + weights.U.size > SMALL:
        return BoundedCell(Cell(case.spec, weights), profile, dtype)
    cached, key = _CELL_CACHE.setdefault(case, {}), (layer, direction, profile, dtype)
    if key not in cached:
        cached[key] = BoundedCell(Cell(case.spec, weights), profile, dtype)
    return cached[key]


@dataclass(frozen=True)
class _Inputs:
    """What one direction reads, (steps, batch, ...) in processing order.

    Attributes:
        joined: 1, x and h_{t-1} in one row, NaN where h was not observed.
        unobserved: whether h was not observed somewhere.
        errors: bound on the error of x, or None.
        valid: (steps, batch), or None where every step is.
        h0, c0: initial states of the requested units.
        backward: whether processing order is the reverse of time.
    """

    joined: Array
    unobserved: bool
    errors: Array | None
    valid: Array | None
    h0: Array
    c0: Array
    backward: bool

    @classmethod
    def of(
        cls, case: Case, layer: int, direction: int, x: Array, observed: Array | None, dx: Array | None,
        units: Array | None,
    ) -> _Inputs:  # fmt: skip
        """From the arguments of `teacher_force`."""
        backward = case.spec.is_backward(direction)
        h0, c0 = case.initial("h0", layer, direction), case.initial("c0", layer, direction)
        valid = _time_major(case.valid, backward) if case.lengths is not None or case.mask is not None else None
        unobserved = observed is None or has_nan(observed)
        outputs = np.broadcast_to(np.nan, (case.batch, case.steps, h0.shape[-1])) if observed is None else observed
        width = 1 + x.shape[-1]
        joined = np.empty((case.steps, case.batch, width + h0.shape[-1]))
        joined[..., 0] = 1.0  # for the bias
        joined[..., 1:width] = _time_major_view(x, backward)
        _put_previous(joined[..., width:], _time_major_view(outputs, backward), valid, h0)
        if units is not None:
            h0, c0 = h0[:, units], c0[:, units]
        errors = None if dx is None else _time_major(dx, backward)
        return cls(joined, unobserved, errors, valid, h0, c0, backward)


def _float32_suffices(spec: LSTMSpec, profile: Profile, inputs: _Inputs) -> bool:
    """Whether float32 can hold the bounds: no finer profile, no long sums."""
    sums = inputs.unobserved or inputs.errors is not None or spec.proj_size > 0
    return profile.u >= 2.0**-24 and not sums


def _run_blocks(bounded: BoundedCell, inputs: _Inputs) -> TeacherForced:
    """All steps, in blocks that fit into cache; bounds in the type of `bounded`."""
    cell, profile, dtype = bounded.cell, bounded.profile, bounded.dtype
    steps, batch, _ = inputs.joined.shape
    state = CellState.start(inputs.h0, inputs.c0, dtype)
    rows = max(_MIN_ROWS, _BLOCK_NUMBERS // (4 * cell.spec.hidden_size))
    size = 1 if cell.peephole is not None or inputs.unobserved else max(1, rows // batch)
    blocks = []
    for start in range(0, steps, size):
        part = slice(start, start + size)
        errors = None if inputs.errors is None else inputs.errors[part] / profile.u
        valid = None if inputs.valid is None else inputs.valid[part]
        blocks.append(bounded.run(inputs.joined[part], errors, state, valid))
    y, bound, variance = (parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*blocks, strict=True))
    unit = _bound_unit(profile, steps, dtype)
    values = [y, _in_float64(bound, unit), _sigma(variance, profile)]
    if inputs.valid is not None:
        for array in values:
            array[~inputs.valid] = 0.0
    final = [_final(array, inputs.valid, start) for array, start in zip(values, (inputs.h0, None, None), strict=True)]
    aligned = [_batch_major(array, inputs.backward) for array in values]
    cells = [state.c, _in_float64(state.dc, unit), _sigma(state.var_c, profile)]
    return TeacherForced(*[*aligned, *final, *cells])


def _bound_unit(profile: Profile, steps: int, dtype: DTypeLike) -> float:
    """The unit of bounds, u, widened by the rounding of the bounds themselves.

    Each step rounds twice what it passes on and performs some thirty roundings besides; twice as many are allowed for.
    In float64 all are allowed for twice, so that a bound that must be computed in float64 is never narrower than one
    in float32. The values are rounded too, in float64: negligible beside float32, as much again beside float64.
    """
    twice = 2.0**-23 if profile.u >= 2.0**-24 else 2.0**-52
    rounded = math.expm1(twice * (steps + 32) * (2.0 if dtype == np.float64 else 1.0))
    return profile.u * (1.0 + rounded) * (1.0 + 2.0**-53 / profile.u)


def _sigma(variance: Array, profile: Profile) -> Array:
    """The standard deviation; the smallest number stands for an underflow."""
    deviation = variance + np.finfo(variance.dtype).tiny
    return _in_float64(np.sqrt(deviation, out=deviation), profile.u)


def _in_float64(array: Array, unit: float) -> Array:
    """array * unit."""
    product: Array = np.multiply(array, unit, dtype=np.float64)
    return product


def _time_major(array: Array, backward: bool) -> Array:
    """(batch, steps, ...) as (steps, batch, ...) in processing order."""
    return np.ascontiguousarray(_time_major_view(array, backward))


def _time_major_view(array: Array, backward: bool) -> Array:
    """The same without a copy."""
    return (array[:, ::-1] if backward else array).swapaxes(0, 1)


def _batch_major(array: Array, backward: bool) -> Array:
    """The inverse of `_time_major_view`."""
    return (array[::-1] if backward else array).swapaxes(0, 1)


def _put_previous(out: Array, y: Array, valid: Array | None, h0: Array) -> None:
    """Fill in h_{t-1} of each step: the last valid output before it, or h0."""
    out[0] = h0
    if valid is None:
        out[1:] = y[:-1]
        return
    steps = len(y)
    index = np.maximum.accumulate(np.where(valid, np.arange(1, steps + 1)[:, None], 0), axis=0)
    out[1:] = np.take_along_axis(np.concatenate([h0[None], y]), index[:-1, :, None], axis=0)


def _hold(forced: TeacherForced, inputs: _Inputs, observed: Array | None) -> TeacherForced:
    """Repeat the last valid output at padding, exactly where it was observed."""
    assert inputs.valid is not None
    index = np.maximum.accumulate(np.where(inputs.valid, np.arange(1, len(inputs.valid) + 1)[:, None], 0), axis=0)

    def repeated(array: Array) -> Array:
        """From the last valid step on; zero before the first."""
        ordered = _time_major_view(array, inputs.backward)
        before = np.concatenate([np.zeros_like(ordered[:1]), ordered])
        return _batch_major(np.take_along_axis(before, index[..., None], axis=0), inputs.backward)

    padded = ~_batch_major(inputs.valid, inputs.backward)[..., None]
    seen = np.full(forced.y.shape, np.nan) if observed is None else np.asarray(observed, np.float64)
    known = padded & ~np.isnan(repeated(seen))
    y, bound, sigma = (repeated(array) for array in (forced.y, forced.y_bound, forced.y_sigma))
    return replace(
        forced,
        y=np.where(known, repeated(seen), y),
        y_bound=np.where(known, 0.0, bound),
        y_sigma=np.where(known, 0.0, sigma),
    )


def _final(array: Array, valid: Array | None, start: Array | None) -> Array:
    """The value after the last valid step, else `start` (zero if None)."""
    if valid is None:
        end: Array = array[-1]
        return end
    last = len(valid) - 1 - np.argmax(valid[::-1], axis=0)
    picked = np.take_along_axis(array, last[None, :, None], axis=0)[0]
    fallback = np.zeros_like(picked) if start is None else start
    return np.where(np.any(valid, axis=0)[:, None], picked, fallback)
