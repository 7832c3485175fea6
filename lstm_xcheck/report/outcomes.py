"""Outcomes kept for a report: in memory while they are few, in a temporary file when they are many."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import XcheckError
from ..events import Outcome

#: Bytes kept in memory; what comes after goes to disk, so that a sweep of any length needs no more.
IN_MEMORY = 16 * 2**20
_BLOCK = 2**20


class Streamed(list[dict[str, Any]]):
    """A list for the JSON encoder alone: its items are made one by one, while it is looped over, once."""

    def __init__(self, items: Iterator[dict[str, Any]]) -> None:
        super().__init__(itertools.islice(items, 1))  # the encoder asks first whether there is any
        self._rest = items

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from super().__iter__()
        yield from self._rest


class Outcomes:
    """Outcomes in the order in which they came; to be added to and looped over, at any time.

    >>> len(Outcomes())
    0
    """

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - lives as long as the report
        weakref.finalize(self, self._file.close)
        self._number = 0
        for outcome in outcomes:
            self.append(outcome)

    def append(self, outcome: Outcome) -> None:
        """Add one.

        Raises:
            XcheckError: when the temporary folder is full.
        """
        line = json.dumps(outcome.to_dict(), separators=(",", ":")) + "\n"
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.write(line.encode())
        except OSError as error:
            folder = tempfile.gettempdir()
            raise XcheckError(f"{folder} cannot hold the report: {error.strerror}; set TMPDIR") from error
        self._number += 1

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[Outcome]:
        """Each loop has its own place in the file, so that loops may be nested."""
        place, rest = 0, b""
        while True:
            self._file.seek(place)
            block = self._file.read(_BLOCK)
            if not block:
                return
            place += len(block)
            *lines, rest = (rest + block).split(b"\n")
            yield from (Outcome.from_dict(json.loads(line)) for line in lines)
