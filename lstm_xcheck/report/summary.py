"""What every view of a report needs, gathered in one pass over its outcomes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..compare import Row, VerdictName
from ..events import Outcome
from .model import Report

TROUBLE: frozenset[VerdictName] = frozenset(("mismatch", "crashed", "suspect", "inconclusive"))


@dataclass
class AdapterDigest:
    """One adapter: cells by verdict, and the largest error and score of all its rows."""

    cells: Counter[VerdictName] = field(default_factory=Counter)
    max_abs: float | None = None
    score: float | None = None
    seconds: float = 0.0


@dataclass
class Digest:
    """A report in short.

    Attributes:
        adapters: by name, those that were asked first.
        counts: kinds of parameter counts: (how many, an example), by label.
        troubles: the first rows of what went wrong, in order.
        troubled: how many there are.
        notes: reasons of what is unsupported, skipped or matches with a reservation, and how often each.
    """

    adapters: dict[str, AdapterDigest]
    counts: dict[str, tuple[int, str]] = field(default_factory=dict)
    troubles: list[Row] = field(default_factory=list)
    troubled: int = 0
    notes: Counter[str] = field(default_factory=Counter)


def digest(report: Report, shown: int) -> Digest:
    """The digest of a report, with at most so many troubled rows."""
    result = Digest({name: AdapterDigest() for name in report.adapters})
    for outcome in report.outcomes:
        adapter = result.adapters.setdefault(outcome.adapter, AdapterDigest())
        adapter.cells[outcome.verdict] += 1
        adapter.seconds += outcome.seconds
        _take_count(result, outcome)
        for row in outcome.rows:
            _take_row(result, adapter, row, shown)
    # Which adapter ends first differs from run to run; what is printed should not.
    result.counts = dict(sorted(result.counts.items()))
    result.notes = Counter(dict(sorted(result.notes.items())))
    return result


def _take_count(result: Digest, outcome: Outcome) -> None:
    """Each kind of count once: how it relates to the canonical formula."""
    count = outcome.count
    if count is not None:
        label = f"{count.adapter}: {'canonical' if count.native == count.canonical else 'second bias'}"
        number, example = result.counts.get(label, (0, count.explanation))
        result.counts[label] = number + 1, example


def _take_row(result: Digest, adapter: AdapterDigest, row: Row, shown: int) -> None:
    adapter.max_abs = _larger(adapter.max_abs, row.max_abs)
    adapter.score = _larger(adapter.score, row.score)
    if row.verdict in TROUBLE:
        result.troubled += 1
        if len(result.troubles) < shown:
            result.troubles.append(row)
    elif row.reason:  # unsupported, skipped, or a match with a reservation
        result.notes[f"{row.adapter}: {row.reason}"] += 1


def _larger(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return b if a is None else a
    return max(a, b)
