"""The adapter of `nn.LSTMCell`, step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.model import Case, LSTMSpec

from .judging import assert_finds_other_weights, session, verdict_of

pytest.importorskip("torch")

pytestmark = pytest.mark.framework

CASES = [
    *lx.sweep(hidden=4, input=5, layers=[1, 2], directions=[1, 2], bias=["split", "none"], ragged=[False, True]),
    *lx.sweep(hidden=4, input=5, bias="single", gradients=[False, True], dtype=["float64", "float16", "bfloat16"]),
    *lx.sweep(hidden=4, input=5, layers=3, directions=2, ragged=True, gradients=True, returns="last"),
    *lx.sweep(hidden=1, input=1, steps=1, batch=1, states=False, gradients=[False, True]),
]


@pytest.mark.parametrize("case", CASES)
def test_the_loop_agrees(case: Case) -> None:
    assert verdict_of(session("torch-cell"), case).verdict == "match"


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_masks_with_holes(reverse: bool, gradients: bool) -> None:
    case = Case.random(LSTMSpec(5, 4, reverse=reverse, num_layers=2), gradients=gradients)
    mask = np.random.default_rng(5).random((case.batch, case.steps)) < 0.6
    mask[0] = False
    assert verdict_of(session("torch-cell"), replace(case, mask=mask)).verdict == "match"


def test_other_weights_are_a_mismatch() -> None:
    assert_finds_other_weights(session("torch-cell"))


@pytest.mark.parametrize("spec", [LSTMSpec(5, 4, proj_size=2), LSTMSpec(5, 4, peepholes=True)])
def test_what_the_cell_lacks(spec: LSTMSpec) -> None:
    with pytest.raises(lx.Unsupported, match=r"^(proj_size|peepholes): nn.LSTMCell has n"):
        session("torch-cell").execute(Case.random(spec))
