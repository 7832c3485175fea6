"""OpenVINO ignores P, the peepholes of the ONNX operator LSTM."""

import numpy as np
import openvino as ov
from onnx import parser
from onnx.reference import ReferenceEvaluator

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 14]> g (float[3,1,1] X) => (float[3,1,1,1] Y)
    <float[1,4,1] W = {1, 1, 1, 1}, float[1,4,1] R = {1, 1, 1, 1}, float[1,3] P = {2, 2, 2}>
    { Y = LSTM <hidden_size = 1> (X, W, R, "", "", "", "", P) }""")
x = np.ones((3, 1, 1), np.float32)
core = ov.Core()
compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
found, right = compiled({"X": x})[0].ravel(), ReferenceEvaluator(model).run(None, {"X": x})[0].ravel()
print("found:", found.round(3), " right:", right.round(3))
assert abs(found - right).max() > 0.1, "the divergence is gone"
