"""Which adapters exist, where their code is and what must be installed. Loads no framework."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

from ..errors import AdapterError
from .function import FUNCTION
from .protocol import Adapter


@dataclass(frozen=True)
class Entry:
    """One adapter that can be started.

    Attributes:
        name: as users write it.
        target: `module:Class`, imported only inside a worker.
        requires: importable modules that must be there.
        install: what `pip install` takes.
        variables: environment variables that must be set before the framework is imported.
        when_repeated: further ones, which the user may set otherwise, for runs in which compiling each shape pays.
        path: folders put on the worker's import path, for adapters outside this package.
        summary: what it runs.
    """

    name: str
    target: str
    requires: tuple[str, ...] = ()
    install: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    when_repeated: dict[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    summary: str = ""

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
    """Whether it can be imported; of a part of a package, whether that is there too."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # the package around it is missing, or it was loaded in some other way
        return module in sys.modules


_QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}

_BUILT_IN = (
    Entry(
        name="torch",
        target="lstm_xcheck.adapters.torch_nn:TorchNN",
        requires=("torch",),
        install="lstm-xcheck[torch]",
        summary="torch.nn.LSTM",
    ),
    Entry(
        name="keras-tensorflow",
        target="lstm_xcheck.adapters.keras.choice:keras_adapter",
        requires=("keras", "tensorflow"),
        install="lstm-xcheck[keras,tensorflow]",
        variables={"KERAS_BACKEND": "tensorflow", **_QUIET_TENSORFLOW},
        when_repeated={"LSTM_XCHECK_TENSORFLOW": "function"},
        summary="keras.layers.LSTM and Bidirectional on TensorFlow",
    ),
    Entry(
        name="keras-jax",
        target="lstm_xcheck.adapters.keras.choice:keras_adapter",
        requires=("keras", "jax"),
        install="lstm-xcheck[keras,jax]",
        variables={"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"},
        summary="keras.layers.LSTM and Bidirectional on JAX",
    ),
    Entry(
        name="keras-torch",
        target="lstm_xcheck.adapters.keras.choice:keras_adapter",
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
    ),
)

_registered: dict[str, Entry] = {}


def register_adapter(
    name: str, target: str, *, requires: tuple[str, ...] = (), install: str = "", path: tuple[str, ...] = ()
) -> Entry:
    """Add an adapter for this process: `target` is `package.module:Class`, imported in the worker.

    >>> register_adapter("mine", "my_package.my_lstm:MyAdapter").name
    'mine'
    """
    if ":" not in target:
        raise AdapterError(f"adapter {name}: the target is {target!r}, but should be written package.module:Class")
    entry = Entry(name, target, requires, install or name, path=path or _importable_from(target))
    _registered[name] = entry
    return entry


def function_entry(name: str, target: str, folder: str) -> Entry:
    """An implementation of one's own, `package.module:function`, found from a folder and run in a worker.

    Raises:
        AdapterError: for another form, or a name that an adapter already has.

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
    """The folder a module on this process's import path lives under, so that a worker finds it too."""
    top = target.partition(":")[0].partition(".")[0]
    found = importlib.util.find_spec(top)
    if found is None or found.origin is None:
        return ()
    file = Path(found.origin)
    return (str(file.parent.parent if file.name == "__init__.py" else file.parent),)


def known() -> dict[str, Entry]:
    """Every adapter by name: built in, from entry points of other packages, and registered."""
    entries = {entry.name: entry for entry in _BUILT_IN}
    for point in entry_points(group="lstm_xcheck.adapters"):
        entries[point.name] = Entry(point.name, point.value, install=point.dist.name if point.dist else point.name)
    return {**entries, **_registered}


def installed() -> dict[str, Entry]:
    """The adapters whose framework this interpreter has."""
    return {name: entry for name, entry in known().items() if not entry.missing()}


def entry_named(name: str) -> Entry:
    """The adapter of that name.

    Raises:
        AdapterError: when there is none; the message lists the names.
    """
    entries = known()
    if name not in entries:
        raise AdapterError(f"unknown adapter {name!r}; expected one of {', '.join(sorted(entries))}")
    return entries[name]


def load_adapter(target: str, name: str, path: tuple[str, ...] = ()) -> Adapter:
    """Import `module:Class` and make the adapter; called inside a worker, where the framework may load."""
    for folder in path:
        if folder not in sys.path:
            sys.path.append(folder)
    module, _, attribute = target.partition(":")
    factory: Callable[[str], Adapter] = getattr(importlib.import_module(module), attribute)
    return factory(name)
