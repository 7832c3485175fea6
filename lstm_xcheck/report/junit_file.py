"""The report as JUnit XML, which every CI server reads: a test case for each cell."""

from __future__ import annotations

import math
import re
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


def to_junit(report: Report) -> str:
    """The XML; cells that never ended are one test case with an error, since nothing was proven of them."""
    suite = ElementTree.Element("testsuite", name="lstm-xcheck")
    for outcome in report.outcomes:
        suite.append(_test_case(outcome))
    unfinished = report.planned - len(report.outcomes)
    if unfinished:
        case = ElementTree.SubElement(suite, "testcase", classname="lstm-xcheck", name="unfinished cells", time="0")
        _tell(case, "error", f"{unfinished} of {report.planned} cells never ended", "")
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite)))
    suite.set("time", f"{report.seconds:.3f}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _test_case(outcome: Outcome) -> ElementTree.Element:
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
        reasons += [found["explanation"] for found in outcome.diagnoses if found.get("explanation")]
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
