"""Limits of the difference from asserted numbers."""

from __future__ import annotations

import numpy as np

from lstm_xcheck.arrays import Array

from .corpus import Quantity

#: Much smaller than the tolerances of the sources, larger than the rounding of float32 and of six decimals.
STRICT = 1e-6

#: Significant digits of numbers that upstream printed too coarsely for 1e-6; the limit is half a unit of the last.
ROUNDED = {
    "dl4j__lstmLayer_1/y": 5,
    "keras__stacked_cells_mask/y_last": 4,
    "ort__training_forward/c_n": 6,
    "ort__training_forward/c_all": 6,
    "tfjs__bidir_mask_training/loss[0]": 5,
    "tfjs__stateful_forward/y_last@call1": 3,
}


def beyond(label: str, quantity: Quantity, computed: Array) -> list[tuple[int, ...]]:
    """Indices of differences beyond the limit."""
    error = np.abs(computed - quantity.values)
    return [tuple(int(i) for i in index) for index in np.argwhere(~(error <= _limit(label, quantity)))]


def _limit(label: str, quantity: Quantity) -> Array:
    if label not in ROUNDED:
        return np.full(quantity.values.shape, STRICT)
    exponent = np.floor(np.log10(np.maximum(np.abs(quantity.values), 1e-300)))
    limit: Array = np.maximum(STRICT, 0.5 * 10.0 ** (exponent + 1 - ROUNDED[label]))
    return limit
