"""Names the mistake behind a mismatch, a few times for each adapter: the first ones tell it."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from ..diagnose import diagnose
from ..diagnose.power import is_small
from ..diagnose.probe import Ask
from ..errors import SpecError
from ..spec import Case, Result

#: Diagnoses made for one adapter in a run; a wrong adapter is wrong in every case, for the same reason.
MOST = 3


class Explainer:
    """Counts what has been diagnosed; shared by the threads of one run."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._made, self._lock = most, Counter[str](), threading.Lock()

    def explain(self, result: Result, case: Case, adapter: str, ask: Ask | None = None) -> tuple[dict[str, Any], ...]:
        """The diagnosis as plain data, or nothing when this adapter has had its share.

        `ask` runs another case where this one was run; that may take long, so only the first diagnosis may.
        """
        with self._lock:
            ask = None if self._made[adapter] else ask
            if self._made[adapter] >= self._most or (ask is None and not is_small(case)):
                return ()
            self._made[adapter] += 1
        try:
            found = diagnose(result, case, ask=ask).to_dict()
        except SpecError as error:  # outputs of another shape or not finite: the row says so already
            found = {"cause": None, "explanation": str(error)}
        return ({"case": case.id, "adapter": adapter, **found},)
