"""Tests whether outputs were computed in a lower precision.

Rounding the operands of matrix products to fewer bits (TF32, or bfloat16 with float32 sums) changes definite numbers,
so it is tested like any other mistake. Rounding everything is not definite: there the bound of the lower precision
decides. Since a wide bound explains many a small mistake, it counts as proof only if all outputs fit the shorter
format.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..arrays import STORAGE, has_nan
from ..compare.lower_precision import are_stored_in, lower_precision
from ..compare.short_operands import SHORT_OPERANDS, Rounding, with_short_operands
from ..model import Case
from ..oracle import Profile, rougher_than
from .fit import Fit, fit
from .mistake import Mistake, Outputs, gives_shapes


def low_precision_mistake(observed: Outputs, case: Case, profile: Profile) -> tuple[Mistake, Fit] | None:
    """The lower precision that explains the outputs, or None."""
    if profile.name == "float32":
        for mistake in ROUNDED_OPERANDS:
            quality = fit([mistake], observed, case, profile)
            if quality.within_bound:
                return mistake, quality
    for lower in reversed(rougher_than(profile.name)):  # numbers of a shorter format fit a longer one as well
        if lower.name in STORAGE and are_stored_in(observed, lower.name):
            quality = fit([], observed, case, lower)
            if quality.within_bound:
                return _entry(lower.name, "", f"computed in {lower.name} instead of {profile.name}"), quality
    return None


def likely_precision(observed: Outputs, case: Case, profile: Profile) -> str:
    """The lower precision that the errors look like, or ""."""
    if not gives_shapes((), observed, case) or any(has_nan(array) for array in observed.values()):
        return ""
    return lower_precision(observed, case, profile, lambda lower: fit([], observed, case, lower).within_bound)


def _rounded_operands(name: str, how: str, rounding: Rounding) -> Mistake:
    """Round the operands of all matrix products, and nothing else."""

    def undo(outputs: Outputs, case: Case) -> Outputs:
        return {n: rounding(a) if n.endswith("y") else a for n, a in outputs.items()}

    entry = _entry(name, how, f"operands of matrix products {how} to {name}")
    return replace(entry, case=partial(with_short_operands, rounding=rounding), undo=undo)


def _entry(name: str, how: str, title: str) -> Mistake:
    return Mistake(
        id=f"computed-in-{name}{'-' if how else ''}{how}",
        family="precision",
        title=title,
        explanation="The implementation rounds more than its types promise.",
        fix=f"Switch {name} arithmetic off, or ask for {name} when verifying.",
    )


ROUNDED_OPERANDS = tuple(_rounded_operands(*row) for row in SHORT_OPERANDS)
#: How many roundings are tried: those and the shorter formats of everything.
ROUNDINGS = len(ROUNDED_OPERANDS) + len(STORAGE)
