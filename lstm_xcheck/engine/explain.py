"""Names the mistake behind a mismatch, a few times for each adapter: those of its first wrong cases tell it."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from ..diagnose import diagnose
from ..diagnose.detection_power import is_small
from ..diagnose.probe import Ask
from ..errors import SpecError
from ..events import MOST_DIAGNOSES
from ..model import Case, Result


class Explainer:
    """Remembers which cases each adapter got wrong; shared by the threads of one run.

    A case is diagnosed while fewer than so many earlier ones are known to be wrong. Those that are first in the order
    of the cases are so in every run, whichever ended first; a few later ones may be, too, and the report leaves
    them out.
    """

    def __init__(self, most: int = MOST_DIAGNOSES, order: Iterable[str] = ()) -> None:
        """`order`: ids of the cases; those that are not among them come after them, as they are explained."""
        self._most, self._lock = most, threading.Lock()
        self._order = {id: place for place, id in enumerate(order)}
        self._wrong: defaultdict[str, list[int]] = defaultdict(list)

    def explain(self, result: Result, case: Case, adapter: str, ask: Ask | None = None) -> tuple[dict[str, Any], ...]:
        """The diagnosis as plain data, or nothing when enough earlier cases tell of this adapter.

        `ask` runs another case where this one was run; without it a large case tells too little for its time.
        """
        if not self._is_early(case.id, adapter) or (ask is None and not is_small(case)):
            return ()
        try:
            found = diagnose(result, case, ask=ask).to_dict()
        except SpecError as error:  # outputs of another shape or not finite: the row says so already
            found = {"cause": None, "explanation": str(error)}
        return ({"case": case.id, "adapter": adapter, **found},)

    def _is_early(self, case: str, adapter: str) -> bool:
        """Whether a wrong case is among the first of its adapter, as far as is known."""
        with self._lock:
            place = self._order.setdefault(case, len(self._order))
            wrong = self._wrong[adapter]
            earlier = bisect_left(wrong, place)
            insort(wrong, place)
            del wrong[self._most :]
            return earlier < self._most
