"""The adapter of `mlx.nn.LSTM`."""

from __future__ import annotations

from dataclasses import replace

import pytest

import lstm_xcheck as lx
from lstm_xcheck.model import Case, LSTMSpec

from .judging import assert_finds_other_weights, session, verdict_of

pytest.importorskip("mlx.core")

pytestmark = pytest.mark.framework

CASES = [
    *lx.sweep(hidden=4, input=5, layers=[1, 2, 3], directions=[1, 2], bias=["split", "none"], gradients=[False, True]),
    *lx.sweep(hidden=4, input=5, bias="single", gradients=[False, True], dtype=["float64", "float16", "bfloat16"]),
    *lx.sweep(hidden=1, input=1, steps=1, batch=1, states=False, gradients=[False, True], returns="last"),
]


@pytest.mark.parametrize("case", CASES)
def test_the_layers_agree(case: Case) -> None:
    assert verdict_of(session("mlx"), case).verdict == "match"


def test_one_given_state_is_enough() -> None:
    case = Case.random(LSTMSpec(5, 4, reverse=True))
    assert verdict_of(session("mlx"), replace(case, h0=None)).verdict == "match"
    assert verdict_of(session("mlx"), replace(case, c0=None)).verdict == "match"


def test_float64_is_declared_for_what_it_is() -> None:
    case = Case.random(LSTMSpec(5, 4), precision="float64")
    result = session("mlx").execute(case)
    assert result.y is not None
    assert result.y.dtype == "float64"
    assert result.computed_in == "float32"
    assert lx.judge(replace(result, computed_in="float64"), case).verdict == "mismatch"


def test_other_weights_are_a_mismatch() -> None:
    assert_finds_other_weights(session("mlx"))


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (Case.random(LSTMSpec(5, 4), ragged=True), "lengths or mask: mlx.nn.LSTM has none"),
        (Case.random(LSTMSpec(5, 4, proj_size=2)), "proj_size: mlx.nn.LSTM has no projection"),
        (Case.random(LSTMSpec(5, 4, peepholes=True)), "peepholes: mlx.nn.LSTM has none"),
    ],
    ids=["lengths", "projection", "peepholes"],
)
def test_what_the_layer_lacks(case: Case, reason: str) -> None:
    with pytest.raises(lx.Unsupported, match=reason):
        session("mlx").execute(case)
