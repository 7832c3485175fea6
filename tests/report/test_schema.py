"""The page about the JSON report names exactly its keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.compare import VERDICTS, CountRow
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.oracle import forward
from lstm_xcheck.report.detection_power import statements

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "report_schema.md"


def documented() -> dict[str, set[str]]:
    """Heading -> the keys of the table below it."""
    sections = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        heading: set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
        for heading, text in zip(sections[::2], sections[1::2], strict=True)
    }


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """A match with its power, a mismatch with its diagnosis, a count."""
    case = Case.random(LSTMSpec(input_size=3, hidden_size=4), id="case")
    right = forward(case)

    def honest(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
        return np.float32(right.y), np.float32(right.h_n), np.float32(right.c_n)

    def wrong(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
        without = Case(weights=weights, x=x[:, ::-1], h0=h0, c0=c0)
        return tuple(np.float32(getattr(forward(without), name)) for name in ("y", "h_n", "c_n"))

    found = lx.verify([case], {"honest": honest, "wrong": wrong})
    found.power = statements([case], found)
    return found.to_dict()


def test_the_page_names_the_keys_of_the_report(report: dict[str, Any]) -> None:
    named = documented()
    assert named.pop("The report") == set(report)
    assert set(named) == {name for name, value in report.items() if isinstance(value, (list, dict))}
    assert named["totals"] == set(report["totals"]) == {"planned", *VERDICTS}
    assert named["environment"] == set(report["environment"])


@pytest.mark.parametrize("part", ["rows", "diagnoses", "power"])
def test_the_page_names_the_keys_of_each_entry(report: dict[str, Any], part: str) -> None:
    assert report[part]
    for entry in report[part]:
        assert set(entry) == documented()[part]


def test_the_page_names_the_keys_of_a_parameter_count() -> None:
    assert documented()["parameter_counts"] == set(CountRow("case", "torch", 16, 12, "").to_dict())


def test_the_schema_number_is_that_of_the_report(report: dict[str, Any]) -> None:
    (number,) = re.findall(r"the version of this form: (\d+)", PAGE.read_text(encoding="utf-8"))
    assert int(number) == report["schema"]
