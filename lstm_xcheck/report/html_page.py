"""The report as one HTML file without server, network or library."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from string import Template

from ..events import Outcome
from .detection_power import sentences
from .model import Report
from .summary import TROUBLE, Summary, largest, short, summarise

#: Matching cells in the table; browsers are slow with more, and the JSON report has all.
LISTED = 5000
_HEADINGS = (
    ("case", ""), ("adapter", ""), ("verdict", ""), ("largest error", "n"), ("error / bound", "n"), ("seconds", "n"),
    ("reason", ""),
)  # fmt: skip
#: The plot's decades of error / bound, and its marks per decade.
_FIRST, _LAST, _MARKS = -4, 2, 8
_LEFT, _WIDE, _HIGH = 150, 800, 26


def to_html(report: Report) -> str:
    """The page."""
    summary = summarise(report, 0)
    cells = ", ".join(f'<span class="{name}">{number} {name}</span>' for name, number in summary.totals.items())
    left_out = max(0, sum(adapter.cells["match"] for adapter in summary.adapters.values()) - LISTED)
    template = Template((Path(__file__).parent / "templates" / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        word=summary.word,
        verdict=summary.word.lower(),
        totals=f"{summary.planned} cells planned = {cells or 'nothing'}, in {report.seconds:.1f} s",
        adapters=_adapters(summary),
        plot=_plot(report),
        choices="".join(f"<option>{verdict}</option>" for verdict in summary.totals),
        headings="".join(f'<th class="{kind}"><button>{name}</button></th>' for name, kind in _HEADINGS),
        cells="\n".join(_cells(report)),
        left_out=f"{left_out} more matching cells are not listed here; the JSON report has them." if left_out else "",
        sections="".join(_sections(report, summary)),
        environment=escape(json.dumps(report.environment(), indent=1)),
    )


def _adapters(summary: Summary) -> str:
    verdicts = list(summary.totals)
    heading = _row("th", ["adapter", "version", *verdicts, "largest error", "error / bound", "seconds"])
    rows = [
        _row("td", [name, adapter.versions, *adapter.columns(verdicts), f"{adapter.seconds:.2f}"])
        for name, adapter in summary.adapters.items()
    ]
    return f"<table><thead>{heading}</thead><tbody>{''.join(rows)}</tbody></table>"


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _cells(report: Report) -> Iterator[str]:
    """A row for each cell that does not match, and for the first matches."""
    left = LISTED
    for outcome in report.outcomes:
        if outcome.verdict != "match":
            yield _cell(outcome)
        elif left:
            left -= 1
            yield _cell(outcome)


def _cell(outcome: Outcome) -> str:
    reasons = list(dict.fromkeys(row.reason for row in outcome.rows if row.reason))
    worst = [row.reason for row in outcome.rows if row.verdict in TROUBLE and row.reason]
    error = largest([row.max_abs for row in outcome.rows])
    verdict = outcome.verdict
    return (
        f'<tr data-verdict="{verdict}"><td>{escape(outcome.case)}</td><td>{escape(outcome.adapter)}</td>'
        f'<td class="{verdict}">{verdict}</td>{_number(error)}{_number(_score(outcome))}'
        f'{_number(outcome.seconds)}<td class="reason">{escape("; ".join(worst or reasons))}</td></tr>'
    )


def _number(value: float | None) -> str:
    return '<td class="n"></td>' if value is None else f'<td class="n" data-value="{value!r}">{short(value)}</td>'


def _score(outcome: Outcome) -> float | None:
    """The largest error / bound of a cell."""
    return largest([row.score for row in outcome.rows])


def _plot(report: Report) -> str:
    """A strip for each adapter: its cells' error / bound over the decades."""
    strips: dict[str, Counter[int]] = {name: Counter() for name in report.adapters}
    last = (_LAST - _FIRST) * _MARKS - 1
    for outcome in report.outcomes:
        score = _score(outcome)
        if score is not None:
            place = math.log10(score) if 0 < score < math.inf else (_FIRST if score == 0 else _LAST)
            mark = min(last, max(0, int((place - _FIRST) * _MARKS)))
            strips.setdefault(outcome.adapter, Counter())[mark] += 1
    height = _HIGH * len(strips) + 40
    drawn = "".join(_strip(name, marks, _HIGH * index + 10) for index, (name, marks) in enumerate(strips.items()))
    return (
        f'<svg viewBox="0 0 {_LEFT + _WIDE + 10} {height}" role="img" aria-label="error divided by bound, by adapter">'
        f"{drawn}{_axis(height - 22)}</svg>"
    )


def _strip(name: str, marks: Mapping[int, int], top: int) -> str:
    width, most = _WIDE / ((_LAST - _FIRST) * _MARKS), max(marks.values(), default=1)
    parts = [f'<text x="0" y="{top + 14}">{escape(name)}</text>']
    for mark, number in sorted(marks.items()):
        shade = 0.2 + 0.8 * number / most
        colour = "var(--bad)" if mark >= -_FIRST * _MARKS else "var(--good)"
        box = f'x="{_LEFT + mark * width:.1f}" y="{top}" width="{width - 1:.1f}" height="{_HIGH - 8}"'
        parts.append(f'<rect {box} fill="{colour}" fill-opacity="{shade:.2f}"><title>{number} cells</title></rect>')
    return "".join(parts)


def _axis(bottom: int) -> str:
    decade = _WIDE / (_LAST - _FIRST)
    labels = "".join(
        f'<text x="{_LEFT + decade * (power - _FIRST):.0f}" y="{bottom + 18}" text-anchor="middle">{10.0**power:g}'
        "</text>"
        for power in range(_FIRST, _LAST + 1)
    )
    line = _LEFT + decade * -_FIRST
    return f'{labels}<line x1="{line:.0f}" x2="{line:.0f}" y1="0" y2="{bottom + 4}" stroke="currentColor"/>'


def _sections(report: Report, summary: Summary) -> Iterator[str]:
    """Parameter counts, notes, diagnoses and detection power, where there are any."""
    counts = [f"{label} in {number} cases, e.g. {example}" for label, (number, example) in summary.counts.items()]
    yield _section("Parameter counts", counts)
    yield _section("Not verified", summary.unread)
    yield _section("Notes", [f"{text} ({number})" for text, number in summary.notes.items()])
    yield _section("Diagnosis", report.causes)
    yield _section("What the matches prove", sentences(report.power, report.adapters))


def _section(title: str, lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2>\n<ul>{items}</ul>\n" if lines else ""
