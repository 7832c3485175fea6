"""Detection power of a run: the mistakes that its matches would have caught."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ..diagnose.detection_power import is_small, power
from ..model import Case, LSTMSpec
from .model import Report

#: Statements made for one run; cases that differ only in size or seed share one.
MOST = 12


class Question(Protocol):
    """A case, or a recipe of one."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def spec(self) -> LSTMSpec:
        """Its LSTM."""


def statements(questions: Iterable[Question], report: Report, most: int = MOST) -> list[dict[str, Any]]:
    """Detection power of matching cases, one statement for each kind of LSTM and data.

    Statements come in the order of the run; each lists under `stands_for` the other cases of its kind.
    """
    matched = {outcome.case for outcome in report.outcomes if outcome.verdict == "match"}
    kinds: dict[tuple[object, ...], list[Question]] = {}
    for question in questions:
        if question.id in matched:
            kinds.setdefault(_kind(question), []).append(question)
    result: list[dict[str, Any]] = []
    for members in kinds.values():
        chosen = _first_small(members)
        if chosen is not None and len(result) < most:
            others = [member.id for member in members if member.id != chosen.id]
            result.append({**power(chosen).to_dict(), "stands_for": others})
    return result


def _kind(question: Question) -> tuple[object, ...]:
    """The spec without sizes, and the kinds of data: these decide what shows."""
    spec = question.spec
    shape = (spec.num_layers > 1, spec.num_directions, spec.bias, bool(spec.proj_size), spec.is_plain)
    if isinstance(question, Case):
        return (*shape, question.id.rpartition("-")[0], question.precision)
    names = ("states", "ragged", "init", "dtype")
    return (*shape, *(getattr(question, name, None) for name in names))


def _first_small(members: Sequence[Question]) -> Case | None:
    """The first case small enough to run with every mistake."""
    for member in members:
        case = member if isinstance(member, Case) else member.case()  # type: ignore[attr-defined]
        if is_small(case):
            return case
    return None


def sentences(found: Sequence[dict[str, Any]]) -> list[str]:
    """The power of all statements together, then each statement with a blind spot."""
    if not found:
        return []
    caught = set().union(*(statement["caught"] for statement in found))
    everything = caught.union(*(statement[key] for statement in found for key in ("blind", "uncertain")))
    missed = sorted(everything - caught)
    lines = [
        f"the matches together would have caught {len(caught)} of {len(everything)} mistakes"
        + (f"; no case here could see {', '.join(missed[:6])}" if missed else "")
    ]
    return lines + [f"{statement['case']}: {statement['sentence']}" for statement in found if statement["blind"]][:6]
