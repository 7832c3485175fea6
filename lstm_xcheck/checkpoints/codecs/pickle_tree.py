"""Tensors in an unpickled tree of containers, named by their path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from ...errors import CheckpointError
from .limits import escape

#: Containers within containers; a real checkpoint has three or four levels.
_MAX_DEPTH = 32
#: A small pickle can name one container over and over and so describe an endless tree.
_MAX_TENSORS = 200_000

Leaf = TypeVar("Leaf")


def named_leaves(path: Path, value: Any, kind: type[Leaf]) -> list[tuple[str, str, Leaf]]:
    """Container, key and description of every tensor, named container + key.

    Raises:
        CheckpointError: when two tensors get the same name, or the nesting has no end.
    """
    found: dict[str, tuple[str, str, Leaf]] = {}
    cache: dict[int, bool] = {}
    _contains(path, value, kind, cache)
    for count, (scope, key, leaf) in enumerate(_walk(path, value, kind, cache)):
        name = scope + key
        if count > _MAX_TENSORS:
            raise CheckpointError(f"{path} describes more than {_MAX_TENSORS} tensors; it is not a real checkpoint")
        if name in found:
            raise CheckpointError(f"{path} holds two tensors named {escape(name)}; rename one and save it again")
        found[name] = (scope, key, leaf)
    return list(found.values())


def _contains(path: Path, value: Any, kind: type[Leaf], cache: dict[int, bool], depth: int = 0) -> bool:
    """Whether a value is or contains a tensor; containers are cached by id."""
    if not isinstance(value, (dict, list, tuple)):
        return isinstance(value, kind)
    if depth > _MAX_DEPTH:
        raise _too_deep(path)
    if id(value) not in cache:
        cache[id(value)] = False
        items = value.values() if isinstance(value, dict) else value
        answers = [_contains(path, item, kind, cache, depth + 1) for item in items]
        cache[id(value)] = any(answers)
    return cache[id(value)]


def _walk(
    path: Path, value: Any, kind: type[Leaf], cache: dict[int, bool], scope: str = "", key: str = "", depth: int = 0
) -> Iterator[tuple[str, str, Leaf]]:
    """Every tensor; containers without any, such as losses, are skipped."""
    if isinstance(value, kind):
        yield scope, key, value
    elif cache.get(id(value), False):
        if depth > _MAX_DEPTH:
            raise _too_deep(path)
        inner = f"{scope}{key}." if key else scope
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _walk(path, item, kind, cache, inner, _key_text(name), depth + 1)


def _too_deep(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} nests containers more than {_MAX_DEPTH} deep; it is not a real checkpoint")


def _key_text(key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    return key if isinstance(key, str) else f"{key:.17g}" if isinstance(key, float) else str(key)
