"""The rows of the HTML page as columns, which its script lists."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator
from typing import Any

from ..compare import SEVERITY
from ..events import Outcome
from .groups import worst_row
from .model import Report

#: Cells in the list; the JSON report has all.
LISTED = 25_000
#: Letters of a reason in the list.
_LONG = 400


def packed(data: dict[str, Any]) -> str:
    """The data as JSON, deflated, in base 64."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def listed(report: Report) -> tuple[list[Outcome], int]:
    """The cells of the list, and how many are left out: matches first."""
    totals = report.totals
    room = {True: max(0, LISTED - (len(report.outcomes) - totals["match"])), False: LISTED}
    chosen = []
    for outcome in report.outcomes:
        match = outcome.verdict == "match"
        if room[match]:
            room[match] -= 1
            chosen.append(outcome)
    return chosen, len(report.outcomes) - len(chosen)


def columns(report: Report, outcomes: list[Outcome], diagnoses: list[dict[str, Any]]) -> dict[str, Any]:
    """Columns by name; those of texts hold positions in the lists of `texts`.

    Each cell stands for its worst row. Verdicts are positions in the order of severity.
    """
    texts: dict[str, dict[str, int]] = {name: {} for name in ("case", "adapter", "verdict", "quantity", "reason")}
    for verdict in SEVERITY:
        texts["verdict"].setdefault(verdict, len(texts["verdict"]))
    places = {(found["case"], found["adapter"]): place for place, found in enumerate(diagnoses)}
    rows: dict[str, list[Any]] = {}
    for outcome in outcomes:
        for name, value in _fields(outcome, places):
            known = texts.get(name)
            rows.setdefault(name, []).append(value if known is None else known.setdefault(value, len(known)))
    return {
        "rows": rows,
        "texts": {name: list(known) for name, known in texts.items()},
        "families": [report.families.get(case, "other") for case in texts["case"]],
        "commands": [report.command("{}", adapter) for adapter in texts["adapter"]],
    }


def _fields(outcome: Outcome, places: dict[tuple[str, str], int]) -> Iterator[tuple[str, Any]]:
    row = worst_row(outcome)
    reason = row.reason or next((other.reason for other in outcome.rows if other.reason), "")
    yield "case", outcome.case
    yield "adapter", outcome.adapter
    yield "verdict", outcome.verdict
    yield "quantity", row.quantity
    yield "worst", ", ".join(map(str, row.worst or ()))
    yield "error", _short(row.max_abs)
    yield "score", _short(row.score)
    yield "seconds", _short(outcome.seconds)
    yield "reason", reason if len(reason) <= _LONG else f"{reason[:_LONG]}..."
    yield "diagnosis", places.get((outcome.case, outcome.adapter), -1)


def _short(value: float | None) -> float | str | None:
    """Three digits, unless they hide a score beyond 1."""
    if value is None or not math.isfinite(value):
        return None if value is None else "inf"  # JSON has no name for it
    rounded = float(f"{value:.3g}")
    return rounded if (rounded > 1.0) == (value > 1.0) else value
