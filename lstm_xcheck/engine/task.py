"""Outcomes of tasks: judged, failed or skipped."""

from __future__ import annotations

from typing import Any

from ..compare import Row, judge
from ..diagnose.probe import Ask
from ..errors import Unsupported, XcheckError
from ..events import Outcome
from ..model import Case, Result
from ..recordings.schema import one_line
from .explain import Explainer
from .recipe import CaseOrRecipe


def judged_outcome(
    result: Result,
    case: Case,
    adapter: str,
    layout: str,
    seconds: float = 0.0,
    explainer: Explainer | None = None,
    ask: Ask | None = None,
) -> Outcome:
    """Judge a result, and diagnose wrong outputs and gradients.

    A result that cannot be judged is reported as a crash of its adapter.
    """
    try:
        verdict = judge(result, case, adapter=adapter, layout=layout)
    except XcheckError as error:
        return failed_outcome(case.id, adapter, XcheckError(f"answered what cannot be judged: {error}"))
    # Functions of the user have no layout and may leave out what they do not compute.
    asked = {"merged": case.merge != "concat", "last": case.returns == "last"}
    wanted = ("y", "h_n", "c_n", *(name for name, is_asked in asked.items() if is_asked))
    missing = [quantity for quantity in wanted if layout and getattr(result, quantity) is None]
    rows = verdict.rows + tuple(
        Row(case.id, adapter, quantity, "mismatch", reason=f"the adapter returned no {quantity}")
        for quantity in missing
    )
    diagnoses: tuple[dict[str, Any], ...] = ()
    if explainer is not None and any(row.verdict in ("mismatch", "suspect") for row in verdict.rows):
        diagnoses = explainer.explain(result, case, adapter, ask, of_function=not layout)
    return Outcome(
        case.id, adapter, rows, verdict.count, dict(result.environment), diagnoses=diagnoses, seconds=seconds
    )


def failed_outcome(case_id: str, adapter: str, error: XcheckError) -> Outcome:
    """Outcome of a task without a result: unsupported or crashed."""
    verdict = "unsupported" if isinstance(error, Unsupported) else "crashed"
    return Outcome(case_id, adapter, (Row(case_id, adapter, "", verdict, reason=one_line(str(error))),))  # type: ignore[arg-type]


def skipped_outcome(case: CaseOrRecipe, adapter: str) -> Outcome | None:
    """Outcome of a recipe that describes no LSTM; None for any other case."""
    if isinstance(case, Case) or not case.impossible:
        return None
    return Outcome(case.id, adapter, (Row(case.id, adapter, "", "skipped", reason=case.impossible),))
