"""onnx.reference ignores input_forget of the operator LSTM, by which f is 1 - i."""

import numpy as np
from onnx import parser
from onnx.reference import ReferenceEvaluator

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 14]> g (float[2,1,1] X) => (float[2,1,1,1] Y)
    <float[1,4,1] W = {1, 1, 1, 1}, float[1,4,1] R = {0, 0, 0, 0}>
    { Y = LSTM <hidden_size = 1, input_forget = 1> (X, W, R) }""")
found = ReferenceEvaluator(model).run(None, {"X": np.ones((2, 1, 1), np.float32)})[0].ravel()

gate, c, right = 1 / (1 + np.exp(-1)), 0.0, []
for _ in range(2):
    c = (1 - gate) * c + gate * np.tanh(1)  # f = 1 - i
    right.append(gate * np.tanh(c))
print("found:", found.round(3), " right:", np.round(right, 3))
assert abs(found - right).max() > 0.1, "the divergence is gone"
