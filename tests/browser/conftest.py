"""A headless Chromium and pages of reports in it; skipped where no Chromium or playwright is installed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.compare import Row
from lstm_xcheck.events import Finished, Outcome, Planned
from lstm_xcheck.report import Report
from lstm_xcheck.report.json_file import write_report

from ..helpers import ROOT, load_file

#: As many cells as a report must be quick with.
MANY = 20_000


@dataclass
class Opened:
    """A page of a report, with all that its console says."""

    page: Any
    file: Path
    messages: list[str] = field(default_factory=list)

    def texts(self, selector: str) -> list[str]:
        """The texts of the elements."""
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]

    def column(self, number: int) -> list[str]:
        """The texts of a column of the list, as far as it is in the page."""
        return self.texts(f"#rows tbody tr:not(.space) td:nth-child({number})")


Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def report() -> Report:
    """That of the pictures in docs."""
    whole: Report = load_file(ROOT / "docs" / "screenshots.py", "docs_screenshots").report()
    return whole


@pytest.fixture(scope="session")
def small(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("small") / "report.html"
    write_report(report, file)
    return file


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of many cells, each of ten with another error."""
    file = tmp_path_factory.mktemp("large") / "report.html"
    cells = [_cell(f"h8-x5-t{k % 97}-b3-l2-bi-split-float32-s{k // 10}", f"adapter-{k % 10}", k) for k in range(MANY)]
    write_report(Report.of([Planned(MANY, MANY // 10, ()), *cells, Finished(9.0)]), file)
    return file


def _cell(case: str, adapter: str, k: int) -> Outcome:
    score = float((k * 7919) % 10_007) / 1000
    verdict, reason = (
        ("mismatch", f"y[0, {k}] = {k / 7:.6g}, but should be {k / 11:.6g}") if score > 1 else ("match", "")
    )
    return Outcome(case, adapter, (Row(case, adapter, "y", verdict, score * 1e-7, score, (0, k), reason),))  # type: ignore[arg-type]


@pytest.fixture
def opened(browser: Any, small: Path) -> Iterator[Open]:
    """Opens a report, the small one unless another is given; at the end no page may have complained."""
    pages: list[Opened] = []

    def open_page(place: str = "", file: Path = small, width: int = 1200, colours: str = "light") -> Opened:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=colours)
        found = Opened(page, file)
        page.on("console", lambda message: found.messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: found.messages.append(str(error)))
        page.on("request", lambda request: request.url.startswith("file:") or found.messages.append(request.url))
        page.goto(file.as_uri() + place)
        page.wait_for_selector("body[data-ready]")
        pages.append(found)
        return found

    yield open_page
    for each in pages:
        each.page.close()
    assert [each.messages for each in pages] == [[]] * len(pages)
