"""The engine: plan the cells, run each in a worker, judge it, and say so.

It emits events and knows nobody who listens. Every planned cell ends in exactly one `Outcome`.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Union

from ..adapters import Entry, installed, known
from ..adapters.registry import entry_named
from ..compare import Row, VerdictName, judge
from ..errors import AdapterError, NothingComparedError, Unsupported, WorkerCrashed, XcheckError
from ..events import Event, Finished, Outcome, Planned, Started
from ..spec import Case
from .functions import result_of
from .grid import Recipe
from .pool import Worker

Question = Union[Case, Recipe]


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes:
        cases: cases or recipes of cases, with unique ids.
        entries: the adapters.
        pythons: an interpreter for an adapter, where it is not this one.
        timeout: seconds for one case.
        jobs: workers at a time.
    """

    cases: tuple[Question, ...]
    entries: tuple[Entry, ...]
    pythons: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 120.0
    jobs: int = 2

    def __post_init__(self) -> None:
        if not self.cases:
            raise NothingComparedError("there is no case to compare; give at least one")
        if not self.entries:
            raise NothingComparedError(
                "no adapter's framework is installed, so nothing can be compared; "
                "run for example: pip install 'lstm-xcheck[torch]'"
            )
        ids = [case.id for case in self.cases]
        twice = next((name for name in ids if ids.count(name) > 1), None) if len(set(ids)) < len(ids) else None
        if twice is not None:
            raise NothingComparedError(f"two cases have the id {twice!r}; give each its own id")


def choose_entries(names: Sequence[str] | None, pythons: Mapping[str, str] | None = None) -> tuple[Entry, ...]:
    """The named adapters, or every installed one. `old=path/to/python` runs adapter `old` by that interpreter.

    A name from `pythons` may be an adapter's own, or any label ending in one: `old-torch`.

    Raises:
        AdapterError: for an unknown name, or one whose framework this Python lacks (with the pip command).
    """
    pythons = pythons or {}
    chosen = list(installed().values()) if names is None else []
    for name in names or ():
        if name not in pythons:
            entry = entry_named(name)
            entry.require_installed()
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


def run(plan: Plan) -> Iterator[Event]:
    """Run a plan; closing the iterator stops every worker."""
    start = time.perf_counter()
    names = tuple(entry.name for entry in plan.entries)
    yield Planned(len(plan.cases) * len(plan.entries), len(plan.cases), names)
    events: queue.Queue[Event | BaseException | None] = queue.Queue()
    stop = threading.Event()
    workers: list[Worker] = []
    chunks: queue.SimpleQueue[tuple[Entry, list[Question]]] = queue.SimpleQueue()
    for chunk in _chunks(plan):
        chunks.put(chunk)
    threads = [
        threading.Thread(target=_serve, args=(plan, chunks, events, stop, workers), daemon=True)
        for _ in range(max(1, plan.jobs))
    ]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            event = events.get()
            if event is None:
                running -= 1
            elif isinstance(event, BaseException):
                raise event
            else:
                yield event
        yield Finished(time.perf_counter() - start)
    finally:
        stop.set()
        for worker in list(workers):
            worker.stop()
        for thread in threads:
            thread.join()


def _chunks(plan: Plan) -> list[tuple[Entry, list[Question]]]:
    """Work for one worker each: an adapter's cases, cut only when there are more workers than adapters."""
    pieces = max(1, -(-plan.jobs // len(plan.entries)))
    return [(entry, list(plan.cases[k::pieces])) for entry in plan.entries for k in range(pieces) if plan.cases[k::pieces]]


def _serve(
    plan: Plan,
    chunks: queue.SimpleQueue[tuple[Entry, list[Question]]],
    events: queue.Queue[Event | BaseException | None],
    stop: threading.Event,
    workers: list[Worker],
) -> None:
    """One thread: take a chunk, drive its worker, until nothing is left."""
    try:
        while not stop.is_set():
            try:
                entry, cases = chunks.get_nowait()
            except queue.Empty:
                break
            with Worker(entry, plan.pythons.get(entry.name, sys.executable), plan.timeout) as worker:
                workers.append(worker)
                for question in cases:
                    if stop.is_set():
                        break
                    events.put(Started(question.id, entry.name))
                    events.put(run_cell(worker, question))
                workers.remove(worker)
    except BaseException as error:  # handed to the caller's thread, which raises it
        events.put(error)
    finally:
        events.put(None)


def run_cell(worker: Worker, question: Question) -> Outcome:
    """One case through one worker, judged."""
    case = question.case() if isinstance(question, Recipe) else question
    name = worker.entry.name
    try:
        result = worker.run(case)
        verdict = judge(result, case, adapter=name, layout=worker.layout)
    except Unsupported as reason:
        return _not_run(case, name, "unsupported", str(reason))
    except WorkerCrashed as crash:
        return _not_run(case, name, "crashed", str(crash))
    except XcheckError as error:
        return _not_run(case, name, "crashed", f"answered what cannot be judged: {error}")
    missing = [quantity for quantity in ("y", "h_n", "c_n") if getattr(result, quantity) is None]
    rows = verdict.rows + tuple(
        Row(case.id, name, quantity, "mismatch", reason=f"the adapter returned no {quantity}") for quantity in missing
    )
    return Outcome(case.id, name, rows, verdict.count, dict(result.environment), seconds=worker.seconds)


def _not_run(case: Case, adapter: str, verdict: VerdictName, reason: str) -> Outcome:
    return Outcome(case.id, adapter, (Row(case.id, adapter, "", verdict, reason=reason),))


def run_functions(cases: Sequence[Question], functions: Mapping[str, Callable[..., object]]) -> Iterator[Outcome]:
    """The same for implementations in this process: `function(weights, x, h0, c0, lengths) -> y, h, c`."""
    for question in cases:
        case = question.case() if isinstance(question, Recipe) else question
        for name, function in functions.items():
            yield _call(case, name, function)


def _call(case: Case, name: str, function: Callable[..., object]) -> Outcome:
    try:
        verdict = judge(result_of(function, case), case, adapter=name)
    except Unsupported as reason:
        return _not_run(case, name, "unsupported", str(reason))
    except XcheckError:
        raise
    except Exception as error:  # a user's function may raise anything; the sweep goes on
        return _not_run(case, name, "crashed", f"raised {type(error).__name__}: {error}")
    return Outcome(case.id, name, verdict.rows, verdict.count)
