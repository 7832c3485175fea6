"""OpenVINO computes a float64 LSTM in float32, even in its mode for accuracy."""

import numpy as np
import openvino as ov
import openvino.opset13 as op

x, h, c = (op.parameter(shape, np.float64) for shape in ([1, 1, 1], [1, 1, 1], [1, 1, 1]))
weights = (op.constant(np.ones(shape)) for shape in ((1, 4, 1), (1, 4, 1), (1, 4)))
layer = op.lstm_sequence(x, h, c, op.constant(np.int32([1])), *weights, 1, "forward")
compiled = ov.Core().compile_model(ov.Model([layer.output(2)], [x, h, c]), "CPU", {"EXECUTION_MODE_HINT": "ACCURACY"})
found = compiled([np.ones((1, 1, 1)), *[np.zeros((1, 1, 1))] * 2])[0]
right = np.tanh(2) / (1 + np.exp(-2))
print("found:", found.dtype, found.item(), " right:", right)
assert found.dtype == np.float64
assert abs(found - right) > 1e-9, "the divergence is gone"
