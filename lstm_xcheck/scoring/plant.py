"""A mistake as what it adds to the outputs of a framework's own call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..arrays import Array
from ..compare.reference import expected_shapes, observed_quantities
from ..diagnose.mistake import Mistake, Outputs, run_mistakes
from ..errors import SpecError, UserError
from ..model import Case
from ..oracle import forward

#: What a call returns.
OUTPUTS = ("y", "h_n", "c_n")
#: Families of mistakes that are made around the steps.
OF_SEQUENCES = ("state", "direction", "lengths", "axes")
#: Smaller differences, relative to the largest number, are rounding of float64: sums in another order.
_ROUNDING = 2.0**-44
#: What is added wherever a mistake changes a number, to find out whether a test compares it with anything.
_LOUD = 1000.0


class Plant:
    """The mistake that a framework makes now, and what came of it.

    Attributes:
        mistake: None for a run in which every call is looked at and none is changed.
        loud: whether each number that the mistake changes becomes grossly wrong.
        seen: the calls of runs without a mistake, each once.
        calls: of LSTMs that were looked at.
        unknown: of those, the ones that are no case: of random dropout, or with functions that no spec knows.
        applied: calls that have room for the mistake.
        changed: calls of which it changes a number.
    """

    def __init__(self) -> None:
        self.mistake: Mistake | None = None
        self.loud = False
        self.seen: dict[Any, tuple[Case, bool]] = {}
        self.calls = self.unknown = self.applied = self.changed = 0
        self._is_paused = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Neither change nor count calls meanwhile."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def set(self, mistake: Mistake | None, *, loud: bool) -> None:
        """Plant this mistake and count from zero."""
        self.mistake, self.loud = mistake, loud
        self.calls = self.unknown = self.applied = self.changed = 0

    def changes(self, make: Callable[[], Case], *, of_step: bool = False) -> Outputs | None:
        """What to add to y, h_n and c_n of this call; None for nothing.

        `of_step`: whether it is a step of a sequence that somebody else walks through.
        """
        if self._is_paused:
            return None
        self.calls += 1
        try:
            case = make()
        except (SpecError, UserError):
            self.unknown += 1
            return None
        if self.mistake is None:
            self.seen.setdefault((case.fingerprint, case.spec, case.padding), (case, of_step))
            return None
        return self._changes(self.mistake, case, of_step)

    def is_idle(self, mistake: Mistake) -> bool:
        """Whether it changes no call that was seen, so that nothing can fail."""
        return all(self._changes(mistake, case, of_step) is None for case, of_step in self.seen.values())

    def _changes(self, mistake: Mistake, case: Case, of_step: bool) -> Outputs | None:
        mistaken = None if of_step and mistake.family in OF_SEQUENCES else mistaken_outputs(mistake, case)
        if mistaken is None:
            return None
        self.applied += 1
        right = observed_quantities(forward(case))
        found = {name: _difference(mistaken[name], right[name]) for name in OUTPUTS}
        if not any(array.any() for array in found.values()):
            return None
        self.changed += 1
        return {name: np.where(array == 0.0, 0.0, _LOUD) for name, array in found.items()} if self.loud else found


def mistaken_outputs(mistake: Mistake, case: Case) -> Outputs | None:
    """The mistaken outputs; None where impossible or of other shapes."""
    outputs, shapes = run_mistakes([mistake], case), expected_shapes(case)
    return outputs if outputs and all(outputs[name].shape == shapes[name] for name in OUTPUTS) else None


def _difference(mistaken: Array, right: Array) -> Array:
    with np.errstate(invalid="ignore"):
        found = mistaken - right
        return np.where(np.abs(found) <= _ROUNDING * max(1.0, float(np.abs(right).max())), 0.0, found)
