"""The pytest fixture `lstm_xcheck`; imported when a test first uses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from .adapters.program import Implementation
from .adapters.registry import entry_named, known, refuse_known
from .compare import Verdict, VerdictName, worst_of
from .compare import judge as judge_result
from .engine import Recipe
from .engine.explain import Explainer
from .engine.families import families
from .engine.recipe import make_case
from .engine.run import run_task
from .engine.task import skipped_outcome
from .errors import AdapterError, NothingComparedError
from .events import Outcome, Planned
from .live.equivalence import assert_equivalent
from .model import Case, Result
from .report import Report
from .report.json_file import write_report
from .report.summary import counted
from .workers.process import Worker
from .workers.sharing import Workers

Adapters = Sequence[str] | Mapping[str, Implementation] | None


def known_names() -> tuple[str, ...]:
    """Every adapter, sorted."""
    return tuple(sorted(known()))


def default_names() -> tuple[str, ...]:
    """Every adapter that runs without being named, sorted."""
    return tuple(sorted(entry.name for entry in known().values() if not (entry.compiles or entry.by_name)))


def why_missing(name: str) -> str:
    """Why an adapter cannot run here, with the pip command, or "".

    Raises:
        AdapterError: for an unknown name.
    """
    entry = entry_named(name)
    missing = entry.missing()
    return f"adapter {name} needs {', '.join(missing)}; run: pip install '{entry.install}'" if missing else ""


class Toolkit:
    """The fixture: runs and judges cases, with one warm worker for each adapter.

    Args:
        current: gives the running test, whose JUnit properties get the scores.
        adapters: gives the names chosen for the running test by options and marker.
        timeout: seconds for one case.
    """

    def __init__(
        self,
        current: Callable[[], pytest.Item | None],
        adapters: Callable[[], tuple[str, ...]],
        timeout: float = 120.0,
    ) -> None:
        self._current, self._adapters, self._timeout = current, adapters, timeout
        self._workers: Workers | None = None
        self._report = Report()
        self._own: dict[str, Implementation] = {}

    def verify(self, cases: Case | Recipe | Iterable[Case | Recipe], adapters: Adapters = None) -> Report:
        """Run cases in frameworks and judge every answer.

        Args:
            cases: one or several.
            adapters: names, or a mapping from a name to `lx.program(...)` or `lx.library(...)`; by default those chosen
                for this test whose frameworks are installed. Without any installed adapter the test is skipped, with
                the pip command.

        Returns:
            The report; its `ok` is true when all agree.

        Raises:
            NothingComparedError: when there is no case.
            AdapterError: for an unknown adapter.
        """
        questions = [cases] if isinstance(cases, (Case, Recipe)) else list(cases)
        names = self._own_names(adapters) if isinstance(adapters, Mapping) else self._installed(adapters)
        if not questions:
            raise NothingComparedError("there is no case to compare; give at least one")
        report = Report()
        of_cases, explainer = families(questions), Explainer()
        tasks = len(questions) * len(names)
        report.handle(Planned(tasks, len(questions), names, order=tuple(of_cases), families=of_cases))
        for question in questions:
            skipped = [skipped_outcome(question, name) for name in names]
            asked = question if any(skipped) else make_case(question)
            for name, out in zip(names, skipped, strict=True):
                outcome = out or run_task(self._worker(name), asked, explainer)
                report.handle(outcome)
                self._remember(outcome)
        return report

    def assert_agrees(self, cases: Case | Recipe | Iterable[Case | Recipe], adapters: Adapters = None) -> None:
        """As `verify`, but fail unless everything that was compared agrees.

        The test is skipped, with the reasons, when a case is no LSTM or no framework supports it.

        Raises:
            DisagreementError: an AssertionError with the worst rows.
            NothingComparedError: when the outputs decide nothing.
        """
        __tracebackhide__ = True
        report = self.verify(cases, adapters)
        totals = report.totals
        if totals["unsupported"] + totals["skipped"] == totals["planned"]:
            pytest.skip("; ".join(sorted({f"{row.adapter}: {row.reason}" for row in report.rows})))
        report.raise_if_failed()

    def run(self, adapter: str, case: Case) -> Result:
        """One case in one framework, not judged.

        Raises:
            AdapterError: for an unknown adapter.
            Unsupported: when the framework has no such LSTM.
            WorkerCrashed: when its process died.
        """
        (name,) = self._installed([adapter])
        return self._worker(name).run(case)

    def judge(self, result: Result, case: Case, *, adapter: str = "result") -> Verdict:
        """Judge your own outputs; `.verdict` is "match" within the rounding bound.

        A failing test shows what is wrong with others, and the mistake that explains it.
        """
        verdict = judge_result(result, case, adapter=adapter)
        wrong = any(row.verdict in ("mismatch", "suspect") for row in verdict.rows)
        diagnoses = Explainer().explain(result, case, adapter) if wrong else ()
        outcome = Outcome(case.id, adapter, verdict.rows, verdict.count, diagnoses=diagnoses)
        self._remember(outcome)
        item = self._current()
        if item is not None and outcome.verdict in ("mismatch", "suspect"):
            item.add_report_section("call", "lstm-xcheck", _explanation(outcome))
        return verdict

    def assert_equivalent(self, first: Any, second: Any, **options: Any) -> None:
        """As `lstm_xcheck.assert_equivalent`.

        Raises:
            DisagreementError: an AssertionError that names what differs.
        """
        __tracebackhide__ = True
        assert_equivalent(first, second, **options)

    @property
    def judged(self) -> bool:
        """Whether anything was judged."""
        return bool(self._report.outcomes)

    def record(self, file: Path) -> str:
        """Write all that was judged as one JSON report; returns its path."""
        file.parent.mkdir(parents=True, exist_ok=True)
        write_report(self._report, file)
        return str(file)

    def tally(self) -> dict[str, Any]:
        """Cells by adapter and verdict, as plain data."""
        counts: dict[str, Counter[VerdictName]] = {}
        for outcome in self._report.outcomes:
            counts.setdefault(outcome.adapter, Counter())[outcome.verdict] += 1
        return {"cells": {adapter: dict(found) for adapter, found in counts.items()}}

    def close(self) -> None:
        """End every worker."""
        if self._workers is not None:
            self._workers.close()

    def _own_names(self, adapters: Mapping[str, Implementation]) -> tuple[str, ...]:
        """The names of programs and libraries, whose workers stay warm."""
        for name, own in adapters.items():
            if not isinstance(own, Implementation):
                raise AdapterError(
                    f"{name} is {own!r}, but should be lx.program(...) or lx.library(...) here; "
                    f"give a function to lx.verify(cases, adapters={{{name!r}: ...}})"
                )
            refuse_known(name)
            if self._own.setdefault(name, own) != own:
                raise AdapterError(f"{name} is another program in this session; give each program its own name")
        return tuple(adapters)

    def _installed(self, adapters: Sequence[str] | None) -> tuple[str, ...]:
        """The adapters to run; skips the test where a named one is not installed."""
        names = tuple(dict.fromkeys(adapters if adapters is not None else self._adapters()))
        if not names:
            raise NothingComparedError("no adapter is left by --xcheck-adapters and the marker xcheck; choose others")
        reasons = {name: why_missing(name) for name in names}
        present = tuple(name for name in names if not reasons[name])
        if not present or (adapters is not None and len(present) < len(names)):
            pytest.skip("; ".join(reason for reason in reasons.values() if reason))
        return present

    def _worker(self, name: str) -> Worker:
        if self._workers is None:
            self._workers = Workers(known().values(), timeout=self._timeout)
        own = self._own.get(name)
        return self._workers.worker_of(entry_named(name) if own is None else own.entry(name))

    def _remember(self, outcome: Outcome) -> None:
        self._report.handle(Planned(1, 1, (outcome.adapter,)))
        self._report.handle(outcome)
        item = self._current()
        if item is not None:
            _add_properties(item, outcome)


def _explanation(outcome: Outcome) -> str:
    """What is wrong with an outcome, and its cause, as text."""
    report = Report()
    report.handle(Planned(1, 1, (outcome.adapter,)))
    report.handle(outcome)
    wrong = [row for row in outcome.rows if row.verdict in ("mismatch", "suspect")]
    return "\n".join([*(f"{row.verdict}: {row.reason}" for row in wrong), *report.causes])


def _add_properties(item: pytest.Item, outcome: Outcome) -> None:
    """Set the worst verdict and score as JUnit properties of a test."""
    properties = dict(item.user_properties)
    scores = [row.score for row in outcome.rows if row.score is not None]
    name = f"xcheck_verdict[{outcome.adapter}]"
    before: Any = properties.get(name)
    properties[name] = worst_of([outcome.verdict, *([before] if before else [])])
    if scores:
        name = f"xcheck_score[{outcome.adapter}]"
        properties[name] = max([*scores, float(str(properties.get(name, 0.0)))])
    mine = [(key, value) for key, value in properties.items() if key.startswith("xcheck_")]
    item.user_properties[:] = [pair for pair in item.user_properties if not pair[0].startswith("xcheck_")] + mine


def summary_lines(tallies: Sequence[dict[str, Any]]) -> list[str]:
    """Cells by verdict for each adapter and in total, and the reports' paths."""
    by_adapter: dict[str, Counter[VerdictName]] = {}
    for tally in tallies:
        for adapter, found in tally["cells"].items():
            by_adapter.setdefault(adapter, Counter()).update(found)
    lines = [f"{adapter}: {counted(found)}" for adapter, found in sorted(by_adapter.items())]
    total = sum(by_adapter.values(), Counter[VerdictName]())
    files = sorted(tally["file"] for tally in tallies if "file" in tally)
    return [*lines, f"{sum(total.values())} cells = {counted(total)}", *(f"report: {file}" for file in files)]
