"""Diagnoses of gradients in the API, reports and assertions, and what is said where there is nothing to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import lstm_xcheck as lx
from lstm_xcheck.errors import DisagreementError
from lstm_xcheck.model import Case, LSTMSpec, Result

from .cases import SHAPES, case_of
from .plans import PLANS
from .planted import run

pytestmark = pytest.mark.framework

NOTHING = "Nothing is wrong: every number is what honest rounding allows."


@pytest.mark.parametrize("shape", SHAPES)
def test_honest_gradients_are_right(shape: str) -> None:
    for seed in range(3):
        case = case_of(shape, seed)
        found = lx.diagnose(run(case), case)
        assert (found.cause, found.explanation, found.location) == (None, NOTHING, {})
        assert max(found.evidence["gradients"].values()) <= 1.0


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_honest_gradients_of_frameworks_are_right(name: str) -> None:
    pytest.importorskip(name)
    spec = LSTMSpec(3, 4, num_layers=2, bidirectional=True)
    case = Case.random(spec, steps=5, ragged=True, gradients=True)
    assert lx.diagnose(lx.run(name, case), case).explanation == NOTHING


def test_gates_of_a_framework_exchanged_in_its_gradients_are_named() -> None:
    case = Case.random(LSTMSpec(5, 4), gradients=True, seed=0)
    result = lx.run("torch", case)
    swapped = {
        name: np.asarray(array)[[1, 0, 2, 3]] if name.rpartition(".")[2] in ("W", "U", "b", "b_r") else array
        for name, array in result.gradients.items()
    }
    found = lx.diagnose(replace(result, gradients=swapped), case)
    assert found.cause == "gates f and i exchanged in the gradients of W, U and the bias"
    gradients = dict(swapped)
    exec(found.code, {"gradients": gradients})
    for name, array in result.gradients.items():
        np.testing.assert_array_equal(gradients[name], array)


def test_a_doubled_bias_gradient_is_named_with_code_that_mends_it() -> None:
    case = Case.random(LSTMSpec(5, 8), steps=12, batch=3, seed=1, gradients=True)
    result = run(case, PLANS["b-doubled"][1])
    found = lx.diagnose(result, case)
    assert found.cause is not None
    assert found.cause.startswith("the gradient of b is doubled")
    assert found.parameters == {"factor": 2.0}
    gradients = dict(result.gradients)
    exec(found.code, {"gradients": gradients})
    np.testing.assert_array_equal(gradients["0.0.b"], run(case).gradients["0.0.b"])


def test_gradients_that_were_asked_for_and_not_given_are_mentioned() -> None:
    case = case_of("plain")
    result = run(case)
    found = lx.diagnose(replace(result, gradients={}), case)
    assert found.cause is None
    assert "were not given, so they were not looked at" in found.explanation
    some = {name: array for name, array in result.gradients.items() if name not in ("c0", "0.0.U")}
    found = lx.diagnose(replace(result, gradients=some), case)
    assert "Not given, and so not looked at: the gradients of 0.0.U, c0." in found.explanation
    assert "Nothing is wrong" not in found.explanation
    assert found.location["missing"] == ["0.0.U", "c0"]


def test_missing_ones_are_mentioned_with_the_cause_of_others() -> None:
    case = case_of("plain")
    result = run(case, PLANS["detached-h"][1])
    some = {name: array for name, array in result.gradients.items() if name != "c0"}
    found = lx.diagnose(replace(result, gradients=some), case)
    assert found.mistakes == ("gradient-detached-h",)
    assert found.location["missing"] == ["c0"]


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("0.0.U", np.zeros((4, 4, 5), np.float32), "its shape is (4, 4, 5), but should be (4, 4, 4)"),
        ("0.0.U", np.full((4, 4, 4), np.nan, np.float32), "64 of 64 numbers are not finite"),
        ("3.0.U", np.zeros((4, 4, 4), np.float32), "this LSTM has no such array"),
    ],
)
def test_a_gradient_that_cannot_be_compared_is_mentioned(name: str, array: Any, words: str) -> None:
    case = case_of("plain")
    result = run(case)
    found = lx.diagnose(replace(result, gradients={**result.gradients, name: array}), case)
    assert f"The gradient of {name} cannot be compared: {words}" in found.explanation
    assert "Nothing is wrong" not in found.explanation


def test_without_the_outputs_of_every_layer_gradients_are_not_looked_at() -> None:
    case = case_of("stack")
    result = run(case, PLANS["detached-h"][1])
    found = lx.diagnose(replace(result, layer_outputs=()), case)
    assert "The gradients were not looked at: give the outputs of every step and layer" in found.explanation


def test_gradients_of_wrong_outputs_are_mentioned() -> None:
    case = case_of("plain")
    result = run(case)
    wrong = replace(result, y=np.asarray(result.y) * np.float32(1.5))
    assert "mend the outputs first" in lx.diagnose(wrong, case).explanation
    quiet = replace(case, gradients=False)
    assert "radients" not in lx.diagnose(replace(wrong, gradients={}), quiet).explanation


def test_gradients_that_were_not_asked_for_are_looked_at_where_given() -> None:
    case = replace(case_of("plain"), gradients=False)
    result = run(case, PLANS["b-doubled"][1])
    only = replace(result, gradients={"0.0.b": result.gradients["0.0.b"]})
    found = lx.diagnose(only, case)
    assert found.mistakes == ("gradient-doubled",)
    assert "missing" not in found.location


def wrong_function(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Result:
    return run(Case(weights=weights, x=x, h0=h0, c0=c0, gradients=True), PLANS["detached-h"][1])


def noisy_function(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Result:
    right = run(Case(weights=weights, x=x, h0=h0, c0=c0, gradients=True))
    return replace(right, gradients={**right.gradients, "x": right.gradients["x"] + np.float32(0.25)})


def test_the_report_names_the_cause_and_locates_the_rest() -> None:
    functions = {"wrong": wrong_function, "noisy": noisy_function}
    report = lx.verify([case_of("plain")], functions, gradients=True)
    named, located = report.to_dict()["diagnoses"]
    assert (named["cause"], named["mistakes"]) == ("h detached at every step", ["gradient-detached-h"])
    assert located["cause"] is None
    assert any(cause.startswith("wrong: h detached at every step, in 1 case. ") for cause in report.causes)
    assert any(cause.startswith("noisy: unexplained") and "Gradient of x: " in cause for cause in report.causes)
    with pytest.raises(DisagreementError) as failure:
        report.raise_if_failed()
    assert "  wrong: h detached at every step, in 1 case. " in str(failure.value)
    assert "Gradient of x: " in str(failure.value)


def test_the_mistake_of_a_large_model_is_found_on_a_probe() -> None:
    case = Case.random(LSTMSpec(64, 96, num_layers=2, bias="single"), steps=16, batch=8, gradients=True)
    plan = PLANS["sigmoid-for-tanh-g"][1]
    result = run(case, plan)
    alone = lx.diagnose(result, case)
    assert alone.cause is None
    assert "searched for in smaller cases" in alone.explanation
    found = lx.diagnose(result, case, ask=lambda probe: run(probe, plan))
    assert found.mistakes == ("gradient-slope-of-sigmoid-g",)
