"""The examples in the docstrings of every module that needs no framework are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

import lstm_xcheck
from lstm_xcheck.adapters import registry

#: Modules that import a framework (or pytest) at the top; their examples would need it.
HEAVY = (
    *(f"lstm_xcheck.adapters.{name}" for name in ("torch", "keras", "jax", "onnx", "tensorflow")),
    *(f"lstm_xcheck.adapters.{name}" for name in ("mlx", "openvino", "paddle", "tinygrad")),
    *("lstm_xcheck.live.read_", "lstm_xcheck.checkpoints.keras", "lstm_xcheck.__main__"),
    *("lstm_xcheck.scoring.hosts.", "lstm_xcheck.scoring.onnx_node_tests"),
)

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(Path(str(lstm_xcheck.__file__)).parent)], "lstm_xcheck.")
    if not module.name.startswith(HEAVY)
)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An example may register an adapter; no other test should meet it."""
    monkeypatch.setattr(registry, "_registered", {})


def _imported(name: str) -> ModuleType | None:
    """The module, or None where a file format's library is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if str(missing.name).startswith("lstm_xcheck"):
            raise
        return None


@pytest.mark.framework
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    module = _imported(name)
    if module is None:
        pytest.skip(f"{name} needs a library that is not installed")
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = [_imported(name) for name in MODULES if not name.endswith("pytest_plugin")]
    examples = sum(len(test.examples) for module in modules if module for test in finder.find(module))
    assert examples >= 10


def incomplete(names: Iterable[str]) -> list[str]:
    """Public names without an example, or without the errors that they raise; exceptions need neither."""
    found = []
    for name in names:
        thing = getattr(lstm_xcheck, name)
        if callable(thing) and not (isinstance(thing, type) and issubclass(thing, BaseException)):
            text = str(thing.__doc__)
            raises = "Raises:" in text or name == "Report"
            found += [] if ">>> " in text and raises else [name]
    return found


def test_every_public_name_has_an_example_and_says_what_it_raises() -> None:
    assert len(lstm_xcheck.__all__) > 20
    assert incomplete(lstm_xcheck.__all__) == []


def test_a_name_without_an_example_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lstm_xcheck.trace, "__doc__", "Raises:")
    assert incomplete(["trace", "verify"]) == ["trace"]


def test_a_false_example_is_found() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "false", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None).failed == 1
