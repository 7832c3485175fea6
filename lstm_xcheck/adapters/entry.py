"""What is known of an adapter before its framework loads."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field

from ..errors import AdapterError


@dataclass(frozen=True)
class Family:
    """Adapters that give the same numbers, bit for bit, in one process as apart.

    Attributes:
        seconds: of processor time to import the frameworks; what takes longest is started first.
        without: modules that a framework imports and no adapter of the family needs. keras 3.15.1 imports TensorFlow at
            the first `Bidirectional` (keras/src/utils/module_utils.py) and JAX for a check of Orbax
            (keras/src/callbacks/orbax_checkpoint.py): two seconds and 400 MiB.
    """

    seconds: float = 0.0
    without: tuple[str, ...] = ()


FAMILIES: dict[str, Family] = {
    "": Family(),
    "torch": Family(1.3, ("tensorflow", "jax")),
    "jax": Family(1.5, ("tensorflow",)),
    "tensorflow": Family(2.5, ("jax",)),
    "paddle": Family(1.0),  # would have to be imported before TensorFlow
    "small": Family(0.4),
}


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
        verifies: False for one that ignores parts of what its layout says, and so verifies no port.
        call: key of its call in `fuzz/calls.py`, for reproducers; "" where none is known.
        call_versions: package -> how the versions begin that the call is written for.
        live: `module:function` that reads a live layer of `requires[0]`; "" where there is none.
        family: key of `FAMILIES`: adapters that may share a process; "" for one that has a process of its own.
        by_name: why it runs only where it is named, and in the atlas; "" for one that runs by default.
        compiles: whether each new shape takes seconds, so that it runs in the preset `quick` and by name only.
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
    verifies: bool = True
    call: str = ""
    call_versions: dict[str, str] = field(default_factory=dict)
    live: str = ""
    family: str = ""
    by_name: str = ""
    compiles: bool = False

    @property
    def without(self) -> tuple[str, ...]:
        """Modules that are not to be imported where the adapter runs."""
        return FAMILIES[self.family].without

    def missing(self) -> list[str]:
        """Required modules that this interpreter cannot find."""
        return [name for name in self.requires if not is_found(name)]

    def require_installed(self) -> None:
        """Raise AdapterError with the pip command when something is missing."""
        missing = self.missing()
        if missing:
            raise AdapterError(
                f"adapter {self.name} needs {', '.join(missing)}, which this Python does not have; "
                f"run: pip install '{self.install}'"
            )


def is_found(module: str) -> bool:
    """Whether a module or a part of a package can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # the package around it is missing, or it was loaded in some other way
        return module in sys.modules
