"""Adapters of a family share a process; each gives the same numbers, bit for bit, as in one of its own."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck.adapters import Entry, known
from lstm_xcheck.adapters.entry import FAMILIES
from lstm_xcheck.engine import Plan, run
from lstm_xcheck.events import Outcome
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.workers.process import Worker
from lstm_xcheck.workers.sharing import ProcessPlan, Workers

CASES = [
    Case.random(LSTMSpec(5, 4, num_layers=2, bidirectional=True, bias="single"), ragged=True, id="stack"),
    Case.random(LSTMSpec(3, 6, bias="single"), precision="float64", id="float64"),
    Case.random(LSTMSpec(3, 6, bias="single"), seed=1, states=False, returns="last", id="last"),
]
ENTRIES = [entry for entry in known().values() if entry.family and not entry.compiles]
PLAIN = Entry("plain", "somewhere:Adapter", variables={"A": "1"}, family="small")


def outputs(worker: Worker) -> list[Result | str]:
    found: list[Result | str] = []
    for case in CASES:
        try:
            found.append(worker.run(case))
        except Exception as error:  # a refusal is an answer to compare, too
            found.append(f"{type(error).__name__}: {error}")
    return found


@pytest.mark.framework
@pytest.mark.parametrize("family", sorted({entry.family for entry in ENTRIES}))
def test_a_shared_process_changes_no_bit(family: str) -> None:
    entries = [entry for entry in ENTRIES if entry.family == family and not entry.missing()]
    if len(entries) < 2:
        pytest.skip(f"needs {entries[0].requires[0] if entries else family}")
    alone = {}
    for entry in entries:
        with Worker(entry) as worker:
            alone[entry.name] = outputs(worker)
    with Workers(entries) as workers:
        shared = {entry.name: outputs(workers[entry.name]) for entry in entries}
        again = {entry.name: outputs(workers[entry.name]) for entry in reversed(entries)}
        assert len({id(workers[entry.name].process) for entry in entries}) == 1
    for name, expected in alone.items():
        for found in (shared[name], again[name]):
            for one, other in zip(expected, found, strict=True):
                assert type(one) is type(other), (name, one, other)
                if isinstance(one, Result) and isinstance(other, Result):
                    for quantity in ("y", "h_n", "c_n", "last"):
                        np.testing.assert_array_equal(getattr(one, quantity), getattr(other, quantity), strict=True)
                else:
                    assert one == other


def test_every_family_of_the_table_is_known() -> None:
    assert {entry.family for entry in known().values()} <= set(FAMILIES)


def test_relatives_get_each_others_variables() -> None:
    other = replace(PLAIN, name="other", variables={"B": "2"})
    plan = ProcessPlan([PLAIN, other])
    assert plan.variables(PLAIN) == plan.variables(other) == {"A": "1", "B": "2"}
    assert plan.place(PLAIN) == plan.place(other)


@pytest.mark.parametrize(
    "changes",
    [{"variables": {"A": "other value"}}, {"family": "torch"}, {"family": ""}],
    ids=["another value", "another family", "no family"],
)
def test_who_shares_no_process(changes: dict[str, object]) -> None:
    other = replace(PLAIN, name="other", **changes)  # type: ignore[arg-type]
    plan = ProcessPlan([PLAIN, other])
    assert plan.place(PLAIN) != plan.place(other)
    assert plan.variables(PLAIN) == PLAIN.variables


def test_another_interpreter_is_another_process() -> None:
    other = replace(PLAIN, name="other")
    plan = ProcessPlan([PLAIN, other], {"other": "/elsewhere/python"})
    assert plan.place(PLAIN) != plan.place(other)
    assert (plan.python(PLAIN), plan.python(other)) == (sys.executable, "/elsewhere/python")


@pytest.mark.parametrize("fault", ["segfaults", "exits", "corrupts"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_crash_costs_its_own_task_alone(fault: str, jobs: int) -> None:
    """`steady` has no faults; it shares the process that `faulty` ends in the middle."""
    path = (str(Path(__file__).parents[1] / "engine"),)
    faulty = Entry("faulty", "faulty_adapters:Faulty", path=path, family="small")
    steady = Entry("steady", "faulty_adapters:Honest", path=path, family="small")
    spec = LSTMSpec(input_size=3, hidden_size=4)
    cases = tuple(Case.random(spec, id=id) for id in ("first", f"bad-{fault}", "last"))
    outcomes = {
        (event.adapter, event.case): event.verdict
        for event in run(Plan(cases, (faulty, steady), jobs=jobs))
        if isinstance(event, Outcome)
    }
    assert outcomes.pop(("faulty", f"bad-{fault}")) == "crashed"
    assert len(outcomes) == 5
    assert set(outcomes.values()) == {"match"}
