"""Cache of cases that several adapters run."""

from __future__ import annotations

import threading

from ..model import Case
from .recipe import CaseOrRecipe, make_case

#: Bytes of arrays that are kept for adapters that have not run the case yet.
CAPACITY = 64 << 20


class CaseCache:
    """Makes each recipe once; drops a case after `uses` uses."""

    def __init__(self, uses: int, capacity: int = CAPACITY) -> None:
        self._uses, self._capacity, self._size = uses, capacity, 0
        self._lock = threading.Lock()
        self._cases: dict[CaseOrRecipe, tuple[Case, int]] = {}  # each with the uses that are left

    def case(self, recipe: CaseOrRecipe) -> Case:
        """The case of a recipe, cached or new."""
        if isinstance(recipe, Case) or self._uses == 1:
            return make_case(recipe)
        with self._lock:
            case, uses = self._cases.pop(recipe, (None, self._uses))
            self._size -= 0 if case is None else _byte_count(case)
        if case is None:
            case = make_case(recipe)
        with self._lock:
            if uses > 1 and recipe not in self._cases and self._size + _byte_count(case) <= self._capacity:
                self._cases[recipe] = case, uses - 1
                self._size += _byte_count(case)
        return case


def _byte_count(case: Case) -> int:
    """Bytes of a case; weights count four times for oracle caches."""
    weights, data = case.weights.arrays().values(), case.arrays().values()
    return 4 * sum(array.nbytes for array in weights) + sum(array.nbytes for array in data)
