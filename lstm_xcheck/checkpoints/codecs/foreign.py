"""Foreign objects in a pickle: placeholders that keep their content and do nothing.

A training checkpoint holds more than tensors: options, paths, dates, losses, callbacks. None of their classes is
imported, none of their functions called; what the pickle would have given to them is kept by reference, so that
tensors within are found and a placeholder costs a few bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .limits import escape


@dataclass(frozen=True)
class Symbol:
    """A global that the pickle names, not imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Placeholder:
    """What a call of a foreign class or function would have made."""

    symbol: Symbol
    arguments: tuple[Any, ...]
    state: Any = None
    content: dict[Any, Any] | list[Any] | None = None  # what is put into it, as into a dict or a list

    @property
    def parts(self) -> tuple[Any, ...]:
        """What it was given; containers may be shared with other objects."""
        return *self.states, self.content, self.arguments

    @property
    def states(self) -> tuple[Any, ...]:
        """Its state, of which a class with __slots__ has two."""
        return self.state if isinstance(self.state, tuple) and len(self.state) == 2 else (self.state,)

    def __str__(self) -> str:
        first = self.arguments[0] if self.arguments else None
        return escape(first if isinstance(first, Symbol) else self.symbol)


#: Modules that run programs, import code or touch files: nobody keeps their functions beside weights.
_PROGRAMS = frozenset({
    "os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "importlib", "imp", "runpy", "pty", "ctypes",
    "pickle", "_pickle", "marshal", "multiprocessing", "io", "_io", "code", "codeop", "commands", "webbrowser", "pip",
    "setuptools", "timeit", "pdb", "bdb", "tempfile", "urllib", "http", "ftplib", "smtplib", "asyncio", "signal",
    "gc", "inspect", "dill", "cloudpickle", "joblib", "platform", "pkgutil", "zipimport",
})  # fmt: skip
#: What a function is called that does the same elsewhere, `torch.hub.load` and `builtins.eval` among them.
_ACTIONS = frozenset({
    "load", "loads", "load_module", "open", "exec", "eval", "execfile", "system", "popen", "Popen", "spawn", "run",
    "call", "check_call", "check_output", "compile", "apply", "import_module", "remove", "unlink", "rmdir", "rmtree",
    "mkdir", "makedirs", "kill", "setattr", "delattr", "globals", "locals", "vars", "runsource", "runcode", "input",
})  # fmt: skip


_BUILTINS = frozenset({
    "set", "frozenset", "list", "dict", "tuple", "int", "float", "complex", "str", "bytes", "bytearray", "bool",
    "object", "slice", "range", "xrange", "type", "print", "len", "sum", "min", "max", "abs", "round", "sorted",
    "getattr", "unicode", "long", "NotImplemented", "Ellipsis",
})  # fmt: skip
#: Modules of which the harmless names are known one by one.
_KNOWN = {
    "builtins": _BUILTINS, "__builtin__": _BUILTINS,
    "collections": {"deque", "ChainMap", "UserDict", "UserList"},
    "torch._utils": frozenset[str](),
}  # fmt: skip


def is_inert(symbol: Symbol) -> bool:
    """Whether a global may be a placeholder: a class, or a harmless function."""
    parts = symbol.name.split(".")
    if symbol.module in _KNOWN:
        return symbol.name in _KNOWN[symbol.module] or symbol.name.endswith(("Error", "Exception"))
    acts = symbol.module.partition(".")[0] in _PROGRAMS or parts[-1] in _ACTIONS
    return not acts and all(parts) and not any(part.startswith("__") for part in parts)


def is_member(arguments: tuple[Any, ...]) -> bool:
    """Whether these are a class and a name in it, such as an enum's."""
    return len(arguments) == 2 and isinstance(arguments[0], Symbol) and not str(arguments[1]).startswith("_")


#: The tensors and parts of a PyTorch module, whose names are those of its attributes.
_OF_MODULE = ("_parameters", "_buffers", "_modules")


def children(value: Any) -> Iterable[tuple[Any, Any]]:
    """What a container holds, with its keys; nothing for anything else."""
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, (list, tuple)):
        return enumerate(value)
    return _attributes(value) if isinstance(value, Placeholder) else ()


def _attributes(placeholder: Placeholder) -> Iterator[tuple[Any, Any]]:
    if placeholder.content:  # a class of dicts may have its entries as attributes too
        yield from children(placeholder.content)
        return
    for state in placeholder.states:
        if isinstance(state, dict):
            parts = [state[key] for key in _OF_MODULE if isinstance(state.get(key), dict)]
            for items in parts if len(parts) == len(_OF_MODULE) else (state,):
                yield from items.items()
        elif state is not None:
            yield "state", state
    if placeholder.state is None:
        yield from ((f"({k})", argument) for k, argument in enumerate(placeholder.arguments))


#: Steps through a value without tensors; the rest of a larger one is not looked at.
_MAX_STEPS = 100_000


def described(value: Any, seen: set[int]) -> str:
    """What a value without tensors is, with the foreign classes in it.

    `seen` has the containers that were looked at before, each of which is looked at once.
    """
    foreign: dict[str, None] = {}
    left = [value]
    while left and len(seen) < _MAX_STEPS:
        one = left.pop()
        if isinstance(one, (Placeholder, Symbol)):
            foreign[escape(one)] = None
        if isinstance(one, (dict, list, tuple, Placeholder)) and id(one) not in seen:
            seen.add(id(one))
            left += one.parts if isinstance(one, Placeholder) else [item for _, item in children(one)]
    if isinstance(value, (Placeholder, Symbol)):
        return f"{escape(value)}, which was not imported"
    kind = type(value).__name__
    names = sorted(foreign)
    return f"{kind} with {', '.join(names[:3])}{' and others' * (len(names) > 3)}, not imported" if names else kind
