"""The report as Markdown, short enough for a summary page of a CI server."""

from __future__ import annotations

import re

from ..compare import VERDICTS
from .detection_power import summarise
from .model import Report
from .summary import Digest, digest
from .terminal import short

#: Rows of trouble listed, and characters of a reason.
_SHOWN, _LONG = 50, 400
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~])")


def to_markdown(report: Report) -> str:
    """The page: verdict and totals, a table of adapters, what is wrong, notes."""
    found = digest(report, _SHOWN)
    totals = report.totals
    counted = ", ".join(f"{totals[verdict]} {verdict}" for verdict in VERDICTS if totals[verdict])
    word = "INTERRUPTED" if report.interrupted else report.verdict.upper()
    lines = [f"## lstm-xcheck: {word}", "", f"{totals['planned']} cells planned = {counted or 'nothing'}", ""]
    lines += _adapters(report, found)
    lines += _troubles(found)
    lines += _section("Diagnosis", report.causes)
    lines += _section("What the matches prove", summarise(report.power)[:1])
    lines += _section("Notes", [f"{note} ({number})" for note, number in found.notes.items()])
    return "\n".join(lines) + "\n"


def _section(title: str, texts: list[str]) -> list[str]:
    return ["", f"### {title}", "", *(f"- {_text(text)}" for text in texts)] if texts else []


def _adapters(report: Report, found: Digest) -> list[str]:
    totals, environments = report.totals, report.environment()["adapters"]
    names = [verdict for verdict in VERDICTS if totals[verdict]]
    headings = ["adapter", "version", *names, "largest error", "error / bound"]
    lines = [_row(headings), "| " + " | ".join(["---", "---", *["---:"] * (len(headings) - 2)]) + " |"]
    for name, adapter in found.adapters.items():
        versions = ", ".join(f"{key} {value}" for key, value in environments.get(name, {}).items())
        cells = [str(adapter.cells[verdict] or "") for verdict in names]
        lines.append(_row([_text(name), _text(versions), *cells, short(adapter.max_abs), short(adapter.score)]))
    return lines


def _troubles(found: Digest) -> list[str]:
    if not found.troubles:
        return []
    lines = ["", "### What is wrong", "", _row(["verdict", "adapter", "case", "reason"]), "| --- | --- | --- | --- |"]
    for row in found.troubles:
        lines.append(_row([row.verdict, _text(row.adapter), _text(row.case), _text(row.reason)]))
    more = found.troubled - len(found.troubles)
    return [*lines, "", f"and {more} more"] if more else lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """One line that Markdown shows as it is."""
    line = " ".join(text.split())
    return _SPECIAL.sub(r"\\\1", line if len(line) <= _LONG else line[:_LONG] + "...")
