"""Limits of the difference from asserted numbers."""

from __future__ import annotations

import numpy as np

from lstm_xcheck.arrays import Array

from .corpus import Quantity

#: Much smaller than the tolerances of the sources, larger than the rounding of float32 and of six decimals.
STRICT = 1e-6


def beyond(quantity: Quantity, computed: Array) -> list[tuple[int, ...]]:
    """Indices of differences beyond the limit."""
    error = np.abs(computed - quantity.values)
    return [tuple(int(i) for i in index) for index in np.argwhere(~(error <= limit(quantity)))]


def limit(quantity: Quantity) -> Array:
    """Half a unit of the last printed place, where numbers were printed more coarsely than `STRICT`."""
    larger: Array = np.maximum(STRICT, quantity.printed.half_unit(quantity.values))
    return larger
