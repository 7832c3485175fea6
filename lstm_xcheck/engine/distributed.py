"""Runs a plan on any `concurrent.futures.Executor`: processes, Dask, MPI.

A chunk of tasks is bytes in and bytes out without shared state, so it runs wherever lstm-xcheck is installed.
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
from ..workers.codec import case_from_frame, encode_case
from ..workers.frames import read_frame
from .grouping import group_by_compilation
from .plan import Plan
from .recipe import CaseOrRecipe, Recipe
from .run import run
from .task import failed_outcome

#: Cases in one chunk: enough to pay for starting a worker, few enough to spread.
CHUNK = 16
#: Chunks submitted at a time: enough for hundreds of workers, few enough for flat memory.
WINDOW = 1024
#: Seconds without an ended chunk after which the state of the workers is looked up.
POLL_SECONDS = 2.0

WorkerState = Literal["present", "replaced", "gone"]
_Running = dict["Future[bytes]", "tuple[Entry, list[CaseOrRecipe]]"]


@runtime_checkable
class AdapterExecutors(Protocol):
    """An executor for each adapter, by name."""

    def __getitem__(self, adapter: str) -> Executor:
        """The executor of an adapter."""

    def worker_state(self, adapter: str) -> WorkerState:
        """The state of an adapter's workers; if `replaced`, submit its chunks again."""


def run_on(executor: Executor | AdapterExecutors, plan: Plan, chunk: int = CHUNK) -> Generator[Event, None, None]:
    """Run a plan on an executor; emits events as chunks end.

    Tasks of a failed chunk are `crashed`. `chunk` is the number of cases in one.
    """
    start = time.perf_counter()
    yield plan.planned
    yield from plan.skipped_outcomes()
    chunks = _chunks(plan, chunk)
    running: _Running = {}
    try:
        while True:
            for entry, cases in itertools.islice(chunks, WINDOW - len(running)):
                running[_submit(executor, entry, cases, plan)] = entry, cases
            if not running:
                break
            done = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED).done
            if not done and isinstance(executor, AdapterExecutors):
                done = _resubmit_or_fail(executor, running, plan)
            for future in done:
                entry, cases = running.pop(future)
                yield from _outcomes(future, entry.name, cases)
    finally:
        for future in running:
            future.cancel()
    yield Finished(time.perf_counter() - start)


def _chunks(plan: Plan, size: int) -> Iterator[tuple[Entry, list[CaseOrRecipe]]]:
    """Chunks of one adapter's cases, grouped by compilation."""
    for entry in plan.entries:
        cases = [case for group in group_by_compilation(plan.runnable_cases(entry.name)) for case in group]
        yield from ((entry, cases[k : k + size]) for k in range(0, len(cases), size))


def _submit(
    executor: Executor | AdapterExecutors, entry: Entry, cases: Sequence[CaseOrRecipe], plan: Plan
) -> Future[bytes]:
    """The future of a chunk; failed when the executor is closed."""
    chosen = executor[entry.name] if isinstance(executor, AdapterExecutors) else executor
    try:
        return chosen.submit(run_chunk, _encode_chunk(entry, cases, plan))
    except RuntimeError as error:  # a broken or closed pool
        return _failed_future(error)


def _failed_future(error: Exception) -> Future[bytes]:
    future: Future[bytes] = Future()
    future.set_exception(error)
    return future


def _resubmit_or_fail(executors: AdapterExecutors, running: _Running, plan: Plan) -> set[Future[bytes]]:
    """Submit chunks of replaced workers again; fail those without workers."""
    states = {name: executors.worker_state(name) for name in {entry.name for entry, _ in running.values()}}
    failed = set()
    for future, (entry, cases) in [*running.items()]:
        if states[entry.name] == "present":
            continue
        del running[future]
        future.cancel()
        if states[entry.name] == "replaced":
            running[_submit(executors, entry, cases, plan)] = entry, cases
        else:
            lost = _failed_future(WorkerCrashed(f"every worker that had what adapter {entry.name} needs is gone"))
            running[lost] = entry, cases
            failed.add(lost)
    return failed


def run_chunk(chunk: bytes) -> bytes:
    """Run one chunk in workers of this process; JSON in and out."""
    fields = json.loads(chunk)
    entry = Entry(**{**fields["entry"], **{k: tuple(fields["entry"][k]) for k in ("requires", "path")}})
    cases = tuple(_case_from_dict(data) for data in fields["cases"])
    pythons = {entry.name: fields["python"] or sys.executable}
    plan = Plan(cases, (entry,), pythons, fields["timeout"], jobs=1, diagnoses=1)
    return json.dumps([event.to_dict() for event in run(plan) if isinstance(event, Outcome)]).encode()


def _outcomes(future: Future[bytes], adapter: str, cases: Sequence[CaseOrRecipe]) -> Iterator[Outcome]:
    """One outcome for each case of an ended chunk."""
    try:
        outcomes = {fields["case"]: Outcome.from_dict(fields) for fields in json.loads(future.result())}
        reason = "the executor's answer lacks this case"
    except Exception as error:  # an executor may raise anything; its other chunks go on
        outcomes, reason = {}, f"the executor lost the task: {type(error).__name__}: {error}"
    for case in cases:
        yield outcomes.get(case.id) or failed_outcome(case.id, adapter, WorkerCrashed(reason))


def _encode_chunk(entry: Entry, cases: Sequence[CaseOrRecipe], plan: Plan) -> bytes:
    run_by = {"entry": asdict(entry), "python": plan.pythons.get(entry.name), "timeout": plan.timeout}
    return json.dumps({**run_by, "cases": [_case_to_dict(case) for case in cases]}).encode()


def _case_to_dict(case: CaseOrRecipe) -> dict[str, str]:
    if isinstance(case, Recipe):
        return {"recipe": json.dumps(asdict(case))}
    return {"frame": base64.b64encode(encode_case(case)).decode()}


def _case_from_dict(data: dict[str, str]) -> CaseOrRecipe:
    if "recipe" in data:
        return Recipe(**json.loads(data["recipe"]))
    frame = read_frame(io.BytesIO(base64.b64decode(data["frame"])), limit=2**34)
    assert frame is not None
    return case_from_frame(frame)
