"""The report as SARIF 2.1.0, for the code-scanning page of a repository."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .groups import TROUBLE, Groups
from .model import Report

#: Id of a rule that is no mistake of the catalogue -> (level, description).
_RULES: dict[str, tuple[str, str]] = {
    "mismatch": ("error", "The numbers are proven wrong, and no mistake of the catalogue is named."),
    "crashed": ("error", "The implementation died, hung, raised, or answered nonsense."),
    "suspect": ("warning", "The numbers are too far away for honest rounding to be likely."),
    "inconclusive": ("note", "The comparison cannot be decided."),
    "unread": ("error", "An LSTM of a file was not read, so it is not verified."),
    "unfinished": ("error", "Planned cases never ended, so nothing is proven of them."),
}


@dataclass(frozen=True)
class _Finding:
    """One result, by its rule, its subject and the address of its file."""

    rule: str
    level: str
    about: str
    help: str
    message: str
    subject: str
    uri: str


def to_sarif(report: Report) -> str:
    """The log: one run, one result for each group of failures."""
    from .. import __version__

    found = list(_findings(report))
    rules = {finding.rule: finding for finding in reversed(found)}
    described = [_rule(rules[id]) for id in sorted(rules)]
    run = {
        "tool": {"driver": {"name": "lstm-xcheck", "version": __version__, "rules": described}},
        "invocations": [{"executionSuccessful": report.verdict != "error", "exitCode": report.exit_code}],
        "results": [_result(finding, sorted(rules)) for finding in found],
        "columnKind": "unicodeCodePoints",
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1, allow_nan=False) + "\n"


def _findings(report: Report) -> Iterator[_Finding]:
    """Groups of failures of each file, then what was never verified."""
    mistakes = {(found["adapter"], found["cause"]): "+".join(found["mistakes"]) for found in report.diagnoses}
    for uri, groups in _groups(report).items():
        for group in groups.result():
            level, about = _RULES[group.verdict]
            rule = mistakes.get((group.adapter, group.cause)) if group.named else None
            about = group.cause if rule else about
            subject = f"{group.adapter}: {re.sub('[0-9]+', '#', group.cause)}"
            help = "\n\n".join(part for part in (group.fix, group.code and f"```python\n{group.code}\n```") if part)
            yield _Finding(rule or group.verdict, level, about, help, group.paragraph, subject, uri)
    for lstm in report.subject.get("unread", []):
        level, about = _RULES["unread"]
        message = f"{lstm['name']} was not read, so it is not verified: {lstm['why']}"
        yield _Finding("unread", level, about, "", message, lstm["name"], _uri(lstm["file"]))
    unfinished = report.planned - len(report.outcomes)
    if unfinished or report.interrupted:
        level, about = _RULES["unfinished"]
        message = f"{unfinished} of {report.planned} planned cases never ended."
        yield _Finding("unfinished", level, about, "", message, "", _uri(""))


def _groups(report: Report) -> dict[str, Groups]:
    """The failures by the address of the file that they are of."""
    files = {lstm["label"]: _uri(lstm["file"]) for lstm in report.subject.get("lstms", []) if "label" in lstm}
    longest_first = sorted(files, key=len, reverse=True)  # of labels that begin alike the longest is the LSTM's own
    of_none, found = _uri(""), dict[str, Groups]()
    for outcome in report.outcomes:
        if outcome.verdict in TROUBLE:
            labels = (label for label in longest_first if outcome.case.startswith(f"{label}-"))
            uri = files.get(next(labels, ""), of_none)
            if uri not in found:
                found[uri] = Groups(report.diagnoses, report.command)
            found[uri].add(outcome)
    return found


def _rule(finding: _Finding) -> dict[str, Any]:
    help = finding.help or finding.about
    rule = {"id": finding.rule, "shortDescription": {"text": finding.about}, "help": {"text": help, "markdown": help}}
    return rule | {"defaultConfiguration": {"level": finding.level}}


def _result(finding: _Finding, rules: list[str]) -> dict[str, Any]:
    # What stays the same from run to run tells a page that a result is an old one.
    same = "\n".join((finding.rule, finding.subject, finding.uri))
    place = {"artifactLocation": {"uri": finding.uri}, "region": {"startLine": 1}}
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": finding.level,
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"ruleSubjectFile/v1": hashlib.sha256(same.encode()).hexdigest()},
    }


def _uri(file: str) -> str:
    """The address of a file; without one that of the project's own."""
    path = Path(file or ("pyproject.toml" if Path("pyproject.toml").is_file() else "."))
    here = Path.cwd()
    if path.is_absolute() and not path.is_relative_to(here):
        return path.as_uri()
    return quote((path.relative_to(here) if path.is_absolute() else path).as_posix())
