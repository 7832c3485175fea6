"""Lanes: each drives one worker at a time, and while that computes, a pool makes the next case and judges the last.

lane      ask case 2            ask case 3            ask case 4
pool      make 3, judge 1       make 4, judge 2       make 5, judge 3
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from ..errors import Unsupported, WorkerCrashed
from ..events import Event, Outcome, Started
from ..model import Case, Result
from ..workers.pool import Worker
from .case_cache import Shared
from .explain import Explainer
from .grid import Recipe
from .task import judged, not_run, request_for
from .work_queue import Schedule

if TYPE_CHECKING:
    from .run import Plan

#: Answers of one lane that may wait to be judged; a quick backend waits for the oracle rather than fill the memory.
_WAITING = 2
#: How often an idle lane looks whether there is something to take over.
_LOOK_SECONDS = 0.05

_Ahead = tuple["Case | Recipe", "Future[tuple[Case, bytes]]"]


class Scheduler:
    """The threads of one run; leaving the context kills every worker."""

    def __init__(self, plan: Plan, schedule: Schedule) -> None:
        self._entries = {entry.name: entry for entry in plan.entries}
        self._pythons, self._timeout, self._schedule = plan.pythons, plan.timeout, schedule
        self._events: queue.Queue[Event | BaseException] = queue.Queue()
        self._stop = threading.Event()
        self._workers: list[Worker] = []
        self._threads: list[threading.Thread] = []
        self.explainer = Explainer(plan.diagnoses, (case.id for case in plan.cases))
        self.shared = Shared(len(plan.entries))
        self._asking = threading.Lock()
        self._asked: Worker | None = None  # one that answers diagnoses is kept for the next

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for worker in list(self._workers):
            worker.stop()
        for thread in self._threads:
            thread.join()
        if self._asked is not None:
            self._asked.close()

    def events(self, lanes: int, cells: int) -> Iterator[Event]:
        """Run `cells` cells in that many lanes; ends with the outcome of the last."""
        for number in range(min(lanes, cells)):
            thread = threading.Thread(target=self._guarded, args=(number,), daemon=True)
            self._threads.append(thread)
            thread.start()
        while cells:
            event = self._events.get()
            if isinstance(event, BaseException):
                raise event
            cells -= isinstance(event, Outcome)
            yield event

    def again(self, name: str, case: Case) -> Result:
        """Run one more case for a diagnosis, in a worker beside the lanes': those go on meanwhile.

        Raises:
            Unsupported, WorkerCrashed: as a worker does.
        """
        with self._asking:
            worker = self._worker_to_ask(name)
            self._workers.append(worker)
            try:
                if self._stop.is_set():
                    raise WorkerCrashed("was stopped")
                return worker.run(case)
            finally:
                self._workers.remove(worker)

    def _worker_to_ask(self, name: str) -> Worker:
        """The one that was asked last, where that is this adapter's."""
        if self._asked is None or self._asked.entry.name != name:
            if self._asked is not None:
                self._asked.close()
            self._asked = Worker(self._entries[name], self._pythons.get(name, sys.executable), self._timeout)
        return self._asked

    def _guarded(self, number: int) -> None:
        try:
            # Two threads: one makes what is asked next while the other judges.
            with ThreadPoolExecutor(2) as pool:
                _Slot(self, number, pool).run()
        except BaseException as error:  # handed to the caller's thread, which raises it
            self._events.put(error)


class _Slot:
    """One thread's work."""

    def __init__(self, lanes: Scheduler, number: int, pool: ThreadPoolExecutor) -> None:
        self._lanes, self._number, self._pool = lanes, number, pool
        self._schedule, self._events, self._stop = lanes._schedule, lanes._events, lanes._stop
        self._free = threading.Semaphore(_WAITING)

    def run(self) -> None:
        """Serve one adapter after the other until no work is left."""
        refused: set[str] = set()
        while not self._stop.is_set():
            choice = self._schedule.choose(refused)
            if choice is None:
                if self._schedule.exhausted:
                    return
                self._stop.wait(_LOOK_SECONDS)
                continue
            name, joining = choice
            if not self._serve(name, joining):
                refused.add(name)

    def _serve(self, name: str, joining: bool) -> bool:
        """Drive a worker for as long as there is work for it; False when a helper could not be started."""
        entry = self._lanes._entries[name]
        python = self._lanes._pythons.get(name, sys.executable)
        with Worker(entry, python, self._lanes._timeout) as worker:
            self._lanes._workers.append(worker)
            if self._stop.is_set():  # whoever stops the workers may have looked before this one was listed
                return True
            try:
                # A helper takes nothing before it is up: until then the others may have finished it all.
                if joining and not self._helper_is_up(worker):
                    return False
                self._drive(worker)
            finally:
                self._lanes._workers.remove(worker)
        return True

    def _helper_is_up(self, worker: Worker) -> bool:
        """Whether the worker loads; if not, those that serve the adapter already say why in every row."""
        try:
            worker.start()
        except WorkerCrashed:
            return False
        return True

    def _drive(self, worker: Worker) -> None:
        ahead = self._next(worker.entry.name)
        while ahead is not None and not self._stop.is_set():
            question, making = ahead
            case, request = making.result()
            self._events.put(Started(question.id, worker.entry.name))
            ahead = self._next(worker.entry.name)
            self._ask(worker, case, request)

    def _next(self, name: str) -> _Ahead | None:
        question = self._schedule.take(name, self._number)
        return None if question is None else (question, self._pool.submit(self._prepared, question))

    def _prepared(self, question: Case | Recipe) -> tuple[Case, bytes]:
        case = self._lanes.shared.case(question)
        return case, request_for(case)

    def _ask(self, worker: Worker, case: Case, request: bytes) -> None:
        name = worker.entry.name
        start = time.perf_counter()
        was_up = worker.running
        try:
            result = worker.ask(request)
        except (Unsupported, WorkerCrashed) as reason:
            self._events.put(not_run(case.id, name, reason))
        else:
            self._free.acquire()
            self._pool.submit(self._judge, result, case, name, worker.layout, worker.seconds)
        if was_up:
            self._schedule.ended(name, time.perf_counter() - start)
        elif worker.running:
            self._schedule.started(name, time.perf_counter() - start)

    def _judge(self, result: Result, case: Case, name: str, layout: str, seconds: float) -> None:
        try:
            ask = partial(self._lanes.again, name)
            self._events.put(judged(result, case, name, layout, seconds, self._lanes.explainer, ask))
        except BaseException as error:  # handed to the caller's thread, which raises it
            self._events.put(error)
        finally:
            self._free.release()
