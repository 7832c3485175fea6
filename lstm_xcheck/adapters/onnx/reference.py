"""The evaluator of ONNX itself."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx.reference import ReferenceEvaluator

from ...arrays import Array
from .base import OnnxAdapter


class OnnxReference(OnnxAdapter):
    """`onnx.reference.ReferenceEvaluator` (onnx 1.23.2, onnx/reference/ops/op_lstm.py).

    It computes in NumPy, in each precision itself, and ignores sequence_lens, activations, clip and input_forget.
    """

    runtime = "onnx.reference"

    def versions(self) -> dict[str, str]:
        """Nothing: it is a part of onnx."""
        return {}

    def compute(self, model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
        """Evaluate node after node."""
        return ReferenceEvaluator(model).run(None, dict(inputs))
