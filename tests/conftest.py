"""Tests that need a framework are marked so; one that is skipped for want of a framework without the mark is an error.

`-m framework` selects them: an environment with a framework need not repeat what NumPy alone has shown. The mark may
name modules, `@pytest.mark.framework("torch", "h5py")`, and then skips where one of them is missing. Without names the
test decides by itself, with `needs` or `pytest.importorskip`.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TypeVar

import pytest

from lstm_xcheck.adapters.entry import is_found

#: Modules of the test run itself and of the operating system: whoever skips for them needs no framework.
TOOLS = {
    "axe_playwright_python", "build", "chromium", "distributed", "gcc", "google_crc32c", "hypothesis", "jsonschema",
    "mpmath", "pip", "playwright", "pre_commit", "pydantic_sarif", "resource", "rustc", "safetensors", "setuptools",
    "tomllib", "tox", "xdist", "yaml",
}  # fmt: skip
MISSING = re.compile(r"could not import '(\w+)|needs (\w+)")
FILE_MARK = re.compile(r"^pytestmark = \[?\s*pytest\.mark\.framework\b", re.MULTILINE)

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def needs(*modules: str) -> None:
    """Skip where one of the modules is missing; none is imported."""
    for module in modules:
        if not is_found(module):
            pytest.skip(f"needs {module}")


@pytest.fixture
def oracle_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports are proven by the oracle alone; frameworks are run by the test itself, or not at all."""
    monkeypatch.setattr("lstm_xcheck.porting.verification.installed", dict)


@pytest.fixture
def no_detection_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates do not state what their matches would have caught, which takes time and is the same every time."""
    monkeypatch.setattr("lstm_xcheck.porting.verification.detection_power", lambda _lstms, _rows: [])


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("framework"):
        needs(*mark.args)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return report if item.get_closest_marker("framework") else failed_if_unmarked(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    # A file that skips as a whole stops before its mark is known.
    marked = report.skipped and FILE_MARK.search(collector.path.read_text(encoding="utf-8"))
    return report if marked else failed_if_unmarked(report)


def failed_if_unmarked(report: Report) -> Report:
    """Turn a skip for want of a framework into a failure that says what to do."""
    reason = str(report.longrepr[2]) if report.skipped and isinstance(report.longrepr, tuple) else ""
    missing = MISSING.search(reason)
    if missing and (missing[1] or missing[2]) not in TOOLS:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {reason}; mark it with pytest.mark.framework"
    return report
