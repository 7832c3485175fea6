"""Fixtures with real implementations, started once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.adapters.registry import entry_named, load_adapter
from lstm_xcheck.model import Case, Result
from lstm_xcheck.workers.pool import Worker

Runner = Callable[[Case], Result]


@pytest.fixture(scope="session")
def torch_run() -> Runner:
    """The real torch.nn.LSTM, in this process."""
    pytest.importorskip("torch")
    entry = entry_named("torch")
    return Session(load_adapter(entry.target, entry.name)).execute


@pytest.fixture(scope="session")
def workers() -> Iterator[Callable[[str], Runner]]:
    """Other adapters, each in its own process."""
    started: dict[str, Worker] = {}

    def runner(name: str) -> Runner:
        entry = entry_named(name)
        for module in entry.missing():
            pytest.importorskip(module)
        if name not in started:
            started[name] = Worker(entry)
        return started[name].run

    yield runner
    for worker in started.values():
        worker.close()
