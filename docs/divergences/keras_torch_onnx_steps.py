"""Keras on PyTorch exports a model of unknown steps to an ONNX file that claims any steps and computes one."""

import os
import tempfile
import warnings

os.environ["KERAS_BACKEND"] = "torch"
warnings.simplefilter("ignore")
import keras
import numpy as np
import onnxruntime

x = np.ones((2, 7, 3), np.float32)
given = keras.Input((None, 3))
model = keras.Model(given, keras.layers.LSTM(4, return_sequences=True)(given))
right = tuple(model(x).shape)
with tempfile.TemporaryDirectory() as folder:
    model.export(f"{folder}/m.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(f"{folder}/m.onnx")
(entry,) = session.get_inputs()
found = session.run(None, {entry.name: x})[0].shape
print("found: y", found, " right: y", right)
assert isinstance(entry.shape[1], str)
assert found == (2, 1, 4), "the divergence is gone"
