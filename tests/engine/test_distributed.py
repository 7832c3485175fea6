"""Every executor gives the same report."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, Recipe, distributed, run
from lstm_xcheck.engine.distributed import WorkerState, run_on
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.report import Report

HERE = str(Path(__file__).parent)


def processes() -> Executor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Cases and recipes, a mismatch, a crash and an unsupported one among them."""
    spec = LSTMSpec(input_size=3, hidden_size=4)
    cases: tuple[Any, ...] = (
        Recipe(hidden=3, ragged=True),
        Case.random(spec, steps=5, batch=3, id="bad-nan"),
        Recipe(hidden=2, layers=2),
        Case.random(spec, steps=5, batch=3, id="bad-raises"),
        Recipe(hidden=1, input=1, dtype="float64"),
    )
    entries = tuple(Entry(name, f"faulty_adapters:{name}", path=(HERE,)) for name in ("Honest", "Faulty"))
    return Plan(cases, entries, timeout=60.0, jobs=2)


@pytest.fixture(scope="module")
def expected(plan: Plan) -> dict[str, Any]:
    return content(Report.of(run(plan)))


def content(report: Report) -> dict[str, Any]:
    """The content of a report, sorted, without times."""
    data = report.to_dict()
    data["rows"].sort(key=lambda row: (row["case"], row["adapter"], row["quantity"]))
    data["parameter_counts"].sort(key=lambda row: (row["case"], row["adapter"]))
    del data["environment"]["seconds"]
    return data


@pytest.mark.parametrize("executor", [lambda: ThreadPoolExecutor(2), processes], ids=["threads", "processes"])
def test_any_executor_gives_the_same_report(
    executor: Callable[[], Executor], plan: Plan, expected: dict[str, Any]
) -> None:
    with executor() as pool:
        assert content(Report.of(run_on(pool, plan, chunk=3))) == expected


def test_the_report_itself_is_as_planned(expected: dict[str, Any]) -> None:
    assert expected["totals"] == {
        "planned": 10, "match": 6, "suspect": 0, "mismatch": 1, "inconclusive": 0, "unsupported": 2, "crashed": 1,
        "skipped": 0,
    }  # fmt: skip
    assert {row["worst"] and tuple(row["worst"]) for row in expected["rows"] if row["verdict"] == "mismatch"} == {
        (1, 2, 0)
    }


class Failing(ThreadPoolExecutor):
    """Loses the second chunk, answers the third with nothing, refuses the fourth."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked = 0

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        self.asked += 1
        if self.asked == 4:
            raise BrokenExecutor("all its processes died")
        replaced = {2: _lose, 3: _answer_nothing}.get(self.asked, function)
        return super().submit(replaced, *arguments, **options)


def _lose(chunk: bytes) -> bytes:
    raise OSError("the machine is gone")


def _answer_nothing(chunk: bytes) -> bytes:
    return b"[]"


def test_a_lost_chunk_is_a_crashed_row_for_each_task() -> None:
    recipes = tuple(Recipe(hidden=hidden, input=1, steps=2, batch=1) for hidden in (1, 2, 3, 4, 5))
    plan = Plan(recipes, (Entry("honest", "faulty_adapters:Honest", path=(HERE,)),), timeout=60.0)
    with Failing() as pool:
        report = Report.of(run_on(pool, plan, chunk=1))
    reasons = {row.case: row.reason for row in report.rows if row.verdict == "crashed"}
    assert reasons == {
        recipes[1].id: "the executor lost the task: OSError: the machine is gone",
        recipes[2].id: "the executor's answer lacks this case",
        recipes[3].id: "the executor lost the task: BrokenExecutor: all its processes died",
    }
    assert (report.totals["planned"], report.totals["match"], report.totals["crashed"]) == (5, 2, 3)


def test_chunks_are_submitted_as_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "WINDOW", 2)
    given: list[Future[Any]] = []
    waiting: list[int] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            waiting.append(sum(not future.done() for future in given))
            given.append(super().submit(function, *arguments, **options))
            return given[-1]

    recipes = tuple(Recipe(hidden=1, input=1, steps=2, batch=1, seed=seed) for seed in range(6))
    plan = Plan(recipes, (Entry("honest", "faulty_adapters:Honest", path=(HERE,)),), timeout=60.0)
    with Counting(1) as pool:
        assert Report.of(run_on(pool, plan, chunk=1)).totals["match"] == 6
    assert len(waiting) == 6
    assert max(waiting) <= 1


def test_tasks_that_ended_before_are_not_run_again(plan: Plan) -> None:
    done = frozenset((case.id, entry.name) for case in plan.cases[1:] for entry in plan.entries)
    with ThreadPoolExecutor(1) as pool:
        report = Report.of(run_on(pool, replace(plan, skip=done)))
    assert report.totals["planned"] == report.totals["match"] == 2
    assert {row.case for row in report.rows} == {plan.cases[0].id}


class Asleep(ThreadPoolExecutor):
    """Takes tasks and does none, as a cluster whose workers are gone."""

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        return Future()


class Watched(dict[str, Executor]):
    """Executors by adapter whose workers go away; others may take over."""

    def __init__(self, replacement: Executor | None) -> None:
        super().__init__(honest=Asleep(1))
        self._replacement = replacement

    def worker_state(self, adapter: str) -> WorkerState:
        if self._replacement is None:
            return "gone"
        if self[adapter] is self._replacement:
            return "present"
        self[adapter] = self._replacement
        return "replaced"


def test_chunks_of_replaced_workers_are_submitted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "POLL_SECONDS", 0.1)
    plan = Plan((Recipe(hidden=1), Recipe(hidden=2)), (Entry("honest", "faulty_adapters:Honest", path=(HERE,)),))
    with ThreadPoolExecutor(1) as pool:
        report = Report.of(run_on(Watched(pool), plan, chunk=1))
    assert report.totals["planned"] == report.totals["match"] == 2


def test_tasks_without_any_worker_are_crashed_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "POLL_SECONDS", 0.1)
    plan = Plan((Recipe(hidden=1), Recipe(hidden=2)), (Entry("honest", "faulty_adapters:Honest", path=(HERE,)),))
    report = Report.of(run_on(Watched(None), plan, chunk=1))
    assert report.totals["planned"] == report.totals["crashed"] == 2
    assert all("every worker that had what adapter honest needs is gone" in row.reason for row in report.rows)
