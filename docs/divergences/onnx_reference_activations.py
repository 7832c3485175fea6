"""onnx.reference ignores the activations of the operator LSTM."""

import numpy as np
from onnx import parser
from onnx.reference import ReferenceEvaluator

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 14]> g (float[2,1,1] X) => (float[2,1,1,1] Y)
    <float[1,4,1] W = {1, 1, 1, 1}, float[1,4,1] R = {0, 0, 0, 0}>
    { Y = LSTM <hidden_size = 1, activations = ["Relu", "Relu", "Relu"]> (X, W, R) }""")
found = ReferenceEvaluator(model).run(None, {"X": np.ones((2, 1, 1), np.float32)})[0].ravel()

c, right = 0.0, []  # activations Relu of 1: every gate and the candidate are 1
for _ in range(2):
    c += 1
    right.append(c)
print("found:", found.round(3), " right:", np.round(right, 3))
assert abs(found - right).max() > 0.1, "the divergence is gone"
