"""Draws the atlas: every feature's case in every runtime, judged and diagnosed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ..adapters import Entry
from ..adapters.protocol import NOT_ASKED
from ..compare import Row
from ..engine import Plan
from ..events import Outcome
from ..model.features import FEATURES, feature_named
from .model import Atlas, Cell

#: Reasons of the atlas have at most so many letters.
_LONGEST = 240
#: Numbers of a first sign with more digits than machines share, and the score.
_NUMBER, _SCORE = re.compile(r"-?\d+\.\d+(?:e[-+]\d+)?"), re.compile(r" \(error is \S+ x the bound\)")


def plan_of(
    entries: Sequence[Entry], pythons: Mapping[str, str] | None = None, timeout: float = 120.0, jobs: int = 2
) -> Plan:
    """Every feature in every adapter; each wrong answer is diagnosed."""
    cases = tuple(feature.case() for feature in FEATURES)
    return Plan(cases, tuple(entries), pythons or {}, timeout, jobs, diagnoses=len(cases))


def draw(outcomes: Iterable[Outcome]) -> Atlas:
    """The atlas of the outcomes of a plan of `plan_of`, in its order."""
    names = {feature.case().id: feature.name for feature in FEATURES}
    found: dict[str, list[Cell]] = {}
    versions: dict[str, dict[str, str]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.adapter, []).append(cell_of(outcome, names[outcome.case]))
        if outcome.environment:
            versions[outcome.adapter] = _versions(outcome.environment)
    return Atlas(tuple(cell for cells in found.values() for cell in cells), versions)


def cell_of(outcome: Outcome, feature: str) -> Cell:
    """What one outcome says."""
    wrong = [row for row in outcome.rows if row.verdict in ("mismatch", "suspect")]
    if wrong:
        worst = max(wrong, key=lambda row: row.max_abs or 0.0)
        cause = next((str(found["cause"]) for found in outcome.diagnoses if found.get("cause")), "")
        return Cell(outcome.adapter, feature, "wrong", _first_sign(worst.reason), cause, _rounded(worst.max_abs))
    reason = _short(next((row.reason for row in outcome.rows if row.reason), ""))
    if outcome.verdict == "match":
        return _right(outcome, feature, reason)
    if outcome.verdict == "unsupported":
        is_asked = NOT_ASKED not in reason
        return Cell(outcome.adapter, feature, "refuses" if is_asked else "not run", reason)
    where = reason.find(' (File "')  # of this machine
    return Cell(outcome.adapter, feature, "not run", f"{outcome.verdict}: {reason[:where] if where > 0 else reason}")


def _right(outcome: Outcome, feature: str, note: str) -> Cell:
    """A match; one of float64 that only a lower precision allows is wrong."""
    lower = next((row.precision for row in outcome.rows if _is_lower(row)), "")
    if lower and feature_named(feature).data.get("precision") == "float64":
        return Cell(outcome.adapter, feature, "wrong", note, f"computes-in-{lower}")
    return Cell(outcome.adapter, feature, "right", note)


def _is_lower(row: Row) -> bool:
    return row.precision not in ("", "float64")


def _versions(environment: Mapping[str, object]) -> dict[str, str]:
    """What says a version; settings and devices differ from machine to machine."""
    return {key: str(value) for key, value in environment.items() if re.match(r"\d+\.\d", str(value))}


def _first_sign(reason: str) -> str:
    return _short(_NUMBER.sub(lambda number: f"{float(number[0]):.2g}", _SCORE.sub("", reason)))


def _rounded(number: float | None) -> float | None:
    """Two digits: the others differ from machine to machine."""
    return None if number is None else float(f"{number:.2g}")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
