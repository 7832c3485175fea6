"""Weights, inputs or states that lost digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...arrays import Array, round_to
from ...model import Case, CellWeights
from ..mistake import CaseChange, Mistake


def _each(function: Callable[[Array], Array]) -> Callable[[CellWeights], CellWeights]:
    """Change every array of a cell and keep its type."""
    return lambda cell: cell.map(lambda array: function(array.astype(np.float64)).astype(array.dtype))


def _digits(count: int) -> Callable[[Array], Array]:
    """Round to significant decimal digits, as a text file does."""

    def change(array: Array) -> Array:
        with np.errstate(divide="ignore"):
            exponent = np.where(array == 0, 0.0, np.floor(np.log10(np.abs(array))))
        scale = 10.0 ** (count - 1 - exponent)
        return np.round(array * scale) / scale

    return change


def _int8(axis: int | None) -> Callable[[Array], Array]:
    """Symmetric quantisation to 8 bits, per tensor or per row."""

    def change(array: Array) -> Array:
        top = np.max(np.abs(array), axis=None if array.ndim < 2 else axis, keepdims=True)
        scale = np.where(top == 0, 1.0, top / 127.0)
        return np.round(array / scale) * scale

    return change


def _rounded_data(precision: str, *names: str) -> CaseChange:
    def change(case: Case) -> Case | None:
        present: dict[str, Any] = {name: getattr(case, name) for name in names if getattr(case, name) is not None}
        rounded = {name: round_to(array, precision) for name, array in present.items()}
        return replace(case, **{**present, **rounded}) if present else None

    return change


_entry = partial(Mistake, family="precision")

MISTAKES = (
    *(
        _entry(f"weights-{name}", f"weights rounded to {name}", f"The weights went through a {name} file or cast.",
               f"Keep the weights in their own precision; load the original, not the {name} copy.",
               cell=_each(lambda a, name=name: round_to(a, name).astype(np.float64)))  # type: ignore[misc]
        for name in ("float16", "bfloat16")
    ),
    _entry("weights-int8", "weights quantised to 8 bits per tensor", "The checkpoint was quantised.",
           "Load the unquantised weights.", cell=_each(_int8(None))),
    _entry("weights-int8-rows", "weights quantised to 8 bits per row", "The checkpoint was quantised by channel.",
           "Load the unquantised weights.", cell=_each(_int8(-1))),
    *(
        _entry(f"weights-{count}-digits", f"weights printed with {count} digits",
               f"The weights went through text with {count} significant digits.",
               "Write weights as bytes, or with 9 digits for float32.", cell=_each(_digits(count)))
        for count in (3, 4, 5, 6)
    ),
    *(
        _entry(f"x-{name}", f"inputs rounded to {name}", f"x went through {name}.", "Keep x in its own precision.",
               case=_rounded_data(name, "x"))
        for name in ("float16", "bfloat16")
    ),
    *(
        _entry(f"states-{name}", f"initial states rounded to {name}", f"h0 and c0 went through {name}.",
               "Keep the states in their own precision.", case=_rounded_data(name, "h0", "c0"))
        for name in ("float16", "bfloat16")
    ),
)  # fmt: skip
