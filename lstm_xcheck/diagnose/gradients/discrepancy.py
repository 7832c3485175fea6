"""Observed gradients beside honest ones: which are wrong, which cannot be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...arrays import Array
from ...compare.gradients import LIMIT_RMS, gradient_limit, near_overflow
from ...compare.reference import usable_outputs
from ...model import Case, Result, gradient_names
from ...oracle import Gradients, Profile, Roundings, with_roundings
from .mistake import OutputsByLayer, with_second_bias
from .wrong_pass import WrongStack


@dataclass(frozen=True)
class GradientDiscrepancy:
    """Observed gradients with the right back-propagation along observed outputs.

    Attributes:
        observed: the gradients that can be compared, by name, in float64.
        missing: names that were asked for and not given.
        unusable: names of gradients that cannot be compared, with the reason.
        stack, honest: the right back-propagation, and what it gives.
    """

    case: Case
    profile: Profile
    outputs: OutputsByLayer
    observed: dict[str, Array]
    missing: tuple[str, ...]
    unusable: dict[str, str]
    stack: WrongStack
    honest: Gradients

    @classmethod
    def of(cls, result: Result, case: Case, profile: Profile) -> GradientDiscrepancy | None:
        """None where the outputs of some layer were not observed."""
        outputs = usable_outputs(result, case)
        if len(outputs) < case.spec.num_layers:
            return None
        stack = WrongStack.right(case, outputs)
        honest = with_roundings(lambda r: with_second_bias(stack.back_propagate(r)), case, profile)
        observed: dict[str, Array] = {}
        unusable: dict[str, str] = {}
        for name, given in result.gradients.items():
            array, right = np.asarray(given, np.float64), honest.value.get(name)
            if right is None:
                unusable[name] = "this LSTM has no such array"
            elif array.shape != right.shape:
                unusable[name] = f"its shape is {array.shape}, but should be {right.shape}"
            elif not np.isfinite(array).all():
                unusable[name] = f"{int((~np.isfinite(array)).sum())} of {array.size} numbers are not finite"
            else:
                observed[name] = array
        asked = gradient_names(case.spec) if case.gradients else ()
        missing = tuple(name for name in asked if name not in result.gradients)
        return cls(case, profile, outputs, observed, missing, unusable, stack, honest)

    @property
    def undecided(self) -> str:
        """Why nothing can be told from these gradients; empty where something can."""
        if near_overflow(self.honest, self.profile):
            return f"the gradients of this case come near the largest number of {self.profile.name}"
        if self.honest.near_kink:
            return "a clip or kink of an activation is within rounding here, so that either slope is right"
        return ""

    @cached_property
    def errors(self) -> dict[str, Array]:
        """Errors of each array, in root mean squares of honest rounding."""
        return self.errors_against(self.honest)

    def errors_against(self, expected: Gradients) -> dict[str, Array]:
        """The same, for what any back-propagation gives."""
        return {
            name: ratio(array - expected.value[name], self.scale(name, expected))
            for name, array in self.observed.items()
        }

    def scale(self, name: str, expected: Gradients) -> Array:
        """Root mean square of honest rounding of each element of an array."""
        limit = gradient_limit(name, expected.value[name], expected.rms[name], self.case, self.profile)
        return np.asarray(limit / LIMIT_RMS)

    @cached_property
    def wrong(self) -> tuple[str, ...]:
        """Names of the arrays beyond what rounding allows."""
        return tuple(name for name, errors in self.errors.items() if (np.abs(errors) > LIMIT_RMS).any())

    @property
    def scores(self) -> dict[str, float]:
        """Largest error / limit of each array."""
        return {name: float(np.abs(errors).max()) / LIMIT_RMS for name, errors in self.errors.items()}

    def plain(self) -> Roundings:
        """No rounding at all."""
        return Roundings(self.profile)


def ratio(error: Array, scale: Array) -> Array:
    """error / scale; 0 / 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(error == 0.0, 0.0, error / scale)
    return np.nan_to_num(found, nan=np.inf)
