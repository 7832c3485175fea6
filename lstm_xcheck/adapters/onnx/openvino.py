"""OpenVINO as a reader of ONNX models."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from ...arrays import Array
from ...model import Case
from ..openvino import REFUSALS, Cpu
from .base import OnnxAdapter


class OnnxOpenvino(OnnxAdapter):
    """`Core.read_model` of the ONNX model (OpenVINO 2026.4.1, src/frontends/onnx/frontend/src/op/lstm.cpp).

    All dimensions are known: it ignores lengths where the batch or the number of steps is not. It ignores P and
    input_forget.
    """

    runtime = "openvino"
    refusals = REFUSALS

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.cpu = Cpu()

    def versions(self) -> dict[str, str]:
        """Version, device and settings."""
        return self.cpu.environment()

    def computes_in(self, case: Case) -> tuple[str, str]:
        """What compiled models report."""
        return self.cpu.computes_in(case.precision)

    def compute(self, model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
        """Read, compile and run."""
        return self.cpu.run(self.cpu.core.read_model(model.SerializeToString()), inputs, "float32")
