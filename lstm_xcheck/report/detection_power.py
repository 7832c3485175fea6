"""Detection power of a run: the mistakes that its matches would have caught."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from ..diagnose.detection_power import Sized, is_small, power
from ..events import Event, Outcome
from ..model import QUANTITIES, Case
from .model import Report

#: Statements made for one run; cases that differ only in size or seed share one.
MOST = 12

#: What a match compared: the quantities, and the precision profile that judged them.
Comparison = tuple[frozenset[str], str]


class Question(Sized, Protocol):
    """A case, or a recipe of one."""

    @property
    def id(self) -> str:
        """Its name."""


class PowerAhead:
    """Statements made while workers run, for the strongest case of each kind."""

    def __init__(self, questions: Iterable[Question]) -> None:
        kinds: dict[tuple[object, ...], list[Question]] = {}
        for question in questions:
            if not getattr(question, "impossible", ""):  # a recipe of no LSTM has no kind
                kinds.setdefault(_kind(question), []).append(question)
        chosen = filter(None, map(_strongest_small, kinds.values()))
        self._chosen = {question.id: question for question in chosen}
        self._made: dict[tuple[str, Comparison], Future[dict[str, Any]]] = {}

    def follow(self, events: Iterable[Event]) -> Generator[Event, None, None]:
        """The events, unchanged; a match of a chosen case starts its statement."""
        pool = ThreadPoolExecutor(1)
        try:
            for event in events:
                if isinstance(event, Outcome) and event.verdict == "match" and len(self._made) < MOST:
                    self._begin(pool, event)
                yield event
        finally:
            if isinstance(events, Generator):
                events.close()
            pool.shutdown(cancel_futures=True)

    def _begin(self, pool: ThreadPoolExecutor, outcome: Outcome) -> None:
        comparison = _comparison(outcome)
        if outcome.case in self._chosen and (outcome.case, comparison) not in self._made:
            case = _made(self._chosen[outcome.case])
            self._made[outcome.case, comparison] = pool.submit(_statement, case, comparison)

    def statement(self, case: Case, comparison: Comparison) -> dict[str, Any]:
        """The statement of a case, made now if there is none yet."""
        made = self._made.get((case.id, comparison))
        return _statement(case, comparison) if made is None or made.cancelled() else made.result()


def _statement(case: Case, comparison: Comparison) -> dict[str, Any]:
    return power(case, observed=tuple(comparison[0]), precision=comparison[1]).to_dict()


def statements(
    questions: Iterable[Question], report: Report, most: int = MOST, ahead: PowerAhead | None = None
) -> list[dict[str, Any]]:
    """Detection power of matching cases, one statement for each kind and comparison.

    Statements come in the order of the run; each lists under `adapters` whose matches it is about, and under
    `stands_for` the other cases of its kind. Every adapter with a small matching case has one, whatever `most` says.
    The longest small case speaks for its kind.
    """
    matched: dict[str, dict[Comparison, list[str]]] = {}
    for outcome in report.outcomes:
        if outcome.verdict == "match":
            matched.setdefault(outcome.case, {}).setdefault(_comparison(outcome), []).append(outcome.adapter)
    kinds: dict[tuple[Comparison, tuple[object, ...]], list[Question]] = {}
    for question in questions:
        for comparison in matched.get(question.id, ()):
            kinds.setdefault((comparison, _kind(question)), []).append(question)
    result: list[dict[str, Any]] = []
    stated: set[str] = set()
    for (comparison, _), members in kinds.items():
        left = {adapter for member in members for adapter in matched[member.id][comparison]}
        while left and (len(result) < most or left - stated):
            found = _strongest_small(member for member in members if left & set(matched[member.id][comparison]))
            if found is None:
                break
            chosen = _made(found)
            adapters = matched[chosen.id][comparison]
            left, stated = left - set(adapters), stated | set(adapters)
            others = [member.id for member in members if member.id != chosen.id]
            stating = _statement(chosen, comparison) if ahead is None else ahead.statement(chosen, comparison)
            result.append({**stating, "adapters": adapters, "stands_for": others})
    return result


def _comparison(outcome: Outcome) -> Comparison:
    """What the rows of a match compared, gradients apart.

    The last output is left out where h_n was compared, which contains it.
    """
    rows = [row for row in outcome.rows if row.quantity in QUANTITIES or row.quantity.endswith(".y")]
    observed = frozenset(row.quantity for row in rows)
    return observed - {"last"} if "h_n" in observed else observed, next((row.precision for row in rows), "")


def _kind(question: Question) -> tuple[object, ...]:
    """The spec without sizes, and the kinds of data: these decide what shows."""
    spec = question.spec
    shape = (spec.num_layers > 1, spec.num_directions, spec.bias, bool(spec.proj_size), spec.is_plain)
    if isinstance(question, Case):
        given = tuple(getattr(question, name) is not None for name in ("h0", "c0", "lengths", "mask"))
        return (*shape, question.id.rpartition("-")[0], question.precision, question.returns, *given)
    names = ("states", "ragged", "init", "dtype")
    return (*shape, *(getattr(question, name, None) for name in names))


def _strongest_small(members: Iterable[Question]) -> Question | None:
    """The longest of the cases small enough to run with every mistake."""
    small = (member for member in members if is_small(member))
    return max(small, key=lambda member: (member.steps, member.spec.hidden_size), default=None)


def _made(question: Question) -> Case:
    return question if isinstance(question, Case) else question.case()  # type: ignore[attr-defined]


def sentences(found: Sequence[dict[str, Any]], adapters: Sequence[str] = ()) -> list[str]:
    """The power of all statements together, then each statement with a blind spot.

    Together they catch what each adapter's own statements catch: a match of one proves nothing of another.

    Args:
        adapters: all of the run; those without a statement are not spoken of.
    """
    if not found:
        return []
    everything = set().union(*(statement[key] for statement in found for key in ("caught", "blind", "uncertain")))
    by_adapter = _caught_by_adapter(found)
    always, ever = set.intersection(*by_adapter.values()), set().union(*by_adapter.values())
    unstated = by_adapter.keys() != {""} and bool(set(adapters) - by_adapter.keys())
    whose = f"matches of {', '.join(by_adapter)}" if unstated else "matches"
    text = f"the {whose} together would have caught {len(always)} of {len(everything)} mistakes"
    text += " in every adapter" if always != ever else ""
    if missed := sorted(everything - ever):
        more = f" and {len(missed) - 6} more" if len(missed) > 6 else ""
        text += f"; no case examined for this could see {', '.join(missed[:6])}{more}"
    for adapter, caught in by_adapter.items():
        if unseen := sorted(ever - caught):
            more = f" and {len(unseen) - 6} more" if len(unseen) > 6 else ""
            text += f"; no match of {adapter} could see {', '.join(unseen[:6])}{more}"
    blind = [statement for statement in found if statement["blind"]][:6]
    return [text, *(f"{one['case']}{_whose(one, by_adapter)}: {one['sentence']}" for one in blind)]


def _caught_by_adapter(found: Sequence[dict[str, Any]]) -> dict[str, set[str]]:
    """What the statements of each adapter catch; older ones name no adapter."""
    caught: dict[str, set[str]] = {}
    for statement in found:
        for adapter in statement.get("adapters") or [""]:
            caught.setdefault(adapter, set()).update(statement["caught"])
    return caught


def _whose(statement: dict[str, Any], by_adapter: dict[str, set[str]]) -> str:
    """The adapters of a statement that is not about all."""
    own = statement.get("adapters") or [""]
    return "" if set(own) == set(by_adapter) else f" in {', '.join(own)}"
