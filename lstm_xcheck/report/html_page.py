"""The report as one HTML file without server, network or library."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..compare import SEVERITY, VerdictName
from .detection_power import sentences
from .groups import Group
from .html_rows import columns, listed, packed
from .model import Report
from .summary import Summary, short, summarise

_TEMPLATES = Path(__file__).parent / "templates"
#: A sign for each verdict, which is read without colour.
_SIGNS: Mapping[VerdictName, str] = {
    "match": "✓", "suspect": "≈", "mismatch": "✗", "inconclusive": "?", "unsupported": "-", "crashed": "!",
    "skipped": "○",
}  # fmt: skip
_RARE: frozenset[VerdictName] = frozenset(("unsupported", "skipped"))


class Inline(NamedTuple):
    """A style sheet or script inside the page, and the hash by which the browser lets it in."""

    text: str
    hash: str

    @classmethod
    def of(cls, name: str) -> Inline:
        """That of a file of the templates."""
        text = (_TEMPLATES / name).read_text(encoding="utf-8")
        return cls(text, f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}")


class Square(NamedTuple):
    """The cells of one adapter in one family: the worst verdict, and all in words."""

    verdict: VerdictName | None
    text: str
    words: str


def to_html(report: Report) -> str:
    """The page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # not needed by other reports

    summary, diagnoses, (outcomes, left_out) = summarise(report, 0), report.diagnoses, listed(report)
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["short"] = short
    page = environment.get_template("report.html")
    return page.render(
        style=Inline.of("report.css"),
        script=Inline.of("report.js"),
        summary=summary,
        sentence=_sentence(summary),
        seconds=report.seconds,
        signs=_SIGNS,
        matrix=_matrix(summary),
        groups=[(group, _diagnoses_of(group, diagnoses)) for group in summary.groups],
        left_out=left_out,
        notes=[f"{text} ({number})" for text, number in summary.notes.items()],
        power=sentences(report.power, report.adapters),
        environment=json.dumps(report.environment(), indent=1),
        data=packed({**columns(report, outcomes, diagnoses), "profiles": [_drawn(found) for found in diagnoses]}),
    )


def _sentence(summary: Summary) -> str:
    """The verdict in a sentence."""
    wrong = [name for name, adapter in summary.adapters.items() if adapter.cells["mismatch"] + adapter.cells["suspect"]]
    crashed = summary.totals.get("crashed", 0)
    if wrong:
        return (
            f"{_named(wrong)} disagree{'s' if len(wrong) == 1 else ''} with the oracle; what is wrong is listed below."
        )
    if summary.unread:
        return "Not every LSTM of the files was verified."
    if crashed:
        return f"Nothing that was compared disagrees, but {crashed} of {summary.planned} cells crashed."
    match = summary.totals.get("match", 0)
    if not match:
        return "Nothing was compared, so nothing is proven."
    return f"All {match} cells that were compared agree, within what rounding allows."


def _named(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _matrix(summary: Summary) -> dict[str, list[tuple[str, Square]]]:
    """For each adapter, its cells by family, of which "" is all together."""
    return {
        name: [
            ("", _square(adapter.cells)),
            *((f, _square(adapter.families.get(f, Counter()))) for f in summary.families),
        ]
        for name, adapter in summary.adapters.items()
    }


def _square(cells: Counter[VerdictName]) -> Square:
    """What matters most of some cells: as soon as anything was compared, that."""
    present = [verdict for verdict in SEVERITY if cells[verdict]]
    if not present:
        return Square(None, "", "no cell")
    worst = present[0]
    compared = sum(cells[verdict] for verdict in present if verdict not in _RARE)
    of = f"/{compared}" if worst != "match" and compared > cells[worst] else ""
    return Square(
        worst, f"{_SIGNS[worst]} {cells[worst]}{of}", ", ".join(f"{cells[verdict]} {verdict}" for verdict in present)
    )


def _diagnoses_of(group: Group, diagnoses: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """The diagnoses that led to a group, with their positions."""
    cause = group.cause if group.named else None
    return [
        (place, found)
        for place, found in enumerate(diagnoses)
        if found["adapter"] == group.adapter and (found["cause"] or None) == cause and group.explanation
    ]


def _drawn(found: dict[str, Any]) -> dict[str, Any]:
    """What the charts of a diagnosis need."""
    location = found.get("location") or {}
    proven = location.get("explained_by", {}).get("gates") or location.get("gates_by_c_n") or []
    return {**(found.get("profile") or {}), "proven": proven}
