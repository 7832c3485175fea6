"""The HTML page holds the whole report, loads nothing, and shows any message as text; tests/browser runs its script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any

import pytest

from lstm_xcheck.compare import SEVERITY, VERDICTS
from lstm_xcheck.report import Report, html_rows
from lstm_xcheck.report.html_page import to_html
from lstm_xcheck.report.summary import headline, summarise

from .test_formats import NASTY, outcome, report_of


class Page(HTMLParser):
    """Open tags, all tags, what would be loaded, and the text by the tag that holds it."""

    VOID = frozenset(("meta", "input"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open += [] if tag in self.VOID else [tag]
        names = ("src", "href", "action", "srcset", "style", "onclick", "onload")
        self.loads += [f"{name}={value}" for name, value in attrs if name in names and not str(value).startswith("#")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    @property
    def data(self) -> dict[str, Any]:
        """What the script reads."""
        (packed,) = (text for text in self.texts["script"] if re.fullmatch(r"[A-Za-z0-9+/=]+", text))
        return dict(json.loads(zlib.decompress(base64.b64decode(packed))))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The list of cells."""
        data = self.data
        names = list(data["rows"])
        rows = [dict(zip(names, row, strict=True)) for row in zip(*data["rows"].values(), strict=True)]
        return [row | {name: texts[row[name]] for name, texts in data["texts"].items()} for row in rows]


@pytest.fixture
def report() -> Report:
    """Every verdict once, and two cells that never ended."""
    reasons = {name: "" if name == "match" else f"why {name}" for name in VERDICTS}
    cells = [outcome(f"case-{name}", name, reason=reason, score=0.5) for name, reason in reasons.items()]
    return report_of(*cells, outcome("case-nasty", "mismatch", "jax<1>", NASTY, float("inf")), planned=10)


def test_the_page_is_complete_and_loads_nothing(report: Report) -> None:
    text = to_html(report)
    page = Page(text)
    assert (page.open, page.loads) == ([], [])
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import|\.innerHTML", text)
    assert {"table", "script", "style", "details"} <= set(page.tags)


def test_the_policy_lets_in_this_style_and_script_alone(report: Report) -> None:
    text = to_html(report)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    blocks = {
        "style": re.findall(r"<style>(.*?)</style>", text, re.DOTALL),
        "script": re.findall(r"<script>(.*?)</script>", text, re.DOTALL),
    }
    expected = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    for kind, (block,) in blocks.items():
        expected.append(f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'")
    assert policy.split("; ") == expected


def test_the_list_has_a_row_for_each_cell(report: Report) -> None:
    rows = {row["case"]: row for row in Page(to_html(report)).rows}
    assert list(rows) == [outcome.case for outcome in report.outcomes]
    assert rows["case-match"] == {
        "case": "case-match", "adapter": "torch", "verdict": "match", "quantity": "y", "worst": "0, 1, 2",
        "error": 1e-7, "score": 0.5, "seconds": 0.25, "reason": "", "diagnosis": -1,
    }  # fmt: skip
    assert (rows["case-mismatch"]["reason"], rows["case-mismatch"]["diagnosis"]) == ("why mismatch", 0)
    assert (rows["case-nasty"]["score"], rows["case-crashed"]["score"]) == ("inf", None)


def test_the_first_screen_sums_up(report: Report) -> None:
    page = Page(to_html(report))
    assert page.texts["h1"] == ["DISAGREE"]
    assert headline(summarise(report, 0)) in page.texts["p"]
    buttons = [text.strip() for text in page.texts["button"]]
    assert {"\u2717 1/7", "\u2717 1"} <= set(buttons)  # torch and jax<1>


def test_any_message_is_text(report: Report) -> None:
    page = Page(to_html(report))
    assert page.tags.count("script") == 2
    assert [row["reason"] for row in page.rows if row["adapter"] == "jax<1>"] == [NASTY]
    assert any(NASTY.replace("\x00", "�").strip() in text or NASTY in text for text in page.texts["span"])


def test_a_long_run_lists_what_is_wrong_and_counts_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_rows, "LISTED", 8)
    good = [outcome(f"good-{k}", "match", score=0.1) for k in range(10)]
    bad = [outcome(f"bad-{k}", "mismatch", reason="wrong", score=9.0) for k in range(5)]
    page = Page(to_html(report_of(*good, *bad)))
    assert [row["case"] for row in page.rows] == ["good-0", "good-1", "good-2", *(f"bad-{k}" for k in range(5))]
    assert "7 more cells are not listed here; the JSON report has them." in page.texts["p"]


def test_a_cell_takes_few_bytes() -> None:
    reason = (
        "y[0, {0}, 2] = 0.{0}123, but should be 0.{0} +/- 1.{0}e-07 (error is {0} x the bound); {0} of 9000 elements"
    )
    cells = [
        outcome(
            f"h8-x5-t{k % 99}-b3-l2-bi-split-states-ragged-float32-s{k}", "mismatch", "torch", reason.format(k), k / 3
        )
        for k in range(2000)
    ]
    page = to_html(report_of(*cells))
    assert len(page.encode()) < 2000 * 150  # 3 MB for 20,000 cells
    assert len(Page(page).rows) == 2000


def test_an_empty_report_has_a_page() -> None:
    assert Page(to_html(report_of())).data["rows"] == {}


def test_severity_orders_the_verdicts_of_the_list(report: Report) -> None:
    assert tuple(Page(to_html(report)).data["texts"]["verdict"]) == SEVERITY
