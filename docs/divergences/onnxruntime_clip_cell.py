"""ONNX Runtime does not clip the cell state before h reads it, as ONNX says of `clip`."""

import numpy as np
import onnxruntime
from onnx import parser

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 14]> g (float[3,1,1] X) => (float[3,1,1,1] Y)
    <float[1,4,1] W = {9, 9, 9, 9}, float[1,4,1] R = {0, 0, 0, 0}>
    { Y = LSTM <hidden_size = 1, clip = 1.0> (X, W, R) }""")
x = np.ones((3, 1, 1), np.float32)
(found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"X": x})

gate, c, right = 1 / (1 + np.exp(-1)), 0.0, []  # every pre-activation is 9, and is bounded to 1
for _ in range(3):
    c = gate * c + gate * np.tanh(1)
    right.append(gate * np.tanh(min(c, 1)))  # the text: "clip is applied to the input of activations"
print("found:", found.ravel().round(3), " right:", np.round(right, 3))
assert abs(found.ravel() - right).max() > 0.01, "the divergence is gone"
