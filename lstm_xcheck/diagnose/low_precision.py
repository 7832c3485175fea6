"""Arithmetic that is rougher than the one asked for, as exact hypotheses where that is possible.

Rounding the operands of matrix products to fewer bits (TF32, or bfloat16 with float32 sums) is a definite change of
numbers, so it is tested like any other mistake. Rounding everything is not: there the profile's wider bound decides,
and only outputs that all fit the shorter format count as evidence, for a wide bound explains many a small mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..arrays import STORAGE, Array, round_to
from ..model import Case
from ..oracle import Profile, rougher_than
from .fit import Fit, fit
from .mistake import Mistake, Outputs, edit

Rounding = Callable[[Array], Array]


def rough_arithmetic(observed: Outputs, case: Case, profile: Profile) -> tuple[Mistake, Fit] | None:
    """The rougher arithmetic that explains the outputs, or None."""
    if profile.name == "float32":
        for mistake in OPERANDS:
            quality = fit([mistake], observed, case, profile)
            if quality.holds:
                return mistake, quality
    for rougher in reversed(rougher_than(profile.name)):  # numbers of a shorter format fit a longer one as well
        if rougher.name in STORAGE and _all_fit(observed, rougher.name):
            quality = fit([], observed, case, rougher)
            if quality.holds:
                return _entry(rougher.name, "", f"computed in {rougher.name} instead of {profile.name}"), quality
    return None


def wide_enough(observed: Outputs, case: Case, profile: Profile) -> str:
    """The first rougher arithmetic whose bounds hold everything observed, or ""; a hint and no proof."""
    return next((p.name for p in rougher_than(profile.name) if fit([], observed, case, p).holds), "")


def _all_fit(observed: Outputs, precision: str) -> bool:
    """Whether every number can be stored in that precision without rounding."""
    with np.errstate(over="ignore"):
        return all(bool((round_to(array, precision) == array).all()) for array in observed.values())


def _nearest(bits: int) -> Rounding:
    """Round to that many significant bits, to nearest even."""

    def change(array: Array) -> Array:
        mantissa, exponent = np.frexp(np.asarray(array, np.float64))
        rounded: Array = np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)
        return rounded.astype(np.asarray(array).dtype)

    return change


def _truncated(bits: int) -> Rounding:
    """Cut off all but that many significant bits."""

    def change(array: Array) -> Array:
        mantissa, exponent = np.frexp(np.asarray(array, np.float64))
        cut: Array = np.ldexp(np.trunc(np.ldexp(mantissa, bits)), exponent - bits)
        return cut.astype(np.asarray(array).dtype)

    return change


def _operands(name: str, how: str, rounding: Rounding) -> Mistake:
    """Operands of all matrix products rounded, sums and everything else in float32."""

    def case_change(case: Case) -> Case:
        layers = tuple(
            tuple(
                edit(cell, **{n: rounding(np.asarray(a)) for n, a in cell.items() if n in ("W", "U", "projection")})
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


#: Kernels differ in how they shorten a number; TF32 keeps 11 significant bits, bfloat16 keeps 8.
OPERANDS = tuple(
    _operands(name, how, shorten(bits))
    for name, bits in (("tf32", 11), ("bfloat16", 8))
    for how, shorten in (("rounded", _nearest), ("cut", _truncated))
)
