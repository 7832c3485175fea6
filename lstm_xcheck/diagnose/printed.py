"""Recognises outputs that were printed with few decimals."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from .mistake import Outputs

#: Decimals that are looked for, and how unlikely it must be that numbers have so few by chance.
_DECIMALS, _CHANCE = range(1, 8), 1e-6


def printed_decimals(observed: Outputs) -> int | None:
    """The decimals that outputs were printed with; None where they have all digits.

    Quantities that were printed with fewer decimals count; others may have more.
    """
    found = [decimals for array in observed.values() if (decimals := _decimals(array)) is not None]
    return min(found, default=None)


def _decimals(array: Array) -> int | None:
    """The fewest decimals that all numbers have, unless by chance."""
    numbers = np.asarray(array, np.float64).ravel()
    numbers = numbers[np.isfinite(numbers)]
    single = numbers.astype(np.float32)
    spacing = np.spacing(np.abs(single)).astype(np.float64)
    long = numbers * 256.0 % 1.0 != 0.0  # 0, 1 and 0.5 have few digits in any format
    for decimals in _DECIMALS:
        if (np.round(numbers, decimals).astype(np.float32) == single).all():
            if _too_many_zeros(np.round(numbers[long] * 10.0**decimals)):
                return None
            chance = float(np.log(np.minimum(1.0, spacing[long] * 10.0**decimals)).sum())
            return decimals if chance < np.log(_CHANCE) else None
    return None


def _too_many_zeros(whole: Array) -> bool:
    """Whether far more last digits are 0 than one in ten.

    Then significant digits were cut, not decimals.
    """
    zeros, expected = np.count_nonzero(whole % 10.0 == 0.0), 0.1 * whole.size
    return bool(zeros > expected + 1.0 + 5.0 * np.sqrt(0.9 * expected))
