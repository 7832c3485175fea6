"""Judge recordings, any number of them, by the same bound as live frameworks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ..arrays import fingerprint
from ..compare import Row, VerdictName
from ..engine.explain import Explainer
from ..engine.grid import Recipe
from ..engine.task import judged, not_run
from ..errors import Unsupported, WorkerCrashed, XcheckError
from ..events import Event, Finished, Outcome, Planned
from ..layouts import to_layout
from ..model import Case, Result
from ..recordings import Answer, Question, Recording
from .selection import Fault, Named, select_recordings

#: A recipe of a larger size or of more numbers is a damaged or hostile one: its case would ask for all memory.
_LARGEST, _MOST_NUMBERS = 2**20, 2**28

_REASONS: Mapping[str, type[XcheckError]] = {"unsupported": Unsupported, "crashed": WorkerCrashed}


def replay(
    recordings: Sequence[Recording], expect: Sequence[str] = (), run: str = "", *, live: bool = False
) -> Iterator[Event]:
    """Judge every recorded answer.

    Args:
        recordings: as read from their files.
        expect: environments that must be among them; one that is not becomes a `crashed` row.
        run: the run they must belong to; a recording of another run is stale.
        live: whether the same report has live adapters, whose names rows of a nameless recording must not take.
    """
    start = time.perf_counter()
    recorded, faults = select_recordings(recordings, expect, run, live=live)
    questions = recorded_questions(recorded)
    cells = {(name.label(adapter), id) for name in recorded for adapter in name.recording.adapters for id in questions}
    labels = tuple(dict.fromkeys([*(fault.label for fault in faults), *sorted({label for label, _ in cells})]))
    yield Planned(len(cells) + len(faults), len(questions), labels)
    yield from map(_fault_outcome, faults)
    explainer = Explainer()
    for id in questions:
        for outcome in _judge_everywhere(id, recorded, explainer):
            cells.discard((outcome.adapter, id))
            yield outcome
    for label, id in sorted(cells):
        yield _row_alone(id, label, "skipped", "this recording does not hold the case, which others do")
    yield Finished(time.perf_counter() - start)


def recorded_questions(recorded: Sequence[Named]) -> dict[str, Question]:
    """Every question by its id, in the order of the first appearance."""
    found: dict[str, Question] = {}
    for name in recorded:
        for question in name.recording.questions:
            found.setdefault(question.id, question)
    return found


def live_recipes(recordings: Sequence[Recording]) -> tuple[Recipe, ...]:
    """Every recorded case once, for live frameworks.

    Raises:
        XcheckError: when a recipe describes no case.
    """
    recipes = [recipe_of(question) for recording in recordings for question in recording.questions]
    return tuple({recipe.id: recipe for recipe in recipes}.values())


def rebuilt(question: Question) -> Case:
    """The case that a question describes.

    Raises:
        XcheckError: when its recipe describes none, or one that is too large.
    """
    case: Case = recipe_of(question).case()
    return case if case.id == question.id else case.with_id(question.id)


def recipe_of(question: Question) -> Recipe:
    """The recipe of a question; fields that an older version did not know have their defaults.

    Raises:
        XcheckError: naming the field that is unknown, of another type, or too large.
    """
    known: dict[str, Any] = {field.name: field.default for field in fields(Recipe)}
    for name, value in question.recipe.items():
        if name not in known:
            raise XcheckError(f"the recipe has a field {name!r}, which this version does not know; update lstm-xcheck")
        if type(value) is not type(known[name]):
            raise XcheckError(f"the recipe's {name} is {value!r}, but should be of type {type(known[name]).__name__}")
        if name != "seed" and isinstance(value, int) and value > _LARGEST:
            raise XcheckError(f"the recipe's {name} is {value:,}, but should be at most {_LARGEST:,}")
    recipe = Recipe(**question.recipe)
    numbers = recipe.spec.parameter_count + recipe.batch * (recipe.steps + 2) * (recipe.input + 2 * recipe.hidden)
    if numbers > _MOST_NUMBERS:
        raise XcheckError(
            f"the recipe describes a case of {numbers:,} numbers, more than the {_MOST_NUMBERS:,} allowed"
        )
    return recipe


def _judge_everywhere(id: str, recorded: Sequence[Named], explainer: Explainer) -> Iterator[Outcome]:
    """All answers to one question; its case is made once, as often as the recipes agree."""
    cases: dict[str, Case | XcheckError] = {}
    for name in recorded:
        question = next((question for question in name.recording.questions if question.id == id), None)
        if question is None:
            continue
        key = repr(sorted(question.recipe.items()))
        if key not in cases:
            cases[key] = _rebuilt_or_why_not(question)
        for answer in name.recording.answers:
            if answer.question == id:
                yield _judge(answer, question, cases[key], name, explainer)


def _rebuilt_or_why_not(question: Question) -> Case | XcheckError:
    try:
        return rebuilt(question)
    except XcheckError as error:
        return error


def _judge(answer: Answer, question: Question, case: Case | XcheckError, name: Named, explainer: Explainer) -> Outcome:
    label, id = name.label(answer.adapter), answer.question
    if isinstance(case, XcheckError):
        return not_run(id, label, XcheckError(f"the case cannot be made again: {case}"))
    if answer.result is None:
        return not_run(id, label, _REASONS[answer.kind](answer.reason))
    if question.fingerprint != case.fingerprint:
        return not_run(id, label, XcheckError(_drift(question, case)))
    layout = name.recording.layouts[answer.adapter]
    try:
        result, rows = _with_weights(answer, answer.result, case, layout, label)
    except XcheckError as error:
        return not_run(id, label, error)
    outcome = judged(result, case, label, layout, explainer=explainer)
    made_by = {key: value for key, value in name.recording.made_by.items() if key in ("python", "numpy")}
    return replace(outcome, rows=(*outcome.rows, *rows), environment={**result.environment, **made_by})


def _drift(question: Question, case: Case) -> str:
    return (
        f"INPUT DRIFT: weights and inputs had the sha256 {question.fingerprint[:12]} when this was recorded, but here "
        f"they have {case.fingerprint[:12]}; the outputs belong to another question, so record it again"
    )


def _with_weights(answer: Answer, result: Result, case: Case, layout: str, label: str) -> tuple[Result, list[Row]]:
    """The weights that the framework held are recorded as their sha256: equal, they are the given ones bit for bit."""
    if not answer.weights_hash or not layout:
        return result, []
    given = to_layout(case.weights, layout)
    if answer.weights_hash == fingerprint(given):
        return replace(result, native=given), []
    reason = "the weights read back from the framework were not, bit for bit, the ones it was given"
    return result, [Row(case.id, label, "weights", "mismatch", reason=reason)]


def _fault_outcome(fault: Fault) -> Outcome:
    return _row_alone("all", fault.label, fault.verdict, fault.reason)


def _row_alone(case: str, label: str, verdict: VerdictName, reason: str) -> Outcome:
    return Outcome(case, label, (Row(case, label, "", verdict, reason=reason),))
