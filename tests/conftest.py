"""Mark the tests that need a framework, so that an environment with one need not repeat what NumPy alone has shown.

`-m framework` selects every test that a missing module can skip: the test, a fixture or parameter of it, a function of
the tests that one of these names, or the file itself asks for a module or for what an adapter misses. Nobody marks by
hand, and so nobody forgets to. Marking too much costs time only; `.ci/ran_nowhere.py` names a test that is left out
everywhere.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

HERE = Path(__file__).parent

#: Modules of the test run itself and of the operating system: whoever skips for them needs no framework.
TOOLS = {"distributed", "hypothesis", "mpmath", "resource", "safetensors", "tox", "xdist"}
#: What asks whether a module is installed, besides `pytest.importorskip`; `missing` is that of an adapter's entry.
ASKING = {"find_spec", "why_missing", "ModuleNotFoundError"}
ASKING_ATTRIBUTES = {"find_spec", "missing"}
#: Fixtures of the package's plugin that run installed frameworks.
FIXTURES = {"lstm_xcheck", "xcheck_adapter"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark before `-m` selects."""
    for item in items:
        if isinstance(item, pytest.Function) and needs_framework(item):
            item.add_marker("framework")


def needs_framework(item: pytest.Function) -> bool:
    """Whether a missing framework could skip the test."""
    fixtures = item._fixtureinfo.name2fixturedefs
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    functions = [item.obj, *(found.func for each in fixtures.values() for found in each), *_functions_in(parameters)]
    return (
        not FIXTURES.isdisjoint(item.fixturenames)
        or _asks(_outside_functions(item.path))
        or any(_asks(ast.walk(source)) for source in _reached(functions))
    )


def _asks(nodes: Iterable[ast.AST]) -> bool:
    """Whether one of them asks for a module that may be a framework."""
    for node in nodes:
        if isinstance(node, ast.Call) and _name(node.func) == "importorskip":
            module = node.args[0].value if isinstance(node.args[0], ast.Constant) else "given by a variable"
            if str(module).split(".", maxsplit=1)[0] not in TOOLS:
                return True
        elif _name(node) in (ASKING_ATTRIBUTES if isinstance(node, ast.Attribute) else ASKING):
            return True
    return False


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _reached(functions: list[Callable[..., Any]]) -> Iterator[Function]:
    """Sources of the functions of the tests among these, and of those that they name, directly or through others."""
    waiting, seen = [_inner(function) for function in functions], set()
    while waiting:
        function = waiting.pop()
        source = _source(function)
        if function in seen or source is None:
            continue
        seen.add(function)
        yield source
        named = [function.__globals__.get(_name(node)) for node in ast.walk(source) if isinstance(node, ast.Name)]
        waiting += [_inner(other) for other in _functions_in(named)]


def _functions_in(value: Any) -> Iterator[Callable[..., Any]]:
    """A function, or those in a table of functions."""
    if isinstance(value, FunctionType):
        yield value
    elif type(value) is dict:
        yield from _functions_in([*value, *value.values()])
    elif type(value) in (list, tuple):
        for each in value:
            yield from _functions_in(each)


def _inner(function: Any) -> Any:
    """What a decorator, that of Hypothesis included, is wrapped around."""
    wrapped = getattr(function, "hypothesis", None)
    return inspect.unwrap(wrapped.inner_test if wrapped else getattr(function, "__func__", function))


def _source(function: Any) -> Function | None:
    code = function.__code__ if isinstance(function, FunctionType) else None
    if code is None or not Path(code.co_filename).is_relative_to(HERE):
        return None
    return _functions(Path(code.co_filename)).get(code.co_firstlineno)


@cache
def _functions(file: Path) -> dict[int, Function]:
    """Every function of a file by its first line, which is that of its first decorator."""
    found = (node for node in ast.walk(_tree(file)) if isinstance(node, Function))
    return {min([node.lineno, *(each.lineno for each in node.decorator_list)]): node for node in found}


@cache
def _outside_functions(file: Path) -> list[ast.AST]:
    statements = [node for node in _tree(file).body if not isinstance(node, (Function, ast.ClassDef))]
    return [node for statement in statements for node in ast.walk(statement)]


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))
