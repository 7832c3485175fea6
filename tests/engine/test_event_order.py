"""A report does not depend on workers or on which tasks end first."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, run
from lstm_xcheck.engine.explain import Explainer
from lstm_xcheck.events import MAX_DIAGNOSES, Event, Outcome
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.oracle import forward
from lstm_xcheck.report import Report
from lstm_xcheck.runs.folder import RunFolder
from lstm_xcheck.runs.resume import describe, replay, run_in

HERE = str(Path(__file__).parent)
ENTRIES = tuple(Entry(name, f"faulty_adapters:{name}", path=(HERE,)) for name in ("Lossy", "Honest", "Stretched"))
CASES = tuple(
    Case.random(LSTMSpec(input_size=3, hidden_size=hidden), steps=4, seed=seed, id=f"{seed}-{hidden}")
    for seed in range(4)
    for hidden in (4, 3)
)


def without_times(data: dict[str, Any]) -> dict[str, Any]:
    environment = {name: value for name, value in data["environment"].items() if name != "seconds"}
    return {**data, "environment": environment}


def report_with(jobs: int) -> dict[str, Any]:
    return without_times(Report.of(run(Plan(CASES, ENTRIES, jobs=jobs))).to_dict())


@pytest.fixture(scope="module")
def single() -> dict[str, Any]:
    return report_with(1)


@pytest.mark.parametrize("jobs", [2, 3])
def test_the_report_does_not_depend_on_the_number_of_workers(single: dict[str, Any], jobs: int) -> None:
    report = report_with(jobs)
    assert report == single
    assert list(report["environment"]["adapters"]) == [entry.name for entry in ENTRIES]


def test_rows_are_in_the_order_of_the_plan(single: dict[str, Any]) -> None:
    cells = [(case.id, entry.name) for case in CASES for entry in ENTRIES]
    assert [cell for cell, _ in itertools.groupby((row["case"], row["adapter"]) for row in single["rows"])] == cells


def test_the_first_wrong_cases_of_each_adapter_are_diagnosed(single: dict[str, Any]) -> None:
    for name in ("Lossy", "Stretched"):
        wrong = [row["case"] for row in single["rows"] if row["adapter"] == name and row["verdict"] == "mismatch"]
        diagnosed = [found["case"] for found in single["diagnoses"] if found["adapter"] == name]
        assert diagnosed == list(dict.fromkeys(wrong))[:MAX_DIAGNOSES]
    assert not [found for found in single["diagnoses"] if found["adapter"] == "Honest"]


def test_the_report_does_not_depend_on_the_order_of_outcomes(single: dict[str, Any]) -> None:
    events: list[Event] = list(run(Plan(CASES, ENTRIES, jobs=1)))
    planned, *rest = events
    outcomes = [event for event in rest if isinstance(event, Outcome)]
    shuffled = [replace(outcome, seconds=0.0) for outcome in outcomes[::2] + outcomes[1::2]]
    assert without_times(Report.of([planned, *reversed(shuffled), events[-1]]).to_dict()) == single


def test_a_replayed_run_is_in_the_order_of_the_plan(tmp_path: Path, single: dict[str, Any]) -> None:
    plan = Plan(CASES, ENTRIES, jobs=2)
    with RunFolder(tmp_path / "run", describe(plan, CASES, None, {})) as folder:
        kept = Report.of(run_in(folder, plan, run))
    assert without_times(kept.to_dict()) == single
    assert Report.of(replay(tmp_path / "run")).to_dict()["rows"] == single["rows"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(5), 5))[::17], ids=str)
def test_the_first_wrong_cases_are_explained_in_any_order(order: tuple[int, ...]) -> None:
    case, explainer = CASES[0], Explainer(2, [str(k) for k in range(5)])
    right = forward(case)
    wrong = replace(right, h_n=right.c_n, c_n=right.h_n)
    explained = {k for k in order if explainer.explain(wrong, case.with_id(str(k)), "mine")}
    assert {0, 1} <= explained
