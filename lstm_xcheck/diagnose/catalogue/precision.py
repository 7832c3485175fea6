"""Weights, inputs or states that lost digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...arrays import Array, round_to
from ...model import Case, CellWeights
from ..mistake import CaseChange, Mistake, with_arrays


def _each(function: Callable[[Array], Array], names: tuple[str, ...] = ()) -> Callable[[CellWeights], CellWeights]:
    """Change arrays of a cell, by default all, and keep their types."""

    def change(cell: CellWeights) -> CellWeights:
        arrays = {n: np.asarray(a) for n, a in cell.items() if n in (names or (n,))}
        return with_arrays(cell, **{n: function(_computed(a)).astype(a.dtype) for n, a in arrays.items()})

    return change


def _computed(array: Array) -> Array:
    """In the type that quantisers compute in: single precision at least."""
    return array.astype(np.promote_types(array.dtype, np.float32))


def _rounded(precision: str) -> Callable[[Array], Array]:
    return lambda array: np.asarray(round_to(array, precision)).astype(array.dtype)


def _cut_to_bfloat16(array: Array) -> Array:
    """Drop bits instead of rounding them: 8 significant ones stay."""
    mantissa, exponent = np.frexp(array)
    return np.asarray(np.ldexp(np.trunc(np.ldexp(mantissa, 8)), exponent - 8))


def _digits(count: int) -> Callable[[Array], Array]:
    """Round to significant decimal digits, as a text file does."""

    def change(array: Array) -> Array:
        array = array.astype(np.float64)
        with np.errstate(divide="ignore"):
            exponent = np.where(array == 0, 0.0, np.floor(np.log10(np.abs(array))))
        scale = 10.0 ** (count - 1 - exponent)
        return np.asarray(np.round(array * scale) / scale)

    return change


#: The numbers that share a scale: all, a row of (gate, unit), an input's column, a gate's block.
_TENSOR, _ROWS, _COLUMNS, _GATES = None, (-1,), (0, 1), (1, 2)
Axes = tuple[int, ...] | None


def _largest(array: Array, axes: Axes) -> Array:
    own = axes if array.ndim > 2 or axes == _ROWS else None
    return np.asarray(np.max(np.abs(array), axis=None if array.ndim < 2 else own, keepdims=True))


def _symmetric(axes: Axes, levels: float) -> Callable[[Array], Array]:
    """Quantisation to whole multiples of the largest number / levels."""

    def change(array: Array) -> Array:
        top = _largest(array, axes)
        scale = np.where(top == 0, 1.0, top / levels).astype(array.dtype)
        return np.asarray(np.clip(np.round(array / scale), -np.ceil(levels), np.floor(levels)) * scale)

    return change


def _with_zero_point(axes: Axes) -> Callable[[Array], Array]:
    """Quantisation from least to largest to 256 levels, 0 one of them."""

    def change(array: Array) -> Array:
        own = axes if array.ndim > 2 or axes == _ROWS else None
        least, largest = (
            np.asarray(of(array, axis=own, keepdims=True, initial=0.0)) for of in (np.minimum.reduce, np.maximum.reduce)
        )
        scale = np.where(largest > least, (largest - least) / 255, 1.0).astype(array.dtype)
        zero = np.round(-least / scale)
        return np.asarray((np.clip(np.round(array / scale) + zero, 0, 255) - zero) * scale)

    return change


def _rounded_data(precision: str, *names: str) -> CaseChange:
    def change(case: Case) -> Case | None:
        present: dict[str, Any] = {name: getattr(case, name) for name in names if getattr(case, name) is not None}
        rounded = {name: round_to(array, precision) for name, array in present.items()}
        return replace(case, **{**present, **rounded}) if present else None

    return change


_entry = partial(Mistake, family="precision")

#: Suffix of an id -> words, how weights get so, what to load instead, and the change. What quantisers do to W and U
#: alone is below.
_WEIGHTS: dict[str, tuple[str, str, str, Callable[[Array], Array]]] = {
    **{
        name: (f"rounded to {name}", f"went through a {name} file or cast",
               f"Keep the weights in their own precision; load the original, not the {name} copy.", _rounded(name))
        for name in ("float16", "bfloat16")
    },
    "int8": ("quantised to 8 bits per tensor", "were quantised", "Load the unquantised weights.", _symmetric(_TENSOR, 127)),
    "int8-rows": ("quantised to 8 bits per row", "were quantised by channel", "Load the unquantised weights.",
                  _symmetric(_ROWS, 127)),
    **{
        f"{count}-digits": (f"printed with {count} digits", f"went through text with {count} significant digits",
                            "Write weights as bytes, or with 9 digits for float32.", _digits(count))
        for count in (3, 4, 5, 6)
    },
}  # fmt: skip
_KERNELS: dict[str, tuple[str, str, str, Callable[[Array], Array]]] = {
    "bfloat16-cut": ("cut to bfloat16", "lost their lower 16 bits", "Round the weights, or keep their own precision.",
                     _cut_to_bfloat16),
    **{
        suffix: (f"quantised to {words}", "were quantised", "Load the unquantised weights.", change)
        for suffix, words, change in (
            ("int8-columns", "8 bits per column", _symmetric(_COLUMNS, 127)),
            ("int8-gates", "8 bits per gate", _symmetric(_GATES, 127)),
            ("int8-full", "8 bits per tensor, from -128 to 127", _symmetric(_TENSOR, 127.5)),
            ("int8-full-rows", "8 bits per row, from -128 to 127", _symmetric(_ROWS, 127.5)),
            ("uint8", "8 bits per tensor with a zero point", _with_zero_point(_TENSOR)),
            ("uint8-rows", "8 bits per row with a zero point", _with_zero_point(_ROWS)),
            ("int4", "4 bits per tensor", _symmetric(_TENSOR, 7)),
            ("int4-rows", "4 bits per row", _symmetric(_ROWS, 7)),
        )
    },
    "7-digits": ("printed with 7 digits", "went through text with 7 significant digits",
                 "Write weights as bytes, or with 9 digits for float32.", _digits(7)),
}  # fmt: skip

MISTAKES = (
    *(
        _entry(f"weights-{suffix}", f"weights {words}", f"The weights {why}.", fix, cell=_each(change), lost=True)
        for suffix, (words, why, fix, change) in _WEIGHTS.items()
    ),
    *(
        _entry(f"kernels-{suffix}", f"W and U {words}, biases not", f"The kernels {why}, the biases were left alone.", fix,
               cell=_each(change, ("W", "U", "projection")), lost=True)
        for suffix, (words, why, fix, change) in {**_WEIGHTS, **_KERNELS}.items()
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
