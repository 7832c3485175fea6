"""Combinations that are no LSTM are planned, and skipped with their reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters import Entry
from lstm_xcheck.cli.main import run as run_cli
from lstm_xcheck.engine import Plan, Recipe, grid, parse_grid, run
from lstm_xcheck.engine.distributed import run_on
from lstm_xcheck.errors import SpecError
from lstm_xcheck.events import Event
from lstm_xcheck.report import Report
from lstm_xcheck.runs.folder import RunFolder
from lstm_xcheck.runs.record import record
from lstm_xcheck.runs.resume import describe, run_in

HERE = str(Path(__file__).parent)
ENTRIES = tuple(Entry(name, f"faulty_adapters:{name}", path=(HERE,)) for name in ("Honest", "Faulty"))
REASON = "proj_size is 4, but should be smaller than hidden_size=4 (0 means no projection)"
#: hidden=4 with proj=4 is no LSTM; the other three are.
AXES: dict[str, Any] = {"hidden": [4, 6], "proj": [0, 4], "input": 2, "steps": 3}


def skipped(report: Report) -> set[tuple[str, str, str]]:
    return {(row.case[:5], row.adapter, row.reason) for row in report.rows if row.verdict == "skipped"}


def run_on_executor(plan: Plan) -> Iterator[Event]:
    with ThreadPoolExecutor(1) as executor:
        yield from run_on(executor, plan)


@pytest.mark.parametrize("engine", [run, run_on_executor])
def test_a_combination_that_is_no_lstm_is_skipped_with_its_reason(engine: Callable[[Plan], Iterator[Event]]) -> None:
    report = Report.of(engine(Plan(tuple(grid(**AXES)), ENTRIES, jobs=1)))
    assert report.totals["planned"] == 8
    assert report.totals["skipped"] == 2
    assert report.totals["match"] + report.totals["unsupported"] == 6
    assert skipped(report) == {("h4-x2", name, REASON) for name in ("Honest", "Faulty")}
    assert report.verdict == "agree"


def test_resuming_reports_it_once(tmp_path: Path) -> None:
    plan = Plan(tuple(grid(**AXES)), ENTRIES[:1], jobs=1)
    reports = []
    for resume in (False, True):
        with RunFolder(tmp_path / "run", describe(plan, plan.cases, None, {}), resume=resume) as folder:
            reports.append(Report.of(run_in(folder, plan, run)))
    assert reports[0].totals == reports[1].totals
    assert [skipped(report) for report in reports] == [{("h4-x2", "Honest", REASON)}] * 2


def test_functions_of_the_user_are_not_called() -> None:
    asked = []

    def mine(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
        asked.append(weights.spec.hidden_size)
        raise NotImplementedError("never answers")

    report = lx.verify(grid(**AXES), {"mine": mine})
    assert sorted(asked) == [4, 6, 6]
    assert skipped(report) == {("h4-x2", "mine", REASON)}


def test_as_pytest_parameters_it_is_a_skipped_test() -> None:
    marks = {parameter.id[:12]: [mark.kwargs for mark in parameter.marks] for parameter in lx.sweep(**AXES)}
    assert [reasons for reasons in marks.values() if reasons] == [[{"reason": REASON}]]
    assert [parameter.values[0] for parameter in lx.sweep(**AXES) if parameter.marks] == [None]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hidden=1,4 proj=0,4", "proj_size is 4, but should be smaller than hidden_size=1"),
        ("hidden=1,8 directions=1,3", "directions is 3, but should be 1 or 2"),
    ],
)
def test_a_value_that_no_combination_can_have_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_grid(text)
    assert sentence in str(caught.value)


def test_it_cannot_be_recorded() -> None:
    plan = Plan((Recipe(hidden=4, proj=4),), ENTRIES[:1], jobs=1)
    with pytest.raises(SpecError, match=re.escape(f"cannot be recorded: {REASON}; leave it out")):
        record(plan, "env")


@pytest.mark.framework("torch")
def test_the_command_line_reports_it(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_cli(["verify", "--adapters", "torch", "--grid", "hidden=4,6 proj=0,4 input=2 steps=3"])
    printed = capsys.readouterr().out
    assert code == 0
    assert "4 planned = 3 match, 1 skipped" in " ".join(printed.split())
    assert "smaller than" in " ".join(printed.split())
