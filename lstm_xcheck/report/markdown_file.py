"""The report as Markdown, for the summary page of a CI server."""

from __future__ import annotations

import re

from .detection_power import sentences
from .model import Report
from .summary import Summary, counted, short, summarise

#: Causes, characters of a reason, and of a diagnosis.
_LISTED, _LONG, _LONGER = 50, 400, 1600
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~])")


def to_markdown(report: Report) -> str:
    """The page: verdict and totals, a table of adapters, what is wrong, notes."""
    summary = summarise(report, 0)
    lines = [f"## lstm-xcheck: {summary.word}", "", f"{summary.planned} planned = {counted(summary.totals)}", ""]
    lines += _adapters(summary)
    lines += _troubles(summary)
    lines += _section("Not verified", summary.unread)
    lines += _section("What to do", [group.paragraph for group in summary.groups[:_LISTED]])
    lines += _section("What the matches prove", sentences(report.power, report.adapters)[:1])
    lines += _section("Notes", [f"{note} ({number})" for note, number in summary.notes.items()])
    return "\n".join(lines) + "\n"


def _section(title: str, texts: list[str]) -> list[str]:
    return ["", f"### {title}", "", *(f"- {_text(text, _LONGER)}" for text in texts)] if texts else []


def _adapters(summary: Summary) -> list[str]:
    verdicts = list(summary.totals)
    headings = ["adapter", "version", *verdicts, "largest error", "error / bound"]
    lines = [_row(headings), "| " + " | ".join(["---", "---", *["---:"] * (len(headings) - 2)]) + " |"]
    for name, adapter in summary.adapters.items():
        lines.append(_row([_text(name), _text(adapter.versions), *adapter.columns(verdicts)]))
    return lines


def _troubles(summary: Summary) -> list[str]:
    if not summary.groups:
        return []
    headings = ["verdict", "adapter", "cause", "cases", "worst case", "error / bound"]
    lines = ["", "### What is wrong", "", _row(headings), "| --- | --- | --- | ---: | --- | ---: |"]
    for group in summary.groups[:_LISTED]:
        worst, words = group.worst, (group.verdict, group.adapter, group.sentence, str(group.cases + group.undiagnosed))
        lines.append(_row([_text(word) for word in (*words, worst.case, short(worst.score))]))
    more = len(summary.groups) - _LISTED
    return [*lines, "", f"and {more} more"] if more > 0 else lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str, longest: int = _LONG) -> str:
    """One line without any markup, cut where it is long."""
    line = " ".join(text.split())
    return _SPECIAL.sub(r"\\\1", line if len(line) <= longest else line[:longest] + "...")
