"""A program gets its weights in the layout that it asks for, and may return gradients, in both number types."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters.program import Implementation
from lstm_xcheck.workers.process import Worker

from ..helpers import ROOT

SCRIPT = str(Path(__file__).with_name("any_layout.py"))
SPEC = lx.LSTMSpec(input_size=3, hidden_size=4, num_layers=2, bidirectional=True)
ONE = lx.LSTMSpec(input_size=3, hidden_size=4)

#: Layout -> the cases that its program is asked.
CASES = {
    "torch": [
        lx.Case.random(SPEC, steps=4, ragged=True, id="stack"),
        lx.Case.random(SPEC, steps=4, precision="float64", id="float64"),
        lx.Case.random(replace(ONE, proj_size=2), steps=4, id="projection"),
        lx.Case.random(ONE, steps=4, states="c0", id="c0-alone"),
        lx.Case.random(replace(ONE, reverse=True, bias="none"), steps=4, ragged=True, id="reverse-without-bias"),
        lx.Case.random(replace(ONE, gate_clip=1.0, cell_clip=0.8, coupling="f=1-i"), steps=4, id="options"),
        lx.Case.random(replace(ONE, gate_activation="hard_sigmoid:0.2,0.5", cell_activation="relu"), id="activations"),
        lx.Case.random(ONE, steps=4, chunks="halves", id="halves"),
        lx.Case.random(SPEC, steps=4, ragged=True, gradients=True, id="gradients-of-a-stack"),
        lx.Case.random(ONE, steps=4, precision="float64", gradients=True, id="gradients-float64"),
    ],
    "keras": [
        lx.Case.random(replace(SPEC, bias="single"), steps=4, id="stack"),
        lx.Case.random(replace(ONE, bias="single"), steps=4, gradients=True, id="gradients"),
    ],
    "onnx": [
        lx.Case.random(replace(SPEC, peepholes=True), steps=4, id="peepholes"),
        lx.Case.random(ONE, steps=4, gradients=True, id="gradients"),
    ],
    "jax": [lx.Case.random(replace(ONE, bias="single", proj_size=2, peepholes=True), steps=4, id="all")],
    "litert": [lx.Case.random(replace(ONE, bias="single"), steps=4, id="gates-by-name")],
}  # fmt: skip


def program(layout: str) -> Implementation:
    return lx.program(sys.executable, SCRIPT, layout)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program imports this package from here, wherever it is started."""
    if "TOX_ENV_DIR" not in os.environ:
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.parametrize("layout", CASES)
def test_a_program_of_that_layout_agrees(layout: str) -> None:
    report = lx.verify(CASES[layout], adapters={"mine": program(layout)})
    assert {(row.case, row.verdict) for row in report.rows} == {(case.id, "match") for case in CASES[layout]}


def test_gradients_are_compared() -> None:
    """Every gradient has its row: of weights and of data."""
    (case,) = [case for case in CASES["keras"] if case.gradients]
    report = lx.verify(case, adapters={"mine": program("keras")})
    assert {row.quantity for row in report.rows} >= {f"grad:{name}" for name in ("W", "U", "b", "x", "h0", "c0")}


def test_what_the_layout_has_no_place_for_is_unsupported() -> None:
    case = lx.Case.random(replace(ONE, peepholes=True))
    report = lx.verify(case, adapters={"mine": program("torch")})
    assert [row.verdict for row in report.rows] == ["unsupported"]
    assert "no place for peephole" in report.rows[0].reason


def test_exchanged_states_of_a_program_are_a_mismatch() -> None:
    case = CASES["onnx"][1]
    with Worker(program("onnx").entry("mine")) as worker:
        result = worker.run(case)
    assert lx.judge(result, case).verdict == "match"
    assert lx.judge(replace(result, h_n=result.c_n, c_n=result.h_n), case).verdict == "mismatch"
