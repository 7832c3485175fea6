"""ONNX Runtime ends the process (SIGSEGV) while it loads a valid float16 LSTM that Keras on PyTorch exported."""

import os
import subprocess
import sys

CODE = """
import sys, tempfile, keras, numpy as np, onnx, onnxruntime
given = keras.Input((5, 3), dtype="float16")
model = keras.Model(given, keras.layers.LSTM(4, dtype="float16", recurrent_initializer="ones")(given))
model(np.ones((2, 5, 3), np.float16))
model.export(file := tempfile.mkdtemp() + "/m.onnx", format="onnx", verbose=False)
onnx.checker.check_model(file, full_check=True)
options = onnxruntime.SessionOptions()
if sys.argv[1] == "plain":
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
print("valid", flush=True)
onnxruntime.InferenceSession(file, options)
"""
command, environment = [sys.executable, "-W", "ignore", "-c", CODE], {**os.environ, "KERAS_BACKEND": "torch"}
found = subprocess.run([*command, "default"], env=environment, capture_output=True, text=True, check=False)
right = subprocess.run([*command, "plain"], env=environment, capture_output=True, text=True, check=False)
print("found: exit code", found.returncode, " right: without optimisation", right.returncode)
assert "valid" in found.stdout
assert found.returncode < 0, "the divergence is gone"
