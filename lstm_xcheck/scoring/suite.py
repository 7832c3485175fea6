"""Runs a test suite again and again, with another mistake each time."""

from __future__ import annotations

import gc
import os
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from ..adapters.registry import attribute_at
from ..diagnose.catalogue import mistake_named
from .local_workers import install as install_local_workers
from .plant import Plant


@dataclass(frozen=True)
class Request:
    """One run of the suite.

    Attributes:
        planted: whether the framework passes its calls to the plant; it never stops to do so.
        mistake: the id of the mistake to plant.
        loud: whether its effect is made gross.
        tests: the tests to run; None for all.
    """

    planted: bool = True
    mistake: str | None = None
    loud: bool = False
    tests: frozenset[str] | None = None


@dataclass
class Ran:
    """What came of it.

    Attributes:
        exit_code: that of pytest.
        with_calls: tests that ran an LSTM, and those of files or fixtures that did before them.
    """

    exit_code: int = 0
    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    with_calls: set[str] = field(default_factory=set)
    calls: int = 0
    unknown: int = 0
    applied: int = 0
    changed: int = 0


def serve(connection: Connection, host: str, arguments: Sequence[str]) -> None:
    """Answer requests; `host` is called before the first planted run."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # tests may print, and must not read what the user types
        os.dup2(nowhere, stream)
    sys.path.insert(0, str(Path.cwd()))  # as `python -m pytest` does
    install_local_workers()
    plant, installed = Plant(), False
    before: set[str] = set()
    while True:
        try:
            request: Request = connection.recv()
        except EOFError:
            return
        if request.planted and not installed:
            attribute_at(host)(plant)
            installed = True
        mistake = None if request.mistake is None else mistake_named(request.mistake)
        plant.set(mistake, loud=request.loud)
        if mistake is not None and plant.is_idle(mistake):
            connection.send(Ran(applied=plant.applied))
            continue
        plant.set(mistake, loud=request.loud)
        before = before or set(sys.modules)
        gc.freeze()  # pytest collects garbage after each run, among all objects of a framework
        connection.send(_run(arguments, request, plant))
        _forget(before)


def _run(arguments: Sequence[str], request: Request, plant: Plant) -> Ran:
    observer = _Observer(request, plant)
    options = ["-q", "-p", "no:cacheprovider", *(["-n", "0"] if find_spec("xdist") else [])]
    options += ["--assert", "plain"]  # rewriting looks through every installed package, each time
    options += ["-x"] if request.mistake else []
    observer.ran.exit_code = int(pytest.main([*arguments, *options], plugins=[observer]))
    for name in ("calls", "unknown", "applied", "changed"):
        setattr(observer.ran, name, getattr(plant, name))
    return observer.ran


class _Observer:
    """The plugin that chooses tests and sees what becomes of them."""

    def __init__(self, request: Request, plant: Plant) -> None:
        self.request, self.plant = request, plant
        self.ran = Ran()
        self.files_with_calls: set[Path] = set()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out tests; calls while collecting may serve all of them."""
        chosen = self.request.tests
        if self.plant.calls:
            self.files_with_calls.update(item.path for item in items)
        if chosen is not None:
            config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
            items[:] = [item for item in items if item.nodeid in chosen]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """See whether a test of this file ran an LSTM by now."""
        calls = self.plant.calls
        answer = yield
        if self.plant.calls > calls:
            self.files_with_calls.add(item.path)
        if item.path in self.files_with_calls:
            self.ran.with_calls.add(item.nodeid)
        return answer

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep who passed and who failed."""
        if report.failed:
            self.ran.failed.setdefault(report.nodeid, str(report.longrepr).strip().rpartition("\n")[2])
            self.ran.passed.discard(report.nodeid)
        elif report.when == "call" and report.passed:
            self.ran.passed.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep which file cannot be imported."""
        if report.failed:
            self.ran.failed[report.nodeid] = str(report.longrepr).strip().rpartition("\n")[2]


def _forget(before: set[str]) -> None:
    """Let the next run import the tests, and what the user wrote, anew.

    What they computed while they were imported came from another mistake.
    """
    places = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for name in {name for name in sys.modules if name.partition(".")[0] != __package__.partition(".")[0]} - before:
        file = os.path.realpath(getattr(sys.modules[name], "__file__", None) or "")
        of_tests = Path(file).name.startswith(("test_", "conftest")) or file.endswith(("_test.py", "_tests.py"))
        own = file.endswith(".py") and not any(file.startswith(place + os.sep) for place in places)
        if own or of_tests:
            del sys.modules[name]
