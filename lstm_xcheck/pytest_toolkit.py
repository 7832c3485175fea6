"""What the pytest fixture `lstm_xcheck` can do. Loaded when a test first asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from .adapters import known
from .adapters.registry import entry_named
from .compare import VERDICTS, Verdict, worst_of
from .compare import judge as judge_result
from .engine import Recipe
from .engine.explain import Explainer
from .engine.recipe import make_case
from .engine.run import run_task
from .engine.task import skipped_outcome
from .errors import DisagreementError, NothingComparedError
from .events import Outcome, Planned
from .live.equivalence import assert_equivalent
from .model import Case, Result
from .report import Report
from .report.json_file import write_report
from .workers.process import Worker


def known_names() -> tuple[str, ...]:
    """Every adapter, sorted."""
    return tuple(sorted(known()))


def why_missing(name: str) -> str:
    """Why an adapter cannot run here, with the pip command; empty when it can.

    Raises:
        AdapterError: for an unknown name.
    """
    entry = entry_named(name)
    missing = entry.missing()
    return f"adapter {name} needs {', '.join(missing)}; run: pip install '{entry.install}'" if missing else ""


class Toolkit:
    """The fixture: runs and judges, keeps one warm worker for each adapter, remembers what was judged.

    Args:
        current: the running test, whose JUnit properties get the scores.
        adapters: the names chosen for the running test by options and marker.
        timeout: seconds for one case.
    """

    def __init__(
        self,
        current: Callable[[], pytest.Item | None],
        adapters: Callable[[], tuple[str, ...]],
        timeout: float = 120.0,
    ) -> None:
        self._current, self._adapters, self._timeout = current, adapters, timeout
        self._workers: dict[str, Worker] = {}
        self._report = Report()

    def verify(self, cases: Case | Recipe | Iterable[Case | Recipe], adapters: Sequence[str] | None = None) -> Report:
        """Run cases in frameworks and judge every answer; `report.ok` says whether all agree.

        Args:
            cases: one or several.
            adapters: names; by default those chosen for this test, as far as their frameworks are installed. A test
                none of whose adapters is installed is skipped, with the pip command.

        Raises:
            NothingComparedError: when there is no case.
            AdapterError: for an unknown adapter.
        """
        questions = [cases] if isinstance(cases, (Case, Recipe)) else list(cases)
        names = self._installed(adapters)
        if not questions:
            raise NothingComparedError("there is no case to compare; give at least one")
        report = Report()
        order, explainer = tuple(question.id for question in questions), Explainer()
        report.handle(Planned(len(questions) * len(names), len(questions), names, order=order))
        for question in questions:
            skipped = [skipped_outcome(question, name) for name in names]
            asked = question if any(skipped) else make_case(question)
            for name, out in zip(names, skipped, strict=True):
                outcome = out or run_task(self._worker(name), asked, explainer)
                report.handle(outcome)
                self._remember(outcome)
        return report

    def assert_agrees(
        self, cases: Case | Recipe | Iterable[Case | Recipe], adapters: Sequence[str] | None = None
    ) -> None:
        """As `verify`, but fail unless everything that could be compared agrees.

        A test is skipped, with the reasons, when there is no such LSTM, or no framework in question has it.

        Raises:
            DisagreementError: an AssertionError with the worst rows.
            NothingComparedError: when the outputs decide nothing.
        """
        __tracebackhide__ = True
        report = self.verify(cases, adapters)
        totals = report.totals
        if totals["unsupported"] + totals["skipped"] == totals["planned"]:
            pytest.skip("; ".join(sorted({f"{row.adapter}: {row.reason}" for row in report.rows})))
        message = ""
        try:
            report.raise_if_failed()
        except DisagreementError as error:
            message = str(error)
        if message:
            raise DisagreementError(message)

    def run(self, adapter: str, case: Case) -> Result:
        """One case in one framework, not judged.

        Raises:
            AdapterError: for an unknown adapter.
            Unsupported: when the framework has no such LSTM.
            WorkerCrashed: when it died.
        """
        (name,) = self._installed([adapter])
        return self._worker(name).run(case)

    def judge(self, result: Result, case: Case, *, adapter: str = "result") -> Verdict:
        """Judge outputs of your own; `.verdict` is "match" when they are what honest rounding allows.

        What is wrong with others, and the mistake that explains it, is shown with the test when it fails.
        """
        verdict = judge_result(result, case, adapter=adapter)
        wrong = any(row.verdict in ("mismatch", "suspect") for row in verdict.of_outputs)
        diagnoses = Explainer().explain(result, case, adapter) if wrong else ()
        outcome = Outcome(case.id, adapter, verdict.rows, verdict.count, diagnoses=diagnoses)
        self._remember(outcome)
        item = self._current()
        if item is not None and outcome.verdict in ("mismatch", "suspect"):
            item.add_report_section("call", "lstm-xcheck", _told(outcome))
        return verdict

    def assert_equivalent(self, first: Any, second: Any, **options: Any) -> None:
        """`lstm_xcheck.assert_equivalent`: two live layers, files, weights or functions.

        Raises:
            DisagreementError: an AssertionError that names what differs.
        """
        __tracebackhide__ = True
        assert_equivalent(first, second, **options)

    @property
    def judged(self) -> bool:
        """Whether anything was."""
        return bool(self._report.outcomes)

    def record(self, file: Path) -> str:
        """Write all that was judged as one JSON report; returns where."""
        file.parent.mkdir(parents=True, exist_ok=True)
        write_report(self._report, file)
        return str(file)

    def tally(self) -> dict[str, Any]:
        """Cells by adapter and verdict, as plain data."""
        counts: dict[str, Counter[str]] = {}
        for outcome in self._report.outcomes:
            counts.setdefault(outcome.adapter, Counter())[outcome.verdict] += 1
        return {"cells": {adapter: dict(found) for adapter, found in counts.items()}}

    def close(self) -> None:
        """End every worker."""
        while self._workers:
            self._workers.popitem()[1].close()

    def _installed(self, adapters: Sequence[str] | None) -> tuple[str, ...]:
        """The adapters to run; skips the test where something asked for is not installed."""
        names = tuple(dict.fromkeys(adapters if adapters is not None else self._adapters()))
        if not names:
            raise NothingComparedError("no adapter is left by --xcheck-adapters and the marker xcheck; choose others")
        reasons = {name: why_missing(name) for name in names}
        present = tuple(name for name in names if not reasons[name])
        if not present or (adapters is not None and len(present) < len(names)):
            pytest.skip("; ".join(reason for reason in reasons.values() if reason))
        return present

    def _worker(self, name: str) -> Worker:
        if name not in self._workers:
            self._workers[name] = Worker(entry_named(name), timeout=self._timeout)
        return self._workers[name]

    def _remember(self, outcome: Outcome) -> None:
        self._report.handle(Planned(1, 1, (outcome.adapter,)))
        self._report.handle(outcome)
        item = self._current()
        if item is not None:
            _add_properties(item, outcome)


def _told(outcome: Outcome) -> str:
    """An outcome that is wrong, and why, for people."""
    report = Report()
    report.handle(Planned(1, 1, (outcome.adapter,)))
    report.handle(outcome)
    wrong = [row for row in outcome.rows if row.verdict in ("mismatch", "suspect")]
    return "\n".join([*(f"{row.verdict}: {row.reason}" for row in wrong), *report.causes])


def _add_properties(item: pytest.Item, outcome: Outcome) -> None:
    """The worst verdict and score of each adapter, as properties of the test's JUnit entry."""
    known_already = dict(item.user_properties)
    scores = [row.score for row in outcome.rows if row.score is not None]
    name = f"xcheck_verdict[{outcome.adapter}]"
    before: Any = known_already.get(name)
    known_already[name] = worst_of([outcome.verdict, *([before] if before else [])])
    if scores:
        name = f"xcheck_score[{outcome.adapter}]"
        known_already[name] = max([*scores, float(str(known_already.get(name, 0.0)))])
    mine = [(key, value) for key, value in known_already.items() if key.startswith("xcheck_")]
    item.user_properties[:] = [pair for pair in item.user_properties if not pair[0].startswith("xcheck_")] + mine


def summary_lines(tallies: Sequence[dict[str, Any]]) -> list[str]:
    """Cells by verdict for each adapter and in all, and where the reports are."""
    by_adapter: dict[str, Counter[str]] = {}
    for tally in tallies:
        for adapter, found in tally["cells"].items():
            by_adapter.setdefault(adapter, Counter()).update(found)
    lines = [f"{adapter}: {_counted(found)}" for adapter, found in sorted(by_adapter.items())]
    total: Counter[str] = Counter()
    for found in by_adapter.values():
        total.update(found)
    files = sorted(tally["file"] for tally in tallies if "file" in tally)
    return [*lines, f"{sum(total.values())} cells = {_counted(total)}", *(f"report: {file}" for file in files)]


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict])
