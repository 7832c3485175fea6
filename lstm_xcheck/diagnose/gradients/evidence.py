"""Whether an explanation of gradients is proven: noise, improvement, and improbability by chance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...arrays import Array
from ...oracle import Gradients
from .discrepancy import GradientDiscrepancy

#: What honest rounding leaves, in root mean squares: the largest error, and their root mean square.
_LARGEST, _TYPICAL = 7.0, 2.0
#: The worst error falls at least by this factor.
_IMPROVEMENT = 30.0
#: An error is a surprise beyond this many root mean squares.
_NOISE = 3.0
#: Beyond chance: nats in excess of the logarithm of what was tried.
_MARGIN = 5.0
#: Errors that are infinite, where honest ones are exactly zero.
_HUGE = 1e12


@dataclass(frozen=True)
class Evidence:
    """How well one explanation fits.

    Attributes:
        expected: what the explanation gives.
        errors: what it leaves of each array, in root mean squares of rounding.
    """

    expected: Gradients
    errors: Mapping[str, Array]

    @cached_property
    def largest(self) -> float:
        """The largest error that is left."""
        return max((float(np.abs(e).max()) for e in self.errors.values()), default=0.0)

    @cached_property
    def is_noise(self) -> bool:
        """Whether honest rounding would leave as much."""
        number = sum(errors.size for errors in self.errors.values())
        squares = sum(float((np.minimum(np.abs(errors), _HUGE) ** 2).sum()) for errors in self.errors.values())
        return self.largest <= _LARGEST and squares <= _TYPICAL**2 * number + _LARGEST**2

    def improves(self, before: Mapping[str, Array]) -> bool:
        """Whether it explains the errors, not merely allows them."""
        worst = max(float(np.abs(errors).max()) for errors in before.values())
        return worst >= _IMPROVEMENT * max(1.0, self.largest)


def surprise(discrepancy: GradientDiscrepancy, *, fitted: bool) -> float:
    """How improbable the errors are where one number alone is wrong, in nats.

    Of every alternative with one free number (an element, a row, a gate, an array, a step scaled or shifted), what it
    leaves unexplained is counted: the logarithm of each error, in units of noise. An explanation that fits all of that
    within noise does so by chance with the negative exponential of the sum.

    Args:
        fitted: whether the explanation itself scales arrays, so that this is no alternative.
    """
    counted = {n: e for n, e in discrepancy.errors.items() if not _is_copy(n, discrepancy.observed)}
    total = sum(float(_nats(errors).sum()) for errors in counted.values())
    saved = max((_saved_by_one_number(n, e, discrepancy, fitted=fitted) for n, e in counted.items()), default=0.0)
    if not fitted:
        saved = max(saved, *(_saved_by_one_factor(group, discrepancy) for group in _groups(counted)))
    return total - saved


def needed(tried: int) -> float:
    """The surprise that rules out chance among so many explanations."""
    return math.log(max(1, tried)) + _MARGIN


def _is_copy(name: str, observed: Mapping[str, Array]) -> bool:
    """Whether a second bias has the numbers of the first."""
    first = observed.get(name.removesuffix("_r"))
    return name.endswith(".b_r") and first is not None and bool((first == observed[name]).all())


def _nats(errors: Array) -> Array:
    size = np.minimum(np.abs(errors), _HUGE) / _NOISE
    return np.asarray(np.log(np.maximum(1.0, size)))


def _saved_by_one_number(name: str, errors: Array, discrepancy: GradientDiscrepancy, *, fitted: bool) -> float:
    """The most that one number explains of an array's surprise."""
    errors, nats = np.clip(errors, -_HUGE, _HUGE), _nats(errors)
    value = discrepancy.honest.value[name]
    unit = _unit(errors, discrepancy.observed[name] - value)
    saved = float(nats.max())
    for axes in _blocks(name, errors.ndim):
        if fitted and all(errors.shape[axis] == 1 for axis in range(errors.ndim) if axis not in axes):
            continue
        for direction in (value / unit, 1.0 / unit):
            left = _left(errors, direction, axes)
            saved = max(saved, float((nats - _nats(left)).sum(axis=axes).max()))
    return saved


def _unit(errors: Array, difference: Array) -> Array:
    """Root mean square of rounding of each element; any number where nothing is wrong."""
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.where(errors != 0.0, difference / errors, np.nan)
    known = unit[np.isfinite(unit) & (unit > 0.0)]
    typical = float(np.median(known)) if known.size else 1.0
    return np.where(np.isfinite(unit) & (unit > 0.0), unit, typical)


def _left(errors: Array, direction: Array, axes: tuple[int, ...]) -> Array:
    """What remains of errors in each block after the best multiple of a direction."""
    along = (errors * direction).sum(axis=axes, keepdims=True)
    square = (direction**2).sum(axis=axes, keepdims=True)
    return np.asarray(errors - direction * along / np.maximum(square, np.finfo(float).tiny))


def _blocks(name: str, dimensions: int) -> Iterator[tuple[int, ...]]:
    """Axes over which one number may be common: every set of them but none."""
    for bits in range(1, 2**dimensions):
        yield tuple(axis for axis in range(dimensions) if bits >> axis & 1)


def _groups(names: Mapping[str, Array]) -> list[list[str]]:
    """Arrays that one factor may scale: all, each kind, and each cell."""
    parameters = [name for name in names if "." in name]
    kinds = {name.rpartition(".")[2] for name in names}
    cells = {name.rpartition(".")[0] for name in parameters}
    groups = [list(names), parameters, [name for name in names if "." not in name]]
    groups += [[n for n in names if n.rpartition(".")[2] == kind] for kind in kinds]
    return [group for group in groups + [[n for n in names if n.rpartition(".")[0] == c] for c in cells] if group]


def _saved_by_one_factor(names: list[str], discrepancy: GradientDiscrepancy) -> float:
    """The surprise that one factor of several arrays explains."""
    errors = {n: np.clip(discrepancy.errors[n], -_HUGE, _HUGE) for n in names}
    values = {
        n: discrepancy.honest.value[n] / _unit(e, discrepancy.observed[n] - discrepancy.honest.value[n])
        for n, e in errors.items()
    }
    along = sum(float((errors[n] * values[n]).sum()) for n in names)
    square = sum(float((values[n] ** 2).sum()) for n in names)
    factor = along / max(square, float(np.finfo(float).tiny))
    return sum(float((_nats(errors[n]) - _nats(errors[n] - factor * values[n])).sum()) for n in names)
