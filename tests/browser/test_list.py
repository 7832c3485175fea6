"""The list of cells in a real browser: filters, order, keyboard, deep links, and few elements for many cells."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from lstm_xcheck.compare import SEVERITY
from lstm_xcheck.report import Report
from lstm_xcheck.report.html_rows import columns

from .conftest import MANY, Open


def found(report: Report, **wanted: str) -> list[tuple[str, str]]:
    """Case and adapter of the outcomes with this verdict, adapter or family."""
    return [
        (each.case, each.adapter)
        for each in report.outcomes
        if wanted.get("verdict", each.verdict) == each.verdict
        and wanted.get("adapter", each.adapter) == each.adapter
        and wanted.get("family", report.families[each.case]) == report.families[each.case]
    ]


def test_words_and_choices_filter(opened: Open, report: Report) -> None:
    page = opened()
    total = len(report.outcomes)
    assert page.texts("#shown") == [f"{total} of {total} cells"]
    page.page.fill("#words", "SWAPPED h4")
    assert sorted(page.column(1)) == sorted(case for case, _ in found(report, adapter="swapped-gates"))
    page.page.fill("#words", "")
    page.page.select_option("select[data-key=verdict]", "crashed")
    assert page.texts("#shown") == [f"{len(found(report, verdict='crashed'))} of {total} cells"]
    page.page.select_option("select[data-key=verdict]", "match")
    page.page.select_option("select[data-key=family]", "both ways")
    assert len(page.column(1)) == len(found(report, verdict="match", family="both ways")) > 0
    page.page.fill("#words", "no such words")
    assert page.column(1) == []


def test_a_square_of_the_matrix_lists_its_cells(opened: Open, report: Report) -> None:
    page = opened()
    square = page.page.locator("#matrix button[data-adapter=drifting][data-family='both ways']")
    square.click()
    wanted = found(report, adapter="drifting", family="both ways")
    assert sorted(page.column(1)) == sorted(case for case, _ in wanted)
    assert set(page.column(2)) == {"drifting"}
    assert square.get_attribute("aria-pressed") == "true"
    square.click()
    assert square.get_attribute("aria-pressed") == "false"
    assert page.texts("#shown") == [f"{len(report.outcomes)} of {len(report.outcomes)} cells"]


def test_columns_sort_both_ways_with_blanks_last(opened: Open, report: Report) -> None:
    page = opened()
    verdicts = [SEVERITY.index(verdict) for verdict in page.column(3)]  # type: ignore[arg-type]
    assert verdicts == sorted(verdicts)
    packed = columns(report, list(report.outcomes), [])
    cells = [packed["texts"]["case"][k] for k in packed["rows"]["case"]]
    scores = dict(zip(zip(cells, packed["rows"]["adapter"], strict=True), packed["rows"]["score"], strict=True))
    heading = page.page.locator("#rows th", has_text="error / bound")
    for order, reverse in (("ascending", False), ("descending", True)):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == order
        adapters = [packed["texts"]["adapter"].index(name) for name in page.column(2)]
        shown = [scores[cell] for cell in zip(page.column(1), adapters, strict=True)]
        numbers = [score for score in shown if score is not None]
        assert numbers == sorted(numbers, reverse=reverse)
        assert shown == [*numbers, *[None] * (len(shown) - len(numbers))]
        assert 0 < len(numbers) < len(shown)


def test_the_address_says_what_is_shown(opened: Open, report: Report) -> None:
    page = opened()
    page.page.fill("#words", "drift & <b>")
    page.page.locator("#rows th button").first.click()
    again = opened("#" + page.page.url.partition("#")[2])
    assert again.page.input_value("#words") == "drift & <b>"
    assert again.page.locator("#rows th").first.get_attribute("aria-sort") == "ascending"
    case = found(report, adapter="drifting")[0][0]
    there = opened(f"#row={quote(f'drifting/{case}', safe='')}&adapter=drifting")
    assert there.texts("#cell h3") == [f"drifting: mismatch {case}"]
    assert set(there.column(2)) == {"drifting"}
    assert opened("#row=nobody/nothing").texts("#cell h3") == []


def test_row_and_diagnosis_lead_to_each_other(opened: Open) -> None:
    page = opened("#row=swapped-gates%2Fnothing").page
    diagnosis = page.locator("details[data-diagnosis]", has=page.locator("a[data-row^=drifting]")).first
    place = diagnosis.get_attribute("data-diagnosis")
    diagnosis.locator("summary").click()
    diagnosis.locator("a[data-row]").click()
    page.locator("#cell a", has_text="its diagnosis").wait_for()
    assert page.locator("#cell h3").inner_text().startswith("drifting: mismatch")
    diagnosis.evaluate("element => { element.open = false; }")
    page.locator("#cell a", has_text="its diagnosis").click()
    page.locator(f"#diagnosis-{place}[open]").wait_for()


def test_the_command_is_copied(opened: Open, report: Report) -> None:
    (case, adapter), *_ = found(report, verdict="mismatch")
    page = opened(f"#row={quote(f'{adapter}/{case}', safe='')}")
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.page.locator("#cell .copy").click()
    page.page.locator("#cell .copy", has_text="copied").wait_for()
    command = report.command(case, adapter)
    assert command.endswith(f"--case {case}")
    assert page.page.evaluate("navigator.clipboard.readText()") == command


def test_keys_move_through_the_list(opened: Open, large: Path) -> None:
    page = opened(file=large)
    focused = "document.activeElement.closest('tr').getAttribute('aria-rowindex')"
    page.page.focus("#view")
    for key, place in (("ArrowDown", 2), ("ArrowDown", 3), ("End", MANY + 1), ("ArrowUp", MANY), ("Home", 2)):
        page.page.keyboard.press(key)
        assert page.page.evaluate(focused) == str(place), key
    page.page.keyboard.press("PageDown")
    assert int(page.page.evaluate(focused)) > 10
    page.page.keyboard.press("Enter")
    page.page.locator("#cell h3").wait_for()
    assert page.page.evaluate("document.activeElement.id") == "cell"


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_many_cells_are_few_elements(opened: Open, large: Path, place: float) -> None:
    """The count is what keeps it quick: first paint took 0.20 s of processor time, a sort 0.04 s, at 0.7 MB."""
    page = opened(file=large)
    assert large.stat().st_size < 3_000_000
    assert page.texts("#shown") == [f"{MANY} of {MANY} cells"]
    page.page.locator("#rows th button", has_text="error / bound").click()
    page.page.evaluate(f"view.scrollTop = {place} * (view.scrollHeight - view.clientHeight)")
    page.page.locator(f"#rows tr[aria-rowindex='{int(place * (MANY - 20)) + 10}']").wait_for()
    scores = [float(text) for text in page.column(4)]
    assert scores == sorted(scores)
    assert 10 < len(scores) < 100
    assert page.page.evaluate("document.querySelectorAll('*').length") < 2500
