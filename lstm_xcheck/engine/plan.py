"""Plans: which cases are run by which adapters, and how."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..adapters import Entry, installed, known
from ..adapters.registry import entry_named
from ..errors import AdapterError, NothingComparedError
from ..events import MAX_DIAGNOSES, Outcome, Planned
from ..workers.launch import Process
from ..workers.process import Worker, checked_timeout
from ..workers.sharing import ProcessPlan
from .families import families
from .grouping import group_by_compilation
from .recipe import CaseOrRecipe
from .task import skipped_outcome

#: From this many cases per shape on, adapters that can run with or without compiling are set to compile.
MIN_CASES_TO_COMPILE = 4


@dataclass(frozen=True)
class Plan:
    """Tasks to run: one for each case and adapter.

    Attributes:
        cases: cases or recipes, with unique ids.
        pythons: interpreters by adapter name, where it is not this one.
        timeout: seconds for one case.
        jobs: workers at a time.
        skip: tasks, as (case id, adapter), that ended in an earlier run.
        diagnoses: mismatches of each adapter to diagnose, the first in the order of the cases.
    """

    cases: tuple[CaseOrRecipe, ...]
    entries: tuple[Entry, ...]
    pythons: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 120.0
    jobs: int = 2
    skip: frozenset[tuple[str, str]] = frozenset()
    diagnoses: int = MAX_DIAGNOSES

    def __post_init__(self) -> None:
        if not self.cases:
            raise NothingComparedError("there is no case to compare; give at least one")
        if not self.entries:
            raise NothingComparedError(
                "no adapter's framework is installed, so nothing can be compared; "
                "run for example: pip install 'lstm-xcheck[torch]'"
            )
        checked_timeout(self.timeout)
        (id, times), *_ = Counter(case.id for case in self.cases).most_common(1)
        if times > 1:
            raise NothingComparedError(f"two cases have the id {id!r}; give each its own id")

    @property
    def planned(self) -> Planned:
        """The event that announces the run."""
        names = tuple(entry.name for entry in self.entries)
        tasks = sum(len(self._remaining(name)) for name in names)
        of_cases = families(self.cases)
        return Planned(tasks, len(self.cases), names, order=tuple(of_cases), families=of_cases)

    def skipped_outcomes(self) -> Iterator[Outcome]:
        """Outcomes of tasks without an LSTM, which never run."""
        for entry in self.entries:
            outcomes = (skipped_outcome(case, entry.name) for case in self._remaining(entry.name))
            yield from filter(None, outcomes)

    def runnable_cases(self, adapter: str) -> list[CaseOrRecipe]:
        """The cases that an adapter is to run."""
        return [case for case in self._remaining(adapter) if skipped_outcome(case, adapter) is None]

    @cached_property
    def processes(self) -> ProcessPlan:
        """Which adapters share a process."""
        return ProcessPlan(self.entries, self.pythons)

    def new_worker(self, entry: Entry, process: Process | None = None) -> Worker:
        """A worker of an adapter, in its own process unless one is given."""
        return Worker(entry, timeout=self.timeout, process=process or self.processes.new_process(entry))

    def _remaining(self, adapter: str) -> Sequence[CaseOrRecipe]:
        """The cases that did not end in an earlier run."""
        return [case for case in self.cases if (case.id, adapter) not in self.skip] if self.skip else self.cases


def choose_entries(
    names: Sequence[str] | None,
    pythons: Mapping[str, str] | None = None,
    available: Mapping[str, Entry] | None = None,
    *,
    compiling: bool = False,
    by_name: bool = False,
) -> tuple[Entry, ...]:
    """The named adapters, or every installed one.

    Args:
        names: as users write them; None for all.
        pythons: interpreters by an adapter's name or by a label that ends in one, such as `old-torch`.
        available: the adapters of a cluster's workers, in place of what this Python has.
        compiling: whether all includes adapters that compile for seconds at each shape.
        by_name: whether all includes adapters that are known to be wrong in ordinary cases.
    """
    pythons = pythons or {}
    names = [names] if isinstance(names, str) else names
    if names is not None and not (names or pythons):
        raise NothingComparedError(
            "no adapter is named, so nothing can be compared; name at least one, or none for all"
        )
    chosen: list[Entry] = []
    if names is None:
        everyone = (installed() if available is None else available).values()
        chosen = [entry for entry in everyone if (by_name or not entry.by_name) and (compiling or not entry.compiles)]
    for name in names or ():
        if name not in pythons:
            entry = entry_named(name)
            if available is None:
                entry.require_installed()
            elif name not in available:
                has = ", ".join(available) or "no adapter at all"
                raise AdapterError(f"no worker of the cluster has what adapter {name} needs; they have {has}")
            chosen.append(entry)
    taken = {entry.name for entry in chosen}
    chosen += [labelled_entry(label) for label in pythons if label not in taken]
    return tuple({entry.name: entry for entry in chosen}.values())


def labelled_entry(label: str) -> Entry:
    """The adapter at the end of a label, renamed: `old-keras-tensorflow` is keras-tensorflow."""
    matches = [entry for name, entry in known().items() if label == name or label.endswith(f"-{name}")]
    if not matches:
        raise AdapterError(
            f"worker {label!r} names no adapter; write NAME=PYTHON or LABEL-NAME=PYTHON with one of "
            f"{', '.join(sorted(known()))}"
        )
    return replace(max(matches, key=lambda entry: len(entry.name)), name=label)


def with_compiling(entries: Iterable[Entry], cases: Sequence[CaseOrRecipe]) -> tuple[Entry, ...]:
    """The adapters, set to compile when each shape occurs often enough.

    The decision depends on the cases alone, those of all shards, so that answers do not depend on scheduling.
    Variables that the user has set are left as they are.
    """
    if len(cases) < MIN_CASES_TO_COMPILE * len(group_by_compilation(cases)):
        return tuple(entries)
    chosen = []
    for entry in entries:
        added = {name: value for name, value in entry.when_repeated.items() if name not in os.environ}
        chosen.append(replace(entry, variables={**entry.variables, **added}))
    return tuple(chosen)
