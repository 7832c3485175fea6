"""Gradients in layouts, the API, custom functions, run folders and recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.engine import Recipe, with_gradients
from lstm_xcheck.errors import Unsupported
from lstm_xcheck.layouts import TABLE, Layout, gradients_from_layout, to_layout
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights, Result
from lstm_xcheck.oracle import forward, gradients
from lstm_xcheck.runs.identity import cases_key

SPEC = LSTMSpec(input_size=3, hidden_size=2, bias="single")
CASE = Case.random(SPEC, precision="float64")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_layout_converts_gradients_like_weights(row: Layout) -> None:
    spec = LSTMSpec(input_size=3, hidden_size=2, bias="single")
    weights = LSTMWeights.random(spec, dtype="float64")
    stored = to_layout(weights, replace(row, forget_bias=0.0))
    found = gradients_from_layout(stored, row)
    for name, array in weights.arrays().items():
        np.testing.assert_array_equal(found[name], array)
    not_finite = {name: np.full_like(array, np.nan) for name, array in stored.items()}
    assert np.isnan(gradients_from_layout(not_finite, row)["0.0.W"]).all()


def honest(weights: object, x: object, *_: object) -> Result:
    truth = forward(CASE)
    return Result(y=truth.y, h_n=truth.h_n, c_n=truth.c_n, gradients=gradients(CASE).value)


def silent(weights: object, x: object, *_: object) -> tuple[object, ...]:
    truth = forward(CASE)
    return truth.y, truth.h_n, truth.c_n


def wrong(weights: object, x: object, *_: object) -> Result:
    right = honest(weights, x)
    return replace(right, gradients={**right.gradients, "0.0.b": 2 * right.gradients["0.0.b"]})


def test_custom_functions_may_return_gradients() -> None:
    report = lx.verify([CASE], {"honest": honest, "silent": silent, "wrong": wrong}, gradients=True)
    verdicts = {(row.adapter, row.quantity): row.verdict for row in report.rows}
    assert verdicts["honest", "grad:U"] == verdicts["honest", "grad:b"] == verdicts["wrong", "grad:U"] == "match"
    assert verdicts["wrong", "grad:b"] == "mismatch"
    assert verdicts["silent", ""] == "unsupported"
    (found,) = report.to_dict()["diagnoses"]
    assert (found["adapter"], found["mistakes"]) == ("wrong", ["gradient-doubled"])


def test_without_the_flag_gradients_are_not_requested() -> None:
    report = lx.verify([CASE], {"silent": silent})
    assert report.ok
    assert {row.quantity for row in report.rows} == {"y", "h_n", "c_n"}


def test_gradients_are_part_of_the_plan_key() -> None:
    for questions in ((CASE,), (Recipe(), Recipe(hidden=2))):
        assert cases_key(with_gradients(questions)) != cases_key(questions)
    assert with_gradients([Recipe(), Recipe(gradients=True)]) == (Recipe(gradients=True),)
    assert [case.gradients for case in with_gradients([CASE])] == [True]


def test_an_adapter_without_gradients_is_unsupported() -> None:
    from lstm_xcheck.adapters.protocol import Session

    class Plain:
        name, layout = "plain", "torch"

        def unsupported(self, case: Case) -> None:
            return None

    with pytest.raises(Unsupported, match="adapter plain gives none; leave out --gradients"):
        Session(Plain()).execute(replace(CASE, gradients=True))  # type: ignore[arg-type]


@pytest.mark.framework
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_gradients_are_recorded_and_judged_again(name: str) -> None:
    pytest.importorskip(name)
    from lstm_xcheck.adapters.registry import entry_named
    from lstm_xcheck.engine import Plan
    from lstm_xcheck.runs.record import record
    from lstm_xcheck.runs.replay import replay

    plan = Plan((Recipe(hidden=2, input=2, steps=3, gradients=True),), (entry_named(name),), jobs=1)
    rows = lx.Report.of(replay([record(plan, "here")])).rows
    assert {row.quantity for row in rows} >= {"grad:W", "grad:U", "grad:b", "grad:x", "grad:h0", "grad:c0"}
    assert {row.verdict for row in rows} == {"match"}
