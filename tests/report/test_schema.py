"""The page about the JSON report and the JSON Schema of the package name exactly its keys."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.compare import VERDICTS, CountRow
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.oracle import forward
from lstm_xcheck.report.detection_power import statements

SCHEMA = json.loads((files("lstm_xcheck.report") / "report.schema.json").read_text(encoding="utf-8"))
#: What a report holds for files alone.
OF_FILES = {"subject"}
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
    """A match with its power, a mismatch with its diagnosis, outputs of a shape that none can have."""
    case = Case.random(LSTMSpec(input_size=3, hidden_size=4), id="case")
    right = forward(case)

    def honest(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
        return np.float32(right.y), np.float32(right.h_n), np.float32(right.c_n)

    def wrong(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
        without = Case(weights=weights, x=x[:, ::-1], h0=h0, c0=c0)
        return tuple(np.float32(getattr(forward(without), name)) for name in ("y", "h_n", "c_n"))

    def short(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
        return np.float32(right.y[:, 1:])

    found = lx.verify([case], {"honest": honest, "wrong": wrong, "short": short})
    found.power = statements([case], found)
    return found.to_dict()


def test_the_page_names_the_keys_of_the_report(report: dict[str, Any]) -> None:
    named = documented()
    assert named.pop("The report") == set(report)
    assert set(named) == {name for name, value in report.items() if isinstance(value, (list, dict))}
    assert named["totals"] == set(report["totals"]) == {"planned", *VERDICTS}
    assert named["environment"] == set(report["environment"]) | OF_FILES


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


def parts_of_the_schema() -> dict[str, tuple[set[str], set[str]]]:
    """Heading of the page -> the keys of the schema, and those that must be there."""
    parts = {"The report": SCHEMA}
    for name, part in SCHEMA["properties"].items():
        reference = part.get("$ref") or part.get("items", {}).get("$ref")
        if reference:
            parts[name] = SCHEMA["$defs"][reference.removeprefix("#/$defs/")]
    return {name: (set(part["properties"]), set(part["required"])) for name, part in parts.items()}


def test_the_schema_names_the_keys_of_the_page() -> None:
    parts = parts_of_the_schema()
    assert {name: keys for name, (keys, _) in parts.items()} == documented()
    assert {name: keys - required for name, (keys, required) in parts.items() if keys != required} == {
        "environment": OF_FILES
    }


def test_the_schema_itself_is_one() -> None:
    pytest.importorskip("jsonschema").Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"].endswith("2020-12/schema")


def test_the_schema_takes_the_report(report: dict[str, Any]) -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(SCHEMA)
    assert list(validator.iter_errors(json.loads(json.dumps(report)))) == []


def test_outputs_of_another_shape_have_a_whole_diagnosis() -> None:
    case = Case.random(LSTMSpec(input_size=3, hidden_size=4), id="case")
    right = forward(case)
    (found,) = lx.verify([case], {"wide": lambda *_: (np.zeros((3, 7, 9)), right.h_n, right.c_n)}).diagnoses
    assert set(found) == documented()["diagnoses"]
    assert "has shape (3, 7, 9)" in found["explanation"]


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (("verdict",), "fine"),
        (("schema",), 2),
        (("totals", "match"), -1),
        (("rows", -1, "verdict"), "MISMATCH"),
        (("rows", 0, "score"), "large"),
        (("rows", -1, "reason"), ""),
        (("diagnoses", 0, "mistakes"), "gates-ifog"),
        (("diagnoses", 0, "cause"), 3),
        (("diagnoses", 0, "profile"), {"quantity": "y"}),
        (("environment", "seconds"), None),
        (("power", 0, "blind"), []),
    ],
    ids=str,
)
def test_the_schema_refuses_a_wrong_report(report: dict[str, Any], part: tuple[Any, ...], change: object) -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(SCHEMA)
    changed = json.loads(json.dumps(report))
    holder = changed
    for key in part[:-1]:
        holder = holder[key]
    assert part[-1] in holder
    holder[part[-1]] = change
    (error,) = validator.iter_errors(changed)
    assert list(error.absolute_path)[: len(part)] == [len(report["rows"]) - 1 if key == -1 else key for key in part]
