"""The outcomes of a report: in memory while few, else in a temporary file."""

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

#: Bytes kept in memory, whatever the length of a sweep; the rest goes to disk.
IN_MEMORY = 16 * 2**20


class Streamed(list[dict[str, Any]]):
    """A list for the JSON encoder alone: makes its items while iterated, once."""

    def __init__(self, items: Iterator[dict[str, Any]]) -> None:
        super().__init__(itertools.islice(items, 1))  # the encoder tests first whether it is empty
        self._rest = items

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from super().__iter__()
        yield from self._rest


class Outcomes:
    """Outcomes in the order of the plan; append and iterate at any time.

    >>> len(Outcomes())
    0
    """

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - lives as long as the report
        weakref.finalize(self, self._file.close)
        self._cases: dict[str, int] = {}
        self._adapters: dict[str, int] = {}
        # Of each outcome: its offset in the file, its case and its adapter.
        self._places, self._of_case, self._of_adapter = array("Q"), array("L"), array("L")
        for outcome in outcomes:
            self.append(outcome)

    def expect(self, cases: Iterable[str], adapters: Iterable[str]) -> None:
        """Set the order of iteration; other cases and adapters come last."""
        for id in cases:
            self._cases.setdefault(id, len(self._cases))
        for name in adapters:
            self._adapters.setdefault(name, len(self._adapters))

    def append(self, outcome: Outcome) -> None:
        """Add one."""
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
        """Iterate in order; loops may be nested."""
        for k in sorted(range(len(self)), key=lambda k: (self._of_case[k], self._of_adapter[k], k)):
            self._file.seek(self._places[k])
            yield Outcome.from_dict(json.loads(self._file.readline()))
