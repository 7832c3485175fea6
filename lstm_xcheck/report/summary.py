"""The summary of a report that every view needs, gathered in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..compare import VERDICTS, Row, VerdictName, worst_of
from .groups import TROUBLE as TROUBLE
from .groups import Group, Groups
from .model import Report

#: Verdict -> its symbol, and the symbol where the encoding has no such letter.
SYMBOLS: Mapping[VerdictName, tuple[str, str]] = {
    "match": ("\u2713", "="),
    "mismatch": ("\u2717", "X"),
    "crashed": ("!", "!"),
    "suspect": ("?", "?"),
    "inconclusive": ("~", "~"),
    "unsupported": ("\u00b7", "."),
    "skipped": ("-", "-"),
}


#: Verdicts of cells whose numbers were compared.
COMPARED: frozenset[VerdictName] = frozenset(("match", "mismatch", "suspect", "inconclusive"))


@dataclass
class AdapterSummary:
    """One adapter: its cells by verdict, and its largest error and score."""

    environment: Mapping[str, Any] = field(default_factory=dict)
    cells: Counter[VerdictName] = field(default_factory=Counter)
    families: dict[str, Counter[VerdictName]] = field(default_factory=dict)
    max_abs: float | None = None
    score: float | None = None
    seconds: float = 0.0

    @property
    def versions(self) -> str:
        """The environment in one line."""
        return ", ".join(f"{name} {value}" for name, value in self.environment.items())

    def columns(self, verdicts: list[VerdictName]) -> list[str]:
        """Cells by verdict, largest error, error / bound."""
        return [*(str(self.cells[verdict] or "") for verdict in verdicts), short(self.max_abs), short(self.score)]


@dataclass
class Summary:
    """A report in short.

    Attributes:
        word: AGREE, DISAGREE, ERROR or INTERRUPTED.
        unread: LSTMs of the files that were not verified, with the reasons.
        totals: cells of each verdict that occurs, in the order of VERDICTS.
        counts: kinds of parameter counts: (how many, an example), by label.
        families: case families, in the order of the run.
        groups: failures by adapter and cause.
        troubles: the first rows that are wrong or undecided, in order; `troubled` is the number of all.
        notes: reasons of what is unsupported, skipped or a match with a reservation, and how often each.
    """

    word: str
    planned: int
    totals: dict[VerdictName, int]
    adapters: dict[str, AdapterSummary]
    unread: list[str] = field(default_factory=list)
    counts: dict[str, tuple[int, str]] = field(default_factory=dict)
    families: list[str] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    troubles: list[Row] = field(default_factory=list)
    troubled: int = 0
    notes: Counter[str] = field(default_factory=Counter)


def summarise(report: Report, listed: int) -> Summary:
    """The summary of a report, with at most so many troubled rows."""
    totals = report.totals
    environments = report.environment()["adapters"]
    result = Summary(
        word="INTERRUPTED" if report.interrupted else report.verdict.upper(),
        planned=totals["planned"],
        unread=report.unread,
        totals={verdict: totals[verdict] for verdict in VERDICTS if totals[verdict]},
        adapters={name: AdapterSummary(environments.get(name, {})) for name in report.adapters},
    )
    groups = Groups(report.diagnoses, report.command)
    for outcome in report.outcomes:
        groups.add(outcome)
        name = outcome.adapter
        adapter = result.adapters.setdefault(name, AdapterSummary(environments.get(name, {})))
        adapter.cells[outcome.verdict] += 1
        family = report.families.get(outcome.case, "other")
        adapter.families.setdefault(family, Counter())[outcome.verdict] += 1
        adapter.seconds += outcome.seconds
        if (count := outcome.count) is not None:  # each kind once: how it relates to the canonical formula
            label = f"{count.adapter}: {'canonical' if count.native == count.canonical else 'second bias'}"
            number, example = result.counts.get(label, (0, count.explanation))
            result.counts[label] = number + 1, example
        for row in outcome.rows:
            _add_row(result, adapter, row, listed)
    result.groups = groups.result()
    occurring = {family for adapter in result.adapters.values() for family in adapter.families}
    result.families = [*(name for name in dict.fromkeys(report.families.values()) if name in occurring)]
    result.families += ["other"] if "other" in occurring and "other" not in result.families else []
    # Which adapter ends first differs from run to run; what is printed should not.
    result.counts = dict(sorted(result.counts.items()))
    result.notes = Counter(dict(sorted(result.notes.items())))
    return result


def _add_row(result: Summary, adapter: AdapterSummary, row: Row, listed: int) -> None:
    adapter.max_abs = largest([adapter.max_abs, row.max_abs])
    adapter.score = largest([adapter.score, row.score])
    if row.verdict in TROUBLE:
        result.troubled += 1
        if len(result.troubles) < listed:
            result.troubles.append(row)
    elif row.reason:  # unsupported, skipped, or a match with a reservation
        result.notes[f"{row.adapter}: {row.reason}"] += 1


def largest(numbers: list[float | None]) -> float | None:
    """The largest number; None where there is none."""
    return max((number for number in numbers if number is not None), default=None)


def counted(totals: Mapping[VerdictName, int]) -> str:
    """Cells by verdict in words.

    >>> counted({"match": 2, "mismatch": 0})
    '2 match'
    """
    return ", ".join(f"{totals[name]} {name}" for name in VERDICTS if totals.get(name)) or "nothing"


def share(cells: Counter[VerdictName]) -> tuple[VerdictName, str]:
    """The worst verdict of some cells, and how many of them have it.

    >>> share(Counter(match=3, mismatch=1)), share(Counter(match=3))
    (('mismatch', '1/4'), ('match', '3'))
    """
    worst, total = worst_of(cells.elements()), sum(cells.values())
    return worst, str(total) if cells[worst] == total else f"{cells[worst]}/{total}"


def short(number: float | None) -> str:
    """Two digits, or nothing."""
    return "" if number is None else f"{number:.2g}"


def headline(summary: Summary) -> str:
    """The verdict in one sentence, which says no more than what was proven.

    >>> headline(Summary("ERROR", 0, {}, {}))
    'nothing was compared'
    """
    causes: dict[str, str] = {}
    for group in summary.groups:
        if group.verdict in ("mismatch", "suspect"):
            causes.setdefault(group.adapter, group.cause)
    crashes = {group.adapter: group.cause for group in summary.groups if group.verdict == "crashed"}
    silent = [name for name, adapter in summary.adapters.items() if not COMPARED & set(adapter.cells)]
    agreeing = [name for name, adapter in summary.adapters.items() if adapter.cells["match"]]
    if causes:
        return _listed([f"{adapter}: {cause}" for adapter, cause in causes.items()], "wrong adapters")
    if summary.word == "INTERRUPTED":
        ended = sum(number for verdict, number in summary.totals.items() if verdict != "skipped")
        return f"{ended} of {summary.planned} pairs of case and adapter ended, none of them wrong"
    if crashes:
        rest = "; all that was compared agrees" if agreeing else ""
        return _listed([f"{adapter}: {cause}" for adapter, cause in crashes.items()], "crashed adapters") + rest
    if summary.unread:
        return f"{len(summary.unread)} of the files' LSTMs were not read, so nothing is proven of them"
    never = f"; never compared: {', '.join(silent)}" if silent else ""
    if not agreeing:
        return "nothing was compared"
    if summary.word == "AGREE" or never:
        of = f" of {len(summary.adapters)}" if silent else ""
        number = f"{len(agreeing)}{of} adapter{'s' if len(agreeing) > 1 or of else ''}"
        return f"{number} computed what the reference computes in every case that was compared{never}"
    return "not every case ended"


def _listed(texts: list[str], what: str, most: int = 2) -> str:
    """The first texts, and how many more there are."""
    return "; ".join(texts[:most]) + (f"; and {len(texts) - most} more {what}" if len(texts) > most else "")
