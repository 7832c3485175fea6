"""Gradients that were rounded to a short format once they were computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arrays import Array
from ...compare.gradients import LIMIT_RMS, gradient_limit
from .discrepancy import GradientDiscrepancy

#: Significant bits, and the exponent of the smallest normal number.
_FORMATS = {"bfloat16": (8, -126), "float16": (11, -14)}
#: So many numbers must be on the grid: one would be by chance once in 32.
_LEAST_NUMBERS = 8


def explains_rounding(precision: str, names: Sequence[str], discrepancy: GradientDiscrepancy) -> bool:
    """Whether rounding to a format explains every wrong number."""
    if sum(int(np.count_nonzero(discrepancy.observed[name])) for name in names) < _LEAST_NUMBERS:
        return False
    honest = discrepancy.honest
    for name in names:
        limit = gradient_limit(name, honest.value[name], honest.rms[name], discrepancy.case, discrepancy.profile)
        observed = discrepancy.observed[name]
        if (np.abs(observed - honest.value[name]) > limit * _SHARE + _half_unit(observed, precision)).any():
            return False
    return True


#: Honest rounding beside the last digit, in limits.
_SHARE = 7.0 / LIMIT_RMS


def _half_unit(array: Array, precision: str) -> Array:
    """Half the distance of neighbouring numbers of a format."""
    bits, lowest = _FORMATS[precision]
    _, exponent = np.frexp(array)
    return np.asarray(0.5 * np.ldexp(1.0, np.maximum(exponent - 1, lowest) - (bits - 1)))
