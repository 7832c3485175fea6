"""The same run on any `concurrent.futures.Executor`: processes, Dask, MPI.

Tasks are bytes in and bytes out and know no shared state, so they may run anywhere lstm-xcheck is installed.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import asdict
from typing import Literal, Protocol, runtime_checkable

from ..adapters import Entry
from ..errors import WorkerCrashed
from ..events import Event, Finished, Outcome
from ..workers.codec import case_from_frame, case_to_frame
from ..workers.frames import encode, read
from .grid import Recipe
from .run import Plan, Question, run
from .task import not_run
from .work_queue import grouped

#: Cases in one task: enough that starting a worker is paid for, few enough to spread.
CHUNK = 16
#: Tasks given to the executor at a time: enough for hundreds of workers, and memory stays flat.
WINDOW = 1024


#: Seconds without a task that ends, after which it is seen whether anybody is left to do them.
LOOK_SECONDS = 2.0

Whereabouts = Literal["here", "elsewhere", "gone"]
_Running = dict["Future[bytes]", "tuple[Entry, list[Question]]"]


@runtime_checkable
class Executors(Protocol):
    """An executor for each adapter, by name."""

    def __getitem__(self, adapter: str) -> Executor:
        """The one for an adapter."""

    def whereabouts(self, adapter: str) -> Whereabouts:
        """Whether those who do its tasks are here; `elsewhere`: others took over, and tasks are to be given again."""


def run_on(executor: Executor | Executors, plan: Plan, chunk: int = CHUNK) -> Generator[Event, None, None]:
    """Run a plan on an executor; events come as tasks end. What becomes of a failed task's cells is `crashed`.

    Args:
        executor: for everything, or one for each adapter by name.
        plan: what to run.
        chunk: cases in one task.
    """
    start = time.perf_counter()
    yield plan.planned
    yield from plan.left_out()
    pieces = _pieces(plan, chunk)
    running: _Running = {}
    try:
        while True:
            for entry, piece in itertools.islice(pieces, WINDOW - len(running)):
                running[_submitted(executor, entry, piece, plan)] = entry, piece
            if not running:
                break
            done = wait(running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED).done
            if not done and isinstance(executor, Executors):
                done = _abandoned(executor, running, plan)
            for future in done:
                entry, piece = running.pop(future)
                yield from _outcomes(future, entry.name, piece)
    finally:
        for future in running:
            future.cancel()
    yield Finished(time.perf_counter() - start)


def _pieces(plan: Plan, chunk: int) -> Iterator[tuple[Entry, list[Question]]]:
    """Tasks: an adapter and cases that share compilations as far as possible."""
    for entry in plan.entries:
        cases = [case for group in grouped(plan.questions_for(entry.name)) for case in group]
        yield from ((entry, cases[k : k + chunk]) for k in range(0, len(cases), chunk))


def _submitted(executor: Executor | Executors, entry: Entry, piece: Sequence[Question], plan: Plan) -> Future[bytes]:
    """The task's future; one that has failed already when the executor takes no more."""
    chosen = executor[entry.name] if isinstance(executor, Executors) else executor
    try:
        return chosen.submit(run_task, _pack(entry, piece, plan))
    except RuntimeError as error:  # a broken or closed pool
        return _failed(error)


def _failed(error: Exception) -> Future[bytes]:
    future: Future[bytes] = Future()
    future.set_exception(error)
    return future


def _abandoned(executors: Executors, running: _Running, plan: Plan) -> set[Future[bytes]]:
    """Give tasks again whose workers are gone and were replaced; those that nobody is left for have failed."""
    where = {name: executors.whereabouts(name) for name in {entry.name for entry, _ in running.values()}}
    failed = set()
    for future, (entry, piece) in [*running.items()]:
        if where[entry.name] == "here":
            continue
        del running[future]
        future.cancel()
        if where[entry.name] == "elsewhere":
            running[_submitted(executors, entry, piece, plan)] = entry, piece
        else:
            lost = _failed(WorkerCrashed(f"every worker that had what adapter {entry.name} needs is gone"))
            running[lost] = entry, piece
            failed.add(lost)
    return failed


def run_task(task: bytes) -> bytes:
    """Run one task in workers of this process: JSON with the cases in, JSON with the outcomes out."""
    fields = json.loads(task)
    entry = Entry(**{**fields["entry"], **{k: tuple(fields["entry"][k]) for k in ("requires", "path")}})
    cases = tuple(_read_question(text) for text in fields["cases"])
    pythons = {entry.name: fields["python"] or sys.executable}
    plan = Plan(cases, (entry,), pythons, fields["timeout"], jobs=1, diagnoses=1)
    return json.dumps([event.to_dict() for event in run(plan) if isinstance(event, Outcome)]).encode()


def _outcomes(future: Future[bytes], adapter: str, cases: Sequence[Question]) -> Iterator[Outcome]:
    """One outcome for each case of a task, however the task ended."""
    try:
        answers = {fields["case"]: Outcome.from_dict(fields) for fields in json.loads(future.result())}
        reason = "the executor's answer lacks this case"
    except Exception as error:  # whatever an executor raises, its other tasks go on
        answers, reason = {}, f"the executor lost the task: {type(error).__name__}: {error}"
    for case in cases:
        yield answers.get(case.id) or not_run(case.id, adapter, WorkerCrashed(reason))


def _pack(entry: Entry, cases: Sequence[Question], plan: Plan) -> bytes:
    fields = {
        "entry": asdict(entry),
        "python": plan.pythons.get(entry.name),
        "timeout": plan.timeout,
        "cases": [_write_question(case) for case in cases],
    }
    return json.dumps(fields).encode()


def _write_question(question: Question) -> dict[str, str]:
    if isinstance(question, Recipe):
        return {"recipe": json.dumps(asdict(question))}
    return {"frame": base64.b64encode(encode(case_to_frame(question))).decode()}


def _read_question(fields: dict[str, str]) -> Question:
    if "recipe" in fields:
        return Recipe(**json.loads(fields["recipe"]))
    frame = read(io.BytesIO(base64.b64decode(fields["frame"])), limit=2**34)
    assert frame is not None
    return case_from_frame(frame)
