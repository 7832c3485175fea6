"""An unexplained error is located wherever a mismatch is reported: each surface runs a really wrong implementation."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints.write import write_checkpoint
from lstm_xcheck.cli.diagnose import command as diagnose_command
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import full_explanation
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights
from lstm_xcheck.report import Report
from lstm_xcheck.report.json_file import write_report
from lstm_xcheck.report.terminal import print_report

from .cases import float32_lstm
from .test_evidence import foreign
from .test_locator import add, changed

CASE = Case.random(LSTMSpec(input_size=4, hidden_size=6), steps=9, init="torch")
UNITS = "Wrong there: unit 2 (of 6), in every row."
NUMBER = "One number alone explains all that can be seen: U of gate o, unit 2, column 4 is 0.370837"


def wrong(weights: LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Any:
    """A kernel that reads one recurrent weight as 0.1 too large."""
    case = Case(weights=weights, x=x, h0=h0, c0=c0, lengths=lengths)
    result = float32_lstm.run(changed(case, add("U", (3, 2, 4), 0.1)), "two-products")
    return result.y, result.h_n, result.c_n


def right(weights: LSTMWeights, x: Array, h0: Array, c0: Array, lengths: Array | None) -> Any:
    result = float32_lstm.run(Case(weights=weights, x=x, h0=h0, c0=c0, lengths=lengths), "two-products")
    return result.y, result.h_n, result.c_n


@pytest.fixture(scope="module")
def report() -> Report:
    return lx.verify(CASE, {"mine": wrong})


def test_the_terminal_says_where(report: Report) -> None:
    file = io.StringIO()
    print_report(report, Console(file=file, width=100))
    assert UNITS in file.getvalue()
    assert NUMBER in file.getvalue()


def test_raise_if_failed_says_where(report: Report) -> None:
    with pytest.raises(lx.DisagreementError) as caught:
        report.raise_if_failed()
    assert UNITS in str(caught.value)
    assert NUMBER in str(caught.value)


@pytest.mark.parametrize("suffix", [".md", ".html", ".xml", ".json"])
def test_every_report_file_says_where(report: Report, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"report{suffix}"
    write_report(report, path)
    text = path.read_text(encoding="utf-8")
    assert UNITS in text
    assert NUMBER in text
    if suffix == ".xml":
        failure = ElementTree.parse(path).find(".//failure")
        assert failure is not None
        assert NUMBER in str(failure.text)
    if suffix == ".json":
        (found,) = json.loads(text)["diagnoses"]
        assert found["location"]["units"] == [2]
        assert found["location"]["explained_by"]["numbers"][0]["gate"] == "o"


def test_an_honest_implementation_has_no_location() -> None:
    honest = lx.verify(CASE, {"mine": right})
    assert honest.ok
    assert honest.causes == []


def test_assert_equivalent_says_where() -> None:
    with pytest.raises(lx.DisagreementError) as caught:
        lx.assert_equivalent(right, wrong, case=CASE)
    assert "no cause found for the outputs of the second: No mistake of the catalogue" in str(caught.value)
    assert UNITS in str(caught.value)
    assert NUMBER in str(caught.value)


def _files(case: Case, result: lx.Result, folder: Path) -> list[str]:
    weights, observed = folder / "weights.npz", folder / "observed.npz"
    write_checkpoint(weights, {"lstm": case.weights})
    states = {name: array for name, array in case.arrays().items() if name != "lengths"}
    np.savez(observed, **states, **observed_quantities(result))
    return [str(weights), str(observed)]


def test_diagnose_says_where(tmp_path: Path) -> None:
    result = float32_lstm.run(changed(CASE, add("U", (3, 2, 4), 0.1)), "two-products")
    ran = CliRunner().invoke(diagnose_command, _files(CASE, result, tmp_path))
    assert UNITS in ran.output
    assert NUMBER in ran.output


def test_diagnose_lists_what_is_within_reach(tmp_path: Path) -> None:
    case, result = foreign("one bias +18 %")
    ran = CliRunner().invoke(diagnose_command, _files(case, result, tmp_path))
    lines = [line for line in ran.output.splitlines() if line.startswith("within reach, not proven: ")]
    assert lines
    assert all(line.endswith(")") and " (" in line for line in lines)


def test_reports_list_what_is_within_reach() -> None:
    case, result = foreign("one bias +18 %")
    found = lx.diagnose(result, case).to_dict()
    assert f"Within reach, not proven: {found['within_reach'][0]['cause']} (" in full_explanation(found)
