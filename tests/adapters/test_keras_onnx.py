"""Keras on PyTorch exports to ONNX: files of known steps agree, and one of unknown steps computes a single step."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.model import Case, LSTMSpec

from ..helpers import run_python

pytestmark = pytest.mark.framework("keras", "torch", "onnx", "onnxruntime", "onnxscript")

PLAIN = LSTMSpec(3, 4, bias="single")
DEEP = LSTMSpec(3, 4, num_layers=2, bidirectional=True)
HOLES = np.array([[1, 0, 1], [0, 0, 1]], dtype=bool)
SMALL = {"steps": 3, "batch": 2}


def test_cases_agree_or_are_refused() -> None:
    agree = [
        Case.random(PLAIN, seed=1, returns="last", **SMALL),
        Case.random(PLAIN, seed=2, **SMALL),  # the same shapes, other weights
        Case.random(PLAIN, seed=2, steps=2, batch=1),
        Case.random(PLAIN, seed=3, precision="float64", states=False, **SMALL),
        Case.random(DEEP, seed=4, ragged=True, **SMALL),
        replace(Case.random(replace(PLAIN, reverse=True), seed=5, returns="last", **SMALL), mask=HOLES),
    ]
    refused = {
        "float16: .* crashes": Case.random(PLAIN, precision="float16"),
        "bfloat16: .* no MatMul": Case.random(PLAIN, precision="bfloat16"),
        "projection": Case.random(LSTMSpec(3, 4, proj_size=2)),
        "keras-onnx gives none": Case.random(PLAIN, gradients=True),
    }
    report = lx.verify([*agree, *refused.values()], adapters=["keras-onnx"], timeout=300)
    outcomes = {outcome.case: outcome for outcome in report.outcomes}
    assert [outcomes[case.id].verdict for case in agree] == ["match"] * len(agree)
    for reason, case in refused.items():
        assert outcomes[case.id].verdict == "unsupported"
        assert re.search(reason, outcomes[case.id].rows[0].reason)


MUTANT = """
import sys
sys.modules["tensorflow"] = None
import numpy as np
from lstm_xcheck.adapters.keras import onnx_export
from lstm_xcheck.compare.judge import judge
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights

spec = LSTMSpec(3, 4, bias="single")
case = Case.random(spec, seed=1)
adapter = onnx_export.KerasOnnx("keras-onnx")
model = adapter.build(spec, "float32")
adapter.load(model, to_layout(LSTMWeights.random(spec, seed=2), "keras"))
print(judge(adapter.run(model, case), case).verdict)
print(hasattr(adapter, "run_with_gradients"))
file = onnx_export.export(model.stack, case, [case.x, *case.h0, *case.c0], steps=None)
print(file([case.x, *case.h0, *case.c0])[0].shape, case.x.shape)
"""


def test_other_weights_are_a_mismatch_and_unknown_steps_are_one_step() -> None:
    assert run_python(MUTANT, KERAS_BACKEND="torch").splitlines() == ["mismatch", "False", "(3, 1, 4) (3, 7, 3)"]
