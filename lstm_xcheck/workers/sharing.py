"""Workers of adapters that may share a process."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ..adapters import Entry
from ..errors import WorkerCrashed
from .launch import Process
from .process import Worker


class ProcessPlan:
    """Which of some adapters share a process.

    Adapters of a family do, and get each other's variables, unless two of them want different values, or one is set to
    run as it does where shapes repeat (`Entry.when_repeated`).
    """

    def __init__(self, entries: Iterable[Entry], pythons: Mapping[str, str] | None = None) -> None:
        """`pythons`: interpreters by adapter name, where it is not this one."""
        self._pythons = pythons or {}
        self._wanted: dict[Hashable, set[tuple[str, str]]] = {}
        for entry in entries:
            self._wanted.setdefault(self._relatives(entry), set()).update(entry.variables.items())

    def _relatives(self, entry: Entry) -> Hashable:
        own = {name: value for name, value in entry.variables.items() if name in entry.when_repeated}
        return entry.family, self.python(entry), tuple(sorted(own.items()))

    def python(self, entry: Entry) -> str:
        """The interpreter of an adapter."""
        return self._pythons.get(entry.name, sys.executable)

    def variables(self, entry: Entry) -> dict[str, str]:
        """Environment variables of an adapter's process."""
        wanted = self._wanted.get(self._relatives(entry), set()) | set(entry.variables.items())
        shared = bool(entry.family) and len(dict(wanted)) == len(wanted)
        return dict(sorted(wanted)) if shared else entry.variables

    def place(self, entry: Entry) -> Hashable:
        """Equal for adapters that share a process."""
        own = "" if entry.family else entry.name
        return entry.family, own, self.python(entry), entry.without, tuple(sorted(self.variables(entry).items()))

    def new_process(self, entry: Entry) -> Process:
        """A process, not yet started, for an adapter and those of its place."""
        return Process(self.python(entry), self.variables(entry), entry.without)


class Workers:
    """A worker for each of some adapters, made when it is first asked for."""

    def __init__(self, entries: Iterable[Entry], timeout: float = 120.0) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._plan, self._timeout = ProcessPlan(self._entries.values()), timeout
        self._processes: dict[Hashable, Process] = {}
        self._workers: dict[str, Worker] = {}

    def __getitem__(self, name: str) -> Worker:
        return self.worker_of(self._entries[name])

    def worker_of(self, entry: Entry) -> Worker:
        """The worker of an adapter, which may be another than those given first."""
        if entry.name not in self._workers:
            place = self._plan.place(entry)
            if place not in self._processes:
                self._processes[place] = self._plan.new_process(entry)
            self._workers[entry.name] = Worker(entry, timeout=self._timeout, process=self._processes[place])
        return self._workers[entry.name]

    def by_process(self) -> list[list[Entry]]:
        """The adapters of each process."""
        found: dict[Hashable, list[Entry]] = {}
        for entry in self._entries.values():
            found.setdefault(self._plan.place(entry), []).append(entry)
        return list(found.values())

    def start(self, names: Iterable[str]) -> None:
        """Start the processes of some adapters at once.

        What does not load says so when it is asked.
        """
        one_of_each = {id(self[name].process): self[name] for name in names}
        with ThreadPoolExecutor(max(1, len(one_of_each))) as threads:
            list(threads.map(_try_to_start, one_of_each.values()))

    def close(self) -> None:
        """Kill every process."""
        while self._processes:
            self._processes.popitem()[1].close()
        self._workers.clear()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _try_to_start(worker: Worker) -> str:
    """The reason why a worker does not load, which it keeps, or ""."""
    try:
        worker.start()
    except WorkerCrashed as crash:
        return str(crash)
    return ""
