"""OpenVINO computes a float32 LSTM in bfloat16 unless told otherwise, on processors that can."""

import numpy as np
import openvino as ov
import openvino.opset13 as op

if "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
    raise SystemExit("not to be seen here: this processor has no bfloat16")


def outputs(settings):
    """Three steps of ones."""
    x, h, c = (op.parameter(shape, np.float32) for shape in ([1, 3, 1], [1, 1, 1], [1, 1, 1]))
    weights = (op.constant(np.ones(shape, np.float32)) for shape in ((1, 4, 1), (1, 4, 1), (1, 4)))
    layer = op.lstm_sequence(x, h, c, op.constant(np.int32([3])), *weights, 1, "forward")
    compiled = ov.Core().compile_model(ov.Model([layer.output(0)], [x, h, c]), "CPU", settings)
    return compiled([np.ones((1, 3, 1), "f"), *[np.zeros((1, 1, 1), "f")] * 2])[0].ravel()


found, right = outputs({}), outputs({"INFERENCE_PRECISION_HINT": "f32"})
print("found:", found, " right:", right)
assert abs(found - right).max() > 1e-4, "the divergence is gone"
