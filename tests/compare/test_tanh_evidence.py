"""A tanh of absolute error is accepted where outputs show it, and hides no mistake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.compare import judge, tanh_evidence
from lstm_xcheck.diagnose import CATALOGUE
from lstm_xcheck.model import Case, LSTMSpec, Result

from .test_tiers import KERNELS, kernel

FORMULAS = {
    "2 sigmoid(2x) - 1": "2 sigmoid(2x) - 1",
    "1 - 2 / (1 + exp(2x))": "1 - 2 / (1 + exp(2x))",
    "(1 - e) / (1 + e)": "(1 - exp(-2x)) / (1 + exp(-2x))",
    "sinh / cosh": "(exp(x) - exp(-x)) / (exp(x) + exp(-x))",
}


def tiny_cases(precision: str = "float32") -> list[Case]:
    """Tiny weights, and tiny inputs for one step."""
    return [
        Case.random(LSTMSpec(5, 4), init="tiny", steps=12, precision=precision),
        Case.random(LSTMSpec(16, 32), init="torch", steps=1, states=False, scale=1e-3, precision=precision),
        Case.random(LSTMSpec(5, 8, num_layers=2, bidirectional=True), init="tiny", steps=5, precision=precision),
    ]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("tanh", KERNELS.ABSOLUTE_TANHS)
def test_an_honest_absolute_tanh_is_a_match_that_says_which(
    tanh: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 0
    for case in tiny_cases(precision):
        result = KERNELS.run(case, kernel(precision, tanh=tanh))
        verdict = judge(result, case)
        assert verdict.verdict == "match", verdict
        told = [row for row in verdict.rows if row.decided_by == "tanh"]
        assert all(FORMULAS[tanh] in row.reason and "tf32" not in row.reason for row in told)
        if told:
            with monkeypatch.context() as patch:
                patch.setattr(tanh_evidence, "_ODDS", np.inf)
                needed += judge(result, case).verdict != "match"
    assert needed


@pytest.mark.parametrize("tanh", KERNELS.TANHS)
def test_a_relative_tanh_needs_no_evidence(tanh: str) -> None:
    for case in tiny_cases():
        verdict = judge(KERNELS.run(case, kernel("float32", tanh=tanh)), case)
        assert verdict.verdict == "match"
        assert "tanh" not in {row.decided_by for row in verdict.rows}


def test_no_mistake_of_the_catalogue_is_taken_for_a_tanh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even those that so wide a bound would hide."""
    hidden = 0
    for case in tiny_cases()[:2]:
        right = KERNELS.run(case, kernel("float32"))
        for mistake in CATALOGUE:
            wrong = mistake.change_case(case)
            if wrong is None or type(wrong.spec) is not LSTMSpec or wrong.x.shape != case.x.shape:
                continue
            result = KERNELS.run(wrong, kernel("float32"))
            if np.shape(result.y) != np.shape(right.y):
                continue
            verdict = judge(result, case)
            assert "tanh" not in {row.decided_by for row in verdict.rows}, mistake.id
            if verdict.verdict != "match":
                with monkeypatch.context() as patch:
                    patch.setattr(tanh_evidence, "_ODDS", 1.0)
                    patch.setattr(tanh_evidence, "_evidence", lambda *_: 1.0)
                    hidden += "tanh" in {row.decided_by for row in judge(result, case).rows}
    assert hidden  # evidence is what keeps them out


def test_outputs_that_are_zero_are_no_evidence() -> None:
    case = tiny_cases()[0]
    result = KERNELS.run(case, kernel("float32"))
    zero = replace(result, y=np.zeros_like(result.y))
    assert judge(zero, case).verdict == "mismatch"


def only(result: Result, *names: str) -> Result:
    return Result(**{name: getattr(result, name) for name in names})


@pytest.mark.parametrize("names", [("y",), ("y", "h_n", "c_n"), ("h_n", "c_n"), ("last",)], ids="-".join)
def test_a_stack_shows_its_tanh_without_the_outputs_of_lower_layers(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs and o are then those of the oracle's own run."""
    case = Case.random(LSTMSpec(5, 16, num_layers=2, bidirectional=True), init="tiny", steps=12, batch=4)
    result = only(KERNELS.run(case, kernel("float32", tanh="2 sigmoid(2x) - 1")), "y", "h_n", "c_n")
    top = np.concatenate([*np.asarray(result.h_n)[-2:]], axis=-1)
    told = only(replace(result, last=top), *names)
    verdict = judge(told, case)
    assert verdict.verdict == "match", verdict
    assert {row.decided_by for row in verdict.rows} & {"tanh"}
    monkeypatch.setattr(tanh_evidence, "_ODDS", np.inf)
    assert judge(told, case).verdict == "mismatch"


def test_no_mistake_of_a_stack_is_taken_for_a_tanh() -> None:
    case = Case.random(LSTMSpec(5, 4, num_layers=2), init="tiny", steps=5)
    for mistake in CATALOGUE[::8]:
        wrong = mistake.change_case(case)
        if wrong is None or type(wrong.spec) is not LSTMSpec or wrong.x.shape != case.x.shape:
            continue
        result = KERNELS.run(wrong, kernel("float32"))
        if np.shape(result.y) == (case.batch, case.steps, 4):
            for names in (("y",), ("h_n", "c_n")):
                rows = judge(only(result, *names), case).rows
                assert "tanh" not in {row.decided_by for row in rows}, mistake.id
