"""What a vector expects: values, and an allowed error for each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..compare.reference import references
from ..errors import SpecError
from ..model import Case
from ..oracle import profile_named

#: What an implementation returns, in this order.
OUTPUTS = ("y", "h_n", "c_n")
#: Allows for the rounding of the difference that a check computes.
_UPWARD = 1.0 + 2.0**-22


@dataclass(frozen=True)
class Expected:
    """One quantity as it is stored, in float32.

    Attributes:
        value: rounded to float32.
        allowed: by how much an output may differ from it.
        bound: how far honest rounding leads from the exact value.
    """

    value: Array
    allowed: Array
    bound: Array


def expected_outputs(case: Case, allow: float = 0.0, *, uniform: bool = False) -> dict[str, Expected]:
    """Every quantity of a run on its own states, those of lower layers included.

    Args:
        allow: the smallest allowed error.
        uniform: whether all numbers get the largest allowed error of any of them.

    Raises:
        SpecError: where an error bound is not finite, since such a vector would allow everything.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        found = references(case, {}, profile_named(case.precision))
        names = [name for name in found if name in OUTPUTS or name.startswith("layer")]
        expected = {name: _stored(found[name].value, found[name].bound, allow) for name in names}
    for name, each in expected.items():
        if not (np.isfinite(each.value).all() and np.isfinite(each.allowed).all()):
            raise SpecError(
                f"the error bound of {name} of case {case.id} is not finite, so every answer would be allowed; "
                "take fewer steps, fewer layers or smaller weights"
            )
    if not uniform:
        return expected
    largest = max(each.allowed.max() for each in expected.values())
    return {name: Expected(e.value, np.full_like(e.allowed, largest), e.bound) for name, e in expected.items()}


def _stored(value: Array, bound: Array, allow: float) -> Expected:
    stored = value.astype(np.float32)
    exact = bound + np.abs(value - stored)
    allowed = np.maximum(exact * _UPWARD, allow).astype(np.float32)
    upward = np.where(allowed > 0.0, np.nextafter(allowed, np.float32(np.inf)), allowed)
    return Expected(stored, upward.astype(np.float32), bound)
