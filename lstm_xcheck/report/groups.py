"""Failures grouped by adapter and cause: one entry for what is wrong once."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..compare import SEVERITY, Row, VerdictName
from ..diagnose import full_explanation
from ..events import MAX_DIAGNOSES, Outcome

#: Verdicts that a reader has to look at.
TROUBLE: frozenset[VerdictName] = frozenset(("mismatch", "crashed", "suspect", "inconclusive"))
#: Groups of crashes of one adapter by their reason; further reasons share the last.
_REASONS = 5
_UNDIAGNOSED = "not diagnosed"
_WHY_UNDIAGNOSED = f"Only the first {MAX_DIAGNOSES} wrong cases of an adapter are; one run alone is, too."


@dataclass
class Group:
    """Cases of one adapter that are wrong for the same reason.

    Attributes:
        verdict: the verdict of its cases.
        cause: the mistake in words, "unexplained: ..." with the place, "not diagnosed", or the reason of a crash.
        named: whether the cause is a proven mistake.
        cases: how many cases, all of which have the cause.
        undiagnosed: further wrong cases of the adapter, which were not diagnosed; where all that were have this cause.
        worst: the row with the largest error / bound.
        fix, code: what to do, in words and as code on canonical arrays; empty where no mistake is named.
        program: makes the weights that a wrong function must get; empty for other adapters.
        explanation: the diagnosis in full.
        command: shows the worst case alone; empty where no command can.
        diagnoses: those of its cases, as plain data.
    """

    adapter: str
    verdict: VerdictName
    cause: str
    worst: Row
    named: bool = False
    cases: int = 0
    undiagnosed: int = 0
    fix: str = ""
    code: str = ""
    program: str = ""
    explanation: str = ""
    command: str = ""
    diagnoses: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """The cause, how many cases have it, and how many more are wrong.

        >>> row = Row("h1", "mine", "y", "mismatch")
        >>> Group("mine", "mismatch", "gates f and g exchanged", row, named=True, cases=3, undiagnosed=6).sentence
        'gates f and g exchanged, in 3 cases; 6 more are wrong, too, and were not diagnosed'
        """
        more = f"; {self.undiagnosed} more {'are' if self.undiagnosed > 1 else 'is'} wrong, too, and "
        more += f"{'were' if self.undiagnosed > 1 else 'was'} not diagnosed"
        return f"{self.cause}, in {self.cases} case{'s' if self.cases > 1 else ''}" + (more if self.undiagnosed else "")

    @property
    def explained(self) -> str:
        """The explanation, that of a location with its case; "" without one."""
        where = f"Case {self.diagnoses[0]['case']}: " if self.diagnoses and not self.named else ""
        return f"{where}{self.explanation}" if self.explanation else ""

    @property
    def told(self) -> str:
        """The sentence with the adapter and the fix, or where the error is."""
        return f"{self.adapter}: {self.sentence}. {self.fix if self.named else self.explained}".rstrip()

    @property
    def paragraph(self) -> str:
        """What is told, with the worst case and the command.

        >>> row = Row("h1", "mine", "y", "mismatch", reason="y[0, 0, 0] = 1, but should be 2 +/- 1e-07")
        >>> Group("mine", "mismatch", "states exchanged", row, True, 1, 0, "Swap h0 and c0.").paragraph
        'mine: states exchanged, in 1 case. Swap h0 and c0. Worst case h1: y[0, 0, 0] = 1, but should be 2 +/- 1e-07.'
        """
        reason = self.worst.reason
        shown = "" if not reason or reason.startswith(self.cause) else f": {reason}"
        run = f" Run: {self.command}" if self.command else ""
        return f"{self.told} Worst case {self.worst.case}{shown}.{run}"


class Groups:
    """Gathers the groups of a report, one outcome after another.

    It needs the diagnoses of the report, and what gives the command of a case and an adapter.
    """

    def __init__(self, diagnoses: Iterable[Mapping[str, Any]], command: Callable[[str, str], str]) -> None:
        self._diagnoses = {(found["adapter"], found["case"]): found for found in diagnoses}
        self._diagnosed = Counter(adapter for adapter, _ in self._diagnoses)
        self._command = command
        self._groups: dict[tuple[str, VerdictName, str], Group] = {}

    def add(self, outcome: Outcome) -> None:
        """Take an outcome in."""
        if outcome.verdict not in TROUBLE:
            return
        worst = worst_row(outcome)
        found = self._diagnoses.get((outcome.adapter, outcome.case))
        key = (outcome.adapter, outcome.verdict, self._reason(outcome, worst, found))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _group(outcome, worst, found)
            if key[2] == _UNDIAGNOSED and self._diagnosed[outcome.adapter] >= MAX_DIAGNOSES:
                group.explanation = _WHY_UNDIAGNOSED
        elif _badness(worst) > _badness(group.worst):
            group.worst = worst
        group.cases += 1
        group.diagnoses += [] if found is None else [found]

    def _reason(self, outcome: Outcome, worst: Row, found: Mapping[str, Any] | None) -> str:
        """What cases of one group share."""
        if outcome.verdict == "crashed":
            reason = re.sub(r"\d+", "#", worst.reason.partition("\n")[0])
            known = {key[2] for key in self._groups if key[:2] == (outcome.adapter, "crashed")}
            return reason if reason in known or len(known) < _REASONS else "other reasons"
        if outcome.verdict == "inconclusive":
            return ""
        if found is None:
            return _UNDIAGNOSED
        return str(found["cause"] or f"unexplained{place(found.get('location') or {})}")

    def result(self) -> list[Group]:
        """The groups: the worst verdict first, then the most cases.

        Undiagnosed cases are counted beside the cause of their adapter where all that were diagnosed have the same.
        """
        for (adapter, verdict, reason), rest in list(self._groups.items()):
            same = [group for key, group in self._groups.items() if key[:2] == (adapter, verdict)]
            if reason == _UNDIAGNOSED and len(same) == 2:
                (group,) = (group for group in same if group is not rest)
                group.undiagnosed = rest.cases
                group.worst = max(group.worst, rest.worst, key=_badness)
                del self._groups[adapter, verdict, reason]
        groups = list(self._groups.values())
        for group in groups:
            group.command = self._command(group.worst.case, group.adapter)
        return sorted(groups, key=lambda group: (SEVERITY.index(group.verdict), -group.cases - group.undiagnosed))


def worst_row(outcome: Outcome) -> Row:
    """The row that an outcome's verdict rests on most."""
    return max((row for row in outcome.rows if row.verdict == outcome.verdict), key=_badness)


def _badness(row: Row) -> float:
    """The score; a NaN is worse than any number."""
    score = row.score or 0.0
    return math.inf if math.isnan(score) else score


def _group(outcome: Outcome, worst: Row, found: Mapping[str, Any] | None) -> Group:
    group = Group(outcome.adapter, outcome.verdict, "", worst)
    if found is None:
        undecided = outcome.verdict in ("crashed", "inconclusive")
        group.cause = worst.reason.partition("\n")[0] if undecided else _UNDIAGNOSED
        return group
    group.named = bool(found["cause"])
    group.cause = found["cause"] or f"unexplained{place(found.get('location') or {})}"
    group.fix, group.code = found.get("fix", ""), found.get("code", "")
    group.program, group.explanation = found.get("program", ""), full_explanation(found)
    return group


def place(location: Mapping[str, Any]) -> str:
    """Where an unexplained error is, in a few words.

    >>> place({"layer": 0, "direction": 1, "step": 6, "gates_by_c_n": ["o"], "units": [0]})
    ': wrong from layer 0, direction 1, step 6, gate o'
    """
    words = [f"{name} {location[name]}" for name in ("layer", "direction", "step") if name in location]
    explained = location.get("explained_by", {})
    gates = explained.get("gates") or location.get("gates_by_c_n") or []
    words += [f"gate{'s' if len(gates) > 1 else ''} {' and '.join(gates)}"] if gates else []
    return f": wrong from {', '.join(words)}" if words else ""
