"""Whether an explanation of gradients is proven: noise, improvement, and improbability by chance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...arrays import Array
from ...oracle import Gradients
from .discrepancy import GradientDiscrepancy, ratio

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
        discrepancy: the observed gradients.
        expected: what the explanation gives.
    """

    discrepancy: GradientDiscrepancy
    expected: Gradients

    @cached_property
    def errors(self) -> dict[str, Array]:
        """What is left of each array, in root mean squares of its own rounding."""
        return self.discrepancy.errors_against(self.expected)

    @cached_property
    def largest(self) -> float:
        """The largest error that is left."""
        return max((float(np.abs(e).max()) for e in self.errors.values()), default=0.0)

    @cached_property
    def is_noise(self) -> bool:
        """Whether honest rounding would leave as much."""
        return _is_noise(self.errors)

    @cached_property
    def distance(self) -> float:
        """Sum of squares of what is left, in the right pass's rounding."""
        return sum(float((errors**2).sum()) for errors in self._errors_in_units_of(self.discrepancy.honest).values())

    def rivals(self, other: Evidence) -> bool:
        """Whether this fits within the rounding of another explanation, too."""
        return _is_noise(self._errors_in_units_of(other.expected))

    def _errors_in_units_of(self, other: Gradients) -> dict[str, Array]:
        """What is left, in root mean squares of another explanation's rounding."""
        observed, value = self.discrepancy.observed, self.expected.value
        left = {n: ratio(a - value[n], self.discrepancy.scale(n, other)) for n, a in observed.items()}
        return {name: np.clip(errors, -_HUGE, _HUGE) for name, errors in left.items()}

    @cached_property
    def noise(self) -> float:
        """The largest error that is left, in the right pass's rounding.

        A wrong pass may have far larger gradients, and so more rounding, than the right one.
        """
        left, honest = self._errors_in_units_of(self.discrepancy.honest), self.discrepancy.honest
        known = (errors[self.discrepancy.scale(name, honest) > 0.0] for name, errors in left.items())
        return max(_NOISE, *(float(np.abs(errors).max(initial=0.0)) for errors in known))

    @property
    def improves(self) -> bool:
        """Whether it explains the errors, not merely allows them."""
        worst = max(float(np.abs(errors).max()) for errors in self.discrepancy.errors.values())
        return worst >= _IMPROVEMENT * max(self.noise / _NOISE, self.largest)


def _is_noise(errors: Mapping[str, Array]) -> bool:
    number = sum(array.size for array in errors.values())
    squares = sum(float((np.minimum(np.abs(array), _HUGE) ** 2).sum()) for array in errors.values())
    largest = max((float(np.abs(array).max()) for array in errors.values()), default=0.0)
    return largest <= _LARGEST and squares <= _TYPICAL**2 * number + _LARGEST**2


def surprise(discrepancy: GradientDiscrepancy, noise: float, *, fitted: bool) -> float:
    """How improbable the errors are where one number alone is wrong, in nats.

    Of every alternative with one free number (an element, a row, a gate, an array, a step scaled or shifted), what it
    leaves unexplained is counted: the logarithm of each error, in units of noise. An explanation that fits all of that
    within noise does so by chance with the negative exponential of the sum.

    Args:
        noise: errors up to this many root mean squares are no surprise.
        fitted: whether the explanation itself scales arrays, so that this is no alternative.
    """
    counted = {n: e for n, e in discrepancy.errors.items() if not _is_copy(n, discrepancy.observed)}
    total = sum(float(_nats(errors, noise).sum()) for errors in counted.values())
    one_number = (_saved_by_one_number(n, e, discrepancy, noise, fitted=fitted) for n, e in counted.items())
    saved = max(one_number, default=0.0)
    if not fitted:
        saved = max(saved, *(_saved_by_one_factor(group, discrepancy, noise) for group in _groups(counted)))
    return total - saved


def needed(tried: int) -> float:
    """The surprise that rules out chance among so many explanations."""
    return math.log(max(1, tried)) + _MARGIN


def _is_copy(name: str, observed: Mapping[str, Array]) -> bool:
    """Whether a second bias has the numbers of the first."""
    first = observed.get(name.removesuffix("_r"))
    return name.endswith(".b_r") and first is not None and bool((first == observed[name]).all())


def _nats(errors: Array, noise: float) -> Array:
    size = np.minimum(np.abs(errors), _HUGE) / noise
    return np.asarray(np.log(np.maximum(1.0, size)))


def _saved_by_one_number(
    name: str, errors: Array, discrepancy: GradientDiscrepancy, noise: float, *, fitted: bool
) -> float:
    """The most that one number explains of an array's surprise."""
    errors, nats = np.clip(errors, -_HUGE, _HUGE), _nats(errors, noise)
    value = discrepancy.honest.value[name]
    unit = _unit(errors, discrepancy.observed[name] - value)
    saved = float(nats.max())
    for axes in _blocks(name, errors.ndim):
        if fitted and all(errors.shape[axis] == 1 for axis in range(errors.ndim) if axis not in axes):
            continue
        for direction in (value / unit, 1.0 / unit):
            left = _left(errors, direction, axes)
            saved = max(saved, float((nats - _nats(left, noise)).sum(axis=axes).max()))
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


def _saved_by_one_factor(names: list[str], discrepancy: GradientDiscrepancy, noise: float) -> float:
    """The surprise that one factor of several arrays explains."""
    errors = {n: np.clip(discrepancy.errors[n], -_HUGE, _HUGE) for n in names}
    values = {
        n: discrepancy.honest.value[n] / _unit(e, discrepancy.observed[n] - discrepancy.honest.value[n])
        for n, e in errors.items()
    }
    along = sum(float((errors[n] * values[n]).sum()) for n in names)
    square = sum(float((values[n] ** 2).sum()) for n in names)
    factor = along / max(square, float(np.finfo(float).tiny))
    left = {n: errors[n] - factor * values[n] for n in names}
    return sum(float((_nats(errors[n], noise) - _nats(left[n], noise)).sum()) for n in names)
