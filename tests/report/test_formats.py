"""JUnit XML, Markdown and JSON lose nothing, and no text becomes markup."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lstm_xcheck.compare import VERDICTS, CountRow, Row
from lstm_xcheck.events import Event, Finished, Outcome, Planned
from lstm_xcheck.report import Report, outcomes
from lstm_xcheck.report.index import find, opened
from lstm_xcheck.report.json_file import write_report
from lstm_xcheck.report.junit_file import junit_parts
from lstm_xcheck.report.markdown_file import to_markdown

#: What a framework's message may hold.
NASTY = '<script>alert(1)</script> & "quotes" | `code` \x00\x1b[31m ]]> $word ${x}'


def outcome(case: str, verdict: str, adapter: str = "torch", reason: str = "", score: float | None = None) -> Outcome:
    if verdict in ("unsupported", "crashed", "skipped"):
        return Outcome(case, adapter, (Row(case, adapter, "", verdict, reason=reason),))  # type: ignore[arg-type]
    rows = (
        Row(case, adapter, "y", verdict, 1e-7, score, (0, 1, 2), reason),  # type: ignore[arg-type]
        Row(case, adapter, "weights", "match", 0.0, 0.0),
    )
    found = ({"case": case, "adapter": adapter, "cause": "gates swapped", "fix": "Swap.", "explanation": "they are"},)
    return Outcome(
        case, adapter, rows, CountRow(case, adapter, 20, 16, "20 = 16 + 4"), {"torch": "2.1"},
        found if verdict == "mismatch" else (), seconds=0.25,
    )  # fmt: skip


def report_of(*given: Outcome, planned: int | None = None) -> Report:
    cells = len(given) if planned is None else planned
    events: list[Event] = [Planned(cells, cells, ("torch",)), *given, Finished(1.5)]
    return Report.of(events)


@pytest.fixture
def report() -> Report:
    """Every verdict once, and two cells that never ended."""
    reasons = {name: "" if name == "match" else f"why {name}" for name in VERDICTS}
    cells = [outcome(f"case-{name}", name, reason=reason, score=0.5) for name, reason in reasons.items()]
    return report_of(*cells, outcome("case-nasty", "mismatch", "jax<1>", NASTY, float("inf")), planned=10)


# --- JUnit ---


def junit(report: Report) -> ElementTree.Element:
    (suite,) = ElementTree.fromstring("".join(junit_parts(report)).encode())
    return suite


def test_junit_has_a_test_case_for_each_cell_with_its_score(report: Report) -> None:
    suite = junit(report).findall("testcase")
    cases = {(case.get("classname"), case.get("name")): case for case in suite}
    assert len(suite) == len(cases) == 9
    match = cases["torch", "case-match"]
    values = {entry.get("name"): entry.get("value") for entry in match.iter("property")}
    assert values == {
        "verdict": "match", "score": "0.5", "max_abs": "1e-07", "score[y]": "0.5", "score[weights]": "0",
    }  # fmt: skip
    assert match.get("time") == "0.250000"
    assert [child.tag for child in match] == ["properties"]


def test_junit_uses_the_right_element_for_each_verdict(report: Report) -> None:
    tags = {case.get("name"): case[1].tag for case in junit(report).iter("testcase") if len(case) > 1}
    assert tags == {
        "case-suspect": "failure", "case-mismatch": "failure", "case-nasty": "failure", "case-crashed": "error",
        "case-inconclusive": "skipped", "case-unsupported": "skipped", "case-skipped": "skipped",
    }  # fmt: skip
    (failure,) = junit(report).findall("testcase[@name='case-mismatch']/failure")
    assert failure.get("message") == "mismatch: y: why mismatch"
    assert failure.text == "y: why mismatch\nthey are"


def test_junit_adds_up_and_counts_what_never_ended_as_an_error(report: Report) -> None:
    suite = junit(report)
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["9", "3", "2", "3"]
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(name, "")) == len(suite.findall(f"testcase/{tag}"))
    (error,) = suite.findall("testcase[@name='unfinished cells']/error")
    assert error.get("message") == "2 of 10 cells never ended"


def test_junit_tells_the_groups_of_failures(report: Report) -> None:
    (told,) = junit(report).findall("system-out")
    lines = str(told.text).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["torch", "jax<1>", "torch", "torch", "torch"]
    assert lines[0] == "torch: gates swapped, in 1 case. Swap. Worst case case-mismatch: why mismatch."
    assert lines[2] == "torch: why crashed, in 1 case. Worst case case-crashed."
    assert junit(report_of(outcome("a", "match"))).find("system-out") is None


def test_junit_carries_any_message(report: Report) -> None:
    (failure,) = junit(report).findall("testcase[@name='case-nasty']/failure")
    assert NASTY.replace("\x00", "?").replace("\x1b", "?") in str(failure.text)


# --- Markdown ---


def test_markdown_is_short_and_lists_the_worst(report: Report) -> None:
    lines = to_markdown(report).splitlines()
    assert lines[0] == "## lstm-xcheck: DISAGREE"
    assert lines[2].startswith("10 planned = 1 match, 1 suspect, 2 mismatch")
    assert "| mismatch | torch | gates swapped, in 1 case | 1 | case-mismatch | 0.5 |" in lines
    assert "- torch: gates swapped, in 1 case. Swap. Worst case case-mismatch: why mismatch." in lines
    tables = [line for line in lines if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
    assert widths == [12] * 4 + [7] * 7


def test_markdown_shows_any_message_as_text(report: Report) -> None:
    row, entry = (line for line in to_markdown(report).splitlines() if "case-nasty" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 7
    assert not re.search(r"(?<!\\)\|", entry)
    assert "alert(1)" in entry
    assert not re.search(r"(?<!\\)[<>`]", row + entry)


# --- JSON and memory ---


def test_json_in_parts_is_json(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path / "x.json")
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert text == report.to_json() + "\n" == json.dumps(report.to_dict(), indent=1) + "\n"
    assert json.loads(report_of().to_json())["rows"] == []


def test_outcomes_are_the_same_from_memory_and_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [outcome(f"case-{k}", "mismatch", reason=NASTY, score=float("inf") if k % 2 else k / 3) for k in range(50)]
    in_memory = outcomes.Outcomes(given)
    monkeypatch.setattr(outcomes, "IN_MEMORY", 1000)
    on_disk = outcomes.Outcomes(given)
    assert list(in_memory) == list(on_disk) == given
    assert [(a.case, b.case) for a in on_disk for b in on_disk if a == b] == [(each.case, each.case) for each in given]
    assert (in_memory._file._rolled, on_disk._file._rolled) == (False, True)  # type: ignore[attr-defined]


# --- the index ---


def index_of(folder: Path, given: list[Outcome]) -> Any:
    lines = folder / "cells.jsonl"
    lines.write_text("".join(f"{each.case}\n" for each in given), encoding="ascii")
    return opened(folder / "index.sqlite", lines, lambda: given)


def test_the_index_gives_rows_back_as_they_were(tmp_path: Path) -> None:
    given = [outcome("a", "mismatch", reason=NASTY, score=float("inf")), outcome("b", "match", score=0.5)]
    with index_of(tmp_path, given) as index:
        rows = list(find(index))
    assert sorted(rows, key=str) == sorted((row for each in given for row in each.rows), key=str)
    assert rows[0].score == float("inf")


def test_the_index_is_made_anew_only_when_the_lines_have_changed(tmp_path: Path) -> None:
    with index_of(tmp_path, [outcome("a", "match")]):
        pass
    lines = tmp_path / "cells.jsonl"
    with opened(tmp_path / "index.sqlite", lines, lambda: pytest.fail("made anew")) as index:  # type: ignore[arg-type]
        assert len(list(find(index))) == 2
    with index_of(tmp_path, [outcome("a", "match"), outcome("b", "match")]) as index:
        assert len(list(find(index, case="b"))) == 2


def test_an_index_that_cannot_be_written_is_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").mkdir()
    with index_of(tmp_path, [outcome("a", "match")]) as index:
        assert len(list(find(index, verdicts=["match"], adapters=["torch"], limit=1))) == 1
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_a_question_cannot_change_the_index(tmp_path: Path) -> None:
    with index_of(tmp_path, [outcome("a", "match")]) as index:
        assert list(find(index, case="'; DROP TABLE rows; --", adapters=["' OR 1 --"])) == []
        assert len(list(find(index))) == 2
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM rows").fetchone() == (2,)
