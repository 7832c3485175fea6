"""The public functions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from .adapters.program import Implementation
from .adapters.program import library as library
from .adapters.program import program as program
from .checkpoints.formats import load as load
from .compare import Verdict
from .compare import judge as judge_outputs
from .compare.reference import observed_quantities
from .diagnose import Diagnosis as Diagnosis
from .diagnose import diagnose as diagnose
from .diagnose.detection_power import power
from .engine import Plan, Recipe, choose_entries, grid, run_functions, with_compiling, with_gradients
from .engine import run as run_plan
from .engine.families import families
from .errors import NothingComparedError, SpecError
from .events import Event, Finished, Outcome, Planned
from .live.equivalence import assert_equivalent as assert_equivalent
from .model import Case, Result
from .report import Report
from .report.detection_power import PowerAhead, statements
from .workers.process import Worker

__all__ = [
    "Diagnosis",
    "Verdict",
    "assert_equivalent",
    "diagnose",
    "judge",
    "library",
    "load",
    "program",
    "run",
    "sweep",
    "verify",
    "verify_grid",
]

Adapters = Sequence[str] | Mapping[str, Callable[..., Any] | Implementation] | None


def run(adapter: str, case: Case, *, python: str | None = None, timeout: float = 120.0) -> Result:
    """Run one case in one framework, in its own process.

    Args:
        adapter: such as `torch`, `keras-jax` or `jax`.
        case: weights and data.
        python: another interpreter that has the framework.
        timeout: seconds.

    Raises:
        AdapterError: for an unknown adapter or a missing framework.
        Unsupported: when the framework has no such LSTM.
        WorkerCrashed: when its process died.

    >>> run("torch", Case.random(LSTMSpec(2, 3))).y.shape  # doctest: +SKIP
    (3, 7, 3)
    """
    _require(case, Case)
    (entry,) = choose_entries([adapter], {adapter: python} if python else None)
    with Worker(entry, python or sys.executable, timeout) as worker:
        return worker.run(case)


def judge(result: Result, case: Case) -> Verdict:
    """Judge the outputs of any implementation for a case.

    Args:
        result: the outputs, such as `lx.Result(y=..., h_n=..., c_n=...)`; without those of every step the bound may be
            too wide to decide.
        case: the weights and data they were computed from.

    Returns:
        `.verdict` (match, suspect, mismatch or inconclusive), `.rows` for each quantity, and `.power`: the mistakes
        that would have been caught by this very comparison - these quantities, in the precision that judged them - and
        those it is blind to.

    Raises:
        NothingComparedError: when the result has nothing in common with the case.

    >>> from lstm_xcheck import LSTMSpec, trace
    >>> case = Case.random(LSTMSpec(2, 3))
    >>> judge(trace(case).result, case).verdict
    'match'
    """
    _require(result, Result)
    _require(case, Case)
    verdict = judge_outputs(result, case)
    observed, precision = tuple(observed_quantities(result)), result.computed_in or case.precision
    return replace(verdict, state_power=lambda: power(case, observed=observed, precision=precision).to_dict())


def _require(given: object, kind: type) -> None:
    if not isinstance(given, kind):
        raise SpecError(f"got a {type(given).__name__}, but this should be a lstm_xcheck.{kind.__name__}")


def _questions(cases: Case | Recipe | Iterable[Case | Recipe], gradients: bool) -> tuple[Case | Recipe, ...]:
    """One case or several as a tuple."""
    questions = (cases,) if isinstance(cases, (Case, Recipe)) else tuple(cases)
    for question in questions:
        if not isinstance(question, Recipe):
            _require(question, Case)
    return with_gradients(questions) if gradients else questions


def verify(
    cases: Case | Recipe | Iterable[Case | Recipe],
    adapters: Adapters = None,
    *,
    jobs: int | None = None,
    timeout: float = 120.0,
    workers: Mapping[str, str] | None = None,
    gradients: bool = False,
) -> Report:
    """Run cases in several frameworks and judge every answer.

    Args:
        cases: one case or many.
        adapters: names, by default all whose framework is installed; or a mapping from a name to your own function
            `(weights, x, h0, c0, lengths) -> y, h, c`, or to `program("./my_lstm")` or `library("./libmine.so", "f")`.
        jobs: worker processes at a time, by default one for each core.
        timeout: seconds for one case.
        workers: interpreters by adapter name, for frameworks in other environments.
        gradients: whether to compare gradients of every case; a case may also request them itself.

    Returns:
        The report; its `power` lists the mistakes that the matches would have caught.

    Raises:
        NothingComparedError: when there is no case or no adapter.
        AdapterError: for an unknown adapter or a missing framework.

    >>> from lstm_xcheck import LSTMSpec, trace
    >>> def mine(weights, x, h0, c0, lengths):
    ...     return trace(Case(weights=weights, x=x, h0=h0, c0=c0, lengths=lengths)).result.y
    >>> verify(Case.random(LSTMSpec(2, 3)), {"mine": mine}).verdict
    'agree'
    >>> verify(Case.random(LSTMSpec(2, 3)), ["torch", "jax"]).verdict  # doctest: +SKIP
    'agree'
    """
    questions = _questions(cases, gradients)
    if isinstance(adapters, Mapping):
        return _verify_own(questions, adapters, timeout, jobs)
    entries = with_compiling(choose_entries(adapters, workers), questions)
    plan = Plan(questions, entries, workers or {}, timeout, jobs or os.cpu_count() or 1)
    return _with_power(run_plan(plan), questions)


def _verify_own(
    questions: tuple[Case | Recipe, ...],
    own: Mapping[str, Callable[..., Any] | Implementation],
    timeout: float,
    jobs: int | None,
) -> Report:
    """Functions run in this process, programs and libraries in workers."""
    if not questions or not own:
        raise NothingComparedError("there is nothing to compare; give at least one case and one function")
    names, of_cases = tuple(own), families(questions)
    planned = Planned(len(questions) * len(own), len(questions), names, order=tuple(of_cases), families=of_cases)
    start = time.perf_counter()
    functions = {name: function for name, function in own.items() if not isinstance(function, Implementation)}
    entries = tuple(other.entry(name) for name, other in own.items() if isinstance(other, Implementation))
    outcomes: list[Event] = list(run_functions(questions, functions)) if functions else []
    if entries:
        plan = Plan(questions, entries, {}, timeout, jobs or os.cpu_count() or 1)
        outcomes += [event for event in run_plan(plan) if isinstance(event, Outcome)]
    report = _with_power([planned, *outcomes, Finished(time.perf_counter() - start)], questions)
    report.subject["own"] = list(own)
    return report


def _with_power(events: Iterable[Event], questions: tuple[Case | Recipe, ...]) -> Report:
    ahead = PowerAhead(questions)
    report = Report.of(ahead.follow(events))
    report.power = statements(questions, report, ahead=ahead)
    return report


def verify_grid(
    recipes: Iterable[Recipe],
    adapters: Sequence[str] | None = None,
    *,
    executor: Executor | None = None,
    jobs: int | None = None,
    timeout: float = 120.0,
    gradients: bool = False,
) -> Report:
    """Verify a grid, optionally on an executor.

    Args:
        recipes: from `grid`.
        adapters: names, by default all whose framework is installed.
        executor: any `concurrent.futures.Executor`, local or remote; by default worker processes on this machine.
        jobs, timeout, gradients: as in `verify`.

    Raises:
        NothingComparedError: when there is no recipe or no adapter.
        AdapterError: for an unknown adapter or a missing framework.

    >>> verify_grid(grid(hidden=[1, 32], layers=[1, 2]), ["torch", "jax"]).verdict  # doctest: +SKIP
    'agree'
    """
    questions = _questions(recipes, gradients)
    if executor is None:
        return verify(questions, adapters, jobs=jobs, timeout=timeout)
    if not hasattr(executor, "submit"):
        raise SpecError(f"executor is a {type(executor).__name__}, but should be a concurrent.futures.Executor")
    from .engine.distributed import run_on

    entries = with_compiling(choose_entries(adapters), questions)
    plan = Plan(questions, entries, {}, timeout, jobs or os.cpu_count() or 1)
    return _with_power(run_on(executor, plan), questions)


def sweep(**axes: Any) -> list[Any]:
    """A grid as pytest parameters with readable ids.

    A combination that is no LSTM is a skipped test with its reason.

    Raises:
        SpecError: for an axis that does not exist.

    >>> [parameter.id for parameter in sweep(hidden=[1, 8], steps=2)]
    ['h1-x5-t2-b3-split-states-float32-s0', 'h8-x5-t2-b3-split-states-float32-s0']
    """
    import pytest

    return [
        pytest.param(None, id=recipe.id, marks=pytest.mark.skip(reason=recipe.impossible))
        if recipe.impossible
        else pytest.param(recipe.case(), id=recipe.id)
        for recipe in grid(**axes)
    ]
