"""ONNX Runtime loses the initial state of a row of length 0, whose state should stay as it is."""

import numpy as np
import onnxruntime
from onnx import parser

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 14]>
    g (float[3,2,1] X, int32[2] n, float[1,2,1] h, float[1,2,1] c) => (float[1,2,1] Yh, float[1,2,1] Yc)
    <float[1,4,1] W = {1, 1, 1, 1}, float[1,4,1] R = {1, 1, 1, 1}>
    { Y, Yh, Yc = LSTM <hidden_size = 1> (X, W, R, "", n, h, c) }""")
states = np.full((1, 2, 1), 0.5, np.float32)
feed = {"X": np.ones((3, 2, 1), np.float32), "n": np.int32([3, 0]), "h": states, "c": states}
found = [state[0, 1].item() for state in onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)]
print("found: h, c", found, " right: h, c", [0.5, 0.5])
assert found == [0, 0], "the divergence is gone"
