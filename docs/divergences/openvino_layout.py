"""OpenVINO ignores layout=1 of the ONNX operator LSTM: it reads X as (steps, batch, input)."""

import numpy as np
import openvino as ov
from onnx import parser
from onnx.reference import ReferenceEvaluator

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 14]> g (float[2,3,1] X) => (float[2,3,1,1] Y)
    <float[1,4,1] W = {1, 1, 1, 1}, float[1,4,1] R = {1, 1, 1, 1}>
    { Y = LSTM <hidden_size = 1, layout = 1> (X, W, R) }""")
x = np.ones((2, 3, 1), np.float32)  # two rows of three steps
core = ov.Core()
compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
found, right = compiled({"X": x})[0], ReferenceEvaluator(model).run(None, {"X": x})[0]
print("found:", found.shape, found[0].ravel().round(3), " right:", right.shape, right[0].ravel().round(3))
assert found.shape != right.shape, "the divergence is gone"
