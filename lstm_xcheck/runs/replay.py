"""Replays recordings: judges every recorded answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ..arrays import fingerprint
from ..compare import Row, VerdictName
from ..engine import Recipe
from ..engine.explain import Explainer
from ..engine.families import family
from ..engine.task import failed_outcome, judged_outcome
from ..errors import Unsupported, WorkerCrashed, XcheckError
from ..events import Event, Finished, Outcome, Planned
from ..layouts import to_layout
from ..model import Case, Result
from ..recordings import Answer, Question, Recording
from .selection import NamedRecording, select_recordings

#: The largest size in a recipe, and the most numbers of its case. A damaged or hostile recipe could take all memory.
_MAX_SIZE, _MAX_NUMBERS = 2**20, 2**28

_ERRORS: Mapping[str, type[XcheckError]] = {"unsupported": Unsupported, "crashed": WorkerCrashed}


def replay(
    recordings: Sequence[Recording], expect: Sequence[str] = (), run: str = "", *, live: bool = False
) -> Iterator[Event]:
    """Judge every recorded answer.

    Args:
        expect: environments that must be present; a missing one becomes a `crashed` row.
        run: the run they must belong to; a recording of another run is stale.
        live: whether the report also has live adapters, whose names a recording's rows must not take.
    """
    start = time.perf_counter()
    selected, faults = select_recordings(recordings, expect, run, live=live)
    ids = list(dict.fromkeys(question.id for named in selected for question in named.recording.questions))
    tasks = {(named.label(adapter), id) for named in selected for adapter in named.recording.adapters for id in ids}
    labels = tuple(dict.fromkeys([*(fault.label for fault in faults), *sorted({label for label, _ in tasks})]))
    yield Planned(len(tasks) + len(faults), len(ids), labels, families=_families(selected))
    for fault in faults:
        yield _single_row("all", fault.label, fault.verdict, fault.reason)
    explainer = Explainer()
    for id in ids:
        for outcome in _judge_question(id, selected, explainer):
            tasks.discard((outcome.adapter, id))
            yield outcome
    wanted = [named for named in selected if named.environment in expect]
    expected = {named.label(adapter) for named in wanted for adapter in named.recording.adapters}
    for label, id in sorted(tasks):
        reason = "this recording does not hold the case, which others do"
        yield _single_row(id, label, "crashed" if label in expected else "skipped", reason)
    yield Finished(time.perf_counter() - start)


def _families(selected: Sequence[NamedRecording]) -> dict[str, str]:
    """The families of recorded cases; a damaged recipe, which its row reports, has none."""
    found: dict[str, str] = {}
    for question in (question for named in selected for question in named.recording.questions):
        with contextlib.suppress(XcheckError):
            found[question.id] = family(recipe_of(question))
    return found


def live_recipes(recordings: Sequence[Recording]) -> tuple[Recipe, ...]:
    """The recipe of every recorded case once, for live frameworks."""
    recipes = [recipe_of(question) for recording in recordings for question in recording.questions]
    return tuple({recipe.id: recipe for recipe in recipes}.values())


def case_of(question: Question) -> Case:
    """Make the case of a question."""
    case: Case = recipe_of(question).case()
    return case if case.id == question.id else case.with_id(question.id)


def recipe_of(question: Question) -> Recipe:
    """The recipe of a question; fields that it lacks have their defaults."""
    known: dict[str, Any] = {field.name: field.default for field in fields(Recipe)}
    for name, value in question.recipe.items():
        if name not in known:
            raise XcheckError(f"the recipe has a field {name!r}, which this version does not know; update lstm-xcheck")
        if type(value) is not type(known[name]):
            raise XcheckError(f"the recipe's {name} is {value!r}, but should be of type {type(known[name]).__name__}")
        if name != "seed" and isinstance(value, int) and value > _MAX_SIZE:
            raise XcheckError(f"the recipe's {name} is {value:,}, but should be at most {_MAX_SIZE:,}")
    recipe = Recipe(**question.recipe)
    numbers = recipe.spec.parameter_count + recipe.batch * (recipe.steps + 2) * (recipe.input + 2 * recipe.hidden)
    if numbers > _MAX_NUMBERS:
        raise XcheckError(f"the recipe describes a case of {numbers:,} numbers, more than the {_MAX_NUMBERS:,} allowed")
    return recipe


def _judge_question(id: str, selected: Sequence[NamedRecording], explainer: Explainer) -> Iterator[Outcome]:
    """Outcomes of all answers to one question."""
    cases: dict[str, Case | XcheckError] = {}
    for named in selected:
        question = next((question for question in named.recording.questions if question.id == id), None)
        if question is None:
            continue
        key = repr(sorted(question.recipe.items()))
        if key not in cases:
            try:
                cases[key] = case_of(question)
            except XcheckError as error:
                cases[key] = error
        for answer in named.recording.answers:
            if answer.question == id:
                yield _judge_answer(answer, question, cases[key], named, explainer)


def _judge_answer(
    answer: Answer, question: Question, case: Case | XcheckError, named: NamedRecording, explainer: Explainer
) -> Outcome:
    label, id = named.label(answer.adapter), answer.question
    if isinstance(case, XcheckError):
        return failed_outcome(id, label, XcheckError(f"the case cannot be made again: {case}"))
    if answer.result is None:
        return failed_outcome(id, label, _ERRORS[answer.kind](answer.reason))
    if question.fingerprint != case.fingerprint:
        return failed_outcome(id, label, XcheckError(_drift(question, case)))
    layout = named.recording.layouts[answer.adapter]
    try:
        result, rows = _with_weights(answer, answer.result, case, layout, label)
    except XcheckError as error:
        return failed_outcome(id, label, error)
    outcome = judged_outcome(result, case, label, layout, explainer=explainer)
    made_by = {key: value for key, value in named.recording.made_by.items() if key in ("python", "numpy")}
    return replace(outcome, rows=(*outcome.rows, *rows), environment={**result.environment, **made_by})


def _drift(question: Question, case: Case) -> str:
    return (
        f"INPUT DRIFT: weights and inputs had the sha256 {question.fingerprint[:12]} when this was recorded, but here "
        f"they have {case.fingerprint[:12]}; the outputs belong to another question, so record it again"
    )


def _with_weights(answer: Answer, result: Result, case: Case, layout: str, label: str) -> tuple[Result, list[Row]]:
    """The result with weights, or a row that they differ from the given ones.

    A recording has the sha256 of these weights: equal digests mean equal bits.
    """
    if not answer.weights_hash or not layout:
        return result, []
    given = to_layout(case.weights, layout)
    if answer.weights_hash == fingerprint(given):
        return replace(result, native=given), []
    reason = "the weights read back from the framework were not, bit for bit, the ones it was given"
    return result, [Row(case.id, label, "weights", "mismatch", reason=reason)]


def _single_row(case: str, label: str, verdict: VerdictName, reason: str) -> Outcome:
    return Outcome(case, label, (Row(case, label, "", verdict, reason=reason),))
