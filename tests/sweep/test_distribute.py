"""The same report, whoever runs the work."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.report import Report
from lstm_xcheck.spec import Case, LSTMSpec
from lstm_xcheck.sweep import Plan, Recipe, run
from lstm_xcheck.sweep.distribute import run_on

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
    """What a report says, in an order of its own, without the time it took."""
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
