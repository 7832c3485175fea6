"""The same run on any `concurrent.futures.Executor`: processes, Dask, MPI.

Tasks are bytes in and bytes out and know no shared state, so they may run anywhere lstm-xcheck is installed.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict
from typing import Any

from ..adapters import Entry
from ..compare import CountRow, Row
from ..events import Event, Finished, Outcome, Planned
from .codec import case_from_frame, case_to_frame
from .grid import Recipe
from .pool import Worker
from .run import Plan, Question, run_cell
from .wire import encode, read

#: Cases in one task: enough that starting a worker is paid for, few enough to spread.
CHUNK = 16


def run_on(executor: Executor, plan: Plan, chunk: int = CHUNK) -> Iterator[Event]:
    """Run a plan on an executor; events come as tasks end."""
    start = time.perf_counter()
    yield Planned(len(plan.cases) * len(plan.entries), len(plan.cases), tuple(e.name for e in plan.entries))
    pieces = [plan.cases[k : k + chunk] for k in range(0, len(plan.cases), chunk)]
    tasks = [_pack(entry, piece, plan) for entry in plan.entries for piece in pieces]
    futures = [executor.submit(run_task, task) for task in tasks]
    for future in as_completed(futures):
        yield from _unpack(future.result())
    yield Finished(time.perf_counter() - start)


def run_task(task: bytes) -> bytes:
    """Run one task in this process's own worker: JSON with the cases in, JSON with the outcomes out."""
    fields = json.loads(task)
    entry = Entry(**{**fields["entry"], **{k: tuple(fields["entry"][k]) for k in ("requires", "path")}})
    with Worker(entry, fields["python"] or sys.executable, fields["timeout"]) as worker:
        outcomes = [run_cell(worker, _read_question(text)) for text in fields["cases"]]
    return json.dumps([_outcome_to_data(outcome) for outcome in outcomes]).encode()


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


def _outcome_to_data(outcome: Outcome) -> dict[str, Any]:
    return asdict(outcome)


def _unpack(answer: bytes) -> Iterator[Outcome]:
    for fields in json.loads(answer):
        rows = tuple(Row(**{**row, "worst": row["worst"] and tuple(row["worst"])}) for row in fields.pop("rows"))
        count = fields.pop("count")
        yield Outcome(**fields, rows=rows, count=count and CountRow(**count))
