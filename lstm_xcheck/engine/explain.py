"""Diagnoses the first wrong cases of each adapter."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from ..diagnose import Diagnosis, diagnose
from ..diagnose.detection_power import is_small
from ..diagnose.probe import Ask
from ..diagnose.remedy import function_remedy
from ..errors import SpecError
from ..events import MAX_DIAGNOSES
from ..model import Case, Result


class Explainer:
    """Diagnoses the first wrong cases of each adapter; thread-safe.

    A case is diagnosed while fewer than `limit` earlier cases of the plan are known to be wrong. The first wrong cases
    are therefore diagnosed whichever ended first; a few later ones may be as well, and the report leaves them out.
    Cases with ids outside `order` follow in the order in which they are explained.
    """

    def __init__(self, limit: int = MAX_DIAGNOSES, order: Iterable[str] = ()) -> None:
        self._limit, self._lock = limit, threading.Lock()
        self._positions = {id: position for position, id in enumerate(order)}
        self._wrong: defaultdict[str, list[int]] = defaultdict(list)

    def explain(
        self, result: Result, case: Case, adapter: str, ask: Ask | None = None, *, of_function: bool = False
    ) -> tuple[dict[str, Any], ...]:
        """The diagnosis of a wrong case; empty beyond the limit.

        `ask` runs another case on the same implementation; without it, a large case takes too long for what its
        diagnosis would show. `of_function`: whether a function of weights answered; its diagnosis has a `program` that
        makes the weights which the function must get, where there are such.
        """
        if not self._is_among_first(case.id, adapter) or (ask is None and not is_small(case)):
            return ()
        try:
            found = diagnose(result, case, ask=ask)
        except SpecError as error:  # outputs of another shape or not finite, which the row already reports
            found = Diagnosis(None, explanation=str(error))
        program = function_remedy(found) if of_function else ""
        return ({"case": case.id, "adapter": adapter, **found.to_dict(), "program": program},)

    def _is_among_first(self, case_id: str, adapter: str) -> bool:
        """Note a wrong case; whether it is among the first of its adapter."""
        with self._lock:
            position = self._positions.setdefault(case_id, len(self._positions))
            wrong = self._wrong[adapter]
            earlier = bisect_left(wrong, position)
            insort(wrong, position)
            del wrong[self._limit :]
            return earlier < self._limit
