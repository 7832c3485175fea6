"""One cell: make its case, judge its answer, or say why there is none."""

from __future__ import annotations

from typing import Any

from ..compare import Row, judge
from ..diagnose.probe import Ask
from ..errors import Unsupported, XcheckError
from ..events import Outcome
from ..model import Case, Result
from ..recordings.schema import one_line
from ..workers.codec import case_to_frame
from ..workers.frames import encode
from .explain import Explainer
from .grid import Recipe


def made(question: Case | Recipe) -> Case:
    """The case itself."""
    return question.case() if isinstance(question, Recipe) else question


def left_out(question: Case | Recipe, adapter: str) -> Outcome | None:
    """The outcome of a cell that there is no LSTM for."""
    if isinstance(question, Case) or not question.impossible:
        return None
    return Outcome(question.id, adapter, (Row(question.id, adapter, "", "skipped", reason=question.impossible),))


def request_for(case: Case) -> bytes:
    """What asks a worker for a case."""
    return encode(case_to_frame(case))


def judged(
    result: Result,
    case: Case,
    adapter: str,
    layout: str,
    seconds: float = 0.0,
    explainer: Explainer | None = None,
    ask: Ask | None = None,
) -> Outcome:
    """The outcome of an answer, diagnosed where it is wrong; one that cannot be judged is a crash of who gave it."""
    try:
        verdict = judge(result, case, adapter=adapter, layout=layout)
    except XcheckError as error:
        return not_run(case.id, adapter, XcheckError(f"answered what cannot be judged: {error}"))
    # A function of one's own, which has no layout, may leave out what it does not compute.
    missing = [quantity for quantity in ("y", "h_n", "c_n") if layout and getattr(result, quantity) is None]
    rows = verdict.rows + tuple(
        Row(case.id, adapter, quantity, "mismatch", reason=f"the adapter returned no {quantity}")
        for quantity in missing
    )
    diagnoses: tuple[dict[str, Any], ...] = ()
    # The catalogue of mistakes explains outputs; where gradients alone are wrong there is nothing for it to explain.
    if explainer is not None and any(row.verdict in ("mismatch", "suspect") for row in verdict.of_outputs):
        diagnoses = explainer.explain(result, case, adapter, ask)
    return Outcome(
        case.id, adapter, rows, verdict.count, dict(result.environment), diagnoses=diagnoses, seconds=seconds
    )


def not_run(case: str, adapter: str, reason: XcheckError) -> Outcome:
    """The outcome of a cell without an answer: unsupported where the framework said so, else crashed."""
    verdict = "unsupported" if isinstance(reason, Unsupported) else "crashed"
    return Outcome(case, adapter, (Row(case, adapter, "", verdict, reason=one_line(str(reason))),))  # type: ignore[arg-type]
