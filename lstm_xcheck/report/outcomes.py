"""Outcomes kept for a report: in memory while they are few, in a temporary file when they are many."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import XcheckError
from ..events import Outcome

#: Bytes kept in memory; what comes after goes to disk, so that a sweep of any length needs no more.
IN_MEMORY = 16 * 2**20


class Streamed(list[dict[str, Any]]):
    """A list for the JSON encoder alone: its items are made one by one, while it is looped over, once."""

    def __init__(self, items: Iterator[dict[str, Any]]) -> None:
        super().__init__(itertools.islice(items, 1))  # the encoder asks first whether there is any
        self._rest = items

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from super().__iter__()
        yield from self._rest


class Outcomes:
    """Outcomes in the order of the plan, however they came; to be added to and looped over, at any time.

    >>> len(Outcomes())
    0
    """

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - lives as long as the report
        weakref.finalize(self, self._file.close)
        self._cases: dict[str, int] = {}
        self._adapters: dict[str, int] = {}
        # Of each outcome: where it stands in the file, its case and its adapter.
        self._places, self._of_case, self._of_adapter = array("Q"), array("L"), array("L")
        for outcome in outcomes:
            self.append(outcome)

    def expect(self, cases: Iterable[str], adapters: Iterable[str]) -> None:
        """Outcomes of these cases and adapters are told in this order, others after them as they come."""
        for id in cases:
            self._cases.setdefault(id, len(self._cases))
        for name in adapters:
            self._adapters.setdefault(name, len(self._adapters))

    def append(self, outcome: Outcome) -> None:
        """Add one.

        Raises:
            XcheckError: when the temporary folder is full.
        """
        line = json.dumps(outcome.to_dict(), separators=(",", ":")) + "\n"
        try:
            place = self._file.seek(0, os.SEEK_END)
            self._file.write(line.encode())
        except OSError as error:
            folder = tempfile.gettempdir()
            raise XcheckError(f"{folder} cannot hold the report: {error.strerror}; set TMPDIR") from error
        self._places.append(place)
        self._of_case.append(self._cases.setdefault(outcome.case, len(self._cases)))
        self._of_adapter.append(self._adapters.setdefault(outcome.adapter, len(self._adapters)))

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Outcome]:
        """Each loop has its own place in the file, so that loops may be nested."""
        for k in sorted(range(len(self)), key=lambda k: (self._of_case[k], self._of_adapter[k], k)):
            self._file.seek(self._places[k])
            yield Outcome.from_dict(json.loads(self._file.readline()))
