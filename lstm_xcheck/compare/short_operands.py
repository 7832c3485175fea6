"""Operands of matrix products that are rounded or cut to fewer bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..model import Case, CellWeights

Rounding = Callable[[Array], Array]


def _shorten(bits: int, to_integer: Callable[[Array], Any]) -> Rounding:
    """Keep that many significant bits, by np.round or np.trunc."""

    def change(array: Array) -> Array:
        mantissa, exponent = np.frexp(np.asarray(array, np.float64))
        shortened: Array = np.ldexp(to_integer(np.ldexp(mantissa, bits)), exponent - bits)
        return shortened.astype(np.asarray(array).dtype)

    return change


#: Name of the precision, how operands get there, and the rounding. TF32 keeps 11 significant bits, bfloat16 keeps 8.
SHORT_OPERANDS: tuple[tuple[str, str, Rounding], ...] = tuple(
    (name, how, _shorten(bits, to_integer))
    for name, bits in (("tf32", 11), ("bfloat16", 8))
    for how, to_integer in (("rounded", np.round), ("cut", np.trunc))
)


def with_short_operands(case: Case, rounding: Rounding) -> Case:
    """The case with all operands of its matrix products rounded, and nothing else."""
    layers = tuple(tuple(_rounded(cell, rounding) for cell in row) for row in case.weights.layers)
    h0 = None if case.h0 is None else rounding(case.h0)
    return replace(case, weights=replace(case.weights, layers=layers), x=rounding(case.x), h0=h0)


def _rounded(cell: CellWeights, rounding: Rounding) -> CellWeights:
    arrays: dict[str, Any] = {n: rounding(np.asarray(a)) for n, a in cell.items() if n in ("W", "U", "projection")}
    return replace(cell, **arrays)
