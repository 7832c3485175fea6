"""Runs a plan in workers and judges every result.

The engine emits events and knows no listener. Every planned task ends in exactly one `Outcome`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial

from ..adapters.function import call_function, unsupported_by
from ..compare import judge
from ..errors import Unsupported, WorkerCrashed, XcheckError
from ..events import Event, Finished, Outcome
from ..model import Case, Result
from ..workers.format_exception import format_exception
from ..workers.process import Worker
from .explain import Explainer
from .plan import Plan
from .recipe import CaseOrRecipe, make_case
from .scheduler import Scheduler
from .task import failed_outcome, judged_outcome, skipped_outcome


def run(plan: Plan) -> Generator[Event, None, None]:
    """Run a plan; closing the iterator stops every worker."""
    start = time.perf_counter()
    yield plan.planned
    yield from plan.skipped_outcomes()
    with Scheduler(plan) as scheduler:
        yield from scheduler.events()
    yield Finished(time.perf_counter() - start)


def run_task(worker: Worker, case: CaseOrRecipe, explainer: Explainer | None = None) -> Outcome:
    """Run one case in one worker and judge the result."""
    case, adapter = make_case(case), worker.entry.name
    try:
        result = worker.run(case)
    except (Unsupported, WorkerCrashed) as reason:
        return failed_outcome(case.id, adapter, reason)
    return judged_outcome(result, case, adapter, worker.layout, worker.seconds, explainer, worker.run)


def run_functions(cases: Sequence[CaseOrRecipe], functions: Mapping[str, Callable[..., object]]) -> Iterator[Outcome]:
    """Run functions `(weights, x, h0, c0, lengths) -> y, h, c` in this process."""
    explainer = Explainer()
    for recipe in cases:
        skipped = [skipped_outcome(recipe, name) for name in functions]
        if all(skipped):
            yield from filter(None, skipped)
            continue
        case = make_case(recipe)
        for name, function in functions.items():
            yield _run_function(case, name, function, explainer)


def _run_function(case: Case, name: str, function: Callable[..., object], explainer: Explainer) -> Outcome:
    try:
        result = call_function(function, case)
        verdict = judge(result, case, adapter=name)
    except Unsupported as reason:
        return failed_outcome(case.id, name, reason)
    except NotImplementedError as reason:
        return failed_outcome(case.id, name, unsupported_by(reason))
    except XcheckError:
        raise
    except (Exception, SystemExit) as error:  # a user's function may raise anything; the sweep goes on
        return failed_outcome(case.id, name, WorkerCrashed(format_exception(error)))
    wrong = any(row.verdict in ("mismatch", "suspect") for row in verdict.rows)
    ask = partial(_run_probe, function)
    diagnoses = explainer.explain(result, case, name, ask, of_function=True) if wrong else ()
    return Outcome(case.id, name, verdict.rows, verdict.count, diagnoses=diagnoses)


def _run_probe(function: Callable[..., object], case: Case) -> Result:
    """Run one more case for a diagnosis; foreign exceptions are crashes."""
    try:
        return call_function(function, case)
    except XcheckError:
        raise
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        raise WorkerCrashed(format_exception(error)) from error
