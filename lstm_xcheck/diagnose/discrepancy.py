"""How wrong observed outputs are, and where first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import Array
from ..compare.judge import SIGMAS
from ..compare.reference import Reference, references
from ..model import Case
from ..oracle import Profile
from .fit import difference, direction_half, is_loose, is_outside, largest_ratio, layer_outputs
from .mistake import Outputs, layer_number, output_name


@dataclass(frozen=True)
class Discrepancy:
    """Observed outputs with their case and references."""

    observed: Outputs
    case: Case
    profile: Profile
    expected: dict[str, Reference]
    flagged: frozenset[str] | None = None

    @classmethod
    def of(cls, observed: Outputs, case: Case, profile: Profile, flagged: frozenset[str] | None = None) -> Discrepancy:
        """Run the oracle with teacher forcing by the observed outputs.

        `flagged`: the quantities that the judge calls a mismatch or suspect; None where it was not asked.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return cls(observed, case, profile, references(case, layer_outputs(observed, case), profile), flagged)

    @cached_property
    def comparable(self) -> dict[str, tuple[Array, Reference]]:
        """The quantities of the expected shape, each with its reference."""
        pairs = {name: (array, self.expected[name]) for name, array in self.observed.items()}
        return {name: (a, r) for name, (a, r) in pairs.items() if a.shape == r.value.shape}

    @cached_property
    def scores(self) -> dict[str, float]:
        """Largest error / bound of each quantity."""
        return {name: largest_ratio(difference(a, r.value), r.bound) for name, (a, r) in self.comparable.items()}

    @cached_property
    def wrong(self) -> frozenset[str]:
        """The quantities that rounding cannot or hardly explain."""
        if self.flagged is not None:
            return self.flagged
        return frozenset(name for name in self.observed if self._is_wrong(name))

    def _is_wrong(self, name: str) -> bool:
        if name not in self.comparable or self.scores[name] > 1.0:
            return True
        array, reference = self.comparable[name]
        return not reference.free and largest_ratio(difference(array, reference.value), reference.sigma) > SIGMAS

    def describe_nothing_wrong(self, decimals: int | None = None) -> str:
        """What it means that no number exceeds its bound; `decimals`: those printed."""
        loose = [name for name, (_, r) in self.comparable.items() if is_loose(r, self.profile)]
        if not loose and decimals is not None:
            return f"Nothing is wrong beyond the {decimals} decimals given: every number is what they allow."
        if not loose:
            return "Nothing is wrong: every number is what honest rounding allows."
        why = self.comparable[loose[0]][1].why_free
        return (
            f"Nothing is wrong as far as can be seen, but {why}, so that {', '.join(loose)} could hide a mistake; "
            "give the outputs of every step and layer."
        )

    def wrong_cells(self) -> list[tuple[int, int]]:
        """Each observed (layer, direction) with outputs that rounding hardly explains."""
        spec = self.case.spec
        wrong = []
        for layer in layer_outputs(self.observed, self.case):
            outside = self._outside(output_name(spec, layer))
            wrong += [(layer, d) for d in range(spec.num_directions) if direction_half(outside, spec, d).any()]
        return wrong

    def _outside(self, name: str) -> Array:
        """Where a quantity is beyond what rounding explains."""
        array, reference = self.comparable[name]
        error = difference(array, reference.value)
        outside = is_outside(error, reference.bound)
        return outside if reference.free else outside | is_outside(error, SIGMAS * reference.sigma)

    def evidence(self) -> dict[str, Any]:
        """How wrong, and where first; None for a residual that is no number."""
        by_quantity = {name: score if np.isfinite(score) else None for name, score in self.scores.items()}
        worst = max(self.scores.values(), default=float("inf"))
        before = worst if np.isfinite(worst) else None
        return {"residual_before": before, "by_quantity": by_quantity, "first": self._first_wrong()}

    def _first_wrong(self) -> dict[str, Any]:
        for name in self.comparable:
            if name.endswith("y") and self.scores[name] > 1.0:
                outside = self._outside(name)
                layer = self.case.spec.num_layers - 1 if name == "y" else layer_number(name)
                spec = self.case.spec
                wrong = [direction_half(outside, spec, d) for d in range(spec.num_directions)]
                direction = next(d for d, half in enumerate(wrong) if half.any())
                steps = np.flatnonzero(wrong[direction].any(axis=(0, 2)))
                step = int(steps[-1 if spec.is_backward(direction) else 0])
                row, unit = (int(k) for k in np.argwhere(wrong[direction][:, step])[0])
                return {"layer": layer, "direction": direction, "step": step, "batch": row, "unit": unit}
        return {}

    def describe_unexplained(self, *, within_reach: bool = False, outputs_alone: bool = False) -> str:
        """What is wrong, where no cause was found.

        Args:
            within_reach: whether some cause would fit.
            outputs_alone: whether the states are right, which teacher forcing by wrong outputs does not show.
        """
        verb = "is proven by" if within_reach else "explains"
        if outputs_alone:
            return f"No mistake of the catalogue {verb} these outputs."
        first = self._first_wrong()
        if first:
            where = f"It shows first in layer {first['layer']}, direction {first['direction']}, step {first['step']}"
        elif not any(name.endswith("y") for name in self.comparable):
            where = "Outputs of the steps were not given"
        elif any(score > 1.0 for score in self.scores.values()):
            where = "The outputs are right as far as they were given; only final states are wrong"
        else:
            where = "Every number is within the worst case of rounding, yet farther off than rounding would put it"
        wrong = [name for name, score in self.scores.items() if score > 1.0]
        wrong += [f"{name} (of another shape)" for name in self.observed if name not in self.comparable]
        return f"No mistake of the catalogue {verb} these outputs. {where}; wrong: {', '.join(wrong) or 'none'}."
