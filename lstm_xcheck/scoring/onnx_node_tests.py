"""The LSTM tests of ONNX' own backend suite, run on its reference evaluator."""

from __future__ import annotations

from typing import Any

import pytest
from onnx.backend.test.case.node import _NodeTestCases as TESTS
from onnx.backend.test.case.node import lstm
from onnx.backend.test.runner import Runner
from onnx.reference import ReferenceEvaluator

#: To import a module of the suite is to add its tests to the list.
OPERATOR = lstm.LSTM.__name__


@pytest.mark.parametrize("test", [t for t in TESTS if t.model.graph.node[0].op_type == OPERATOR], ids=lambda t: t.name)
def test_node(test: Any) -> None:
    """The comparison of ONNX' runner, with the tolerances of the test."""
    evaluator = ReferenceEvaluator(test.model)
    for inputs, expected in test.data_sets:
        outputs = evaluator.run(None, dict(zip(evaluator.input_names, inputs, strict=True)))
        Runner.assert_similar_outputs(expected, outputs, rtol=test.rtol, atol=test.atol)
