"""The engine: plan the cells, run each in a worker, judge it, and say so.

It emits events and knows nobody who listens. Every planned cell ends in exactly one `Outcome`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ..adapters import Entry, installed, known
from ..adapters.function import result_of, unsupported_by
from ..adapters.registry import entry_named
from ..compare import judge
from ..errors import AdapterError, NothingComparedError, Unsupported, WorkerCrashed, XcheckError
from ..events import MOST_DIAGNOSES, Event, Finished, Outcome, Planned
from ..model import Case, Result
from ..workers.format_exception import format_exception
from ..workers.pool import Worker, limit_of
from .explain import Explainer
from .grid import Recipe
from .scheduler import Scheduler
from .task import judged, left_out, made, not_run
from .work_queue import Schedule

Question = Case | Recipe


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes:
        cases: cases or recipes of cases, with unique ids.
        entries: the adapters.
        pythons: an interpreter for an adapter, where it is not this one.
        timeout: seconds for one case.
        jobs: workers at a time.
        skip: cells, as (case id, adapter), that are not to be run: they ended before.
        diagnoses: how many mismatches of each adapter are diagnosed, the first in the order of the cases.
    """

    cases: tuple[Question, ...]
    entries: tuple[Entry, ...]
    pythons: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 120.0
    jobs: int = 2
    skip: frozenset[tuple[str, str]] = frozenset()
    diagnoses: int = MOST_DIAGNOSES

    def __post_init__(self) -> None:
        if not self.cases:
            raise NothingComparedError("there is no case to compare; give at least one")
        if not self.entries:
            raise NothingComparedError(
                "no adapter's framework is installed, so nothing can be compared; "
                "run for example: pip install 'lstm-xcheck[torch]'"
            )
        limit_of(self.timeout)
        (twice, times), *_ = Counter(case.id for case in self.cases).most_common(1)
        if times > 1:
            raise NothingComparedError(f"two cases have the id {twice!r}; give each its own id")

    def questions_for(self, adapter: str) -> list[Question]:
        """The cases that an adapter is to run."""
        return [case for case in self._open(adapter) if left_out(case, adapter) is None]

    def left_out(self) -> Iterator[Outcome]:
        """The cells that end before anything runs, each with its reason."""
        for entry in self.entries:
            outcomes = (left_out(case, entry.name) for case in self._open(entry.name))
            yield from filter(None, outcomes)

    def _open(self, adapter: str) -> Sequence[Question]:
        """The cases whose cells have not ended before."""
        return [case for case in self.cases if (case.id, adapter) not in self.skip] if self.skip else self.cases

    @property
    def planned(self) -> Planned:
        """The event that says what is going to be run."""
        names = tuple(entry.name for entry in self.entries)
        cells = sum(len(self._open(name)) for name in names)
        return Planned(cells, len(self.cases), names, order=tuple(case.id for case in self.cases))


def choose_entries(
    names: Sequence[str] | None, pythons: Mapping[str, str] | None = None, held: Mapping[str, Entry] | None = None
) -> tuple[Entry, ...]:
    """The named adapters, or every installed one. `old=path/to/python` runs adapter `old` by that interpreter.

    A name from `pythons` may be an adapter's own, or any label ending in one: `old-torch`. `held` takes the place of
    what this Python has: the adapters of a cluster's workers.

    Raises:
        AdapterError: for an unknown name, or one whose framework this Python (with the pip command) or cluster lacks.
    """
    pythons = pythons or {}
    names = [names] if isinstance(names, str) else names
    if names is not None and not (names or pythons):
        raise NothingComparedError(
            "no adapter is named, so nothing can be compared; name at least one, or none for all"
        )
    chosen = list((installed() if held is None else held).values()) if names is None else []
    for name in names or ():
        if name not in pythons:
            entry = entry_named(name)
            if held is None:
                entry.require_installed()
            elif name not in held:
                has = ", ".join(held) or "no adapter at all"
                raise AdapterError(f"no worker of the cluster has what adapter {name} needs; they have {has}")
            chosen.append(entry)
    taken = {entry.name for entry in chosen}
    chosen += [labelled_entry(label) for label in pythons if label not in taken]
    return tuple({entry.name: entry for entry in chosen}.values())


def labelled_entry(label: str) -> Entry:
    """The adapter that a worker's label means, under that label: `old-keras-tensorflow` is keras-tensorflow."""
    matches = [entry for name, entry in known().items() if label == name or label.endswith(f"-{name}")]
    if not matches:
        raise AdapterError(
            f"worker {label!r} names no adapter; write NAME=PYTHON or LABEL-NAME=PYTHON with one of "
            f"{', '.join(sorted(known()))}"
        )
    return replace(max(matches, key=lambda entry: len(entry.name)), name=label)


def run(plan: Plan) -> Generator[Event, None, None]:
    """Run a plan; closing the iterator stops every worker."""
    start = time.perf_counter()
    yield plan.planned
    yield from plan.left_out()
    cells = {entry.name: plan.questions_for(entry.name) for entry in plan.entries}
    with Scheduler(plan, Schedule(cells)) as lanes:
        yield from lanes.events(max(1, plan.jobs), sum(map(len, cells.values())))
    yield Finished(time.perf_counter() - start)


def run_cell(worker: Worker, question: Question, explainer: Explainer | None = None) -> Outcome:
    """One case through one worker, judged."""
    case = made(question)
    name = worker.entry.name
    try:
        result = worker.run(case)
    except (Unsupported, WorkerCrashed) as reason:
        return not_run(case.id, name, reason)
    return judged(result, case, name, worker.layout, worker.seconds, explainer, worker.run)


def run_functions(cases: Sequence[Question], functions: Mapping[str, Callable[..., object]]) -> Iterator[Outcome]:
    """The same for implementations in this process: `function(weights, x, h0, c0, lengths) -> y, h, c`."""
    explainer = Explainer()
    for question in cases:
        skipped = [left_out(question, name) for name in functions]
        if all(skipped):
            yield from filter(None, skipped)
            continue
        case = made(question)
        for name, function in functions.items():
            yield _call(case, name, function, explainer)


def _answer(function: Callable[..., object], case: Case) -> Result:
    """What a function says to one more case; whatever it raises is no answer."""
    try:
        return result_of(function, case)
    except XcheckError:
        raise
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        raise WorkerCrashed(format_exception(error)) from error


def _call(case: Case, name: str, function: Callable[..., object], explainer: Explainer) -> Outcome:
    try:
        result = result_of(function, case)
        verdict = judge(result, case, adapter=name)
    except Unsupported as reason:
        return not_run(case.id, name, reason)
    except NotImplementedError as reason:
        return not_run(case.id, name, unsupported_by(reason))
    except XcheckError:
        raise
    except (Exception, SystemExit) as error:  # a user's function may raise anything; the sweep goes on
        return not_run(case.id, name, WorkerCrashed(format_exception(error)))
    wrong = any(row.verdict in ("mismatch", "suspect") for row in verdict.of_outputs)
    diagnoses = explainer.explain(result, case, name, partial(_answer, function)) if wrong else ()
    return Outcome(case.id, name, verdict.rows, verdict.count, diagnoses=diagnoses)
