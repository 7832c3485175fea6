"""Keras on JAX gives h0 as the output before a row's first valid step; on TensorFlow and PyTorch it is 0."""

import os
import subprocess
import sys

CODE = """
import keras, numpy as np
layer = keras.layers.LSTM(1, return_sequences=True)
given = np.full((1, 1), 0.5, "f")
y = layer(np.ones((1, 2, 1), "f"), mask=np.array([[False, True]]), initial_state=[given, given])
print(keras.ops.convert_to_numpy(y)[0, 0, 0])
"""
first = {}
for backend in ("jax", "torch"):
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    ran = subprocess.run(command, env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, check=True)
    first[backend] = float(ran.stdout)
print("found: on JAX", first["jax"], " right: on PyTorch", first["torch"])
assert (first["jax"], first["torch"]) == (0.5, 0.0), "the divergence is gone"
