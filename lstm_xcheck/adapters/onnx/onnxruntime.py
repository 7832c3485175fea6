"""ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnxruntime

from ...arrays import Array
from .base import OnnxAdapter

_PROVIDER = "CPUExecutionProvider"


class OnnxRuntime(OnnxAdapter):
    """`InferenceSession` on the CPU (onnxruntime 1.32, core/providers/cpu/rnn/deep_cpu_lstm.cc).

    float16 is computed in float32 between casts, which the session inserts.
    """

    runtime = "onnxruntime"
    refusals = ("LSTM operator does not support",)

    def versions(self) -> dict[str, str]:
        """The version, and where it computes."""
        return {"onnxruntime": onnxruntime.__version__, "provider": _PROVIDER}

    def compute(self, model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
        """Run a session of one thread."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # refusals are reported as reasons
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[_PROVIDER])
        return session.run(None, dict(inputs))
