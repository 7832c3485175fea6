"""The table of all adapters: one row each. Loads no framework."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ..errors import AdapterError
from .function import FUNCTION
from .protocol import Adapter


@dataclass(frozen=True)
class Entry:
    """One adapter that can be started, and all that other packages know of it.

    Attributes:
        target: `module:Class`, imported only inside a worker.
        requires: importable modules that must be there, the one with the layers first.
        install: what `pip install` takes.
        variables: environment variables that must be set before the framework is imported.
        when_repeated: further ones, which the user may set otherwise, for runs in which compiling each shape pays.
        path: folders put on the worker's import path, for adapters outside this package.
        layout: row of the layouts whose files it runs; "" for the one of its own name.
        rank: of several installed adapters of a layout, the lowest verifies a port.
        call: key of its call in `fuzz/calls.py`, for reproducers; "" where none is known.
        call_versions: package -> how the versions begin that the call is written for.
        live: `module:function` that reads a live layer of `requires[0]`; "" where there is none.
    """

    name: str
    target: str
    requires: tuple[str, ...] = ()
    install: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    when_repeated: dict[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    summary: str = ""
    layout: str = ""
    rank: int = 0
    call: str = ""
    call_versions: dict[str, str] = field(default_factory=dict)
    live: str = ""

    def missing(self) -> list[str]:
        """Required modules that this interpreter cannot find."""
        return [name for name in self.requires if not _is_found(name)]

    def require_installed(self) -> None:
        """Raise AdapterError with the pip command when something is missing."""
        missing = self.missing()
        if missing:
            raise AdapterError(
                f"adapter {self.name} needs {', '.join(missing)}, which this Python does not have; "
                f"run: pip install '{self.install}'"
            )


def _is_found(module: str) -> bool:
    """Whether a module or a part of a package can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # the package around it is missing, or it was loaded in some other way
        return module in sys.modules


_QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}

#: The Keras adapters differ in their backend alone.
_keras_entry = partial(
    Entry,
    target="lstm_xcheck.adapters.keras.choice:keras_adapter",
    layout="keras",
    call="keras.layers.LSTM",
    call_versions={"keras": "3"},
    live="lstm_xcheck.live.read_keras:read",
)

_BUILT_IN = (
    Entry(
        name="torch",
        target="lstm_xcheck.adapters.torch_nn:TorchNN",
        requires=("torch",),
        install="lstm-xcheck[torch]",
        summary="torch.nn.LSTM",
        layout="torch",
        call="torch.nn.LSTM",
        live="lstm_xcheck.live.read_torch:read",
    ),
    _keras_entry(
        name="keras-tensorflow",
        requires=("keras", "tensorflow"),
        install="lstm-xcheck[keras,tensorflow]",
        variables={"KERAS_BACKEND": "tensorflow", **_QUIET_TENSORFLOW},
        when_repeated={"LSTM_XCHECK_TENSORFLOW": "function"},
        summary="keras.layers.LSTM and Bidirectional on TensorFlow",
        rank=2,
    ),
    _keras_entry(
        name="keras-jax",
        requires=("keras", "jax"),
        install="lstm-xcheck[keras,jax]",
        variables={"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"},
        summary="keras.layers.LSTM and Bidirectional on JAX",
        rank=1,
    ),
    _keras_entry(
        name="keras-torch",
        requires=("keras", "torch"),
        install="lstm-xcheck[keras,torch]",
        variables={"KERAS_BACKEND": "torch"},
        summary="keras.layers.LSTM and Bidirectional on PyTorch",
    ),
    Entry(
        name="jax",
        target="lstm_xcheck.adapters.jax_scan.adapter:JaxScan",
        requires=("jax",),
        install="lstm-xcheck[jax]",
        variables={"JAX_ENABLE_X64": "1"},
        summary="a readable jax.lax.scan",
        layout="jax",
        call="jax.lax.scan",
    ),
)

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
    if name in known():
        raise AdapterError(f"adapter {name} exists already; give your function another name")
    where = "lstm_xcheck.adapters.function:FunctionAdapter"
    return Entry(name, where, variables={FUNCTION: target}, path=(folder,), summary=f"the function {target}")


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
    entries = {entry.name: entry for entry in _BUILT_IN}
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
        raise AdapterError(f"unknown adapter {name!r}; expected one of {', '.join(sorted(entries))}")
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
    return {entry.requires[0]: entry.live for entry in _BUILT_IN if entry.live}


def attribute_at(target: str) -> Any:
    """What `module:attribute` names; its module is imported."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
