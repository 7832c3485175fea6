"""Workers compute while results are judged; every task begins and ends once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, Recipe, grid, run, scheduler
from lstm_xcheck.events import Outcome, Planned, Started
from lstm_xcheck.report import Report

HERE = str(Path(__file__).parent)
HONEST = Entry("honest", "faulty_adapters:Honest", path=(HERE,))


def seeds(number: int, **fields: int) -> list[Recipe]:
    return grid(**fields, seeds=number)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_every_task_begins_and_ends_once(jobs: int) -> None:
    recipes = tuple(grid(hidden=[1, 2], input=2, steps=2, batch=1, seeds=12))
    entries = (HONEST, Entry("lossy", "faulty_adapters:Lossy", path=(HERE,)))
    begun, ended = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for event in run(Plan(recipes, entries, jobs=jobs)):
        if isinstance(event, Started):
            begun[event.case, event.adapter] += 1
        elif isinstance(event, Outcome):
            ended[event.case, event.adapter] += 1
            assert begun[event.case, event.adapter] == 1
    wanted = Counter((recipe.id, entry.name) for recipe in recipes for entry in entries)
    assert begun == ended == wanted


def test_skipped_tasks_are_neither_planned_nor_run() -> None:
    cases = (Recipe(hidden=1), Recipe(hidden=2))
    plan = Plan(cases, (HONEST,), jobs=1, skip=frozenset({(cases[0].id, "honest")}))
    events = list(run(plan))
    assert isinstance(events[0], Planned)
    assert events[0].tasks == 1
    assert [event.case for event in events if isinstance(event, Outcome)] == [cases[1].id]
    nothing = Plan(cases[:1], (HONEST,), skip=frozenset({(cases[0].id, "honest")}))
    assert Report.of(run(nothing)).planned == 0


def test_the_oracle_judges_while_the_worker_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging waits for the third case to begin; without overlap it never would."""
    third = threading.Event()
    judge = scheduler.judged_outcome

    def waiting(*arguments: object) -> Outcome:
        assert third.wait(30.0)
        return judge(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scheduler, "judged_outcome", waiting)
    begun = 0
    for event in run(Plan(tuple(seeds(4)), (HONEST,), jobs=1)):
        begun += isinstance(event, Started)
        if begun == 3:
            third.set()
    assert begun == 4


def test_a_slow_oracle_slows_the_backend_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else answers that wait to be judged would fill the memory."""
    release, judge = threading.Event(), scheduler.judged_outcome

    def waiting(*arguments: object) -> Outcome:
        assert release.wait(30.0)
        return judge(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scheduler, "judged_outcome", waiting)
    events = run(Plan(tuple(seeds(20)), (HONEST,), jobs=1))
    begun = [event for event in (next(events) for _ in range(4)) if isinstance(event, Started)]
    time.sleep(0.5)
    waits = events.gi_frame.f_locals["scheduler"].emitted.qsize()
    release.set()
    assert (len(begun), waits) == (3, 0)
    assert len([event for event in events if isinstance(event, Outcome)]) == 20


def test_an_error_of_the_judge_reaches_the_caller_and_leaves_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> Outcome:
        raise ZeroDivisionError("the judge is broken")

    monkeypatch.setattr(scheduler, "judged_outcome", broken)
    with pytest.raises(ZeroDivisionError, match="the judge is broken"):
        list(run(Plan(tuple(seeds(20)), (HONEST,), jobs=2)))
    assert not [thread for thread in threading.enumerate() if "_run_slot" in thread.name]


def test_a_case_that_cannot_be_made_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="unknown init 'best'"):
        list(run(Plan((Recipe(init="best"),), (HONEST,), jobs=1)))
