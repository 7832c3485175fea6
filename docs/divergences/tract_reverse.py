"""tract ignores direction="reverse" of the ONNX operator LSTM: it computes forward."""

import tempfile

import numpy as np
import onnx
import tract
from onnx import parser

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 14]> g (float[2,1,1] X) => (float[2,1,1,1] Y)
    <float[1,4,1] W = {1, 1, 1, 1}, float[1,4,1] R = {0, 0, 0, 0}>
    { Y = LSTM <hidden_size = 1, direction = "reverse"> (X, W, R) }""")
with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
    onnx.save(model, file.name)
    run = tract.onnx().load(file.name).into_model().into_runnable().run
found = run([np.ones((2, 1, 1), np.float32)])[0].to_numpy().ravel()

gate, c, right = 1 / (1 + np.exp(-1)), 0.0, []
for _ in range(2):
    c = gate * c + gate * np.tanh(1)
    right.insert(0, gate * np.tanh(c))  # the last step is read first
print("found:", found.round(3), " right:", np.round(right, 3))
assert abs(found - right).max() > 0.1, "the divergence is gone"
