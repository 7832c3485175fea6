"""Tests whether outputs were computed in a lower precision.

Rounding the operands of matrix products to fewer bits (TF32, or bfloat16 with float32 sums) changes definite numbers,
so it is tested like any other mistake. Rounding everything is not definite: there the bound of the lower precision
decides. Since a wide bound explains many a small mistake, it counts as proof only if all outputs fit the shorter
format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import STORAGE, Array, has_nan
from ..compare.lower_precision import all_fit, lower_precision
from ..model import Case
from ..oracle import Profile, rougher_than
from .fit import Fit, fit
from .mistake import Mistake, Outputs, gives_shapes, with_arrays

Rounding = Callable[[Array], Array]


def low_precision_mistake(observed: Outputs, case: Case, profile: Profile) -> tuple[Mistake, Fit] | None:
    """The lower precision that explains the outputs, or None."""
    if profile.name == "float32":
        for mistake in ROUNDED_OPERANDS:
            quality = fit([mistake], observed, case, profile)
            if quality.within_bound:
                return mistake, quality
    for lower in reversed(rougher_than(profile.name)):  # numbers of a shorter format fit a longer one as well
        if lower.name in STORAGE and all_fit(observed, lower.name):
            quality = fit([], observed, case, lower)
            if quality.within_bound:
                return _entry(lower.name, "", f"computed in {lower.name} instead of {profile.name}"), quality
    return None


def likely_precision(observed: Outputs, case: Case, profile: Profile) -> str:
    """The lower precision that the errors look like, or ""."""
    if not gives_shapes((), observed, case) or any(has_nan(array) for array in observed.values()):
        return ""
    return lower_precision(observed, case, profile, lambda lower: fit([], observed, case, lower).within_bound)


def _shorten(bits: int, to_integer: Callable[[Array], Any]) -> Rounding:
    """Keep that many significant bits, by np.round or np.trunc."""

    def change(array: Array) -> Array:
        mantissa, exponent = np.frexp(np.asarray(array, np.float64))
        shortened: Array = np.ldexp(to_integer(np.ldexp(mantissa, bits)), exponent - bits)
        return shortened.astype(np.asarray(array).dtype)

    return change


def _rounded_operands(name: str, how: str, rounding: Rounding) -> Mistake:
    """Round the operands of all matrix products, and nothing else."""

    def case_change(case: Case) -> Case:
        layers = tuple(
            tuple(
                with_arrays(cell, **{n: rounding(a) for n, a in cell.items() if n in ("W", "U", "projection")})
                for cell in row
            )
            for row in case.weights.layers
        )
        weights = replace(case.weights, layers=layers)
        h0 = None if case.h0 is None else rounding(case.h0)
        return replace(case, weights=weights, x=rounding(case.x), h0=h0)

    def undo(outputs: Outputs, case: Case) -> Outputs:
        return {n: rounding(a) if n.endswith("y") else a for n, a in outputs.items()}

    entry = _entry(name, how, f"operands of matrix products {how} to {name}")
    return replace(entry, case=case_change, undo=undo)


def _entry(name: str, how: str, title: str) -> Mistake:
    return Mistake(
        id=f"computed-in-{name}{'-' if how else ''}{how}",
        family="precision",
        title=title,
        explanation="The implementation rounds more than its types promise.",
        fix=f"Switch {name} arithmetic off, or ask for {name} when verifying.",
    )


#: Kernels round or cut; TF32 keeps 11 significant bits, bfloat16 keeps 8.
ROUNDED_OPERANDS = tuple(
    _rounded_operands(name, how, _shorten(bits, to_integer))
    for name, bits in (("tf32", 11), ("bfloat16", 8))
    for how, to_integer in (("rounded", np.round), ("cut", np.trunc))
)
#: How many roundings are tried: those and the shorter formats of everything.
ROUNDINGS = len(ROUNDED_OPERANDS) + len(STORAGE)
