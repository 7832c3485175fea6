"""`--adapter NAME=package.module:function`: implementations of the user's own beside the adapters."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..adapters import Entry
from ..adapters.registry import function_entry
from ..engine import choose_entries
from ..errors import AdapterError, UserError, WorkerCrashed
from ..workers.process import Worker


def chosen_entries(
    names: Sequence[str] | None,
    functions: Sequence[str],
    pythons: Mapping[str, str] | None = None,
    held: Mapping[str, Entry] | None = None,
) -> tuple[Entry, ...]:
    """The adapters of `--adapters` and `--adapter` together.

    Own functions alone when no other adapter is named, since the oracle judges each on its own. `held`: what the
    workers of a cluster have, in place of what this Python has.

    Raises:
        UserError: for a function that cannot be imported or called, or an unknown adapter.
    """
    pythons = pythons or {}
    own = own_entries(functions, pythons)
    others = None if names is None and not own else [name for name in names or () if name not in own]
    labels = {label: python for label, python in pythons.items() if label not in own}
    entries = choose_entries(others, labels, held) if others is None or others or labels else ()
    return (*entries, *own.values())


def own_entries(functions: Sequence[str], pythons: Mapping[str, str]) -> dict[str, Entry]:
    """The functions of `NAME=package.module:function`, each imported once in a worker to see that it can be.

    Raises:
        UserError: for another form; for what cannot be imported, in one sentence.
    """
    entries: dict[str, Entry] = {}
    for text in functions:
        name, equals, target = text.partition("=")
        if not equals or not target or not name or any(letter in name for letter in ", "):
            raise UserError(f"--adapter {text!r} should be written NAME=package.module:function: mine=kernel:lstm")
        if name in entries:
            raise UserError(f"--adapter {name} is given twice; give each function its own name")
        entries[name] = function_entry(name, target, str(Path.cwd()))
    for name, entry in entries.items():
        _try_out(entry, pythons.get(name, sys.executable))
    return entries


def _try_out(entry: Entry, python: str) -> None:
    try:
        with Worker(entry, python) as worker:
            worker.start()
    except WorkerCrashed as crash:
        raise AdapterError(f"--adapter {entry.name}: {crash}") from crash
