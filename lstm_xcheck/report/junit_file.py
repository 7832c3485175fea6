"""The report as JUnit XML: a test case for each cell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from ..compare import VerdictName
from ..diagnose import full_explanation
from ..events import Outcome
from .model import Report
from .summary import largest, summarise

#: Not allowed in XML 1.0: control characters, unpaired surrogates, U+FFFE and U+FFFF.
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Verdict -> its element; a match has none.
_ELEMENTS: dict[VerdictName, str] = {
    "mismatch": "failure",
    "suspect": "failure",
    "crashed": "error",
    "inconclusive": "skipped",
    "unsupported": "skipped",
    "skipped": "skipped",
}


def junit_parts(report: Report) -> Iterator[str]:
    """The XML, one test case at a time; unfinished cells together are one error."""
    totals = report.totals
    unfinished = report.planned - len(report.outcomes)
    unread = report.unread
    numbers = {
        "tests": len(report.outcomes) + bool(unfinished) + len(unread),
        "failures": totals["mismatch"] + totals["suspect"],
        "errors": totals["crashed"] + bool(unfinished) + len(unread),
        "skipped": totals["inconclusive"] + totals["unsupported"] + totals["skipped"] - unfinished,
    }
    attributes = "".join(f' {name}="{number}"' for name, number in numbers.items())
    yield '<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n'
    yield f'<testsuite name="lstm-xcheck"{attributes} time="{report.seconds:.3f}">\n'
    diagnoses = {(found.get("case"), found.get("adapter")): found for found in report.diagnoses}
    for outcome in report.outcomes:
        diagnosis = diagnoses.get((outcome.case, outcome.adapter), {})
        yield _text(_test_case(outcome, full_explanation(diagnosis) if diagnosis else ""))
    if unfinished:
        case = ElementTree.Element("testcase", classname="lstm-xcheck", name="unfinished cells", time="0")
        _add_element(case, "error", f"{unfinished} of {report.planned} cells never ended", "")
        yield _text(case)
    for text in unread:
        case = ElementTree.Element("testcase", classname="lstm-xcheck", name=_clean(text), time="0")
        _add_element(case, "error", "this LSTM was not read, so it is not verified", "")
        yield _text(case)
    groups = summarise(report, 0).groups
    if groups:
        told = ElementTree.Element("system-out")
        told.text = _clean("\n".join(group.paragraph for group in groups))
        yield _text(told)
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
        rows = [row for row in outcome.rows if row.reason]
        reasons = [f"{row.quantity}: {row.reason}" if row.quantity else row.reason for row in rows]
        reasons += [diagnosis] if diagnosis else []
        first = reasons[0] if reasons else "no reason given"
        _add_element(case, tag, f"{outcome.verdict}: {first}", "\n".join(reasons))
    return case


def _numbers(outcome: Outcome) -> dict[str, str]:
    """The cell's largest error and score, and each quantity's score."""
    scores = {f"score[{row.quantity}]": row.score for row in outcome.rows if row.score is not None}
    numbers = {
        "score": largest([row.score for row in outcome.rows]),
        "max_abs": largest([row.max_abs for row in outcome.rows]),
        **scores,
    }
    return {name: f"{number:.6g}" for name, number in numbers.items() if number is not None}


def _add_element(case: ElementTree.Element, tag: str, message: str, text: str) -> None:
    element = ElementTree.SubElement(case, tag, message=_clean(message))
    element.text = _clean(text)


def _clean(text: str) -> str:
    return _NO_XML.sub("?", text)
