"""All adapters: built-in, from entry points, registered. Loads no framework."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ..errors import AdapterError, unknown
from .entry import Entry
from .function import FUNCTION
from .program import parse
from .protocol import Adapter
from .table import BUILT_IN

_registered: dict[str, Entry] = {}


def register_adapter(
    name: str, target: str, *, requires: tuple[str, ...] = (), install: str = "", path: tuple[str, ...] = ()
) -> Entry:
    """Add an adapter for this process.

    Args:
        name: as users write it.
        target: `package.module:Class`, imported in the worker.
        requires: importable modules that must be there.
        install: what `pip install` takes; by default the name.
        path: folders put on the worker's import path; by default the one that holds the target.

    Raises:
        AdapterError: for a target of another form.

    >>> register_adapter("mine", "my_package.my_lstm:MyAdapter").name
    'mine'
    """
    if ":" not in target:
        raise AdapterError(f"adapter {name}: the target is {target!r}, but should be written package.module:Class")
    entry = Entry(name, target, requires, install or name, path=path or _importable_from(target))
    _registered[name] = entry
    return entry


def function_entry(name: str, target: str, folder: str) -> Entry:
    """An entry for a user's own function, run in a worker.

    >>> function_entry("mine", "my_package.kernels:lstm", ".").variables
    {'LSTM_XCHECK_FUNCTION': 'my_package.kernels:lstm'}
    """
    module, _, path = target.partition(":")
    words = [*module.split("."), *path.split(".")]
    if not all(word.isidentifier() for word in words):
        raise AdapterError(f"adapter {name}: the function is {target!r}, but should be written package.module:function")
    refuse_known(name)
    where = "lstm_xcheck.adapters.function:FunctionAdapter"
    return Entry(name, where, variables={FUNCTION: target}, path=(folder,), summary=f"the function {target}")


def own_entry(name: str, target: str, folder: str) -> Entry:
    """An entry for `package.module:function`, `cmd:PROGRAM ARGUMENTS` or `lib:PATH:SYMBOL`."""
    refuse_known(name)
    implementation = parse(target)
    return function_entry(name, target, folder) if implementation is None else implementation.entry(name)


def refuse_known(name: str) -> None:
    """Raise AdapterError for the name of an adapter."""
    if name in known():
        raise AdapterError(f"adapter {name} exists already; give your own implementation another name")


def _importable_from(target: str) -> tuple[str, ...]:
    """The folder of the target's package here, for a worker's import path."""
    top = target.partition(":")[0].partition(".")[0]
    found = importlib.util.find_spec(top)
    if found is None or found.origin is None:
        return ()
    file = Path(found.origin)
    return (str(file.parent.parent if file.name == "__init__.py" else file.parent),)


def known() -> dict[str, Entry]:
    """Every adapter by name: built-in, from entry points, registered."""
    entries = {entry.name: entry for entry in BUILT_IN}
    for point in entry_points(group="lstm_xcheck.adapters"):
        entries[point.name] = Entry(point.name, point.value, install=point.dist.name if point.dist else point.name)
    return {**entries, **_registered}


def installed() -> dict[str, Entry]:
    """The adapters whose framework this interpreter has."""
    return {name: entry for name, entry in known().items() if not entry.missing()}


def entry_named(name: str) -> Entry:
    """The adapter of that name."""
    entries = known()
    if name not in entries:
        raise AdapterError(unknown("adapter", name, sorted(entries)))
    return entries[name]


def load_adapter(target: str, name: str, path: tuple[str, ...] = ()) -> Adapter:
    """Make an adapter inside a worker, where its framework may load."""
    for folder in path:
        if folder not in sys.path:
            sys.path.append(folder)
    factory: Callable[[str], Adapter] = attribute_at(target)
    return factory(name)


def live_readers() -> dict[str, str]:
    """Package of live layers -> `module:function` that reads one."""
    return {entry.requires[0]: entry.live for entry in BUILT_IN if entry.live}


def attribute_at(target: str) -> Any:
    """What `module:attribute` names; its module is imported."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
