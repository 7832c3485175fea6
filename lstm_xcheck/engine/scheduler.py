"""Scheduler: slots drive workers, and judge results while the workers compute.

slot   run case 2            run case 3            run case 4
pool   make 3, judge 1       make 4, judge 2       make 5, judge 3
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from ..adapters.entry import FAMILIES, Entry
from ..errors import Unsupported, WorkerCrashed
from ..events import Event, Outcome, Started
from ..model import Case, Result
from ..workers.codec import encode_case
from ..workers.launch import Process
from ..workers.process import Worker
from .case_cache import CaseCache
from .explain import Explainer
from .plan import Plan
from .recipe import CaseOrRecipe
from .task import failed_outcome, judged_outcome
from .work_queue import WorkQueue

#: Results of one slot that may wait for the judge; a fast backend waits for the oracle, which bounds the memory.
_MAX_WAITING_RESULTS = 2
#: Seconds after which an idle slot looks again for tasks to take over.
_POLL_SECONDS = 0.05

_Prepared = tuple[CaseOrRecipe, "Future[tuple[Case, bytes]]"]


class Scheduler:
    """The slots of one run; leaving the context kills every worker."""

    def __init__(self, plan: Plan) -> None:
        slowest_first = sorted(plan.entries, key=lambda entry: -FAMILIES[entry.family].seconds)
        cases = {entry.name: plan.runnable_cases(entry.name) for entry in slowest_first}
        places = {entry.name: plan.processes.place(entry) for entry in slowest_first}
        self.plan, self.work = plan, WorkQueue(cases, places)
        self.task_count = sum(map(len, cases.values()))
        self.entries = {entry.name: entry for entry in plan.entries}
        self.explainer = Explainer(plan.diagnoses, (case.id for case in plan.cases))
        self.cases = CaseCache(len(plan.entries))
        self.emitted: queue.Queue[Event | BaseException] = queue.Queue()
        self.stopping = threading.Event()
        self.workers: list[Worker] = []
        self._threads: list[threading.Thread] = []
        self._probe_lock = threading.Lock()
        self._probe_worker: Worker | None = None  # kept for the next diagnosis

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for worker in list(self.workers):
            worker.stop()
        for thread in self._threads:
            thread.join()
        if self._probe_worker is not None:
            self._probe_worker.close()

    def events(self) -> Iterator[Event]:
        """Run all tasks; ends with the outcome of the last."""
        for number in range(min(max(1, self.plan.jobs), self.task_count)):
            thread = threading.Thread(target=self._run_slot, args=(number,), daemon=True)
            self._threads.append(thread)
            thread.start()
        left = self.task_count
        while left:
            event = self.emitted.get()
            if isinstance(event, BaseException):
                raise event
            left -= isinstance(event, Outcome)
            yield event

    def run_probe(self, adapter: str, case: Case) -> Result:
        """Run a case for a diagnosis in a separate worker."""
        with self._probe_lock:
            worker = self._probe_worker
            if worker is None or worker.entry.name != adapter:
                if worker is not None:
                    worker.close()
                worker = self._probe_worker = self.plan.new_worker(self.entries[adapter])
            self.workers.append(worker)
            try:
                if self.stopping.is_set():
                    raise WorkerCrashed("was stopped")
                return worker.run(case)
            finally:
                self.workers.remove(worker)

    def _run_slot(self, number: int) -> None:
        try:
            # Two threads: one makes the next case while the other judges.
            with ThreadPoolExecutor(2) as pool:
                _Slot(self, number, pool).run()
        except BaseException as error:  # raised again in the caller's thread
            self.emitted.put(error)


class _Slot:
    """One thread of a scheduler."""

    def __init__(self, scheduler: Scheduler, number: int, pool: ThreadPoolExecutor) -> None:
        self._scheduler, self._number, self._pool = scheduler, number, pool
        self._work, self._emitted, self._stopping = scheduler.work, scheduler.emitted, scheduler.stopping
        self._waiting_results = threading.Semaphore(_MAX_WAITING_RESULTS)
        self._process: Process | None = None
        self._place: Hashable = None

    def run(self) -> None:
        """Serve adapters in turn until no task is left."""
        refused: set[str] = set()
        try:
            while not self._stopping.is_set():
                choice = self._work.choose_adapter(self._number, refused)
                if choice is None:
                    if self._work.exhausted:
                        return
                    self._stopping.wait(_POLL_SECONDS)
                    continue
                adapter, joining = choice
                if not self._serve(adapter, joining):
                    refused.add(adapter)
        finally:
            if self._process is not None:
                self._process.close()

    def _serve(self, adapter: str, joining: bool) -> bool:
        """Drive a worker; False when it was to join others but does not load."""
        worker = self._worker(self._scheduler.entries[adapter])
        self._scheduler.workers.append(worker)
        if self._stopping.is_set():  # `__exit__` may have stopped the workers before this one was listed
            return True
        try:
            # A joining worker takes no task before it is up: the others may finish them all in the meantime.
            if joining and not _start(worker):
                return False
            self._drive(worker)
        finally:
            self._scheduler.workers.remove(worker)
        return True

    def _worker(self, entry: Entry) -> Worker:
        """A worker in this slot's process, where the adapter may share it."""
        processes = self._scheduler.plan.processes
        place = processes.place(entry)
        if self._process is None or self._place != place:
            if self._process is not None:
                self._process.close()
            self._process, self._place = processes.new_process(entry), place
        return self._scheduler.plan.new_worker(entry, self._process)

    def _drive(self, worker: Worker) -> None:
        prepared = self._prepare_next(worker.entry.name)
        while prepared is not None and not self._stopping.is_set():
            recipe, future = prepared
            case, request = future.result()
            self._emitted.put(Started(recipe.id, worker.entry.name))
            prepared = self._prepare_next(worker.entry.name)
            self._run_task(worker, case, request)

    def _prepare_next(self, adapter: str) -> _Prepared | None:
        recipe = self._work.take(adapter, self._number)
        return None if recipe is None else (recipe, self._pool.submit(self._prepare, recipe))

    def _prepare(self, recipe: CaseOrRecipe) -> tuple[Case, bytes]:
        case = self._scheduler.cases.case(recipe)
        return case, encode_case(case)

    def _run_task(self, worker: Worker, case: Case, request: bytes) -> None:
        adapter = worker.entry.name
        start = time.perf_counter()
        was_up = worker.running
        try:
            result = worker.run_encoded(request)
        except (Unsupported, WorkerCrashed) as reason:
            self._emitted.put(failed_outcome(case.id, adapter, reason))
        else:
            self._waiting_results.acquire()
            self._pool.submit(self._judge, result, case, adapter, worker.layout, worker.seconds)
        if was_up:
            self._work.task_ended(adapter, time.perf_counter() - start)
        elif worker.running:
            self._work.worker_started(adapter, time.perf_counter() - start)

    def _judge(self, result: Result, case: Case, adapter: str, layout: str, seconds: float) -> None:
        try:
            ask = partial(self._scheduler.run_probe, adapter)
            self._emitted.put(judged_outcome(result, case, adapter, layout, seconds, self._scheduler.explainer, ask))
        except BaseException as error:  # raised again in the caller's thread
            self._emitted.put(error)
        finally:
            self._waiting_results.release()


def _start(worker: Worker) -> bool:
    """Start a worker; False when it does not load, which other slots report."""
    try:
        worker.start()
    except WorkerCrashed:
        return False
    return True
