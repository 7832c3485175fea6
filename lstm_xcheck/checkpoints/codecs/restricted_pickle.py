"""Reads pickles without running anything that they ask for.

A pickle is a program for a small stack machine. This machine imports no module, calls no object and builds no instance.
A global such as `os.system` is only text to it, and refused when it is read. The subclass of a format lists those that
describe tensors and gives their meaning: `TorchUnpickler`, `NumpyUnpickler`. Any other class or function is foreign,
and what it would have made is an inert placeholder. Source: Python's pickletools.
"""

from __future__ import annotations

import pickletools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from ...errors import CheckpointError
from .foreign import Placeholder, children, described, is_inert, is_member
from .foreign import Symbol as Symbol
from .limits import Budget, escape, refuse_many


class Stream(Protocol):
    """A source that bounds every read (BytesIO, mmap)."""

    def read(self, size: int, /) -> bytes: ...  # noqa: D102

    def readline(self) -> bytes: ...  # noqa: D102

    def tell(self) -> int: ...  # noqa: D102


#: Far more than any checkpoint needs; bounds the time that a hostile file takes.
MAX_OPERATIONS = 3_000_000

_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset({
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "BINSTRING", "SHORT_BINSTRING",
})  # fmt: skip
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": list}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()
_FLAT = (str, int, float, bytes, type(None))
#: An entry of a dict takes so many bytes.
_ENTRY = 100
#: Numbers of more bits are no keys of any checkpoint; Python takes long to hash them.
_KEY_BITS = 64


class Unpickler:
    """Reads one pickle from a stream.

    Attributes:
        advice: what to save instead of a pickle that asks for too much.
        takes_foreign: whether other classes and functions become placeholders.
    """

    advice = "save the parameters alone, as a dict of arrays"
    takes_foreign = True

    def __init__(self, path: Path, stream: Stream) -> None:
        self.path, self.stream = path, stream
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._budget = Budget(path, path.stat().st_size)

    def load(self) -> Any:
        """The pickled value, made of dicts, lists, tuples, numbers, text and descriptions."""
        try:
            for count, (code, argument, _) in enumerate(pickletools.genops(self.stream)):  # type: ignore[arg-type]
                if count > MAX_OPERATIONS:
                    raise self._error(f"its pickle has more than {MAX_OPERATIONS} instructions")
                if code.name == "STOP":
                    return self._stack.pop()
                self._step(code.name, argument)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise self._error(f"its pickle is truncated or damaged ({escape(error)}); copy it again") from error
        raise self._error("its pickle is truncated; copy it again")

    def allows(self, symbol: Symbol) -> bool:
        """Whether a pickle may name this global."""
        return symbol.module == "collections" and symbol.name in ("OrderedDict", "Counter", "defaultdict")

    def answer(self, symbol: Symbol, arguments: tuple[Any, ...]) -> Any:
        """The result of calling a permitted global."""
        if symbol.module == "collections":
            return self._mapping(arguments[1:] if symbol.name == "defaultdict" else arguments)
        raise ValueError(f"{symbol} called in an unknown way")

    def build(self, target: Any, state: Any) -> None:
        """Set the state of an object.

        torch.nn.Module.state_dict attaches `_metadata` to its OrderedDict this way.
        """
        if isinstance(target, Placeholder):
            target.state = state
        elif not isinstance(target, dict):
            raise self._error(f"its pickle sets the state of an object; {self.advice} and read that")

    def persistent(self, saved_id: Any) -> Any:
        """The description of an object outside the pickle."""
        raise self._error("the pickle refers to an object outside it")

    def _error(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {what}")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            stack.append(tuple(reversed([stack.pop() for _ in range(_TUPLES[name])])))
        elif name in _OPERATIONS:
            _OPERATIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise self._error(
                f"its pickle uses the instruction {name}, which no state dict needs; nothing was run, "
                f"{self.advice} instead"
            )

    def _marked(self) -> list[Any]:
        """Pop everything above the last mark."""
        items: list[Any] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._marked()))

    def _list(self, _: Any) -> None:
        self._stack.append(self._marked())

    def _dict(self, _: Any) -> None:
        items = self._marked()
        self._stack.append({})
        self._put(items)

    def _append(self, _: Any) -> None:
        item = self._stack.pop()
        self._extend([item])

    def _appends(self, _: Any) -> None:
        self._extend(self._marked())

    def _extend(self, items: list[Any]) -> None:
        self._target(list).extend(items)

    def _target(self, kind: type[Any]) -> Any:
        """The dict or list on top of the stack, or in a placeholder there."""
        target = self._stack[-1]
        if isinstance(target, Placeholder):
            target.content = kind() if target.content is None else target.content
            target = target.content
        if not isinstance(target, kind):
            raise ValueError(f"setting items of something that is no {kind.__name__}")
        return target

    def _setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._put([key, value])

    def _setitems(self, _: Any) -> None:
        self._put(self._marked())

    def _put(self, items: list[Any]) -> None:
        target = self._target(dict)
        if len(items) % 2:
            raise ValueError("a key without its value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nested tuples can make one hash take for ever, so only flat keys are taken; of objects, their number.
            flat = all(isinstance(part, _FLAT) for part in key) if isinstance(key, tuple) else isinstance(key, _FLAT)
            if not flat and isinstance(key, (dict, list, tuple)):
                raise self._error(f"its pickle has a {type(key).__name__} as a key; expected text or a number")
            # Numbers under their text: whoever chooses them can make a dict of numbers take for ever.
            name = self._text_key(target, key) if isinstance(key, (int, float, tuple)) else key
            target[name if flat else f"({type(key).__name__} {len(target)})"] = value

    def _text_key(self, target: dict[Any, Any], key: Any) -> str:
        for part in key if isinstance(key, tuple) else (key,):
            if isinstance(part, int) and part.bit_length() > _KEY_BITS:
                raise self._error(f"its pickle has a number of {part.bit_length()} bits as a key; {self.advice}")
        text = _key_text(key)
        if text in target:
            raise self._error(f"its pickle has two entries named {escape(text)}; rename one and save it again")
        return text

    def _spend(self, *values: Any) -> None:
        """Counts what a copy of these values takes."""
        for value in values:
            if isinstance(value, (dict, list, tuple, str, bytes)):
                size = len(value) * (1 if isinstance(value, (str, bytes)) else _ENTRY)
                self._budget.spend(size, "the copies that its pickle makes of its values")

    def _memoize(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def _recall(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _pop(self, _: Any) -> None:
        self._stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._marked()

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(self._symbol(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a global without a name")
        self._stack.append(self._symbol(module, name))

    def _symbol(self, module: str, name: str) -> Symbol:
        symbol = Symbol(module, name)
        if not self.allows(symbol) and not (self.takes_foreign and is_inert(symbol)):
            raise self._error(
                f"its pickle asks for {escape(symbol)}, which is neither a tensor nor a plain container, so it was "
                f"refused and nothing was run; {self.advice} and read that"
            )
        return symbol

    def _reduce(self, _: Any) -> None:
        arguments, symbol = self._stack.pop(), self._stack.pop()
        if not isinstance(symbol, Symbol) or not isinstance(arguments, tuple):
            raise ValueError("a call of something that is no global")
        if self.allows(symbol):
            self._spend(*arguments)
            self._stack.append(self.answer(symbol, arguments))
        elif symbol.name == "getattr" and not is_member(arguments):
            raise ValueError("an attribute of something that is no class")
        else:
            self._stack.append(Placeholder(symbol, arguments))  # which copies nothing

    def _new_with_names(self, _: Any) -> None:
        self._stack.pop()  # named arguments, which no class of a tensor takes
        self._reduce(_)

    def _mapping(self, arguments: tuple[Any, ...]) -> dict[Any, Any]:
        """OrderedDict(), Counter({...}), and Python 2's OrderedDict([[key, value], ...])."""
        if not arguments:
            return {}
        (content,) = arguments
        if isinstance(content, dict):
            return dict(content)
        self._stack.append({})
        self._put([item for pair in content for item in (pair[0], pair[1])])
        result: dict[Any, Any] = self._stack.pop()
        return result

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        self._spend(() if isinstance(self._stack[-1], Placeholder) else state)
        self.build(self._stack[-1], state)

    def _persistent(self, _: Any) -> None:
        self._stack.append(self.persistent(self._stack.pop()))


_OPERATIONS: dict[str, Callable[[Unpickler, Any], None]] = {
    "MARK": Unpickler._mark, "TUPLE": Unpickler._tuple, "LIST": Unpickler._list,
    "DICT": Unpickler._dict, "APPEND": Unpickler._append, "APPENDS": Unpickler._appends,
    "ADDITEMS": Unpickler._appends, "FROZENSET": Unpickler._tuple, "SETITEM": Unpickler._setitem,
    "SETITEMS": Unpickler._setitems, "BINPUT": Unpickler._memoize, "LONG_BINPUT": Unpickler._memoize,
    "MEMOIZE": Unpickler._memoize, "BINGET": Unpickler._recall, "LONG_BINGET": Unpickler._recall,
    "POP": Unpickler._pop, "POP_MARK": Unpickler._pop_mark, "GLOBAL": Unpickler._global,
    "STACK_GLOBAL": Unpickler._stack_global, "REDUCE": Unpickler._reduce, "NEWOBJ": Unpickler._reduce,
    "NEWOBJ_EX": Unpickler._new_with_names, "BUILD": Unpickler._build,
    "BINPERSID": Unpickler._persistent,
}  # fmt: skip


#: Containers within containers; a real checkpoint has three or four levels, and three for each module in a module.
_MAX_DEPTH = 64
#: Names of what stands beside tensors; more are cut short.
_MAX_NAMES = 500
#: Characters of a name and entries of containers that are looked at for them.
_MAX_SHOWN, _MAX_LISTED = 250, 100_000

Leaf = TypeVar("Leaf")


@dataclass(frozen=True)
class NamedLeaf(Generic[Leaf]):
    """The description of a tensor, and where it is."""

    name: str  # in the file: that of its containers and its own
    scope: str  # the containers that it is in
    leaf: Leaf
    owner: str = ""  # the class of the foreign object that it is part of


def named_leaves(path: Path, value: Any, kind: type[Leaf]) -> list[NamedLeaf[Leaf]]:
    """Every tensor in nested containers and foreign objects."""
    found: dict[str, NamedLeaf[Leaf]] = {}
    cache: dict[int, bool] = {}
    budget = Budget(path, path.stat().st_size)
    _contains(path, value, kind, cache)
    for one in _walk(path, value, kind, cache):
        # A small pickle can name one container over and over and so describe an endless tree.
        refuse_many(path, len(found) + 1)
        if budget.spend_name(one.name) in found:
            raise CheckpointError(f"{path} holds two tensors named {escape(one.name)}; rename one and save it again")
        found[one.name] = one
    return list(found.values())


def _contains(path: Path, value: Any, kind: type[Leaf], cache: dict[int, bool], depth: int = 0) -> bool:
    """Whether a value is or contains a tensor; containers are cached by id."""
    if not isinstance(value, (dict, list, tuple, Placeholder)):
        return isinstance(value, kind)
    if depth > _MAX_DEPTH:
        raise _too_deep(path)
    if id(value) not in cache:
        cache[id(value)] = False
        items = value.parts if isinstance(value, Placeholder) else (item for _, item in children(value))
        answers = [_contains(path, item, kind, cache, depth + 1) for item in items]
        cache[id(value)] = any(answers)
    return cache[id(value)]


def _walk(
    path: Path, value: Any, kind: type[Leaf], cache: dict[int, bool], scope: str = "", key: str = "", depth: int = 0,
    owner: Placeholder | None = None, attribute: bool = False,
) -> Iterator[NamedLeaf[Leaf]]:  # fmt: skip
    """Every tensor; containers without any, such as losses, are skipped."""
    if isinstance(value, kind):
        yield NamedLeaf(scope + key, scope, value, str(owner) if owner else "")
    elif cache.get(id(value), False):
        if depth > _MAX_DEPTH:
            raise _too_deep(path)
        # The parts of a module within a module have its name before theirs, as in a state dict.
        inner, outer = (f"{scope}{key}." if key else scope), ""
        if isinstance(value, Placeholder):
            if not any(cache.get(id(part), isinstance(part, kind)) for part in value.parts):
                return  # they are those of another object, which was walked
            cache.update(dict.fromkeys(map(id, (value, *value.parts)), False))  # an object may hold itself
            inner, outer = (scope, f"{key}.") if attribute else (inner, outer)
            owner = owner if value.content else value  # a dict of another class is a dict
        for name, item in children(value):
            yield from _walk(path, item, kind, cache, inner, outer + _key_text(name), depth + 1, owner, owner is value)


def other_content(path: Path, value: Any, kind: type[Any]) -> tuple[str, ...]:
    """What stands beside the tensors in nested containers, with what it is."""
    cache: dict[int, bool] = {}
    _contains(path, value, kind, cache)
    found: list[str] = []
    left = deque([("", value)])
    seen: set[int] = set()
    while left and len(found) < _MAX_NAMES:
        name, one = left.popleft()
        if isinstance(one, kind):
            continue
        if cache.get(id(one), False):
            cache[id(one)] = False
            if isinstance(one, Placeholder):
                found.append(f"{escape(name, 200) or 'the whole'}: {described(one, seen)}")
            elif isinstance(one, (dict, list, tuple)):
                inner = (
                    ((f"{name}.{_key_text(key)}" if name else _key_text(key)), item) for key, item in children(one)
                )
                left += ((name[:_MAX_SHOWN], item) for name, item in islice(inner, max(0, _MAX_LISTED - len(left))))
        elif name:
            found.append(f"{escape(name, 200)}: {described(one, seen)}")
    return tuple(found)


def _too_deep(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} nests containers more than {_MAX_DEPTH} deep; it is not a real checkpoint")


def _key_text(key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    return key if isinstance(key, str) else f"{key:.17g}" if isinstance(key, float) else str(key)
