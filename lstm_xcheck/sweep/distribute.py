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
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import asdict

from ..adapters import Entry
from ..errors import WorkerCrashed
from ..events import Event, Finished, Outcome
from .cell import not_run
from .codec import case_from_frame, case_to_frame
from .grid import Recipe
from .run import Plan, Question, run
from .schedule import grouped
from .wire import encode, read

#: Cases in one task: enough that starting a worker is paid for, few enough to spread.
CHUNK = 16
#: Tasks given to the executor at a time: enough for hundreds of workers, and memory stays flat.
WINDOW = 1024


def run_on(executor: Executor | Mapping[str, Executor], plan: Plan, chunk: int = CHUNK) -> Generator[Event, None, None]:
    """Run a plan on an executor; events come as tasks end. What becomes of a failed task's cells is `crashed`.

    Args:
        executor: for everything, or one for each adapter by name.
        plan: what to run.
        chunk: cases in one task.
    """
    start = time.perf_counter()
    yield plan.planned
    pieces = _pieces(plan, chunk)
    running: dict[Future[bytes], tuple[Entry, list[Question]]] = {}
    try:
        while True:
            for entry, piece in itertools.islice(pieces, WINDOW - len(running)):
                chosen = executor[entry.name] if isinstance(executor, Mapping) else executor
                running[_submitted(chosen, _pack(entry, piece, plan))] = entry, piece
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
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


def _submitted(executor: Executor, task: bytes) -> Future[bytes]:
    """The task's future; one that has failed already when the executor takes no more."""
    try:
        return executor.submit(run_task, task)
    except RuntimeError as error:  # a broken or closed pool
        future: Future[bytes] = Future()
        future.set_exception(error)
        return future


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
