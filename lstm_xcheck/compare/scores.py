"""Scores: errors divided by what rounding allows."""

from __future__ import annotations

import numpy as np

from ..arrays import Array


def score(error: Array, bound: Array) -> Array:
    """error / bound, with 0 / 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0.0, 0.0, error / bound)


def index_of_max(array: Array) -> tuple[int, ...]:
    """Index of the largest element, or of the first True."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(array)), array.shape))
