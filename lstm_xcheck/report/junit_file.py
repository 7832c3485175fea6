"""The report as JUnit XML, which every CI server reads: a test case for each cell."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from ..compare import VerdictName
from ..events import Outcome
from .model import Report

#: What XML 1.0 cannot carry: control characters, unpaired surrogates and two others.
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Verdict -> the element that says so; a match has none.
_ELEMENTS: dict[VerdictName, str] = {
    "mismatch": "failure",
    "suspect": "failure",
    "crashed": "error",
    "inconclusive": "skipped",
    "unsupported": "skipped",
    "skipped": "skipped",
}


def junit_parts(report: Report) -> Iterator[str]:
    """The XML, a test case at a time; cells that never ended are one with an error: nothing was proven of them."""
    totals = report.totals
    unfinished = report.planned - len(report.outcomes)
    numbers = {
        "tests": len(report.outcomes) + bool(unfinished),
        "failures": totals["mismatch"] + totals["suspect"],
        "errors": totals["crashed"] + bool(unfinished),
        "skipped": totals["inconclusive"] + totals["unsupported"] + totals["skipped"] - unfinished,
    }
    attributes = "".join(f' {name}="{number}"' for name, number in numbers.items())
    yield '<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n'
    yield f'<testsuite name="lstm-xcheck"{attributes} time="{report.seconds:.3f}">\n'
    told = {(found.get("case"), found.get("adapter")): str(found.get("explanation", "")) for found in report.diagnoses}
    for outcome in report.outcomes:
        yield _text(_test_case(outcome, told.get((outcome.case, outcome.adapter), "")))
    if unfinished:
        case = ElementTree.Element("testcase", classname="lstm-xcheck", name="unfinished cells", time="0")
        _tell(case, "error", f"{unfinished} of {report.planned} cells never ended", "")
        yield _text(case)
    yield "</testsuite>\n</testsuites>\n"


def _text(case: ElementTree.Element) -> str:
    ElementTree.indent(case, " ")
    return ElementTree.tostring(case, encoding="unicode") + "\n"


def _test_case(outcome: Outcome, diagnosis: str) -> ElementTree.Element:
    adapter, name = _clean(outcome.adapter), _clean(outcome.case)
    case = ElementTree.Element("testcase", classname=adapter, name=name, time=f"{outcome.seconds:.6f}")
    properties = ElementTree.SubElement(case, "properties")
    values = {"verdict": outcome.verdict, **_numbers(outcome)}
    for key, value in values.items():
        ElementTree.SubElement(properties, "property", name=_clean(key), value=value)
    tag = _ELEMENTS.get(outcome.verdict)
    if tag:
        told = [row for row in outcome.rows if row.reason]
        reasons = [f"{row.quantity}: {row.reason}" if row.quantity else row.reason for row in told]
        reasons += [diagnosis] if diagnosis else []
        _tell(case, tag, f"{outcome.verdict}: {reasons[0] if reasons else 'no reason given'}", "\n".join(reasons))
    return case


def _numbers(outcome: Outcome) -> dict[str, str]:
    """The cell's largest error and score, and each quantity's score."""
    scores = {f"score[{row.quantity}]": row.score for row in outcome.rows if row.score is not None}
    errors = [row.max_abs for row in outcome.rows if row.max_abs is not None]
    result = {"score": max(scores.values())} if scores else {}
    result.update({"max_abs": max(errors)} if errors else {})
    return {name: _number(value) for name, value in {**result, **scores}.items()}


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def _tell(case: ElementTree.Element, tag: str, message: str, text: str) -> None:
    element = ElementTree.SubElement(case, tag, message=_clean(message))
    element.text = _clean(text)


def _clean(text: str) -> str:
    return _NO_XML.sub("?", text)
