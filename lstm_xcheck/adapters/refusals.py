"""Turns what a runtime refuses while it loads or runs into `Unsupported`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..errors import Unsupported


@contextmanager
def refusals_of(runtime: str, phrases: Sequence[str]) -> Iterator[None]:
    """Raise `Unsupported` with the runtime's own words for errors with a known phrase.

    Any other error passes: it is a fault of the runtime or of the adapter, and a newer runtime may refuse less.
    """
    try:
        yield
    except Exception as error:
        message = str(error)
        found = next((phrase for phrase in phrases if phrase in message), None)
        if found is None:
            raise
        words = message[message.index(found) :].partition("\n")[0].strip()
        raise Unsupported(f"{runtime} refuses this: {words}") from error
