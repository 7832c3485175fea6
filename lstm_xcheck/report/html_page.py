"""The report as one HTML file without server, network or library."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from ..compare import VerdictName
from .detection_power import sentences
from .html_rows import columns, listed, packed
from .model import Report
from .summary import SYMBOLS, Summary, counted, headline, share, short, summarise

_TEMPLATES = Path(__file__).parent / "templates"


class Inline(NamedTuple):
    """A style sheet or script inside the page, and its hash for the policy."""

    text: str
    hash: str

    @classmethod
    def of(cls, *names: str) -> Inline:
        """That of files of the templates, one after another."""
        text = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in names)
        return cls(text, f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}")


class Square(NamedTuple):
    """The cells of one adapter in one family; `words` has every verdict."""

    verdict: VerdictName
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
        script=Inline.of("charts.js", "report.js"),
        summary=summary,
        sentence=headline(summary),
        seconds=report.seconds,
        symbols={verdict: symbol for verdict, (symbol, _) in SYMBOLS.items()},
        matrix=_matrix(summary),
        groups=summary.groups,
        places={(found["adapter"], found["case"]): place for place, found in enumerate(diagnoses)},
        left_out=left_out,
        notes=[f"{text} ({number})" for text, number in summary.notes.items()],
        power=sentences(report.power, report.adapters),
        environment=json.dumps(report.environment(), indent=1),
        data=packed({**columns(report, outcomes, diagnoses), "profiles": [_drawn(found) for found in diagnoses]}),
    )


def _matrix(summary: Summary) -> dict[str, list[tuple[str, Square | None]]]:
    """For each adapter, its cells by family, of which "" is all together."""
    return {
        name: [(family, _square(cells)) for family, cells in [
            ("", adapter.cells), *((family, adapter.families.get(family, Counter())) for family in summary.families)
        ]]
        for name, adapter in summary.adapters.items()
    }  # fmt: skip


def _square(cells: Counter[VerdictName]) -> Square | None:
    if not cells:
        return None
    worst, how_many = share(cells)
    return Square(worst, f"{SYMBOLS[worst][0]} {how_many}", counted(cells))


def _drawn(found: dict[str, Any]) -> dict[str, Any]:
    """What the charts of a diagnosis need."""
    location = found.get("location") or {}
    proven = location.get("explained_by", {}).get("gates") or location.get("gates_by_c_n") or []
    return {**(found.get("profile") or {}), "proven": proven}
