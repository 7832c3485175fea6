"""The report as one HTML file that needs nothing else: no server, no network, no library, and works without scripts."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from string import Template

from ..compare import VERDICTS
from ..events import Outcome
from .detection_power import summarise
from .model import Report
from .summary import TROUBLE, Digest, digest
from .terminal import short

#: Matching cells listed; browsers grow slow with more, and the JSON report has them all.
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
    found = digest(report, 0)
    left_out = max(0, len(report.outcomes) - _troubled_cells(found) - LISTED)
    template = Template((Path(__file__).parent / "templates" / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        word="INTERRUPTED" if report.interrupted else report.verdict.upper(),
        verdict="interrupted" if report.interrupted else report.verdict,
        totals=_totals(report),
        adapters=_adapters(report, found),
        plot=_plot(report),
        choices="".join(f"<option>{verdict}</option>" for verdict in VERDICTS if report.totals[verdict]),
        headings="".join(f'<th class="{kind}"><button>{name}</button></th>' for name, kind in _HEADINGS),
        cells="\n".join(_cells(report)),
        left_out=f"{left_out} more matching cells are not listed here; the JSON report has them." if left_out else "",
        sections="".join(_sections(report, found)),
        environment=escape(json.dumps(report.environment(), indent=1)),
    )


def _troubled_cells(found: Digest) -> int:
    return sum(adapter.cells.total() - adapter.cells["match"] for adapter in found.adapters.values())


def _totals(report: Report) -> str:
    totals = report.totals
    counted = ", ".join(f'<span class="{name}">{totals[name]} {name}</span>' for name in VERDICTS if totals[name])
    return f"{totals['planned']} cells planned = {counted or 'nothing'}, in {report.seconds:.1f} s"


def _adapters(report: Report, found: Digest) -> str:
    environments = report.environment()["adapters"]
    names = [name for name in VERDICTS if report.totals[name]]
    heading = _row("th", ["adapter", "version", *names, "largest error", "error / bound", "seconds"])
    rows = []
    for name, adapter in found.adapters.items():
        versions = ", ".join(f"{key} {value}" for key, value in environments.get(name, {}).items())
        cells = [str(adapter.cells[verdict] or "") for verdict in names]
        numbers = [short(adapter.max_abs), short(adapter.score), f"{adapter.seconds:.2f}"]
        rows.append(_row("td", [name, versions, *cells, *numbers]))
    return f"<table><thead>{heading}</thead><tbody>{''.join(rows)}</tbody></table>"


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _cells(report: Report) -> Iterator[str]:
    """A row for each cell: all that do not match, and the first of those that do."""
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
    errors = [row.max_abs for row in outcome.rows if row.max_abs is not None]
    verdict = outcome.verdict
    return (
        f'<tr data-verdict="{verdict}"><td>{escape(outcome.case)}</td><td>{escape(outcome.adapter)}</td>'
        f'<td class="{verdict}">{verdict}</td>{_number(max(errors, default=None))}{_number(score_of(outcome))}'
        f'{_number(outcome.seconds)}<td class="reason">{escape("; ".join(worst or reasons))}</td></tr>'
    )


def _number(value: float | None) -> str:
    return '<td class="n"></td>' if value is None else f'<td class="n" data-value="{value!r}">{short(value)}</td>'


def score_of(outcome: Outcome) -> float | None:
    """The largest error / bound of a cell."""
    return max((row.score for row in outcome.rows if row.score is not None), default=None)


def _plot(report: Report) -> str:
    """A strip for each adapter: how its cells' error / bound spread over the decades."""
    strips: dict[str, Counter[int]] = {name: Counter() for name in report.adapters}
    last = (_LAST - _FIRST) * _MARKS - 1
    for outcome in report.outcomes:
        score = score_of(outcome)
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


def _sections(report: Report, found: Digest) -> Iterator[str]:
    """Parameter counts, notes, diagnoses and power, each only where there is something to say."""
    counts = [f"{label} in {number} cases, e.g. {example}" for label, (number, example) in found.counts.items()]
    yield _section("Parameter counts", counts)
    yield _section("Notes", [f"{text} ({number})" for text, number in found.notes.items()])
    yield _section("Diagnosis", report.causes)
    yield _section("What the matches prove", summarise(report.power))


def _section(title: str, lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2>\n<ul>{items}</ul>\n" if lines else ""
