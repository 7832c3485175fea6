"""`--adapter NAME=TARGET`: a user's function, program or library as an adapter."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..adapters import Entry
from ..adapters.registry import own_entry
from ..errors import AdapterError, UserError, WorkerCrashed
from ..workers.process import Worker
from .plan import choose_entries


def chosen_entries(
    names: Sequence[str] | None,
    functions: Sequence[str],
    pythons: Mapping[str, str] | None = None,
    available: Mapping[str, Entry] | None = None,
    *,
    compiling: bool = False,
) -> tuple[Entry, ...]:
    """The adapters of `--adapters` and `--adapter` together.

    Custom functions run alone when no other adapter is named, since the oracle judges each one separately.
    `available` replaces the adapters of this Python with those that the workers of a cluster have; `compiling` is that
    of `choose_entries`.
    """
    pythons = pythons or {}
    custom = custom_entries(functions, pythons)
    others = None if names is None and not custom else [name for name in names or () if name not in custom]
    labels = {label: python for label, python in pythons.items() if label not in custom}
    wanted = others is None or others or labels
    entries = choose_entries(others, labels, available, compiling=compiling) if wanted else ()
    return (*entries, *custom.values())


def custom_entries(functions: Sequence[str], pythons: Mapping[str, str]) -> dict[str, Entry]:
    """The implementations of --adapter; a worker loads each one as a trial."""
    entries: dict[str, Entry] = {}
    for text in functions:
        name, equals, target = text.partition("=")
        if not equals or not target or not name or any(letter in name for letter in ", "):
            raise UserError(
                f"--adapter {text!r} should be written NAME=package.module:function: mine=kernel:lstm, or "
                "mine=cmd:PROGRAM, or mine=lib:PATH:SYMBOL"
            )
        if name in entries:
            raise UserError(f"--adapter {name} is given twice; give each function its own name")
        entries[name] = own_entry(name, target, str(Path.cwd()))
    for name, entry in entries.items():
        try:
            with Worker(entry, pythons.get(name, sys.executable)) as worker:
                worker.start()
        except WorkerCrashed as crash:
            raise AdapterError(f"--adapter {name}: {crash}") from crash
    return entries
