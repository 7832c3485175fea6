"""The page as a whole in a real browser: first screen, charts, print, narrow screens, contrast, and its policy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.compare import Row
from lstm_xcheck.events import Outcome, Planned
from lstm_xcheck.report import Report
from lstm_xcheck.report.json_file import write_report
from lstm_xcheck.report.summary import headline, summarise

from .conftest import Open, Opened


def heights(page: Opened, selector: str) -> list[float]:
    """The places from the top of the page."""
    return [float(box["y"]) for box in (each.bounding_box() for each in page.page.locator(selector).all()) if box]


def test_the_first_screen_has_verdict_matrix_and_causes(opened: Open, report: Report) -> None:
    page = opened()
    assert page.texts("h1") == ["DISAGREE"]
    assert page.texts(".lead") == [headline(summarise(report, 0))]
    order = [heights(page, selector)[0] for selector in ("h1", "#matrix", "#group-0", "#cells")]
    assert order == sorted(order)
    assert order[2] < 900
    assert page.page.locator("#matrix tbody tr").count() == len(report.adapters)
    first = page.page.locator("#group-0")
    assert "gates g and o exchanged" in first.inner_text()
    assert "--case" in first.locator("pre").last.inner_text()


def drawn(page: Opened, place: int) -> Any:
    """The charts of a diagnosis."""
    page.page.locator(f"#diagnosis-{place}").evaluate("element => { element.open = true; }")
    charts = page.page.locator(f"#diagnosis-{place} .charts")
    charts.locator("svg").first.wait_for()
    return charts


def test_charts_show_the_profile_on_a_log_axis_and_clip_nothing(opened: Open, report: Report) -> None:
    page = opened()
    place, found = next((k, found) for k, found in enumerate(report.diagnoses) if found["adapter"] == "drifting")
    profile = found["profile"]
    charts = drawn(page, place)
    dots = charts.locator("circle")
    assert dots.count() == len(profile["steps"])
    ys = [float(dot.get_attribute("cy")) for dot in dots.all()]
    logs = [math.log10(error) for error in profile["error"]]
    scale = (ys[-1] - ys[0]) / (logs[-1] - logs[0])
    assert ys == pytest.approx([ys[0] + scale * (log - logs[0]) for log in logs], abs=0.01)
    assert max(profile["error"]) > 1000 * max(bound for bound in profile["bound"])
    assert min(ys) >= 0 and max(ys) <= 190
    outside = [error > bound for error, bound in zip(profile["error"], profile["bound"], strict=True)]
    assert [dot.get_attribute("class") == "outside" for dot in dots.all()] == outside == [False] * 4 + [True] * 8
    shades = [float(box.get_attribute("fill-opacity")) for box in charts.locator("rect").all()]
    needs = [need for gate in profile["gates"].values() for need in gate]
    assert [shade > 0 for shade in shades] == [bool(need) for need in needs]
    strongest = max(range(len(needs)), key=lambda k: needs[k] or 0.0)
    assert shades[strongest] == max(shades)
    assert charts.locator("text", has_text="\u00d7").count() == needs.count(None)


def test_every_cell_is_drawn_against_the_bound(opened: Open, report: Report) -> None:
    page = opened()
    titles = [text or "" for text in page.page.locator("#strips rect title").all_text_contents()]
    counts: dict[str, int] = {}
    for title in titles:
        name, _, number = title.partition(": ")
        counts[name] = counts.get(name, 0) + int(number.split()[0])
    cells = [each.adapter for each in report.outcomes]
    assert counts == {name: cells.count(name) for name in report.adapters}


def test_any_score_has_its_place_against_the_bound(opened: Open, tmp_path: Path) -> None:
    scores = [0.0, 1e-300, 0.5, 1.0, 1.0001, 1e9, float("inf")]
    cells = [Outcome(str(score), str(score), (Row("a", "a", "y", "match", 0.0, score),)) for score in scores]
    write_report(Report.of([Planned(len(cells), len(cells), ()), *cells]), tmp_path / "any.html")
    page = opened(file=tmp_path / "any.html").page
    wide = float(page.locator("#strips svg").get_attribute("viewBox").split()[2])
    places = [float(box.get_attribute("x")) for box in page.locator("#strips rect").all()]
    assert [title.split(":")[0] for title in page.locator("#strips title").all_text_contents()] == [
        str(k) for k in scores
    ]
    assert places == sorted(set(places)) and places[0] >= 0 and places[-1] + 60 <= wide
    line = float(page.locator("#strips line").get_attribute("x1"))
    assert [place >= line - 1e-6 for place in places] == [score > 1 for score in scores]


#: The pairs of words in charts with less than a letter between them.
TOUCHING = """() => [...document.querySelectorAll("svg")].flatMap((svg) => {
  const words = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const gap = 6 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const near = (a, b) => a.left < b.right + gap && b.left < a.right + gap && a.top < b.bottom && b.top < a.bottom;
  const of = ([word, a], k) => words.slice(k + 1).filter(([, b]) => near(a, b)).map(([other]) => word + other);
  return words.flatMap(of);
})"""


@pytest.mark.parametrize("width", [360, 1200])
def test_no_words_of_the_charts_touch(opened: Open, tmp_path: Path, width: int) -> None:
    page = opened(width=width).page
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    page.locator(".charts svg").first.wait_for()
    assert page.evaluate(TOUCHING) == []
    scores = [0.0, 1e-300, 0.5, 3.0, 1e300, float("inf")]
    cells = [Outcome(str(score), f"{score:g}", (Row("a", "a", "y", "match", 0.0, score),)) for score in scores]
    write_report(Report.of([Planned(len(cells), len(cells), ()), *cells]), tmp_path / "any.html")
    wide = opened(file=tmp_path / "any.html", width=width).page
    assert wide.evaluate(TOUCHING) == []
    wide.evaluate("document.querySelector('#strips text:nth-last-of-type(2)').setAttribute('x', 9)")
    wide.evaluate("document.querySelector('#strips text:nth-last-of-type(1)').setAttribute('x', 9)")
    assert wide.evaluate(TOUCHING) == ["unsupportedother"]


def test_a_reader_without_eyes_or_with_weak_ones_can_read_it(opened: Open) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for colours in ("light", "dark"):
        page = opened("#row=nobody", colours=colours)
        page.page.locator("details:not([open]) summary", has_text="diagnosis").first.click()
        page.page.locator("#rows a").first.click()
        assert serious(axe, page) == []
    page.page.evaluate("document.querySelector('.lead').style.color = '#555'")  # on black
    page.page.evaluate("document.querySelector('#words').removeAttribute('aria-label')")
    assert serious(axe, page)[0].startswith("color-contrast")


def serious(axe: Any, page: Opened) -> list[str]:
    """Violations that keep a reader out, with their places."""
    found = axe.run(page.page).response["violations"]
    return [
        f"{each['id']}: {[node['html'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("width", [360, 800])
def test_a_narrow_screen_needs_no_sideways_scrolling(opened: Open, width: int) -> None:
    page = opened("#row=nobody", width=width)
    page.page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    page.page.locator("#rows a").first.click()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width


def test_print_opens_all_and_lists_the_cells(opened: Open, report: Report) -> None:
    page = opened(width=794)  # A4
    page.page.emulate_media(media="print")
    page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.page.locator("details[data-diagnosis]:not([open])").count() == 0
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 794
    assert page.page.locator(".charts svg").count() >= len([found for found in report.diagnoses if found["profile"]])
    assert len(page.column(1)) == len(report.outcomes)
    assert page.page.locator(".bar").is_hidden()
    assert page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_no_script_of_a_message_runs(opened: Open, tmp_path: Path) -> None:
    nasty = "<img src=x onerror=\"document.title='run'\"></script><script>document.title='run'</script>"
    rows = [Outcome(nasty, nasty, (Row(nasty, nasty, "y", "mismatch", 1.0, 2.0, (0,), nasty),))]
    write_report(Report.of([Planned(1, 1, ()), *rows]), tmp_path / "nasty.html")
    page = opened(file=tmp_path / "nasty.html")
    page.page.locator("#rows a").first.click()
    assert nasty in page.texts("#cell .reason")
    assert page.page.title() == "lstm-xcheck: DISAGREE"
    assert page.page.locator("img").count() == 0
    page.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))"
    )
    assert page.page.title() == "lstm-xcheck: DISAGREE"  # the policy lets no other script in
    assert len(page.messages) == 1 and "Content Security Policy" in page.messages.pop()
