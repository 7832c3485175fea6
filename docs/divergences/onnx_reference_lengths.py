"""onnx.reference ignores sequence_lens of the operator LSTM."""

import numpy as np
from onnx import parser
from onnx.reference import ReferenceEvaluator

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 14]>
    g (float[3,2,1] X, int32[2] n, float[1,2,1] h, float[1,2,1] c) => (float[3,1,2,1] Y, float[1,2,1] Yh)
    <float[1,4,1] W = {1, 1, 1, 1}, float[1,4,1] R = {1, 1, 1, 1}>
    { Y, Yh = LSTM <hidden_size = 1> (X, W, R, "", n, h, c) }""")
zero = np.zeros((1, 2, 1), np.float32)
feed = {"X": np.ones((3, 2, 1), np.float32), "n": np.int32([3, 1]), "h": zero, "c": zero}
y, h = ReferenceEvaluator(model).run(None, feed)
found, right = h.ravel(), np.array([y[2, 0, 0, 0], y[0, 0, 1, 0]])  # the second row ends after one step
print("found:", found.round(3), " right:", right.round(3))
assert found[0] == found[1] != right[1], "the divergence is gone"
