"""OpenVINO loses the initial state of a row of length 0, whose state should stay as it is."""

import numpy as np
import openvino as ov
import openvino.opset13 as op

x, h, c = (op.parameter(shape, np.float32) for shape in ([2, 3, 1], [2, 1, 1], [2, 1, 1]))
weights = (op.constant(np.ones(shape, np.float32)) for shape in ((1, 4, 1), (1, 4, 1), (1, 4)))
layer = op.lstm_sequence(x, h, c, op.constant(np.int32([3, 0])), *weights, 1, "forward")
model = ov.Model([layer.output(1), layer.output(2)], [x, h, c])
compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
states = np.full((2, 1, 1), 0.5, np.float32)
found = [state[1].item() for state in compiled([np.ones((2, 3, 1), np.float32), states, states]).values()]
print("found: h, c", found, " right: h, c", [0.5, 0.5])
assert found == [0, 0], "the divergence is gone"
